//! Kind `parametric_fit`: models of light curves, fitted to all bands of an object at once.
//!
//! The mathematics is in [`crate::features::parametric`], the columns are in `docs/fits.md`. A value that the
//! points do not support is NaN.

use std::sync::{Mutex, PoisonError};

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Params, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, params};

use crate::features::event::Nights;
use crate::features::parametric::{
    DEFAULT_MODELS, FitOptions, Fitter, MODEL_NAMES, Model, ModelCurve, QUANTITIES, Quantity,
    QuantityEntry,
};
use crate::rows::{DRAWS, MOST_DRAWS, measure_objects};
use crate::table::{Curves, FittedCurves, row_attrs};

/// The kind.
pub struct ParametricFit;

/// What `fitted` is if no model is named.
const BEST: &str = "best";

/// What `fitted` may be.
const FITTED: [&str; MODEL_NAMES.len() + 1] = {
    let mut words = [BEST; MODEL_NAMES.len() + 1];
    let mut i = 0;
    while i < MODEL_NAMES.len() {
        words[i + 1] = MODEL_NAMES[i];
        i += 1;
    }
    words
};

params! {
    struct FitParams<'a> {
        models: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Choice(&MODEL_NAMES))), "Models to fit. The first has further columns: residuals, luminosity, and what the survey shows outside its event.").or(Value::List(DEFAULT_MODELS.iter().map(|name| Value::Str((*name).into())).collect()));
        priors: Vec<(&'a str, &'a Value)> = new(ParamType::Map(Box::new(ParamType::List(Box::new(ParamType::Float { min: -1e6, max: 1e6 })))), "Other priors than those of `docs/fits.md`, as in `rise = [12.0, 0.8]`: center and width. The width of a time scale or a temperature is one of its natural logarithm.").optional();
        window_before: f64 = float(FitOptions::default().window_before, 0.0, 1e6, "Days at rest before the reference time at which the window of the fits begins.");
        window_after: f64 = float(FitOptions::default().window_after, 0.0, 1e6, "Days at rest after the reference time at which the window of the fits ends.");
        min_points: usize = int(FitOptions::default().min_points as i64, 1, 1_000_000, "Fewest points in the window with which models are fitted.");
        error_floor: f64 = float(FitOptions::default().error_floor, 0.0, 10.0, "Share of the flux that is added to its error in quadrature, since no model is exact.");
        starts: usize = int(FitOptions::default().starts as i64, 1, 7, "Searches for the optimum of each model, from the best of a few points at as many times of the peak. One more starts from the optimum of a model like it.");
        evaluations: usize = int(FitOptions::default().evaluations as i64, 1, 10_000, "Most evaluations of a model in each of its searches.");
        uncertainties: bool = bool(FitOptions::default().uncertainties, "Add columns with the standard errors of the unknowns, from the curvature of the cost, and with what the searches did.");
        redshift_draws: usize = int(1, 1, MOST_DRAWS, DRAWS);
        fitted: &'a str = choice(BEST, &FITTED, "Model whose light curves are the output `fitted`: the one of the least cost, or one by name.");
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("fit_".into());
    }
}

impl Stage for ParametricFit {
    fn spec(&self) -> KindSpec {
        let outputs = vec![
            OutputPort::of("features", "features", 0, "the columns of `docs/fits.md`"),
            OutputPort::of(
                "fitted",
                "fitted",
                0,
                "the light curves of the fitted model, dereddened if those that came in are",
            ),
        ];
        KindSpec {
            name: "parametric_fit",
            version: 1,
            about: "Fits models to all bands at once: a shape in time, times a black body",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs,
            },
            params: FitParams::specs(),
            steps: vec![
                Step::new("fit", Scope::Shard)
                    .port("curves")
                    .writes("features")
                    .writes("fitted"),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let p = FitParams::read(params);
        let wrong = |name: &str, text: String, help: String| {
            let diag = Diag::new("flow::params::fits", text).help(help);
            match params.span(name) {
                Some(span) => diag.label(span, "here"),
                None => diag,
            }
        };
        let mut diags = Vec::new();
        if p.models.is_empty() {
            let help = format!("the models are: {}", MODEL_NAMES.join(", "));
            diags.push(wrong("models", "`models` is empty".into(), help));
        }
        for (i, name) in p.models.iter().enumerate() {
            if p.models[..i].contains(name) {
                let text = format!("`models` lists `{name}` twice");
                diags.push(wrong("models", text, "name each model once".into()));
            }
        }
        if p.fitted != BEST && !p.models.contains(&p.fitted) {
            let text = format!("`fitted` is `{}`, which is not among the models", p.fitted);
            let help = "add it to `models`, or leave `fitted` out for the best model".into();
            diags.push(wrong("fitted", text, help));
        }
        for (name, value) in &p.priors {
            if let Err((text, help)) = prior(name, value) {
                diags.push(wrong("priors", text, help));
            }
        }
        diags
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let p = FitParams::read(action.params);
        let fitter = fitter(&p, curves.wavelengths()?);
        let columns = fitter.columns().iter();
        let columns: Vec<String> = columns.map(|c| format!("{}{}", p.prefix, c.name)).collect();
        let named = (p.fitted != BEST).then_some(p.fitted);
        let drawn: Vec<Mutex<Option<Drawn>>> = curves
            .objects
            .redshift
            .iter()
            .map(|_| Mutex::default())
            .collect();
        measure_objects(
            action,
            &curves,
            &columns,
            p.redshift_draws,
            |object, out| {
                let curve = object.curve;
                let nights = Nights::merge(curve.time, curve.band, curve.flux, curve.flux_err);
                let Some(fit) = fitter.measure(&nights, object.redshift, out) else {
                    return;
                };
                let given = curves.objects.redshift[object.index];
                let off = match (object.redshift, given) {
                    (Some(z), Some(given)) => (z - given).abs(),
                    _ => 0.0,
                };
                let mut drawn = lock(&drawn[object.index]);
                // Of several redshifts, the curve of the first one that is nearest to the object's is kept.
                if drawn.as_ref().is_none_or(|drawn| off < drawn.off) {
                    let curve = fitter.curve(&fit, named);
                    *drawn = curve.map(|curve| Drawn { off, curve });
                }
            },
        )?;
        let mut fitted = FittedCurves::new(curves.objects.survey.clone());
        for (id, drawn) in curves.objects.object_id.iter().zip(&drawn) {
            push(
                &mut fitted,
                id,
                lock(drawn).as_ref().map(|drawn| &drawn.curve),
            );
        }
        let mut writer = action.create()?;
        fitted.write(&mut writer)?;
        action.finish("fitted", writer, row_attrs(&curves.objects.object_id))
    }
}

/// A curve for the output, and how far the redshift that it is for is from the object's.
struct Drawn {
    off: f64,
    curve: ModelCurve,
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn push(fitted: &mut FittedCurves, id: &str, curve: Option<&ModelCurve>) {
    if let Some(curve) = curve {
        for ((&time, &band), &flux) in curve.time.iter().zip(&curve.band).zip(&curve.flux) {
            let flux = flux as f32;
            // Points whose flux no f32 holds are left out, as no other value would be true.
            if flux.is_finite() {
                fitted.push_point(time, band, flux, f32::NAN);
            }
        }
    }
    fitted.push_object(id, curve.map(|curve| curve.model));
}

fn fitter(p: &FitParams<'_>, wavelengths: Vec<f64>) -> Fitter {
    let models = p.models.iter().filter_map(|name| Model::of(name)).collect();
    // What is wrong with a prior was said when the pipeline was checked.
    let priors = p.priors.iter();
    let priors: Vec<(Quantity, (f64, f64))> = priors
        .filter_map(|(name, value)| prior(name, value).ok())
        .collect();
    let options = FitOptions {
        window_before: p.window_before,
        window_after: p.window_after,
        min_points: p.min_points,
        error_floor: p.error_floor,
        starts: p.starts,
        evaluations: p.evaluations,
        uncertainties: p.uncertainties,
    };
    Fitter::new(models, &priors, wavelengths, options)
}

/// Reads one entry of `priors`: the quantity, the center and the width.
///
/// # Errors
/// With a message and a hint, if there is no such prior.
fn prior(name: &str, value: &Value) -> Result<(Quantity, (f64, f64)), (String, String)> {
    let Some(entry) = QUANTITIES.iter().find(|entry| entry.name == name) else {
        let names: Vec<&str> = QUANTITIES.iter().map(|entry| entry.name).collect();
        return Err((
            format!("`priors` knows no `{name}`"),
            format!("the unknowns are: {}", names.join(", ")),
        ));
    };
    let QuantityEntry { bounds, prior, .. } = entry;
    let example = format!("for instance `{name} = [{}, {}]`", prior.0, prior.1);
    let numbers: Option<Vec<f64>> = match value {
        Value::List(items) => items.iter().map(Value::as_float).collect(),
        _ => None,
    };
    let Some(&[center, width]) = numbers.as_deref() else {
        return Err((
            format!("the prior of `{name}` is not a center and a width"),
            example,
        ));
    };
    let inside = bounds.0 <= center && center <= bounds.1;
    if !inside || width <= 0.0 {
        let text = format!(
            "the prior of `{name}` has its center outside {} to {}, or no positive width",
            bounds.0, bounds.1
        );
        return Err((text, example));
    }
    Ok((entry.quantity, (center, width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(values: &[f64]) -> Value {
        Value::List(values.iter().map(|v| Value::Float(*v)).collect())
    }

    /// The messages about a stage with these parameters, the others at their defaults.
    fn complaints(given: &[(&str, Value)]) -> Vec<String> {
        let mut params = Params::default();
        for spec in FitParams::specs() {
            let own = given.iter().find(|(name, _)| *name == spec.name);
            let value = match (own, &spec.default) {
                (Some((_, value)), _) => value.clone(),
                (None, flow_engine::kind::Default::Is(value)) => value.clone(),
                _ => continue,
            };
            params.insert(&spec, value, None);
        }
        let diags = ParametricFit.check(&params, &[]);
        diags.iter().map(|diag| diag.message.clone()).collect()
    }

    #[test]
    fn models_and_priors_that_do_not_fit_are_refused() {
        let models = |names: &[&str]| {
            let names = names.iter().map(|name| Value::Str((*name).into()));
            ("models", Value::List(names.collect()))
        };
        let rise = |value: Value| ("priors", Value::Map([("rise".to_owned(), value)].into()));
        assert_eq!(complaints(&[]), Vec::<String>::new());
        let fine = [
            models(&["exp", "flare"]),
            ("fitted", "flare".into()),
            rise(numbers(&[20.0, 0.5])),
        ];
        assert_eq!(complaints(&fine), Vec::<String>::new());
        for (given, text) in [
            (models(&[]), "`models` is empty"),
            (models(&["exp", "tde", "exp"]), "`models` lists `exp` twice"),
            (("fitted", "bazin".into()), "`fitted` is `bazin`"),
            (rise(numbers(&[20.0])), "not a center and a width"),
            (rise(numbers(&[0.5, 0.5])), "outside 1 to 120"),
            (rise(numbers(&[20.0, 0.0])), "no positive width"),
            (
                (
                    "priors",
                    Value::Map([("raise".to_owned(), numbers(&[1.0, 1.0]))].into()),
                ),
                "knows no `raise`",
            ),
        ] {
            let found = complaints(&[given]);
            assert!(found.len() == 1 && found[0].contains(text), "{found:?}");
        }
    }

    #[test]
    fn parameters_reach_the_fitter() {
        let mut params = Params::default();
        for spec in FitParams::specs() {
            let value = match spec.name {
                "models" => Value::List(vec!["exp".into()]),
                "priors" => Value::Map([("decay".to_owned(), numbers(&[90.0, 1e-3]))].into()),
                "min_points" => Value::Int(2),
                "uncertainties" => Value::Bool(true),
                _ => match &spec.default {
                    flow_engine::kind::Default::Is(value) => value.clone(),
                    _ => continue,
                },
            };
            params.insert(&spec, value, None);
        }
        let fitter = fitter(&FitParams::read(&params), vec![4770.0, 6200.0]);
        let time: Vec<f64> = (0..5).map(|i| 60_000.0 + 10.0 * f64::from(i)).collect();
        let nights = Nights::merge(
            &time,
            &[0, 1, 0, 1, 0],
            &[9.0, 8.0, 6.0, 4.0, 3.0],
            &[1.0; 5],
        );
        let mut values = vec![f64::NAN; fitter.columns().len()];
        let fit = fitter.measure(&nights, Some(0.1), &mut values).unwrap();
        let place = |name: &str| {
            fitter
                .columns()
                .iter()
                .position(|c| c.name == name)
                .unwrap()
        };
        let decay = values[place("exp_decay")];
        assert!((decay - 90.0).abs() < 1.0, "{decay}");
        assert!(values[place("exp_decay_err")] < 1.0);
        let curve = fitter.curve(&fit, Some("exp")).unwrap();
        assert!(fitter.curve(&fit, Some("tde")).is_none());
        // A flux that no f32 holds is left out, and an object without a fit has no points.
        let mut fitted = FittedCurves::new(crate::table::Survey::default());
        let huge = ModelCurve {
            flux: vec![1e300; curve.flux.len()],
            ..curve.clone()
        };
        push(&mut fitted, "a", Some(&curve));
        push(&mut fitted, "b", Some(&huge));
        push(&mut fitted, "c", None);
        let n = curve.flux.len();
        assert_eq!(fitted.offsets, [0, n, n, n]);
        assert_eq!(fitted.model, [Some("exp".into()), Some("exp".into()), None]);
    }
}

//! The fits of whole objects: what they find, and that bad input is survived.

use super::light::{Light, Shine};
use super::*;
use crate::numeric::rng::Stream;
use crate::numeric::simd::SimdLevel;
use crate::physics::dust::LSST_WAVELENGTHS;

fn fitter(names: &[&str], options: FitOptions) -> Fitter {
    let models = names.iter().filter_map(|name| Model::of(name)).collect();
    Fitter::new(models, &[], LSST_WAVELENGTHS.to_vec(), options)
}

fn measure(
    fitter: &Fitter,
    nights: &Nights,
    redshift: Option<f64>,
) -> (Vec<f64>, Option<ObjectFit>) {
    let mut out = vec![f64::NAN; fitter.columns().len()];
    let fit = fitter.measure(nights, redshift, &mut out);
    (out, fit)
}

fn value(fitter: &Fitter, values: &[f64], name: &str) -> f64 {
    let place = fitter
        .columns()
        .iter()
        .position(|column| column.name == name);
    values[place.unwrap_or_else(|| panic!("no column {name}"))]
}

/// Visits in all bands from 200 days before the peak at MJD 60,300 to 500 days after it.
fn visits(every: f64) -> Vec<(f64, u16)> {
    let n = (700.0 / every) as usize;
    (0..n)
        .map(|i| (60_100.0 + every * i as f64 + 0.1, (i % 6) as u16))
        .collect()
}

/// An object that is as the model says, with errors of `noise` and no scatter by more than `scatter` of them.
fn synthetic(
    model: &Model,
    slots: &model::Slots,
    redshift: f64,
    noise: f64,
    scatter: f64,
) -> Nights {
    let visits = visits(2.0);
    let stretch = 1.0 + redshift;
    let at = visits.iter().map(|&(t, band)| {
        (
            (t - 60_300.0) / stretch,
            LSST_WAVELENGTHS[usize::from(band)] / stretch,
        )
    });
    let points = Points::of(at);
    let mut light = Light::room(&points);
    SimdLevel::Scalar.run(Shine {
        model,
        slots,
        light: &mut light,
        points: &points,
    });
    let mut stream = Stream::new(5, &[]);
    let time: Vec<f64> = visits.iter().map(|v| v.0).collect();
    let band: Vec<u16> = visits.iter().map(|v| v.1).collect();
    let flux: Vec<f64> = (0..time.len())
        .map(|i| 50.0 * light.value[i] + scatter * noise * stream.normal())
        .collect();
    Nights::merge(&time, &band, &flux, &vec![noise; time.len()])
}

fn inner(model: &Model, values: &[(Quantity, f64)]) -> model::Slots {
    let mut slots = [0.0; SLOTS];
    for (slot, quantity) in slots.iter_mut().zip(model.slots()) {
        let given = values.iter().find(|(q, _)| *q == quantity);
        let entry = quantity.entry();
        *slot = entry.inner(given.map_or(entry.prior.0, |given| given.1));
    }
    slots
}

#[test]
fn every_model_is_found_again_in_its_own_light() {
    for model in &MODELS {
        let mut own = vec![(Quantity::PeakTime, 0.0), (Quantity::Temperature, 20_000.0)];
        for (_, quantity) in model.free() {
            match quantity {
                Quantity::Rise => own.push((quantity, 20.0)),
                Quantity::Decay => own.push((quantity, 60.0)),
                Quantity::Width => own.push((quantity, 40.0)),
                Quantity::Cooling => own.push((quantity, -0.3)),
                Quantity::Suppression => own.push((quantity, 1.5)),
                _ => {}
            }
        }
        let slots = inner(model, &own);
        let nights = synthetic(model, &slots, 0.2, 0.2, 0.0);
        let options = FitOptions {
            evaluations: 100,
            error_floor: 0.0,
            ..FitOptions::default()
        };
        let fitter = fitter(&[model.name], options);
        let (values, fit) = measure(&fitter, &nights, Some(0.2));
        let of = |name: &str| value(&fitter, &values, &format!("{}_{name}", model.name));
        // Only the priors pull, and they weigh little beside so many points.
        assert!(of("chi2") < 0.02, "{}: {}", model.name, of("chi2"));
        assert!(of("explained") > 0.999, "{}", model.name);
        let near = |found: f64, expected: f64| (found / expected - 1.0).abs() < 0.05;
        assert!(
            near(of("temperature"), 20_000.0),
            "{}: {}",
            model.name,
            of("temperature")
        );
        if model.shape.quantities().contains(&Quantity::Decay) {
            assert!(near(of("decay"), 60.0), "{}: {}", model.name, of("decay"));
        }
        // 50 microjansky at 4500 angstrom at rest.
        let frame = frame::Distance::at(Some(0.2));
        let magnitude = of("abs_mag") - frame.absolute_magnitude(50.0);
        assert!(magnitude.abs() < 0.05, "{}: {magnitude}", model.name);
        // The curve is the light that was made.
        let curve = fitter.curve(&fit.unwrap(), None).unwrap();
        assert_eq!(curve.model, model.name);
        let most = |flux: &[f64]| flux.iter().fold(0.0_f64, |a, b| a.max(*b));
        let ratio = most(&curve.flux) / most(&nights.flux);
        // The curve has points at the peak, where the observations may have none.
        assert!((0.95..1.2).contains(&ratio), "{}: {ratio}", model.name);
        assert!(curve.time.windows(2).all(|pair| pair[0] <= pair[1]));
    }
}

#[test]
fn the_right_model_costs_least() {
    let six = fitter(&DEFAULT_MODELS, FitOptions::default());
    for (name, better) in [
        ("tde", "tde_minus_exp"),
        ("exp", "tde_minus_exp"),
        ("gaussian", "tde_minus_gaussian"),
    ] {
        let model = Model::of(name).unwrap();
        let slots = inner(model, &[(Quantity::Decay, 35.0), (Quantity::Rise, 15.0)]);
        let nights = synthetic(model, &slots, 0.1, 0.5, 1.0);
        let (values, fit) = measure(&six, &nights, Some(0.1));
        let difference = value(&six, &values, better);
        assert_eq!(difference < 0.0, name == "tde", "{name}: {difference}");
        let chi2 = value(&six, &values, &format!("{name}_chi2"));
        assert!((0.6..1.4).contains(&chi2), "{name}: {chi2}");
        let best = six.curve(&fit.unwrap(), None).unwrap().model;
        let nested = ["tde", "isothermal", "power_law"].contains(&best) == (name == "tde");
        assert!(nested, "{name} is {best}");
    }
}

#[test]
fn the_search_ends_where_the_gradient_is_zero() {
    // The derivatives of the light are those of its values, for each unknown of each model.
    let at = visits(7.0)
        .into_iter()
        .map(|(t, band)| (t - 60_290.3, LSST_WAVELENGTHS[usize::from(band)] / 1.3));
    let points = Points::of(at);
    for model in &MODELS {
        let slots = inner(
            model,
            &[(Quantity::Cooling, 0.2), (Quantity::Suppression, 0.7)],
        );
        let light = |slots: &model::Slots| {
            let mut light = Light::room(&points);
            SimdLevel::Scalar.run(Shine {
                model,
                slots,
                light: &mut light,
                points: &points,
            });
            light
        };
        let here = light(&slots);
        for (place, quantity) in model.slots().enumerate() {
            let step = 1e-6;
            let (mut up, mut down) = (slots, slots);
            up[place] += step;
            down[place] -= step;
            let (up, down) = (light(&up), light(&down));
            for i in 0..points.x.len() {
                let expected = (up.value[i] - down.value[i]) / (2.0 * step);
                let off = (here.by[place][i] - expected).abs();
                let name = (model.name, quantity, points.x[i]);
                assert!(off < 1e-5 * (1.0 + expected.abs()), "{name:?}: {off}");
            }
        }
    }
}

#[test]
fn without_a_redshift_there_is_the_frame_of_the_observer_and_no_distance() {
    let fitter = fitter(&DEFAULT_MODELS, FitOptions::default());
    let model = Model::of("tde").unwrap();
    let nights = synthetic(model, &inner(model, &[]), 0.0, 0.5, 1.0);
    let (unknown, fit) = measure(&fitter, &nights, None);
    assert!(fit.is_some());
    for column in fitter.columns() {
        let found = value(&fitter, &unknown, &column.name);
        let distance = ["abs_mag", "log_luminosity", "log_radius", "log_energy"];
        let of_distance = distance.iter().any(|end| column.name.ends_with(end));
        // No band of the observer is that far in the ultraviolet.
        let dark = column.name.contains("below_3000");
        assert_eq!(
            found.is_nan(),
            of_distance || dark,
            "{}: {found}",
            column.name
        );
    }
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    for redshift in [
        Some(0.0),
        Some(f64::NAN),
        Some(-1.0),
        Some(-7.0),
        Some(f64::INFINITY),
    ] {
        assert_eq!(bits(&measure(&fitter, &nights, redshift).0), bits(&unknown));
    }
    // Other redshifts give numbers, or nothing.
    for redshift in [-0.01, -0.999_999, 5.0, 1e6, 1e300, f64::MAX] {
        measure(&fitter, &nights, Some(redshift));
    }
    let far = measure(&fitter, &nights, Some(5.0)).0;
    assert!(value(&fitter, &far, "tde_abs_mag").is_finite());
}

#[test]
fn bad_light_curves_give_numbers_or_none() {
    let all = FitOptions {
        uncertainties: true,
        min_points: 1,
        ..FitOptions::default()
    };
    let fitter = fitter(&MODEL_NAMES, all);
    let n = 40;
    let time: Vec<f64> = (0..n).map(|i| 60_000.0 + 3.0 * i as f64).collect();
    let bands: Vec<u16> = (0..n).map(|i| (i % 6) as u16).collect();
    let bump = |i: usize| 100.0 / (1.0 + (i as f64 - 12.0) * (i as f64 - 12.0));
    type Column<'a> = &'a dyn Fn(usize) -> f64;
    let cases: [(&str, Column, Column); 10] = [
        ("negative", &|i| -1.0 - bump(i), &|_| 1.0),
        ("zero", &|_| 0.0, &|_| 1.0),
        ("constant", &|_| 5.0, &|_| 1.0),
        ("huge errors", &bump, &|_| 1e30),
        ("tiny errors", &bump, &|_| 1e-300),
        ("zero with tiny errors", &|_| 0.0, &|_| 5e-324),
        (
            "huge fluxes",
            &|i| if i % 2 == 0 { f64::MAX } else { -f64::MAX },
            &|_| 1.0,
        ),
        ("tiny fluxes", &|i| 1e-310 * bump(i), &|_| 1e-310),
        ("mixed errors", &bump, &|i| {
            if i % 3 == 0 { 1e-200 } else { 1e200 }
        }),
        ("one spike", &|i| if i == 9 { 1e12 } else { 0.0 }, &|_| 1.0),
    ];
    for (name, flux, err) in cases {
        let flux: Vec<f64> = (0..n).map(flux).collect();
        let err: Vec<f64> = (0..n).map(err).collect();
        for (points, band) in [(1, 6), (2, 1), (7, 1), (n, 1), (n, 6)] {
            let bands: Vec<u16> = bands.iter().map(|b| b % band).collect();
            let nights = Nights::merge(
                &time[..points],
                &bands[..points],
                &flux[..points],
                &err[..points],
            );
            let (values, _) = measure(&fitter, &nights, Some(0.3));
            // Whatever was fitted has evaluations within the bound.
            for model in MODEL_NAMES {
                let spent = value(&fitter, &values, &format!("{model}_evaluations"));
                assert!(
                    spent.is_nan() || spent <= 270.0,
                    "{name}, {points}: {spent}"
                );
            }
            if name == "constant" && points == n {
                assert!(value(&fitter, &values, "tde_chi2").is_finite());
            }
        }
    }
    assert!(measure(&fitter, &Nights::default(), None).1.is_none());
}

#[test]
fn too_few_points_have_no_fit_but_count() {
    let fitter = fitter(&DEFAULT_MODELS, FitOptions::default());
    let time: Vec<f64> = [0.0, 5.0, 9.0, 400.0, 900.0, 2000.0]
        .map(|t| 60_000.0 + t)
        .to_vec();
    let nights = Nights::merge(&time, &[0; 6], &[9.0, 8.0, 7.0, -6.0, 1.0, 1.0], &[1.0; 6]);
    let (values, fit) = measure(&fitter, &nights, Some(0.1));
    assert!(fit.is_none());
    let of = |name: &str| value(&fitter, &values, name);
    assert_eq!(of("runs"), 2.0);
    assert!((of("negative_share") - 1.0 / 6.0).abs() < 1e-12);
    assert!((of("window_share") - 194.0 / 232.0).abs() < 1e-12);
    assert!(of("tde_chi2").is_nan() && of("window_signal").is_nan());
    assert!(values.iter().filter(|v| v.is_finite()).count() == 4);
}

#[test]
fn all_levels_give_the_same_bits() {
    let options = FitOptions {
        uncertainties: true,
        ..FitOptions::default()
    };
    let fitter = fitter(&MODEL_NAMES, options);
    let model = Model::of("supernova").unwrap();
    let nights = synthetic(model, &inner(model, &[]), 0.4, 1.0, 1.0);
    let bits = |values: &[f64]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    let mut found = Vec::new();
    for level in SimdLevel::available() {
        SimdLevel::set_cap(level);
        found.push(bits(&measure(&fitter, &nights, Some(0.4)).0));
    }
    SimdLevel::set_cap(SimdLevel::detect());
    assert!(found.iter().all(|bits| *bits == found[0]));
}

#[test]
fn options_do_what_they_say() {
    let model = Model::of("exp").unwrap();
    let nights = synthetic(model, &inner(model, &[]), 0.1, 2.0, 1.0);
    let base = FitOptions::default();
    let of = |options: FitOptions, name: &str| {
        let fitter = fitter(&["exp"], options);
        value(&fitter, &measure(&fitter, &nights, Some(0.1)).0, name)
    };
    let floor = FitOptions {
        error_floor: 0.5,
        ..base
    };
    assert!(of(floor, "exp_chi2") < of(base, "exp_chi2"));
    let short = FitOptions {
        window_before: 10.0,
        window_after: 20.0,
        ..base
    };
    assert!(of(short, "window_share") < of(base, "window_share"));
    assert!(
        of(
            FitOptions {
                min_points: 10_000,
                ..base
            },
            "exp_chi2"
        )
        .is_nan()
    );
    let with = FitOptions {
        uncertainties: true,
        evaluations: 2,
        ..base
    };
    assert_eq!(
        (of(with, "exp_converged"), of(with, "exp_evaluations")),
        (0.0, 18.0)
    );
    // Seven searches, one from the centers of the priors, and the best of them continued.
    let one = FitOptions { starts: 1, ..with };
    assert_eq!(of(one, "exp_evaluations"), 6.0);
    let with = FitOptions {
        evaluations: 200,
        ..with
    };
    assert_eq!(of(with, "exp_converged"), 1.0);
    let error = of(with, "exp_decay_err");
    assert!(error > 0.1 && error < 20.0, "{error}");
    // A narrow prior holds its unknown.
    let narrow = [(Quantity::Decay, (100.0, 1e-3))];
    let held = Fitter::new(vec![model], &narrow, LSST_WAVELENGTHS.to_vec(), base);
    let found = value(&held, &measure(&held, &nights, Some(0.1)).0, "exp_decay");
    assert!((found / 100.0 - 1.0).abs() < 0.02, "{found}");
}

#[test]
fn errors_are_those_of_repeated_measurements() {
    let model = Model::of("exp").unwrap();
    let slots = inner(model, &[]);
    let options = FitOptions {
        uncertainties: true,
        error_floor: 0.0,
        ..FitOptions::default()
    };
    let fitter = fitter(&["exp"], options);
    let clean = synthetic(model, &slots, 0.1, 1.0, 0.0);
    let mut stream = Stream::new(9, &[]);
    let (mut squares, mut claimed) = (0.0, 0.0);
    let repeats = 60;
    for _ in 0..repeats {
        let mut nights = clean.clone();
        for flux in &mut nights.flux {
            *flux += stream.normal();
        }
        let values = measure(&fitter, &nights, Some(0.1)).0;
        let off = libm::log(value(&fitter, &values, "exp_temperature") / 15_000.0);
        squares += off * off / f64::from(repeats);
        let relative = value(&fitter, &values, "exp_temperature_err")
            / value(&fitter, &values, "exp_temperature");
        claimed += relative * relative / f64::from(repeats);
    }
    let ratio = squares / claimed;
    assert!((0.5..2.0).contains(&ratio), "{ratio}");
}

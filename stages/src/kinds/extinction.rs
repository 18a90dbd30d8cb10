//! Kind `extinction`: corrects light curves for dust in the Milky Way.
//!
//! `flux * 10^(0.4 A)`, and the same for its error, with `A = E(B-V) k(lambda)` after Fitzpatrick
//! (1999, PASP 111, 63) at the effective wavelength of each band. The monochromatic law is the usual
//! approximation; it ignores the shape of the band and of the source's spectrum.

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, params, words};

use crate::physics::dust;
use crate::table::{Curves, IMPOSSIBLE, all_known, is_possible, row_attrs};

/// The kind.
pub struct Extinction;

#[derive(Clone, Copy, PartialEq)]
enum MissingEbv {
    Error,
    Keep,
}

words!(MissingEbv { Error = "error", Keep = "keep" });

params! {
    struct ExtinctionParams<'a> {
        r_v: f64 = float(3.1, 2.0, 6.0, "Ratio of total to selective extinction, A(V)/E(B-V).");
        wavelengths: Vec<(&'a str, f64)> = new(
            ParamType::Map(Box::new(ParamType::Float { min: 1000.0, max: 60_000.0 })),
            "Effective wavelengths of bands, in angstrom, in place of those that the survey has from `ingest`.",
        ).optional();
        missing_ebv: MissingEbv = word(MissingEbv::Error, "What to do with an object whose E(B-V) is unknown: stop, or keep its fluxes as they are.");
    }
}

impl Stage for Extinction {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "extinction",
            version: 1,
            about: "Corrects fluxes for Milky Way extinction (Fitzpatrick 1999)",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "curves",
                    "curves",
                    0,
                    "the light curves, corrected",
                )],
            },
            params: ExtinctionParams::specs(),
            steps: vec![
                Step::new("correct", Scope::Shard)
                    .port("curves")
                    .writes("curves"),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut curves = Curves::read(&action.one("curves")?.path)?;
        let params = ExtinctionParams::read(action.params);
        let law = dust::Fitzpatrick99::new(params.r_v);
        let survey = &curves.objects.survey;
        let own = |band: &String| {
            let mut given = params.wavelengths.iter();
            given.find(|(name, _)| name == band).map(|given| given.1)
        };
        let known = curves
            .bands()
            .iter()
            .map(|band| own(band).or_else(|| survey.wavelength(band)));
        let known = all_known(curves.bands(), known.collect())?;
        let per_ebv: Vec<f64> = known.iter().map(|&w| law.extinction(w)).collect();
        correct(
            &mut curves,
            &per_ebv,
            params.missing_ebv == MissingEbv::Keep,
        )?;
        let attrs = row_attrs(&curves.objects.object_id);
        let mut writer = action.create()?;
        curves.write(&mut writer)?;
        action.finish("curves", writer, attrs)
    }
}

/// Corrects all fluxes; `per_ebv` is the extinction of each band at an E(B-V) of 1.
fn correct(curves: &mut Curves, per_ebv: &[f64], keep: bool) -> Result<(), StageError> {
    for i in 0..curves.len() {
        let given = curves.objects.ebv[i];
        let ebv = match given.filter(|&ebv| is_possible("ebv", ebv)) {
            Some(ebv) => ebv,
            None if keep => continue,
            None => return Err(no_ebv(&curves.objects.object_id[i], given)),
        };
        let factors: Vec<f64> = per_ebv
            .iter()
            .map(|&k| 1.0 / dust::transmission(k, ebv))
            .collect();
        if let Some(band) = factors.iter().position(|f| !f.is_finite() || *f <= 0.0) {
            let (id, band) = (&curves.objects.object_id[i], &curves.bands()[band]);
            return Err(StageError::data(
                IMPOSSIBLE,
                format!("object `{id}`: an E(B-V) of {ebv} changes fluxes in band `{band}` beyond all numbers"),
            )
            .help("look at its E(B-V), at `r_v` and at the wavelength of the band"));
        }
        for j in curves.offsets[i]..curves.offsets[i + 1] {
            let factor = factors[usize::from(curves.band[j])];
            curves.flux[j] *= factor;
            curves.flux_err[j] *= factor;
        }
    }
    Ok(())
}

fn no_ebv(object: &str, given: Option<f64>) -> StageError {
    let text = match given {
        Some(ebv) => format!("object `{object}` has an E(B-V) of {ebv}, which stands for none"),
        None => format!("object `{object}` has no E(B-V)"),
    };
    StageError::data("flow::data::no_ebv", text)
        .help("the report of `ingest` counts values such as -9 and 999 that were read as missing")
        .help("map its column in the `ingest` stage, or set `missing_ebv = \"keep\"`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Survey;

    fn curves(ebv: Option<f64>) -> Curves {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into()],
            ..Survey::default()
        });
        let all = &mut curves.objects;
        all.object_id = vec!["a".into()];
        all.ebv = vec![ebv];
        (all.label, all.split, all.group) = (vec![None], vec![None], vec![None]);
        (all.redshift, all.redshift_err) = (vec![None], vec![None]);
        curves.offsets.push(1);
        (curves.time, curves.band) = (vec![1.0], vec![0]);
        (curves.flux, curves.flux_err) = (vec![30.0], vec![1.0]);
        curves
    }

    #[test]
    fn a_sentinel_is_a_missing_value() {
        for ebv in [
            None,
            Some(-9.0),
            Some(999.0),
            Some(f64::NAN),
            Some(f64::INFINITY),
        ] {
            let mut kept = curves(ebv);
            correct(&mut kept, &[3.6], true).unwrap();
            assert_eq!((kept.flux[0], kept.flux_err[0]), (30.0, 1.0), "{ebv:?}");
            let error = correct(&mut curves(ebv), &[3.6], false).unwrap_err();
            assert_eq!(error.code.as_str(), "flow::data::no_ebv");
            assert!(error.message.contains("object `a`"), "{error}");
        }
        let error = correct(&mut curves(Some(-9.0)), &[3.6], false).unwrap_err();
        assert!(
            error
                .message
                .contains("an E(B-V) of -9, which stands for none"),
            "{error}"
        );
        let mut noise = curves(Some(-0.01));
        correct(&mut noise, &[3.6], false).unwrap();
        assert!(noise.flux[0] < 30.0 && noise.flux[0] > 28.0);
    }

    #[test]
    fn a_factor_beyond_all_numbers_names_its_object() {
        let error = correct(&mut curves(Some(49.0)), &[20.0], true).unwrap_err();
        assert!(
            error.message.contains("object `a`: an E(B-V) of 49"),
            "{error}"
        );
    }
}

//! Kind `extinction`: corrects light curves for dust in the Milky Way.
//!
//! `flux * 10^(0.4 A)`, and the same for its error, with `A = E(B-V) k(lambda)` after Fitzpatrick
//! (1999, PASP 111, 63) at the effective wavelength of each band. The monochromatic law is the usual
//! approximation; it ignores the shape of the band and of the source's spectrum.

use flow_cache::Value;
use flow_engine::stage::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamSpec, ParamType};

use crate::math::dust;
use crate::table::{Curves, row_attrs};

/// The kind.
pub struct Extinction;

impl Stage for Extinction {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "extinction",
            version: 1,
            about: "Corrects fluxes for Milky Way extinction (Fitzpatrick 1999)",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of("curves", "curves", 0, "the light curves, corrected")],
            },
            params: vec![
                ParamSpec::float("r_v", 3.1, 2.0, 6.0, "Ratio of total to selective extinction, A(V)/E(B-V)."),
                ParamSpec::new(
                    "wavelengths",
                    ParamType::Map(Box::new(ParamType::Float { min: 1000.0, max: 60_000.0 })),
                    "Effective wavelength of each band, in angstrom; the LSST bands u, g, r, i, z, y are built in.",
                )
                .optional(),
                ParamSpec::choice(
                    "missing_ebv",
                    "error",
                    &["error", "keep"],
                    "What to do with an object whose E(B-V) is unknown: stop, or keep its fluxes as they are.",
                ),
            ],
            steps: vec![Step::new("correct", Scope::Shard).port("curves").writes("curves")],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut curves = Curves::read(&action.one("curves")?.path)?;
        let law = dust::Fitzpatrick99::new(action.params.float("r_v"));
        let given = action.params.map("wavelengths");
        let mut per_ebv = Vec::with_capacity(curves.bands().len());
        for band in curves.bands() {
            let wavelength = given
                .iter()
                .find(|(name, _)| name == band)
                .and_then(|(_, value)| match value {
                    Value::Float(v) => Some(*v),
                    Value::Int(v) => Some(*v as f64),
                    _ => None,
                })
                .or_else(|| lsst_wavelength(band))
                .ok_or_else(|| unknown_band(band))?;
            per_ebv.push(law.extinction(wavelength));
        }
        let keep = action.params.str("missing_ebv") == "keep";
        for i in 0..curves.len() {
            let ebv = match curves.objects.ebv[i] {
                Some(ebv) => ebv,
                None if keep => continue,
                None => return Err(no_ebv(&curves.objects.object_id[i])),
            };
            let factors: Vec<f64> = per_ebv
                .iter()
                .map(|&k| 1.0 / dust::transmission(k, ebv))
                .collect();
            for j in curves.offsets[i]..curves.offsets[i + 1] {
                let factor = factors[usize::from(curves.band[j])];
                curves.flux[j] *= factor;
                curves.flux_err[j] *= factor;
            }
        }
        let attrs = row_attrs(&curves.objects.object_id);
        let mut writer = action.create()?;
        curves.write(&mut writer)?;
        action.finish("curves", writer, attrs)
    }
}

fn lsst_wavelength(band: &str) -> Option<f64> {
    let at = dust::LSST_BANDS.iter().position(|name| *name == band)?;
    Some(dust::LSST_WAVELENGTHS[at])
}

fn unknown_band(band: &str) -> StageError {
    StageError::data(
        "flow::data::band",
        format!("the effective wavelength of band `{band}` is not known"),
    )
    .help(format!(
        "give it, in angstrom: wavelengths = {{ {band} = 6155.0 }}"
    ))
}

fn no_ebv(object: &str) -> StageError {
    StageError::data(
        "flow::data::no_ebv",
        format!("object `{object}` has no E(B-V)"),
    )
    .help("map its column in the `ingest` stage, or set `missing_ebv = \"keep\"`")
}

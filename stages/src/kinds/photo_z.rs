//! Kind `photo_z`: gives objects whose redshift is exact the redshift that a photometric survey would
//! have of them, so that a figure on labelled objects is the one to expect on unlabelled ones.
//!
//! Labelled objects are labelled because somebody took a spectrum, which gives their redshift as well.
//! The objects that a model is asked about have photometric redshifts, with errors. A model that is
//! fitted and scored on exact redshifts alone looks better than it will be.
//!
//! A redshift z becomes `z + s (1 + z) n` with a standard normal deviate n, the usual model of photometric
//! redshifts. Its error is quoted as `s (1 + z')`, from the new redshift z', so that nothing tells the
//! exact one. The default s = .02 is what LSST is required to reach (LSST Science Book, 2009, section 3.8).
//! It is also what MALLORN has: for its 7,135 unlabelled objects, `Z_err / (1 + Z)` has the quantiles .0194,
//! .0200 and .0207 at 5, 50 and 95 %, at all redshifts.

use flow_cache::{Digest, Value};
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::params;

use crate::numeric::rng::Stream;
use crate::rows::LEAST_REDSHIFT;
use crate::table::{Curves, Objects, row_attrs};

/// The kind.
pub struct PhotoZ;

params! {
    struct PhotoZParams {
        relative_error: f64 = float(0.02, 1e-6, 1.0, "Standard error of a redshift z, divided by 1 + z.");
    }
}

impl Stage for PhotoZ {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "photo_z",
            version: 1,
            about: "Draws photometric redshifts for objects whose redshift has no error",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "curves",
                    "curves",
                    0,
                    "the light curves, with drawn redshifts and their errors",
                )],
            },
            params: PhotoZParams::specs(),
            steps: vec![
                Step::new("draw", Scope::Shard)
                    .port("curves")
                    .writes("curves")
                    .seeded(),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let mut curves = Curves::read(&action.one("curves")?.path)?;
        let params = PhotoZParams::read(action.params);
        let drawn = draw(&mut curves.objects, params.relative_error, action.seed);
        let mut attrs = row_attrs(&curves.objects.object_id);
        attrs.push(("drawn".to_owned(), Value::Int(drawn as i64)));
        let mut writer = action.create()?;
        curves.write(&mut writer)?;
        action.finish("curves", writer, attrs)
    }
}

/// Draws a redshift for each object that has an exact one, and returns how many there are.
///
/// The draw depends on the seed and on the name of the object alone, not on the shard that it is in. A
/// redshift that has an error stays as it is. So does one of 0 or below, which is that of a star or of a
/// galaxy nearby. Labels are not looked at: an unlabelled object with an exact redshift gets a drawn one.
fn draw(objects: &mut Objects, relative_error: f64, seed: u64) -> usize {
    let mut drawn = 0;
    for (i, id) in objects.object_id.iter().enumerate() {
        let has_error = objects.redshift_err[i].is_some_and(|err| err > 0.0);
        let exact = objects.redshift[i].filter(|z| z.is_finite() && *z > 0.0 && !has_error);
        if let Some(exact) = exact {
            let redshift = photometric(exact, relative_error, stream(seed, id).normal());
            objects.redshift[i] = Some(redshift);
            objects.redshift_err[i] = Some(relative_error * (1.0 + redshift));
            drawn += 1;
        }
    }
    drawn
}

/// The random numbers of an object.
fn stream(seed: u64, id: &str) -> Stream {
    let digest = Digest::of(id.as_bytes());
    let (words, _) = digest.as_bytes().as_chunks::<8>();
    let path: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
    Stream::new(seed, &path)
}

/// The redshift that is `deviate` standard errors off. One that was positive stays so, because a distance
/// is needed.
fn photometric(exact: f64, relative_error: f64, deviate: f64) -> f64 {
    let redshift = exact + relative_error * (1.0 + exact) * deviate;
    redshift.max(exact.min(LEAST_REDSHIFT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(known: &[(Option<f64>, Option<f64>)]) -> Objects {
        let n = known.len();
        Objects {
            object_id: (0..n).map(|i| format!("object_{i:05}")).collect(),
            redshift: known.iter().map(|(z, _)| *z).collect(),
            redshift_err: known.iter().map(|(_, err)| *err).collect(),
            label: vec![None; n],
            raw_label: vec![None; n],
            ebv: vec![None; n],
            split: vec![None; n],
            group: vec![None; n],
            ..Objects::default()
        }
    }

    #[test]
    fn only_exact_redshifts_are_drawn() {
        let known = [
            (Some(0.5), Some(0.03)),
            (None, None),
            (None, Some(0.1)),
            (Some(0.0), None),
            (Some(-0.001), None),
            (Some(f64::NAN), None),
        ];
        let mut all = objects(&known);
        assert_eq!(draw(&mut all, 0.02, 1), 0);
        // NaN is not equal to itself.
        assert_eq!(all.redshift[..5], objects(&known).redshift[..5]);
        assert_eq!(all.redshift_err, objects(&known).redshift_err);
        let mut exact = objects(&[(Some(0.5), None), (Some(5.0), Some(0.0))]);
        assert_eq!(draw(&mut exact, 0.02, 1), 2);
        for i in 0..2 {
            let (z, err) = (exact.redshift[i].unwrap(), exact.redshift_err[i].unwrap());
            assert_ne!(z, [0.5, 5.0][i]);
            assert_eq!(err, 0.02 * (1.0 + z));
        }
    }

    #[test]
    fn a_draw_depends_on_the_name_and_the_seed_alone() {
        let mut all = objects(&[(Some(0.5), None); 4]);
        draw(&mut all, 0.02, 7);
        let mut part = objects(&[(Some(0.5), None); 2]);
        part.object_id = all.object_id[2..].to_vec();
        draw(&mut part, 0.02, 7);
        assert_eq!(part.redshift, all.redshift[2..]);
        assert_ne!(all.redshift[0], all.redshift[1]);
        draw(&mut part, 0.02, 7);
        assert_eq!(
            part.redshift,
            all.redshift[2..],
            "a second draw changes nothing"
        );
        let mut other = objects(&[(Some(0.5), None); 4]);
        draw(&mut other, 0.02, 8);
        assert_ne!(other.redshift[0], all.redshift[0]);
    }

    #[test]
    fn errors_have_the_size_that_is_asked_for() {
        let n = 20_000;
        let mut all = objects(&vec![(Some(1.0), None); n]);
        draw(&mut all, 0.02, 3);
        let off: Vec<f64> = all.redshift.iter().map(|z| z.unwrap() - 1.0).collect();
        let mean = off.iter().sum::<f64>() / n as f64;
        let variance = off.iter().map(|off| off * off).sum::<f64>() / n as f64;
        assert!(mean.abs() < 4.0 * 0.04 / (n as f64).sqrt(), "{mean}");
        assert!((variance.sqrt() / 0.04 - 1.0).abs() < 0.03, "{variance}");
    }

    #[test]
    fn a_positive_redshift_stays_positive() {
        assert_eq!(photometric(0.01, 0.5, -5.0), LEAST_REDSHIFT);
        assert_eq!(photometric(0.0004, 0.5, -5.0), 0.0004);
        assert_eq!(photometric(0.5, 0.02, 1.0), 0.53);
    }
}

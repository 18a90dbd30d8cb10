//! Fitted light curves of some objects, with as many points as a figure needs.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use flow_engine::StageError;
use rayon::prelude::*;

use super::objects::BandPoints;
use crate::table::FittedCurves;

/// The curve of a model that was fitted to an object.
#[derive(Clone, Debug, PartialEq)]
pub struct ObjectFit {
    /// The name of the model.
    pub model: String,
    /// The curve by band, in the order of the bands that were asked for. Errors are NaN if the model gives none.
    pub bands: Vec<BandPoints>,
}

/// Reads the fitted curves of some objects. Each band has `most` points at most, at even steps from the first to
/// the last one; `bands` are the names of the bands. Objects to which no model could be fitted are left out.
///
/// # Errors
/// If a file is unreadable.
pub fn fits(
    files: &[PathBuf],
    wanted: &BTreeSet<&str>,
    bands: &[String],
    most: usize,
) -> Result<BTreeMap<String, ObjectFit>, StageError> {
    let read = |file: &PathBuf| -> Result<Vec<(String, ObjectFit)>, StageError> {
        let fitted = FittedCurves::read(file)?;
        let chosen = (0..fitted.len()).filter(|&i| wanted.contains(fitted.object_id[i].as_str()));
        let fits = chosen.filter_map(|i| {
            let model = fitted.model[i].clone()?;
            let bands = of_object(&fitted, i, bands, most);
            Some((fitted.object_id[i].clone(), ObjectFit { model, bands }))
        });
        Ok(fits.collect())
    };
    let shards: Vec<Vec<(String, ObjectFit)>> =
        files.par_iter().map(read).collect::<Result<_, _>>()?;
    Ok(shards.into_iter().flatten().collect())
}

fn of_object(fitted: &FittedCurves, i: usize, bands: &[String], most: usize) -> Vec<BandPoints> {
    let places = bands.iter().map(|name| {
        let mut known = fitted.survey.bands.iter();
        known.position(|band| band == name)
    });
    let points = fitted.offsets[i]..fitted.offsets[i + 1];
    let of_band = |band: Option<usize>| {
        let is_of = |&k: &usize| band == Some(usize::from(fitted.band[k]));
        let all: Vec<usize> = points.clone().filter(is_of).collect();
        let mut curve = BandPoints::default();
        for k in evenly(all.len(), most).map(|k| all[k]) {
            curve.time.push(fitted.time[k]);
            curve.flux.push(fitted.flux[k].into());
            curve.flux_err.push(fitted.flux_err[k].into());
        }
        curve
    };
    places.map(of_band).collect()
}

/// `most` places of `n` at even steps, from the first to the last; all if there are no more.
fn evenly(n: usize, most: usize) -> impl Iterator<Item = usize> {
    let count = n.min(most.max(2));
    let step = count.max(2) - 1;
    (0..count).map(move |k| (k * (n - 1) + step / 2) / step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Survey;

    #[test]
    fn places_are_even_and_keep_the_ends() {
        let of = |n, most| evenly(n, most).collect::<Vec<_>>();
        assert_eq!(of(0, 5), [0; 0]);
        assert_eq!(of(1, 5), [0]);
        assert_eq!(of(3, 5), [0, 1, 2]);
        assert_eq!(of(11, 3), [0, 5, 10]);
        assert_eq!(of(101, 5), [0, 25, 50, 75, 100]);
        assert_eq!(of(9, 1), [0, 8]);
    }

    #[test]
    fn curves_are_thinned_by_band() {
        let mut fitted = FittedCurves::new(Survey {
            bands: vec!["r".into(), "g".into()],
            ..Survey::default()
        });
        for k in 0..21_u16 {
            fitted.push_point(f64::from(k), 0, f32::from(k), 0.5);
            fitted.push_point(f64::from(k), 1, 1.0, f32::NAN);
        }
        fitted.push_object("a", Some("gp"));
        fitted.push_object("b", None);
        let mut bytes = Vec::new();
        fitted.write(&mut bytes).unwrap();
        let file = flow_testkit::files::file_of(&bytes);
        let names = ["g", "r", "z"].map(String::from);
        let wanted = BTreeSet::from(["a", "b", "c"]);
        let files = [file.path().to_path_buf()];
        let read = fits(&files, &wanted, &names, 5).unwrap();
        assert_eq!(read.keys().collect::<Vec<_>>(), ["a"]);
        let bands = &read["a"].bands;
        assert_eq!(bands[1].time, [0.0, 5.0, 10.0, 15.0, 20.0]);
        assert_eq!(bands[1].flux, bands[1].time);
        assert!(bands[0].flux_err.iter().all(|err| err.is_nan()));
        assert_eq!(bands[2], BandPoints::default());
        assert!(
            fits(&files, &BTreeSet::new(), &names, 5)
                .unwrap()
                .is_empty()
        );
    }
}

//! Objects to look at: their light curves, and what is known of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use flow_engine::StageError;
use rayon::prelude::*;

use super::peak::Brightest;
use crate::table::{Curves, Objects, Survey};

/// An object never has fewer points than this because of the room that there is.
const FEWEST_POINTS: usize = 60;

/// The observations of one band, in the order of time. All lists have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BandPoints {
    /// Time in days (MJD).
    pub time: Vec<f64>,
    /// Flux in the survey's unit.
    pub flux: Vec<f64>,
    /// Standard error of the flux.
    pub flux_err: Vec<f64>,
}

/// An object with its light curve.
#[derive(Clone, Debug, PartialEq)]
pub struct ObservedObject {
    /// Its name.
    pub id: String,
    /// Its class, if it is known.
    pub label: Option<String>,
    /// Redshift.
    pub redshift: Option<f64>,
    /// The standard error of the redshift.
    pub redshift_err: Option<f64>,
    /// Galactic reddening E(B-V), in magnitudes.
    pub ebv: Option<f64>,
    /// The part of the survey that it belongs to.
    pub split: Option<String>,
    /// The number of its observations.
    pub points: usize,
    /// How many observations of a band became one point, at most; 1 if all are shown as they are.
    pub averaged: usize,
    /// The brightest observation that is significant.
    pub peak: Option<Brightest>,
    /// The light curve by band, in the order of the survey's bands.
    pub bands: Vec<BandPoints>,
}

/// Objects with their light curves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedObjects {
    /// What all objects share.
    pub survey: Survey,
    /// The objects, in the order of the bytes of their names.
    pub objects: Vec<ObservedObject>,
    /// The number of objects that the files have.
    pub of: usize,
}

impl ObservedObjects {
    /// Reads the objects that are wanted from files of light curves. With `room` for so many observations, it reads
    /// all objects if they have no more together, and if those that are wanted have more, long light curves are shown
    /// as means of consecutive observations of a band.
    ///
    /// # Errors
    /// If a file is unreadable, or files disagree on bands.
    pub fn read(
        files: &[PathBuf],
        wanted: &BTreeSet<&str>,
        room: Option<usize>,
    ) -> Result<Self, StageError> {
        let seen = AtomicUsize::new(0);
        let read = |file: &PathBuf| -> Result<Self, StageError> {
            let curves = Curves::read(file)?;
            let more = curves.time.len();
            let so_far = seen.fetch_add(more, Ordering::Relaxed) + more;
            let all = room.is_some_and(|room| so_far <= room);
            Ok(Self::of_shard(&curves, all, wanted))
        };
        let shards: Vec<Self> = files.par_iter().map(read).collect::<Result<_, _>>()?;
        let survey = Survey::join(shards.iter().map(|shard| &shard.survey))?;
        let of = shards.iter().map(|shard| shard.of).sum();
        let mut objects: Vec<ObservedObject> =
            shards.into_iter().flat_map(|shard| shard.objects).collect();
        if let Some(room) = room.filter(|room| seen.into_inner() > *room) {
            objects.retain(|object| wanted.contains(object.id.as_str()));
            let most = (room / objects.len().max(1)).max(FEWEST_POINTS);
            objects.iter_mut().for_each(|object| object.average(most));
        }
        objects.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(Self {
            survey,
            objects,
            of,
        })
    }

    fn of_shard(curves: &Curves, all: bool, wanted: &BTreeSet<&str>) -> Self {
        let ids = &curves.objects.object_id;
        let chosen = (0..curves.len()).filter(|&i| all || wanted.contains(ids[i].as_str()));
        Self {
            objects: chosen.map(|i| ObservedObject::of(curves, i)).collect(),
            survey: curves.objects.survey.clone(),
            of: curves.len(),
        }
    }

    /// The object of this name, if it is there.
    pub fn get(&self, id: &str) -> Option<&ObservedObject> {
        let place = self
            .objects
            .binary_search_by(|object| object.id.as_str().cmp(id));
        place.ok().map(|place| &self.objects[place])
    }
}

impl ObservedObject {
    fn of(curves: &Curves, i: usize) -> Self {
        let curve = curves.get(i);
        let mut bands = vec![BandPoints::default(); curves.bands().len()];
        for k in 0..curve.time.len() {
            let band = &mut bands[usize::from(curve.band[k])];
            band.push(curve.time[k], curve.flux[k], curve.flux_err[k]);
        }
        let objects = &curves.objects;
        Self {
            id: objects.object_id[i].clone(),
            label: objects.label[i].clone(),
            redshift: objects.redshift[i],
            redshift_err: objects.redshift_err[i],
            ebv: objects.ebv[i],
            split: objects.split[i].clone(),
            points: curve.time.len(),
            averaged: 1,
            peak: Brightest::of(&curve),
            bands,
        }
    }

    /// Averages consecutive observations of each band, so that there are about `most` points at most.
    fn average(&mut self, most: usize) {
        self.averaged = self.points.div_ceil(most).max(1);
        if self.averaged > 1 {
            let bands = self.bands.iter();
            self.bands = bands.map(|band| band.averaged(self.averaged)).collect();
        }
    }
}

impl BandPoints {
    fn push(&mut self, time: f64, flux: f64, flux_err: f64) {
        self.time.push(time);
        self.flux.push(flux);
        self.flux_err.push(flux_err);
    }

    /// The mean time of `n` consecutive points each, with the mean of their fluxes weighted by 1 / error^2.
    fn averaged(&self, n: usize) -> Self {
        let mut means = Self::default();
        let chunks = self.flux.chunks(n).zip(self.flux_err.chunks(n));
        for (time, (flux, flux_err)) in self.time.chunks(n).zip(chunks) {
            let (flux, err) = weighted_mean(flux, flux_err);
            means.push(time.iter().sum::<f64>() / time.len() as f64, flux, err);
        }
        means
    }
}

/// The mean of some fluxes weighted by 1 / error^2, with its standard error. Weights are relative to the smallest
/// error, so that they neither overflow nor vanish together.
pub(super) fn weighted_mean(flux: &[f64], flux_err: &[f64]) -> (f64, f64) {
    let least = flux_err.iter().copied().fold(f64::INFINITY, f64::min);
    let weight = |err: f64| (least / err) * (least / err);
    let sum: f64 = flux_err.iter().map(|&err| weight(err)).sum();
    let points = flux.iter().zip(flux_err);
    let mean = points.map(|(&flux, &err)| flux * (weight(err) / sum)).sum();
    (mean, least / sum.sqrt())
}

/// The labels that the survey gave to objects whose class is a group of labels, by object.
///
/// # Errors
/// If a file is unreadable.
pub fn survey_labels(
    files: &[PathBuf],
    wanted: &BTreeSet<&str>,
) -> Result<BTreeMap<String, String>, StageError> {
    let mut labels = BTreeMap::new();
    for file in files {
        let objects = Objects::read(file)?;
        for (id, label) in objects.object_id.into_iter().zip(objects.raw_label) {
            if let Some(label) = label.filter(|_| wanted.contains(id.as_str())) {
                labels.insert(id, label);
            }
        }
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::{TempDir, folder};

    fn shard(names: &[&str], points: usize) -> Curves {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            ..Survey::default()
        });
        for (i, name) in names.iter().enumerate() {
            let objects = &mut curves.objects;
            objects.object_id.push((*name).into());
            objects.label.push(Some("TDE".into()));
            objects.raw_label.push(Some("TDE-H".into()));
            objects.redshift.push(Some(0.5));
            objects.redshift_err.push(None);
            objects.ebv.push(Some(0.02));
            objects.split.push(None);
            objects.group.push(None);
            for k in 0..points {
                curves.time.push(60_000.0 + k as f64);
                curves.band.push((k % 2) as u16);
                curves.flux.push(i as f64 + k as f64);
                curves.flux_err.push(1.0);
            }
            curves.offsets.push(curves.time.len());
        }
        curves
    }

    fn files(shards: &[Curves]) -> (TempDir, Vec<PathBuf>) {
        let dir = folder();
        let write = |(i, shard): (usize, &Curves)| {
            let path = dir.path().join(i.to_string());
            shard.write(std::fs::File::create(&path).unwrap()).unwrap();
            path
        };
        let paths = shards.iter().enumerate().map(write).collect();
        (dir, paths)
    }

    #[test]
    fn all_objects_are_read_if_there_is_room() {
        let (_dir, paths) = files(&[shard(&["b", "c"], 10), shard(&["a"], 10)]);
        let wanted = BTreeSet::from(["b"]);
        let all = ObservedObjects::read(&paths, &wanted, Some(30)).unwrap();
        let ids: Vec<&str> = all.objects.iter().map(|o| o.id.as_str()).collect();
        assert_eq!((ids, all.of), (vec!["a", "b", "c"], 3));
        let some = ObservedObjects::read(&paths, &wanted, Some(29)).unwrap();
        assert_eq!((some.objects.len(), some.of), (1, 3));
        let b = some.get("b").unwrap();
        assert_eq!(b, all.get("b").unwrap());
        assert_eq!((b.points, b.averaged), (10, 1));
        assert_eq!(b.bands[1].flux, [1.0, 3.0, 5.0, 7.0, 9.0]);
        assert_eq!((b.redshift, b.ebv), (Some(0.5), Some(0.02)));
        assert_eq!(some.get("a"), None);
        assert_eq!(ObservedObjects::read(&paths, &wanted, None).unwrap(), some);
    }

    #[test]
    fn long_light_curves_are_averaged_by_band() {
        let (_dir, paths) = files(&[shard(&["a"], 600)]);
        let wanted = BTreeSet::from(["a"]);
        let read = ObservedObjects::read(&paths, &wanted, Some(300)).unwrap();
        let a = &read.objects[0];
        assert_eq!((a.points, a.averaged), (600, 2));
        assert_eq!(a.bands[0].time.len(), 150);
        assert_eq!((a.bands[0].time[0], a.bands[0].flux[0]), (60_001.0, 1.0));
        assert!((a.bands[0].flux_err[0] - 0.5_f64.sqrt()).abs() < 1e-15);
        // The peak is that of the observations.
        assert_eq!(a.peak.unwrap().flux, 599.0);
    }

    #[test]
    fn means_are_weighted_and_survive_extreme_errors() {
        let (mean, err) = weighted_mean(&[1.0, 4.0], &[1.0, 2.0]);
        assert!((mean - 1.6).abs() < 1e-15 && (err - 0.8_f64.sqrt()).abs() < 1e-15);
        for err in [1e-300, 1e300] {
            let (mean, of) = weighted_mean(&[2.0, 2.0], &[err, err]);
            assert!((mean - 2.0).abs() < 1e-15 && (of / err - 0.5_f64.sqrt()).abs() < 1e-15);
        }
        let (mean, _) = weighted_mean(&[f64::MAX, f64::MAX], &[1.0, 1.0]);
        assert!(mean.is_finite());
    }

    #[test]
    fn the_labels_of_the_survey_are_found() {
        let dir = folder();
        let path = dir.path().join("objects");
        let objects = shard(&["a", "b"], 1).objects;
        objects
            .write(std::fs::File::create(&path).unwrap())
            .unwrap();
        let labels = survey_labels(&[path], &BTreeSet::from(["b", "z"])).unwrap();
        assert_eq!(labels, BTreeMap::from([("b".into(), "TDE-H".into())]));
    }
}

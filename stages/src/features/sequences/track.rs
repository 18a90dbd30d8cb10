//! Which observations are in one track.

use super::observed::Observation;

/// Which observations are in one track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Layout {
    /// A track for each band.
    Bands,
    /// One track of the observations of all bands.
    Merged,
    /// One track of nights, with a flux for each band.
    Nights {
        /// A night is its first observation and what follows within so many hours.
        hours: f64,
    },
}

/// A flux of a point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Cell {
    pub band: usize,
    pub flux: f64,
    pub err: f64,
    /// It was observed, not interpolated.
    pub observed: bool,
}

/// The points of a track, in the order of time.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Track {
    /// Days since the first observation of the object.
    pub times: Vec<f64>,
    /// The fluxes of the points, as many for each of them. One is missing where a band was not observed yet, or is not
    /// observed any more.
    pub cells: Vec<Option<Cell>>,
    /// Observations that gave way to others of the same night and band.
    pub merged: usize,
}

impl From<Observation> for Cell {
    fn from(observation: Observation) -> Self {
        Self {
            band: observation.band,
            flux: observation.flux,
            err: observation.err,
            observed: true,
        }
    }
}

impl Layout {
    /// The names of the tracks of a survey with these bands.
    pub fn tracks(self, bands: &[String]) -> Vec<String> {
        match self {
            Self::Bands => bands.to_vec(),
            Self::Merged => vec!["all".to_owned()],
            Self::Nights { .. } => vec!["nights".to_owned()],
        }
    }

    /// The tracks of an object. The observations are in the order of time.
    pub(super) fn split(self, observations: &[Observation], bands: usize) -> Vec<Track> {
        match self {
            Self::Bands => {
                let of_band = |band| observations.iter().filter(move |o| o.band == band);
                (0..bands).map(|band| single(of_band(band))).collect()
            }
            Self::Merged => vec![single(observations.iter())],
            Self::Nights { hours } => vec![nights(observations, bands, hours / 24.0)],
        }
    }
}

/// A track of points that are one observation each.
fn single<'a>(observations: impl Iterator<Item = &'a Observation>) -> Track {
    let mut track = Track::default();
    for &observation in observations {
        track.times.push(observation.time);
        track.cells.push(Some(observation.into()));
    }
    track
}

/// The track of nights (Chaini and Kumar 2020, section 3.2.2). `length` is that of a night, in days.
///
/// Of several observations of a night and band, the one with the smallest error is kept, the first of equal ones. A
/// night has the time of its first observation. In a night without an observation of a band, flux and error are on
/// straight lines in time between the nights before and after. Before the first and behind the last of them there is
/// none, nor is there one in a band that was never observed.
fn nights(observations: &[Observation], bands: usize, length: f64) -> Track {
    let mut track = Track::default();
    for &observation in observations {
        let begun = track.times.last();
        if begun.is_none_or(|begun| observation.time - begun > length) {
            track.times.push(observation.time);
            track.cells.extend(std::iter::repeat_n(None, bands));
        }
        let place = track.cells.len() - bands + observation.band;
        let known = &mut track.cells[place];
        track.merged += usize::from(known.is_some());
        if known.is_none_or(|known| observation.err < known.err) {
            *known = Some(observation.into());
        }
    }
    for band in 0..bands {
        fill(&mut track, band, bands);
    }
    track
}

/// Fills what is missing of a band between nights that have it.
fn fill(track: &mut Track, band: usize, bands: usize) {
    let mut before: Option<(usize, Cell)> = None;
    for night in 0..track.times.len() {
        let Some(after) = track.cells[night * bands + band] else {
            continue;
        };
        if let Some((begin, before)) = before {
            let (from, to) = (track.times[begin], track.times[night]);
            for between in begin + 1..night {
                let share = (track.times[between] - from) / (to - from);
                let line = |from: f64, to: f64| from * (1.0 - share) + to * share;
                track.cells[between * bands + band] = Some(Cell {
                    band,
                    flux: line(before.flux, after.flux),
                    err: line(before.err, after.err),
                    observed: false,
                });
            }
        }
        before = Some((night, after));
    }
}

//! What a sequence is made of, and the values of an object.

use super::channel::Channel;
use super::observed::{Noise, ObservedCurve};
use super::scale::{FluxScale, Scaling};
use super::track::{Cell, Layout, Track};

/// Which points of a long track are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// The last ones.
    Latest,
    /// The first ones.
    Earliest,
}

/// What a sequence is made of.
#[derive(Clone, Debug)]
pub struct SequencePlan {
    /// The bands of the survey.
    pub bands: Vec<String>,
    /// Their effective wavelengths in angstrom; needed for the channel of that name alone.
    pub wavelengths: Vec<f64>,
    /// Which observations are in one track.
    pub layout: Layout,
    /// The channels, in their order.
    pub channels: Vec<Channel>,
    /// The most points of a track.
    pub points: usize,
    /// Which points of a longer track are kept.
    pub keep: Keep,
    /// The scale of an object's fluxes.
    pub scale: FluxScale,
    /// The standard deviation of the noise that is added to fluxes, in units of their errors.
    pub noise: f64,
    /// Days that count as 1 in the channels of time.
    pub time_unit: f64,
}

/// How many points a track of an object has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TrackCount {
    /// Points, of which those above the most that a track may have are left out.
    pub points: usize,
    /// Observations that gave way to others of the same night and band.
    pub merged: usize,
}

/// What all points of an object have in common.
struct Whole {
    scaling: Scaling,
    /// The days between the first and the last observation.
    span: f64,
}

impl SequencePlan {
    /// The names of the tracks.
    pub fn tracks(&self) -> Vec<String> {
        self.layout.tracks(&self.bands)
    }

    /// The names of the values of a point. What is known of each band has a name for each.
    pub fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let nightly = matches!(self.layout, Layout::Nights { .. });
        for &channel in &self.channels {
            let word = channel.word();
            if channel == Channel::Band || nightly && channel.is_of_fluxes() {
                names.extend(self.bands.iter().map(|band| format!("{word}_{band}")));
            } else {
                names.push(word.to_owned());
            }
        }
        names
    }

    /// The number of fluxes of a point.
    fn width(&self) -> usize {
        match self.layout {
            Layout::Nights { .. } => self.bands.len(),
            Layout::Bands | Layout::Merged => 1,
        }
    }

    /// Returns the values of an object: for each track its points, each with the values of [`Self::names`], and NaN
    /// behind the last of them. `seed` and `object`, a word for the object, decide the noise. A value that is too large
    /// for a number of 32 bits becomes the largest one.
    pub fn row(&self, curve: &ObservedCurve<'_>, of: (u64, u64)) -> (Vec<f32>, Vec<TrackCount>) {
        let noise = Noise {
            share: self.noise,
            of,
        };
        let observations = curve.usable(self.bands.len(), noise);
        let whole = Whole {
            scaling: self.scale.of(&observations),
            span: observations.last().map_or(0.0, |last| last.time),
        };
        let tracks = self.layout.split(&observations, self.bands.len());
        let size = self.points * self.names().len();
        let mut row = Vec::with_capacity(tracks.len() * size);
        let mut counts = Vec::with_capacity(tracks.len());
        for track in &tracks {
            let end = row.len() + size;
            self.write(track, &whole, &mut row);
            row.resize(end, f32::NAN);
            counts.push(TrackCount {
                points: track.times.len(),
                merged: track.merged,
            });
        }
        (row, counts)
    }

    /// Appends the points of a track.
    fn write(&self, track: &Track, whole: &Whole, row: &mut Vec<f32>) {
        let (count, width) = (track.times.len(), self.width());
        let kept = match self.keep {
            Keep::Latest => count.saturating_sub(self.points)..count,
            Keep::Earliest => 0..count.min(self.points),
        };
        let mut last = None;
        for point in kept {
            let time = track.times[point];
            let cells = &track.cells[point * width..(point + 1) * width];
            for &channel in &self.channels {
                match channel {
                    Channel::Time => row.push(narrow(time / self.time_unit)),
                    Channel::TimeStep => {
                        row.push(narrow((time - last.unwrap_or(time)) / self.time_unit));
                    }
                    Channel::CumulativeTime => row.push(narrow(time / whole.span)),
                    Channel::Band => row.extend((0..self.bands.len()).map(|band| {
                        let is_of_band = |cell: &Cell| cell.band == band;
                        f32::from(u8::from(cells.iter().flatten().any(is_of_band)))
                    })),
                    of_cells => row.extend(cells.iter().map(|cell| {
                        narrow(cell.map_or(0.0, |cell| self.value(of_cells, &cell, whole)))
                    })),
                }
            }
            last = Some(time);
        }
    }

    /// The value of a channel that belongs to a flux.
    fn value(&self, channel: Channel, cell: &Cell, whole: &Whole) -> f64 {
        match channel {
            Channel::Flux => whole.scaling.flux(cell.flux),
            Channel::FluxErr => whole.scaling.err(cell.err),
            Channel::Snr => cell.flux / cell.err,
            Channel::LogFlux => libm::log1p(cell.flux.abs()).copysign(cell.flux),
            Channel::Wavelength => self.wavelengths[cell.band] * 1e-4,
            _ => f64::from(u8::from(cell.observed)),
        }
    }
}

/// The number of 32 bits nearest to a value, the largest one if it is too large, and 0 for what is no number.
fn narrow(value: f64) -> f32 {
    let most = f64::from(f32::MAX);
    match value.is_nan() {
        true => 0.0,
        false => value.clamp(-most, most) as f32,
    }
}

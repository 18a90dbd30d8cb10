//! Light curves in a few cells of text.

use super::objects::{BandPoints, ObservedObject, weighted_mean};

/// The height of a full cell.
pub const FULL: u8 = 8;

/// A stretch of time in days (MJD).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Where it begins.
    pub from: f64,
    /// Where it ends.
    pub to: f64,
}

impl Window {
    /// The stretch of an object's observations, at most so many days before and after its peak if it has one.
    pub fn around_peak(object: &ObservedObject, before: f64, after: f64) -> Self {
        let times = || object.bands.iter().flat_map(|band| &band.time).copied();
        let first = times().fold(f64::INFINITY, f64::min);
        let last = times().fold(f64::NEG_INFINITY, f64::max);
        match object.peak {
            Some(peak) => Self {
                from: first.max(peak.time - before),
                to: last.min(peak.time + after),
            },
            None => Self {
                from: first,
                to: last,
            },
        }
    }

    /// The cell of a time; `None` outside of the stretch.
    fn cell(&self, time: f64, cells: usize) -> Option<usize> {
        if !(self.from..=self.to).contains(&time) {
            return None;
        }
        let share = (time - self.from) / (self.to - self.from);
        // A stretch without length has all its points in the first cell: the share is no number, which is 0 here.
        Some(((share * cells as f64) as usize).min(cells - 1))
    }
}

/// The heights of an object's light curve by band: from 0 to [`FULL`] for the mean flux of the observations in each
/// of `cells` equal parts of the stretch, `None` where there are none. All bands have one scale, that of the
/// highest mean. What is below zero has the height 0.
///
/// # Panics
/// If `cells` is 0.
pub fn heights(object: &ObservedObject, window: Window, cells: usize) -> Vec<Vec<Option<u8>>> {
    assert!(cells > 0);
    let means: Vec<Vec<Option<f64>>> = (object.bands.iter())
        .map(|band| cell_means(band, window, cells))
        .collect();
    let all = means.iter().flatten().flatten();
    let top = all.copied().fold(0.0, f64::max);
    let height = |mean: f64| match top > 0.0 {
        true => ((mean / top).max(0.0) * f64::from(FULL)).round() as u8,
        false => 0,
    };
    let bands = means.into_iter();
    bands
        .map(|means| means.into_iter().map(|mean| mean.map(height)).collect())
        .collect()
}

fn cell_means(band: &BandPoints, window: Window, cells: usize) -> Vec<Option<f64>> {
    let mut points = vec![(Vec::new(), Vec::new()); cells];
    for (k, &time) in band.time.iter().enumerate() {
        if let Some(cell) = window.cell(time, cells) {
            points[cell].0.push(band.flux[k]);
            points[cell].1.push(band.flux_err[k]);
        }
    }
    let mean = |(flux, err): (Vec<f64>, Vec<f64>)| {
        (!flux.is_empty()).then(|| weighted_mean(&flux, &err).0)
    };
    points.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspection::peak::Brightest;

    fn object(points: &[(f64, f64)]) -> ObservedObject {
        let band = BandPoints {
            time: points.iter().map(|p| p.0).collect(),
            flux: points.iter().map(|p| p.1).collect(),
            flux_err: vec![1.0; points.len()],
        };
        ObservedObject {
            id: "a".into(),
            label: None,
            redshift: None,
            redshift_err: None,
            ebv: None,
            split: None,
            points: points.len(),
            averaged: 1,
            peak: None,
            bands: vec![band, BandPoints::default()],
        }
    }

    #[test]
    fn cells_have_the_mean_flux_on_one_scale() {
        let object = object(&[(0.0, 1.0), (1.0, 3.0), (4.0, 8.0), (10.0, -5.0)]);
        let window = Window::around_peak(&object, 1.0, 1.0);
        assert_eq!(
            window,
            Window {
                from: 0.0,
                to: 10.0
            }
        );
        let heights = heights(&object, window, 5);
        assert_eq!(heights[0], [Some(2), None, Some(8), None, Some(0)]);
        assert_eq!(heights[1], [None; 5]);
    }

    #[test]
    fn a_peak_sets_the_stretch() {
        let mut object = object(&[(0.0, 9.0), (100.0, 3.0), (120.0, 4.0), (130.0, 8.0)]);
        object.peak = Some(Brightest {
            time: 100.0,
            band: 0,
            flux: 3.0,
        });
        let window = Window::around_peak(&object, 1000.0, 1000.0);
        assert_eq!(
            window,
            Window {
                from: 0.0,
                to: 130.0
            }
        );
        let window = Window::around_peak(&object, 10.0, 20.0);
        assert_eq!(heights(&object, window, 3)[0], [None, Some(6), Some(8)]);
    }

    #[test]
    fn nothing_and_a_single_time_are_drawn_too() {
        for points in [&[][..], &[(5.0, 2.0), (5.0, 2.0)], &[(5.0, -2.0)]] {
            let object = object(points);
            let heights = heights(&object, Window::around_peak(&object, 1.0, 1.0), 2);
            let expected = match points {
                [] => [None, None],
                [_] => [Some(0), None],
                _ => [Some(8), None],
            };
            assert_eq!(heights[0], expected, "{points:?}");
        }
    }
}

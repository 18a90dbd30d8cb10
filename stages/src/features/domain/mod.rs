//! Physics features of multi-band light curves: 20 for each band, and colours, peak-time differences,
//! totals and colour evolution between bands. For the LSST bands `u g r i z y` that makes 138.
//!
//! - `catalogue`: every feature is one row of its table; names and documentation come from it;
//! - `band`: the features of one band; `color`: those between bands;
//! - `fit`: straight lines, power laws and other fits.
//!
//! A new feature needs a row in the catalogue and its value in `band` or `color`, in the same place.

mod band;
mod catalogue;
mod color;
mod fit;

pub use catalogue::{catalogue_markdown, names};

use super::event::reference_time;
use fit::Series;

/// The number of features of one band.
pub const PER_BAND: usize = 20;

/// One band of an object's light curve: three slices of equal length (excess values are ignored), in
/// any order.
#[derive(Clone, Copy, Debug)]
pub struct Band<'a> {
    /// Modified Julian dates, days.
    pub time: &'a [f64],
    /// Flux in microjansky, which may be zero or negative.
    pub flux: &'a [f64],
    /// Errors in microjansky, one standard deviation. Points without a positive error are dropped.
    pub err: &'a [f64],
}

/// Settings that the definitions leave open. Days are frame days: rest-frame if `rest_frame` is set and
/// the redshift is known.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DomainOptions {
    /// The signal to noise that a peak or a colour's flux must reach.
    pub min_snr: f64,
    /// Days before the reference time at which the event begins.
    pub event_before: f64,
    /// Days after the reference time at which the event ends.
    pub event_after: f64,
    /// Days after a band's peak over which its decline is measured.
    pub decay_days: f64,
    /// The longest gap in days that is bridged by a straight line.
    pub max_gap: f64,
    /// Whether times are divided by `1 + redshift` if the redshift is known.
    pub rest_frame: bool,
}

impl Default for DomainOptions {
    fn default() -> Self {
        DomainOptions {
            min_snr: 3.0,
            event_before: 100.0,
            event_after: 300.0,
            decay_days: 150.0,
            max_gap: 60.0,
            rest_frame: true,
        }
    }
}

/// Computes the features of one object into `out`, in the order of [`names`] for the same bands.
///
/// `bands` holds one entry for each survey band, empty if the object was not observed in it. A redshift
/// that is not finite or not above -1 counts as unknown. Values that the points do not support are NaN.
///
/// # Panics
///
/// If `out` is not as long as `names` of that many bands.
pub fn features(bands: &[Band], redshift: Option<f64>, options: &DomainOptions, out: &mut [f64]) {
    let mut series: Vec<Series> = bands.iter().map(Series::clean).collect();
    let redshift = redshift.filter(|z| z.is_finite() && *z > -1.0);
    let stretch = if options.rest_frame {
        1.0 + redshift.unwrap_or(0.0)
    } else {
        1.0
    };
    // Without a reference time, phases are NaN, and so are all features that need them.
    let peaks = series
        .iter()
        .filter_map(|s| s.peak().map(|i| (s.time[i], s.snr(i))));
    let reference = reference_time(peaks, options.min_snr).unwrap_or(f64::NAN);
    for s in &mut series {
        s.set_phase(reference, stretch);
    }
    let (per_band, cross) = out.split_at_mut(series.len() * PER_BAND);
    for (s, out) in series.iter().zip(per_band.chunks_exact_mut(PER_BAND)) {
        out.copy_from_slice(&band::features(s, options));
    }
    cross.copy_from_slice(&color::features(&series, redshift, options));
}

#[cfg(test)]
mod tests {
    use super::*;

    const LSST: [&str; 6] = ["u", "g", "r", "i", "z", "y"];

    fn compute(bands: &[Band], redshift: Option<f64>) -> Vec<f64> {
        let mut out = vec![0.0; names(&vec!["x"; bands.len()]).len()];
        features(bands, redshift, &DomainOptions::default(), &mut out);
        out
    }

    fn bits(values: &[f64]) -> Vec<u64> {
        values.iter().map(|v| v.to_bits()).collect()
    }

    #[test]
    fn lsst_has_138_distinct_names() {
        let all = names(&LSST);
        assert_eq!(all.len(), 138);
        assert_eq!(
            all.iter().collect::<std::collections::BTreeSet<_>>().len(),
            138
        );
        for name in [
            "g_peak_flux",
            "y_roughness",
            "color_g_r",
            "color_u_g_30d",
            "peak_time_diff_i_z",
        ] {
            assert!(all.iter().any(|n| n == name), "{name}");
        }
        assert!(!all.iter().any(|n| n.contains("z_y") || n.contains("{}")));
        assert_eq!(
            catalogue::rows(catalogue::FeatureScope::Band).count(),
            PER_BAND
        );
    }

    #[test]
    fn other_surveys_use_the_pairs_they_have() {
        for (bands, expected) in [
            (1, 24),
            (2, 49),
            (3, 74),
            (4, 96),
            (5, 118),
            (6, 138),
            (7, 158),
        ] {
            let keys: Vec<String> = (0..bands).map(|b| format!("b{b}")).collect();
            let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
            assert_eq!(names(&keys).len(), expected);
            let empty = vec![
                Band {
                    time: &[],
                    flux: &[],
                    err: &[]
                };
                bands
            ];
            assert!(
                compute(&empty, Some(0.3)).iter().all(|v| v.is_nan()),
                "{bands} bands"
            );
        }
    }

    #[test]
    fn order_of_equal_times_and_unusable_points_do_not_matter() {
        let a = Band {
            time: &[10.0, 10.0, 10.2, 40.0, 80.0],
            flux: &[9.0, 7.0, 8.3, 30.0, 3.0],
            err: &[0.5, 0.3, 0.7, 1.0, 0.5],
        };
        let b = Band {
            time: &[80.0, 10.0, 50.0, 10.2, 10.0, 60.0, 40.0],
            flux: &[3.0, 7.0, f64::NAN, 8.3, 9.0, 1e6, 30.0],
            err: &[0.5, 0.3, 1.0, 0.7, 0.5, 0.0, 1.0],
        };
        let (a, b) = (compute(&[a], Some(0.2)), compute(&[b], Some(0.2)));
        assert_eq!(bits(&a), bits(&b));
    }

    #[test]
    fn times_are_rest_frame_where_the_redshift_is_known() {
        let band = Band {
            time: &[60_000.0, 60_010.0, 60_050.0],
            flux: &[20.0, 40.0, 10.0],
            err: &[1.0; 3],
        };
        // Duration is feature 10; peak phase, feature 1, does not depend on the calendar.
        for (redshift, expected) in [(None, 50.0), (Some(1.0), 25.0), (Some(f64::NAN), 50.0)] {
            let out = compute(&[band], redshift);
            assert_eq!((out[1], out[10]), (0.0, expected));
        }
        let observer = DomainOptions {
            rest_frame: false,
            ..DomainOptions::default()
        };
        let mut out = vec![0.0; 24];
        features(&[band], Some(1.0), &observer, &mut out);
        assert_eq!(out[10], 50.0);
    }

    #[test]
    fn without_a_significant_peak_phases_are_nan_and_fluxes_are_not() {
        let noise = Band {
            time: &[0.0, 9.0, 30.0, 70.0],
            flux: &[1.0, -1.0, 2.0, -2.0],
            err: &[1.0; 4],
        };
        let out = compute(&[noise], None);
        assert_eq!((out[0], out[2], out[13]), (2.0, 0.0, 2.0));
        for k in [1, 7, 8, 9, 10, 14, 15, 16, 17, 18] {
            assert!(out[k].is_nan(), "feature {k}: {}", out[k]);
        }
        assert!(out[PER_BAND..].iter().all(|v| v.is_nan()));
    }

    #[test]
    fn the_page_in_docs_is_current() {
        let page = include_str!("../../../../docs/features.md");
        assert!(
            page == catalogue_markdown(&LSST),
            "docs/features.md is not what catalogue_markdown gives"
        );
    }
}

use super::*;

const NONE: f32 = f32::NAN;

fn plan(layout: Layout, channels: &[Channel]) -> SequencePlan {
    SequencePlan {
        bands: ["g", "r"].map(String::from).into(),
        wavelengths: vec![4800.0, 6200.0],
        layout,
        channels: channels.to_vec(),
        points: 3,
        keep: Keep::Latest,
        scale: FluxScale::None,
        noise: 0.0,
        time_unit: 1.0,
    }
}

/// The columns of a light curve: time, band, flux and error of each observation.
#[derive(Default)]
struct Columns(Vec<f64>, Vec<u16>, Vec<f64>, Vec<f64>);

fn columns(observations: &[(f64, u16, f64, f64)]) -> Columns {
    let mut columns = Columns::default();
    for &(time, band, flux, err) in observations {
        columns.0.push(time);
        columns.1.push(band);
        columns.2.push(flux);
        columns.3.push(err);
    }
    columns
}

impl Columns {
    fn row(&self, plan: &SequencePlan, of: (u64, u64)) -> (Vec<f32>, Vec<TrackCount>) {
        let curve = ObservedCurve {
            time: &self.0,
            band: &self.1,
            flux: &self.2,
            flux_err: &self.3,
        };
        plan.row(&curve, of)
    }
}

fn row(plan: &SequencePlan, observations: &[(f64, u16, f64, f64)]) -> Vec<f32> {
    columns(observations).row(plan, (0, 0)).0
}

/// Equal values; NaN is equal to NaN.
#[track_caller]
fn assert_row(found: &[f32], expected: &[f32]) {
    let bits = |row: &[f32]| row.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
    assert_eq!(bits(found), bits(expected), "{found:?}");
}

const CURVE: [(f64, u16, f64, f64); 4] = [
    (100.0, 0, 4.0, 2.0),
    (102.0, 1, -8.0, 1.0),
    (105.0, 0, 2.0, 0.5),
    (110.0, 0, 1.0, 0.5),
];

#[test]
fn each_band_has_a_track_with_times_since_the_first_observation_of_the_object() {
    use Channel::{CumulativeTime, Flux, FluxErr, Snr, Time, TimeStep};
    let plan = plan(
        Layout::Bands,
        &[Time, TimeStep, CumulativeTime, Flux, FluxErr, Snr],
    );
    assert_eq!(plan.tracks(), ["g", "r"]);
    let names = [
        "time",
        "time_step",
        "cumulative_time",
        "flux",
        "flux_err",
        "snr",
    ];
    assert_eq!(plan.names(), names);
    let expected = [
        [0.0, 0.0, 0.0, 4.0, 2.0, 2.0],
        [5.0, 5.0, 0.5, 2.0, 0.5, 4.0],
        [10.0, 5.0, 1.0, 1.0, 0.5, 2.0],
        [2.0, 0.0, 0.2, -8.0, 1.0, -8.0],
        [NONE; 6],
        [NONE; 6],
    ];
    assert_row(&row(&plan, &CURVE), &expected.concat());
}

#[test]
fn merged_observations_say_which_band_they_are_of() {
    use Channel::{Band, Flux, Time, Wavelength};
    let mut plan = plan(Layout::Merged, &[Band, Flux, Time, Wavelength]);
    plan.time_unit = 10.0;
    assert_eq!(plan.tracks(), ["all"]);
    let names = ["band_g", "band_r", "flux", "time", "wavelength"];
    assert_eq!(plan.names(), names);
    // The latest three of four.
    let latest = [
        [0.0, 1.0, -8.0, 0.2, 0.62],
        [1.0, 0.0, 2.0, 0.5, 0.48],
        [1.0, 0.0, 1.0, 1.0, 0.48],
    ];
    assert_row(&row(&plan, &CURVE), &latest.concat());
    plan.keep = Keep::Earliest;
    let (earliest, counts) = columns(&CURVE).row(&plan, (0, 0));
    assert_row(&earliest[..5], &[1.0, 0.0, 4.0, 0.0, 0.48]);
    assert_row(&earliest[5..], &latest[..2].concat());
    assert_eq!(
        counts,
        [TrackCount {
            points: 4,
            merged: 0
        }]
    );
}

#[test]
fn a_night_has_the_best_flux_of_each_band_and_gaps_are_filled_in_between() {
    use Channel::{Flux, FluxErr, Observed, Time, TimeStep};
    let mut plan = plan(
        Layout::Nights { hours: 8.0 },
        &[Time, TimeStep, Flux, FluxErr, Observed],
    );
    plan.bands.push("i".into());
    plan.points = 5;
    assert_eq!(plan.tracks(), ["nights"]);
    assert_eq!(plan.names()[2..5], ["flux_g", "flux_r", "flux_i"]);
    let observed = [
        (50.0, 0, 1.0, 0.3),
        (50.1, 0, 2.0, 0.2),
        (50.25, 0, 9.0, 0.2),
        (50.5, 1, 6.0, 0.1),
        (53.0, 1, 7.0, 0.1),
        (54.0, 0, 4.0, 0.6),
    ];
    let (row, counts) = columns(&observed).row(&plan, (0, 0));
    let points: Vec<&[f32]> = row.chunks(11).collect();
    // The first of equal errors is kept. Bands that were never seen are zero throughout.
    assert_row(
        points[0],
        &[0.0, 0.0, 2.0, 0.0, 0.0, 0.2, 0.0, 0.0, 1.0, 0.0, 0.0],
    );
    // 50.5 is more than 8 hours after 50.0. The band g is on the line from 2 to 4 within four days.
    assert_row(
        points[1],
        &[0.5, 0.5, 2.25, 6.0, 0.0, 0.25, 0.1, 0.0, 0.0, 1.0, 0.0],
    );
    assert_row(
        points[2],
        &[3.0, 2.5, 3.5, 7.0, 0.0, 0.5, 0.1, 0.0, 0.0, 1.0, 0.0],
    );
    assert_row(
        points[3],
        &[4.0, 1.0, 4.0, 0.0, 0.0, 0.6, 0.0, 0.0, 1.0, 0.0, 0.0],
    );
    assert_row(points[4], &[NONE; 11]);
    assert_eq!(
        counts,
        [TrackCount {
            points: 4,
            merged: 2
        }]
    );
}

#[test]
fn scales_are_of_all_bands_and_errors_follow() {
    use Channel::{Flux, FluxErr, LogFlux, Snr};
    let mut plan = plan(Layout::Merged, &[Flux, FluxErr, Snr, LogFlux]);
    plan.points = 4;
    plan.scale = FluxScale::MaxAbs;
    let scaled = row(&plan, &CURVE);
    assert_row(&scaled[..3], &[0.5, 0.25, 2.0]);
    assert_row(&scaled[4..7], &[-1.0, 0.125, -8.0]);
    // The logarithm is that of the flux as it was.
    assert!((scaled[3] - 1.609_438).abs() < 1e-6 && (scaled[7] + 2.197_225).abs() < 1e-6);
    // Fluxes -8, 1, 2, 4: median 1.5, quartiles -1.25 and 2.5.
    plan.scale = FluxScale::Robust;
    let scaled = row(&plan, &CURVE);
    let expected = [(4.0 - 1.5) / 3.75, 2.0 / 3.75, 2.0];
    for (found, expected) in scaled.iter().zip(expected) {
        assert!((found - expected as f32).abs() < 1e-6, "{scaled:?}");
    }
}

#[test]
fn fluxes_without_a_spread_are_zeros() {
    let flux = |scale, fluxes: &[f64]| {
        let mut plan = plan(Layout::Merged, &[Channel::Flux, Channel::FluxErr]);
        (plan.scale, plan.points) = (scale, fluxes.len());
        let curve: Vec<_> = fluxes.iter().map(|&f| (1.0, 0, f, 1.0)).collect();
        let row = row(&plan, &curve);
        assert!(row.iter().all(|v| v.is_finite()), "{row:?}");
        row.iter().step_by(2).copied().collect::<Vec<f32>>()
    };
    assert_eq!(flux(FluxScale::Robust, &[3.0, 3.0]), [0.0, 0.0]);
    assert_eq!(flux(FluxScale::MaxAbs, &[0.0, -0.0]), [0.0, 0.0]);
    // Equal quartiles are no reason to forget the rest.
    let spike = [1.0, 1.0, 1.0, 1.0, 5.0];
    assert_eq!(flux(FluxScale::Robust, &spike), [0.0, 0.0, 0.0, 0.0, 1.0]);
    let huge = [f64::MAX, -f64::MAX, f64::MAX, 1.0];
    let scaled = flux(FluxScale::Robust, &huge);
    assert!(scaled[0] > scaled[3] && scaled[3] > scaled[1], "{scaled:?}");
    assert_eq!(flux(FluxScale::MaxAbs, &huge)[..2], [1.0, -1.0]);
    assert_eq!(flux(FluxScale::None, &huge)[..2], [f32::MAX, -f32::MAX]);
}

#[test]
fn what_cannot_be_used_is_left_out_and_the_order_does_not_matter() {
    let all: Vec<Channel> = Channel::ALL.iter().map(|row| row.1).collect();
    for layout in [Layout::Bands, Layout::Merged] {
        let mut plan = plan(layout, &all);
        plan.points = 4;
        let mut messy = CURVE.to_vec();
        messy.reverse();
        messy.insert(1, (f64::NAN, 0, 1.0, 1.0));
        messy.insert(2, (101.0, 0, f64::INFINITY, 1.0));
        messy.insert(3, (101.0, 0, 1.0, 0.0));
        messy.insert(4, (90.0, 0, 1.0, f64::NAN));
        messy.insert(5, (90.0, 7, 1.0, 1.0));
        assert_row(&row(&plan, &messy), &row(&plan, &CURVE));
    }
}

#[test]
fn no_curve_gives_a_value_that_is_not_finite() {
    let all: Vec<Channel> = Channel::ALL.iter().map(|row| row.1).collect();
    let long: Vec<_> = (0..5000).map(|i| (f64::from(i / 3), 1, 1.0, 1.0)).collect();
    let curves: [&[(f64, u16, f64, f64)]; 7] = [
        &[],
        &[(5.0, 1, -1.0, 1.0)],
        &[(5.0, 0, 1.0, 1e-300), (5.0, 0, 2.0, 1e300)],
        &[(0.0, 0, f64::MAX, f64::MAX), (1.0, 1, -f64::MAX, 1e-300)],
        &[(-f64::MAX, 0, 5e-324, 5e-324), (f64::MAX, 0, 0.0, f64::MAX)],
        &[(1.0, 0, 2.0, 1.0), (1.0, 0, 2.0, 1.0), (1.0, 1, 2.0, 1.0)],
        &long,
    ];
    let layouts = [Layout::Bands, Layout::Merged, Layout::Nights { hours: 8.0 }];
    for curve in curves {
        for layout in layouts {
            for scale in [FluxScale::None, FluxScale::MaxAbs, FluxScale::Robust] {
                let mut plan = plan(layout, &all);
                (plan.scale, plan.noise, plan.points) = (scale, 2.0, 200);
                let (row, counts) = columns(curve).row(&plan, (3, 4));
                let width = plan.names().len();
                assert_eq!(row.len(), plan.tracks().len() * 200 * width);
                for (track, count) in row.chunks(200 * width).zip(&counts) {
                    let (known, rest) = track.split_at(count.points.min(200) * width);
                    assert!(known.iter().all(|v| v.is_finite()), "{curve:?} {plan:?}");
                    assert!(rest.iter().all(|v| v.is_nan()), "{curve:?} {plan:?}");
                }
            }
        }
    }
}

#[test]
fn noise_has_its_size_and_depends_on_seed_object_and_place_alone() {
    let curve: Vec<_> = (0..4000)
        .map(|i| (f64::from(i), (i % 2) as u16, 10.0, 3.0))
        .collect();
    let mut plan = plan(Layout::Merged, &[Channel::Flux, Channel::FluxErr]);
    (plan.noise, plan.points) = (2.0 / 3.0, 4000);
    let noisy = |of| columns(&curve).row(&plan, of).0;
    let first = noisy((7, 1));
    assert_row(&first, &noisy((7, 1)));
    assert!(first != noisy((7, 2)) && first != noisy((8, 1)));
    let added: Vec<f64> = first
        .iter()
        .step_by(2)
        .map(|&f| f64::from(f) - 10.0)
        .collect();
    let mean = added.iter().sum::<f64>() / 4000.0;
    let variance = added.iter().map(|v| v * v).sum::<f64>() / 4000.0;
    assert!(
        mean.abs() < 0.15 && (variance / 4.0 - 1.0).abs() < 0.1,
        "{mean} {variance}"
    );
    // Errors stay.
    assert!(first.iter().skip(1).step_by(2).all(|&err| err == 3.0));
    // Other observations, and the layout, change no draw.
    let short = columns(&curve[..10]).row(&plan, (7, 1)).0;
    assert_row(&short[..20], &first[..20]);
    plan.layout = Layout::Bands;
    let banded = columns(&curve).row(&plan, (7, 1)).0;
    assert_row(&banded[..2], &first[..2]);
    assert_row(&banded[8000..8002], &first[2..4]);
}

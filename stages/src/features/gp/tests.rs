//! Features of processes: what they say of events that are known, and of what is odd.

mod george;

use std::collections::{BTreeMap, BTreeSet};

use super::catalogue::PHASES;
use super::shape::line;
use super::{GpModel, GpOptions};
use crate::features::event::Nights;
use crate::features::interpolate::Normalise;
use crate::physics::black_body::Wavelength;
use crate::physics::cosmology::FlatLambdaCdm;

/// The bands u, g, r, i, z and y of LSST.
const WAVELENGTHS: [f64; 6] = [3641.0, 4704.0, 6155.0, 7504.0, 8695.0, 10_056.0];
const BANDS: [&str; 6] = ["u", "g", "r", "i", "z", "y"];

/// The flux of [`event`] over that at its peak.
fn shape(phase: f64) -> f64 {
    let x = phase / if phase < 0.0 { 15.0 } else { 45.0 };
    libm::exp(-0.5 * x * x)
}

/// A black body of 20,000 K at redshift 0.1 with a flux of 100 microjansky at 4,704 angstrom at MJD 60,100. It
/// rises and fades as a normal density with standard deviations of 15 and 45 rest-frame days, and is seen in one band
/// every 2.5 days, for 300 days.
fn event() -> Nights {
    let flux_at = |w: f64| Wavelength::of(w / 1.1).emission(1.0 / 20_000.0).intensity;
    let mut nights = Nights::default();
    for visit in 0..120 {
        let (time, band) = (60_000.0 + 2.5 * f64::from(visit), visit as usize % 6);
        let phase = (time - 60_100.0) / 1.1;
        let shape = shape(phase);
        nights.time.push(time);
        nights.band.push(band as u16);
        nights
            .flux
            .push(100.0 * shape * flux_at(WAVELENGTHS[band]) / flux_at(4704.0));
        nights.err.push(0.5);
    }
    nights
}

fn measured(model: &GpModel, nights: &Nights, redshift: Option<f64>) -> Vec<f64> {
    let mut out = vec![f64::INFINITY; model.names(&BANDS[..model.wavelengths.len()]).len()];
    let _ = model.features(nights, redshift, &mut out);
    out
}

/// The features by name.
fn named(options: GpOptions, nights: &Nights, redshift: Option<f64>) -> BTreeMap<String, f64> {
    let model = GpModel::new(&WAVELENGTHS, options);
    let values = measured(&model, nights, redshift);
    model.names(&BANDS).into_iter().zip(values).collect()
}

#[test]
fn an_event_has_the_features_that_it_was_made_with() {
    let found = named(GpOptions::default(), &event(), Some(0.1));
    let unknown: Vec<&String> = found
        .iter()
        .filter(|f| !f.1.is_finite())
        .map(|f| f.0)
        .collect();
    // At this redshift, these wavelengths are bluer than the survey.
    assert_eq!(unknown, ["gp_abs_mag_2700", "gp_abs_mag_2700_30d"]);
    let distance = FlatLambdaCdm::WMAP9.luminosity_distance(0.1);
    let modulus = 5.0 * libm::log10(distance) + 25.0;
    let color = |i: usize| {
        let flux = |w: f64| Wavelength::of(w / 1.1).emission(1.0 / 20_000.0).intensity;
        2.5 * libm::log10(flux(WAVELENGTHS[i + 1]) / flux(WAVELENGTHS[i]))
    };
    // The distances from the peak at which a normal density has one half, or 1 mag less, in standard deviations.
    let (half, one_mag) = (
        libm::sqrt(2.0 * libm::log(2.0)),
        libm::sqrt(0.8 * libm::log(10.0)),
    );
    let seen = event().flux.iter().filter(|f| **f > 1.5).count();
    let radii = PHASES[2..]
        .iter()
        .map(|&p| (p, 0.5 * libm::log10(shape(p))));
    let absolute = 18.9 - modulus + 2.5 * libm::log10(1.1);
    for (name, expected, tolerance) in [
        // The peak is flat and each band is seen every 15 days, so its time is known to some days.
        ("gp_detected_share", seen as f64 / 120.0, 1e-12),
        ("gp_negative_share", 0.0, 1e-12),
        // The points that are seen follow each other without a gap, but for some at both ends.
        ("gp_duration", 0.8 * 2.5 * seen as f64 / 1.1, 10.0),
        ("gp_duty", 0.8 * seen as f64 / 120.0, 0.04),
        ("gp_peak_mag", 18.9, 0.05),
        ("gp_peak_abs_mag", absolute, 0.05),
        ("gp_rise_half", 15.0 * half, 5.0),
        ("gp_fade_half", 45.0 * half, 5.0),
        ("gp_fade_1mag", 45.0 * one_mag, 5.0),
        ("gp_fwhm", 60.0 * half, 2.0),
        ("gp_asymmetry", 0.25, 0.07),
        (
            "gp_equivalent_width",
            60.0 * libm::sqrt(0.5 * std::f64::consts::PI),
            2.0,
        ),
        ("gp_event_shift", 0.0, 5.0),
        ("gp_r_rise_half", 15.0 * half, 5.0),
        ("gp_r_fade_1mag", 45.0 * one_mag, 5.0),
        ("gp_i_peak_time", 0.0, 5.0),
        ("gp_r_abs_mag", absolute - color(1), 0.05),
        ("gp_color_g_r", color(1), 0.03),
        ("gp_color_u_g_15d", color(0), 0.03),
        ("gp_color_i_z_m15d", color(3), 0.03),
        ("gp_color_g_r_rate", 0.0, 1e-3),
        ("gp_flux_30d", shape(30.0), 0.1),
        ("gp_temperature_0d", libm::log10(20_000.0), 0.03),
        ("gp_temperature_50d", libm::log10(20_000.0), 0.03),
        ("gp_temperature_rate", 0.0, 1e-3),
        ("gp_radius_rate", line(radii).slope, 1e-3),
        ("gp_flux_75d", shape(75.0), 0.1),
    ] {
        let value = found[name];
        assert!(
            (value - expected).abs() < tolerance,
            "{name}: {value}, not {expected}"
        );
    }
    let luminosity = found["gp_luminosity_0d"] - found["gp_luminosity_50d"];
    assert!(
        (luminosity + libm::log10(shape(50.0))).abs() < 0.1,
        "{luminosity}"
    );
    assert!(found["gp_gain"] > 100.0 && found["gp_minus_walk_total"] > 0.0);
}

#[test]
fn what_needs_a_distance_is_unknown_without_a_redshift() {
    let with = named(GpOptions::default(), &event(), Some(0.1));
    for redshift in [
        None,
        Some(0.0),
        Some(-0.5),
        Some(f64::NAN),
        Some(f64::INFINITY),
    ] {
        let without = named(GpOptions::default(), &event(), redshift);
        for (name, value) in &without {
            let distant = ["abs_mag", "energy", "radius", "luminosity"];
            let needs = distant.iter().any(|word| name.contains(word));
            // At redshift 0, this wavelength is bluer than the survey.
            let expected = needs || name.contains("3300");
            assert!(value.is_nan() == expected, "{name}: {value}");
        }
        // The observer's days are longer.
        let ratio = without["gp_fade_half"] / with["gp_fade_half"];
        assert!((ratio - 1.1).abs() < 0.01, "{ratio}");
    }
    assert!(named(GpOptions::default(), &event(), Some(5.0))["gp_peak_abs_mag"].is_finite());
}

#[test]
fn settings_do_what_they_say() {
    let default = named(GpOptions::default(), &event(), None);
    let with = |change: &dyn Fn(&mut GpOptions)| {
        let mut options = GpOptions::default();
        change(&mut options);
        named(options, &event(), None)
    };
    let fixed = with(&|o| {
        (o.time_scale, o.time_width) = (33.0, 0.0);
        (o.wavelength_scale, o.wavelength_width) = (2000.0, 0.0);
        o.amplitude_width = 0.0;
    });
    assert!((fixed["gp_length_time"] - 33.0).abs() < 1e-9);
    assert!((fixed["gp_length_wavelength"] - 2000.0).abs() < 1e-9);
    assert_eq!(fixed["gp_amplitude_ratio"], 0.0);
    assert!(default["gp_amplitude_ratio"] != 0.0);
    // A strong prior holds the length near its median.
    let held = with(&|o| (o.time_scale, o.time_width) = (10.0, 0.01));
    assert!(held["gp_length_time"] < 12.0 && default["gp_length_time"] > 20.0);
    // Another window has other points.
    for window in [
        with(&|o| o.event_before = 20.0),
        with(&|o| o.event_after = 40.0),
    ] {
        assert!(window["gp_event_gain"] != default["gp_event_gain"]);
        assert_eq!(window["gp_gain"], default["gp_gain"]);
    }
    let none = with(&|o| (o.event_before, o.event_after) = (0.0, 0.0));
    assert!(none["gp_event_gain"].is_nan() && none["gp_temperature_0d"].is_nan());
}

#[test]
fn surveys_have_the_names_of_their_bands() {
    for n in 1..=6 {
        let model = GpModel::new(&WAVELENGTHS[..n], GpOptions::default());
        let names: BTreeSet<String> = model.names(&BANDS[..n]).into_iter().collect();
        let pairs = n - 1;
        assert_eq!(
            names.len(),
            41 + 25 + 48 + 6 * n + pairs * (7 + 1 + 8),
            "{n}"
        );
        assert!(
            names
                .iter()
                .all(|name| name.starts_with("gp_") && !name.contains("{}"))
        );
        let mut nights = event();
        nights.band.iter_mut().for_each(|b| *b %= n as u16);
        // Every place of the row has been filled.
        assert!(
            measured(&model, &nights, Some(0.1))
                .iter()
                .all(|v| *v != f64::INFINITY)
        );
    }
    // The order of a survey's list of bands does not matter.
    let mut nights = event();
    nights.band.iter_mut().for_each(|b| *b = 5 - *b);
    let mut wavelengths = WAVELENGTHS;
    wavelengths.reverse();
    let model = GpModel::new(&wavelengths, GpOptions::default());
    let names = model.names(&["y", "z", "i", "r", "g", "u"]);
    assert_eq!(
        names,
        GpModel::new(&WAVELENGTHS, GpOptions::default()).names(&BANDS)
    );
    let found = measured(&model, &nights, Some(0.1));
    let expected = named(GpOptions::default(), &event(), Some(0.1));
    for (name, value) in names.iter().zip(found) {
        assert_eq!(value.to_bits(), expected[name].to_bits(), "{name}");
    }
}

/// Time, band, flux and error.
type Observation = (f64, u16, f64, f64);

/// A light curve, most of it impossible.
fn odd(points: &[Observation]) -> Vec<f64> {
    odd_with(GpOptions::default(), points)
}

fn odd_with(options: GpOptions, points: &[Observation]) -> Vec<f64> {
    let column = |f: &dyn Fn(&Observation) -> f64| points.iter().map(f).collect::<Vec<_>>();
    let band: Vec<u16> = points.iter().map(|p| p.1).collect();
    let (time, flux, err) = (column(&|p| p.0), column(&|p| p.2), column(&|p| p.3));
    let nights = Nights::merge(&time, &band, &flux, &err);
    let model = GpModel::new(&WAVELENGTHS, options);
    let mut out = vec![f64::NAN; model.names(&BANDS).len()];
    if let Some(fit) = model.features(&nights, Some(0.3), &mut out) {
        let grid = model.grid(&fit, &nights, 7, Normalise::MaxAbs);
        assert!(grid.iter().all(|v| v.is_finite()), "{grid:?}");
        assert_eq!(model.curve(&fit, Some(0.3)).len(), 6 * 57);
    }
    out
}

#[test]
fn bad_light_curves_give_nan_or_an_answer() {
    let point =
        |i: usize, flux: f64, err: f64| (60_000.0 + 3.0 * i as f64, (i % 6) as u16, flux, err);
    let many = |n: usize, value: &dyn Fn(usize) -> (f64, f64)| -> Vec<Observation> {
        (0..n).map(|i| point(i, value(i).0, value(i).1)).collect()
    };
    assert!(odd(&[]).iter().all(|v| v.is_nan()));
    assert!(odd(&many(2, &|_| (9.0, 1.0))).iter().all(|v| v.is_nan()));
    assert!(
        odd(&[point(0, f64::NAN, 1.0), point(1, 1.0, 0.0)])
            .iter()
            .all(|v| v.is_nan())
    );
    // The first feature is a length scale, which every process has.
    for curve in [
        many(3, &|_| (9.0, 1.0)),
        many(40, &|_| (-5.0, 1.0)),
        many(40, &|_| (7.0, 1.0)),
        many(40, &|_| (0.0, 1.0)),
        many(40, &|_| (7.0, 1e-12)),
        many(40, &|i| (i as f64, 1e30)),
        many(40, &|i| (if i == 7 { f64::MAX } else { 1.0 }, 1.0)),
        many(40, &|i| {
            (if i % 2 == 0 { f64::MAX } else { -f64::MAX }, 1.0)
        }),
        many(40, &|i| (1e-200 * i as f64, 1e-201)),
        (0..40)
            .map(|_| (60_000.5, 2, 3.0, 1.0))
            .chain(many(9, &|_| (1.0, 0.1)))
            .collect(),
        (0..40)
            .map(|i| (60_000.0 + 10.0 * f64::from(i), 0, 9.0, 1.0))
            .collect(),
        (0..4)
            .map(|i| (1e300 * f64::from(i), 0, 9.0, 1.0))
            .collect(),
    ] {
        let found = odd(&curve);
        assert!(
            found[0] > 0.0 && found[0].is_finite(),
            "{:?} {}",
            &curve[..3],
            found[0]
        );
    }
    // The most points that there can be. Fixed hyper-parameters spare a test the time of a search.
    let options = GpOptions {
        time_width: 0.0,
        wavelength_width: 0.0,
        amplitude_width: 0.0,
        ..GpOptions::default()
    };
    let found = odd_with(options, &many(5000, &|i| ((i % 50) as f64, 1.0)));
    assert!(found[0].is_finite());
    // Errors that underflow when they are squared.
    odd(&many(40, &|i| (i as f64, 1e-300)));
}

#[test]
fn a_grid_and_a_curve_follow_the_process() {
    let (nights, model) = (event(), GpModel::new(&WAVELENGTHS, GpOptions::default()));
    let mut out = vec![0.0; model.names(&BANDS).len()];
    let fit = model.features(&nights, Some(0.1), &mut out).unwrap();
    let grid = model.grid(&fit, &nights, 120, Normalise::None);
    assert_eq!(grid.len(), 6 * 120);
    for i in 0..nights.len() {
        // Observation i is at time i of the grid.
        let found = f64::from(grid[usize::from(nights.band[i]) * 120 + i]);
        assert!((found - nights.flux[i]).abs() < 2.5, "{i}: {found}");
    }
    let scaled = model.grid(&fit, &nights, 120, Normalise::MaxAbs);
    let largest = nights.flux.iter().fold(0.0, |m: f64, f| m.max(f.abs()));
    for (a, b) in scaled.iter().zip(&grid) {
        assert!((f64::from(*a) - f64::from(*b) / largest).abs() < 1e-6);
    }
    let curve = model.curve(&fit, Some(0.1));
    assert_eq!(curve.len(), 6 * 57);
    let span = curve[curve.len() - 1].time - curve[0].time;
    assert!((span - 280.0 * 1.1).abs() < 1e-6, "{span}");
    for (i, point) in curve.iter().enumerate() {
        assert_eq!(usize::from(point.band), i % 6);
        // Long after the last night, the error is that of the prior.
        let unseen = point.time > 60_310.0;
        assert!(point.err > 0.0 && (point.err > 2.0 || !unseen), "{point:?}");
        let expected = 100.0 * shape((point.time - 60_100.0) / 1.1);
        let off = (point.flux - expected).abs();
        assert!(
            point.band != 1 || unseen || off < 4.0 * point.err + 1.0,
            "{point:?} {expected}"
        );
    }
}

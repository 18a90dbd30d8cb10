use serde_json::Value;

use super::periodogram::powers_at;
use super::*;
use crate::features::columns::names;
use crate::numeric::rng::Stream;
use crate::numeric::simd::SimdLevel;

const FIXTURE: &str = include_str!("../../../tests/fixtures/drw_ls.json");

fn numbers(value: &Value) -> Vec<f64> {
    let values = value.as_array().unwrap().iter();
    values.map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn the_power_of_one_band_equals_that_of_astropy() {
    let oracle: Value = serde_json::from_str(FIXTURE).unwrap();
    let time = numbers(&oracle["t"]);
    let curve = Observed {
        band: &vec![0; time.len()],
        flux: &numbers(&oracle["y"]),
        err: &numbers(&oracle["err"]),
        time: &time,
    };
    let band = Band::of(&curve, 0).unwrap();
    let expected = numbers(&oracle["ls_standard"]);
    for (frequency, expected) in numbers(&oracle["ls_freq"]).into_iter().zip(expected) {
        // The frequency is the 21st of this grid.
        for at in [0, 20] {
            let grid = Grid::even(frequency - f64::from(at) * 1e-4, 1e-4, 30, time[0]);
            let found = powers(&band, &grid)[at as usize];
            assert!((found - expected).abs() < 1e-9, "{found} {expected}");
        }
    }
}

/// An object with 120 points in 3 bands over 600 days, with noise of 1 and a sinusoid.
struct Wave {
    time: Vec<f64>,
    band: Vec<u16>,
    flux: Vec<f64>,
    err: Vec<f64>,
}

impl Wave {
    fn new(seed: u64, period: f64, amplitude: f64) -> Wave {
        let mut stream = Stream::new(seed, &[]);
        let mut time: Vec<f64> = (0..120)
            .map(|_| stream.uniform_in(60_000.0, 60_600.0))
            .collect();
        time.sort_by(f64::total_cmp);
        let band: Vec<u16> = (0..120).map(|i| i % 3).collect();
        let flux = time.iter().zip(&band).map(|(t, b)| {
            // Each band has a mean and a phase of its own.
            let phase = std::f64::consts::TAU * t / period + f64::from(*b);
            amplitude * libm::sin(phase) + 10.0 * f64::from(*b) + stream.normal()
        });
        Wave {
            flux: flux.collect(),
            err: vec![1.0; 120],
            time,
            band,
        }
    }

    fn curve(&self) -> Observed<'_> {
        Observed {
            time: &self.time,
            band: &self.band,
            flux: &self.flux,
            err: &self.err,
        }
    }

    fn row(&self, options: &PeriodOptions) -> Vec<f64> {
        let mut out = vec![0.0; names(&COLUMNS, &["u", "g", "r"]).len()];
        features(&self.curve(), 3, options, &mut out);
        out
    }
}

#[test]
fn a_period_that_all_bands_share_is_found() {
    for (seed, period) in [(1, 37.0), (2, 11.3), (3, 150.0)] {
        let row = Wave::new(seed, period, 2.0).row(&PeriodOptions::default());
        let found = libm::exp(row[0]);
        assert!(
            (found - period).abs() < 0.2 * period * period / 600.0,
            "{row:?}"
        );
        assert!(row[1] > 0.5 && row[2] < -10.0 && row[3] < 0.7, "{row:?}");
        assert!((row[4] - 600.0 / found).abs() < 0.05 * row[4], "{row:?}");
        assert!(row[5..].iter().all(|power| *power > 0.4), "{row:?}");
    }
}

#[test]
fn noise_raises_as_few_alarms_as_are_expected() {
    let alarms = |limit: f64| {
        let mut alarms = 0;
        for seed in 0..200 {
            let row = Wave::new(seed, 20.0, 0.0).row(&PeriodOptions::default());
            alarms += u32::from(row[2] < libm::log10(limit));
        }
        alarms
    };
    // The bound is close to the truth where it is small: 20 and 100 of 200 are expected at most.
    let (few, half) = (alarms(0.1), alarms(0.5));
    assert!((5..=32).contains(&few), "{few}");
    assert!((45..=125).contains(&half), "{half}");
}

#[test]
fn the_probability_of_one_band_is_that_of_baluev() {
    // astropy's `_fap_davies` for 40 points, power 0.5, fmax * T_eff = 30: 1 - (1 - s)(exp(-tau)).
    let (n, power, width) = (40.0, 0.5, 30.0);
    let gamma = (2.0f64 / (n - 1.0)).sqrt()
        * libm::exp(libm::lgamma((n - 1.0) / 2.0) - libm::lgamma((n - 2.0) / 2.0));
    let tau =
        gamma * width * libm::pow(1.0 - power, 0.5 * (n - 4.0)) * (0.5 * (n - 1.0) * power).sqrt();
    let single = libm::pow(1.0 - power, 0.5 * (n - 3.0));
    let expected = 1.0 - (1.0 - single) * libm::exp(-tau);
    let found = log10_false_alarm(power, 40, 1, width);
    assert!(
        (found - libm::log10(expected)).abs() < 1e-3,
        "{found} {expected}"
    );
    assert!(log10_false_alarm(0.0, 40, 1, width).abs() < 1e-6);
    assert!(log10_false_alarm(1.0, 40, 1, width) < -200.0);
}

#[test]
fn settings_have_effects() {
    let wave = Wave::new(4, 7.0, 3.0);
    let usual = PeriodOptions::default();
    // Seven days are shorter than the shortest period.
    assert!((libm::exp(wave.row(&usual)[0]) - 7.0).abs() > 2.0);
    let short = PeriodOptions {
        min_period: 2.0,
        ..usual
    };
    let found = libm::exp(wave.row(&short)[0]);
    assert!((found - 7.0).abs() < 0.05, "{found}");
    let few = PeriodOptions {
        frequencies: 100,
        ..short
    };
    assert!(libm::exp(wave.row(&few)[0]) > 600.0 / 21.0);
    let coarse = PeriodOptions {
        oversampling: 1.0,
        ..short
    };
    assert_ne!(wave.row(&coarse), wave.row(&short));
}

#[test]
fn bad_input_gives_an_answer_or_nan() {
    let wave = |change: &dyn Fn(&mut Wave)| {
        let mut wave = Wave::new(5, 40.0, 2.0);
        change(&mut wave);
        wave
    };
    let cut = |n: usize| {
        move |w: &mut Wave| {
            w.time.truncate(n);
            w.band.truncate(n);
            w.flux.truncate(n);
            w.err.truncate(n);
        }
    };
    let cases: [(Wave, bool); 14] = [
        (wave(&cut(0)), false),
        (wave(&cut(1)), false),
        (wave(&cut(9)), false),
        (wave(&|w| w.band.fill(2)), true),
        (wave(&|w| w.flux.fill(3.0)), false),
        (wave(&|w| w.flux.fill(0.0)), false),
        (
            wave(&|w| w.flux.iter_mut().for_each(|f| *f = -f.abs())),
            true,
        ),
        (wave(&|w| w.err.fill(0.0)), false),
        (wave(&|w| w.err.fill(1e-300)), true),
        (wave(&|w| w.err[..50].fill(1e30)), true),
        (wave(&|w| w.time.fill(60_000.0)), false),
        (wave(&|w| w.flux[3] = f64::NAN), true),
        (wave(&|w| w.flux[3] = f64::MAX), true),
        (wave(&|w| w.time[119] = f64::MAX), false),
    ];
    for (k, (wave, answers)) in cases.iter().enumerate() {
        let row = wave.row(&PeriodOptions::default());
        assert!(row.iter().all(|v| !v.is_infinite()), "case {k}: {row:?}");
        assert_eq!(row[0].is_finite(), *answers, "case {k}: {row:?}");
    }
}

#[test]
fn all_simd_levels_give_the_same_bits() {
    let wave = Wave::new(6, 40.0, 2.0);
    let band = Band::of(&wave.curve(), 1).unwrap();
    let grid = Grid::new([&band].into_iter(), &PeriodOptions::default()).unwrap();
    let mut rows = SimdLevel::available().map(|level| {
        let powers = powers_at(level, &band, &grid);
        powers.iter().map(|p| p.to_bits()).collect::<Vec<u64>>()
    });
    let first = rows.next().unwrap();
    assert!(first.len() > 100 && rows.all(|row| row == first));
}

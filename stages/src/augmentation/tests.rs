use super::*;
use crate::physics::cosmology::FlatLambdaCdm;

fn points(n: usize) -> CurvePoints {
    CurvePoints {
        time: (0..n).map(|i| 60_000.0 + 3.0 * i as f64).collect(),
        band: (0..n).map(|i| (i % 6) as u16).collect(),
        flux: (0..n)
            .map(|i| 10.0 - (i as f64 - 40.0).abs() / 10.0)
            .collect(),
        flux_err: vec![0.5; n],
    }
}

fn only(set: impl Fn(&mut Changes)) -> Changes {
    let mut changes = Changes::default();
    set(&mut changes);
    changes
}

fn deviations(found: &CurvePoints, factor: f64, of: &CurvePoints) -> (f64, f64) {
    let differences = found.flux.iter().zip(&of.flux).map(|(f, o)| f - factor * o);
    let n = of.flux.len() as f64;
    let mean = differences.clone().sum::<f64>() / n;
    let square = differences.map(|d| d * d).sum::<f64>() / n;
    (mean, square.sqrt())
}

#[test]
fn no_change_is_a_copy_and_draws_are_those_of_the_path() {
    let source = points(50);
    let (same, z) = Changes::default().copy(&source, Some(0.3), (1, [2, 3]));
    assert_eq!((&same, z), (&source, Some(0.3)));
    let all = Changes {
        redshift: 0.2,
        warp: 0.2,
        start: 0.2,
        thin: 0.3,
        noise: 1.0,
    };
    let copy = |seed, path| all.copy(&source, Some(0.3), (seed, path));
    assert_eq!(copy(1, [2, 3]), copy(1, [2, 3]));
    for other in [copy(2, [2, 3]), copy(1, [3, 3]), copy(1, [2, 4])] {
        assert_ne!(copy(1, [2, 3]), other);
    }
    // Thinning leaves out the same points whatever the noise.
    let thin = only(|c| c.thin = 0.5).copy(&source, None, (1, [2, 3])).0;
    let both = only(|c| (c.thin, c.noise) = (0.5, 1.0))
        .copy(&source, None, (1, [2, 3]))
        .0;
    assert_eq!(thin.time, both.time);
    assert_ne!(thin.flux, both.flux);
}

#[test]
fn noise_is_as_large_as_it_says() {
    let source = points(4_000);
    let (copy, _) = only(|c| c.noise = 2.0).copy(&source, None, (7, [0, 0]));
    let (mean, deviation) = deviations(&copy, 1.0, &source);
    // Two errors of 0.5 each; three standard errors of 4,000 draws.
    assert!(
        mean.abs() < 0.05 && (deviation - 1.0).abs() < 0.034,
        "{mean} {deviation}"
    );
    assert!((copy.flux_err[0] - 0.5 * 5f64.sqrt()).abs() < 1e-15);
    assert_eq!((copy.time, copy.band), (source.time, source.band));
}

#[test]
fn a_redshift_stretches_and_dims() {
    let source = points(2_000);
    let (mut closer, mut farther) = (0, 0);
    for path in 0..20 {
        let (copy, z) = only(|c| c.redshift = 0.3).copy(&source, Some(0.4), (5, [path, 0]));
        let z = z.unwrap();
        assert!(libm::log(z / 0.4).abs() <= 0.3, "{z}");
        let stretch = (1.0 + z) / 1.4;
        // The brightest point, of day 120, stays where it is.
        assert!((copy.time[40] - source.time[40]).abs() < 1e-9);
        assert!((copy.time[140] - copy.time[40] - 300.0 * stretch).abs() < 1e-6);
        let distance = |z| FlatLambdaCdm::STANDARD.luminosity_distance(z);
        let nearer = distance(0.4) / distance(z);
        let factor = stretch * nearer * nearer;
        let (mean, deviation) = deviations(&copy, factor, &source);
        if factor < 1.0 {
            farther += 1;
            assert_eq!(copy.flux_err, source.flux_err);
            let added = 0.5 * (1.0 - factor * factor).sqrt();
            assert!(mean.abs() < 0.1 * added + 1e-9, "{mean}");
            assert!(
                (deviation / added - 1.0).abs() < 0.06,
                "{deviation} {added}"
            );
        } else {
            closer += 1;
            assert!(deviation < 1e-9);
            assert!((copy.flux_err[0] / 0.5 - factor).abs() < 1e-12);
        }
    }
    assert!(closer > 3 && farther > 3, "{closer} {farther}");
    // Without a distance nothing moves.
    for z in [
        None,
        Some(0.0),
        Some(-0.1),
        Some(f64::NAN),
        Some(f64::INFINITY),
    ] {
        let (copy, same) = only(|c| c.redshift = 0.3).copy(&source, z, (5, [1, 0]));
        assert_eq!(copy, source);
        assert_eq!(same.map(f64::to_bits), z.map(f64::to_bits));
    }
}

#[test]
fn a_warp_keeps_the_ends_and_the_order() {
    let source = points(400);
    let (copy, _) = only(|c| c.warp = 0.4).copy(&source, None, (3, [0, 0]));
    assert_eq!(copy.time[0], source.time[0]);
    assert!((copy.time[399] - source.time[399]).abs() < 1e-9);
    assert!(copy.time.windows(2).all(|pair| pair[0] < pair[1]));
    let pace = |i: usize| copy.time[i + 1] - copy.time[i];
    // One pace in each quarter.
    assert!((pace(10) - pace(80)).abs() < 1e-9);
    assert!((pace(10) - pace(150)).abs() > 0.01);
    assert_eq!(copy.flux, source.flux);
}

#[test]
fn points_are_left_out_but_never_all() {
    let source = points(300);
    let (mut starts, mut thinned) = (Vec::new(), Vec::new());
    for path in 0..200 {
        let (late, _) = only(|c| c.start = 0.5).copy(&source, None, (3, [path, 0]));
        let gone = 300 - late.time.len();
        assert!(gone <= 150);
        assert_eq!(late.time, source.time[gone..]);
        starts.push(gone as f64 / 300.0);
        let (few, _) = only(|c| c.thin = 0.6).copy(&source, None, (3, [path, 0]));
        assert!(few.time.iter().all(|t| source.time.contains(t)));
        thinned.push(1.0 - few.time.len() as f64 / 300.0);
    }
    // Shares are uniform from 0: their means are half of the most.
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!((mean(&starts) - 0.25).abs() < 0.04, "{}", mean(&starts));
    assert!((mean(&thinned) - 0.3).abs() < 0.05, "{}", mean(&thinned));
    for path in 0..50 {
        let (one, _) =
            only(|c| (c.thin, c.start) = (1.0, 1.0)).copy(&points(1), None, (3, [path, 0]));
        assert_eq!(one, points(1));
    }
}

#[test]
fn bad_light_curves_stay_light_curves() {
    let all = Changes {
        redshift: 2.0,
        warp: 3.0,
        start: 1.0,
        thin: 1.0,
        noise: 10.0,
    };
    let mut curves = vec![CurvePoints::default(), points(1), points(5_000)];
    let extreme = |flux: f64, error: f64, step: f64| CurvePoints {
        time: (0..9).map(|i| step * f64::from(i)).collect(),
        band: vec![0; 9],
        flux: vec![flux; 9],
        flux_err: vec![error; 9],
    };
    for flux in [f64::MAX, f64::MIN, -5.0, 0.0] {
        for error in [f64::MIN_POSITIVE, 1.0, f64::MAX] {
            for step in [0.0, 1.0, 1e306, f64::MAX / 9.0] {
                curves.push(extreme(flux, error, step));
            }
        }
    }
    for (i, curve) in curves.iter().enumerate() {
        for z in [None, Some(1e-3), Some(0.5), Some(1e300)] {
            let (copy, _) = all.copy(curve, z, (9, [i as u64, 0]));
            assert_eq!(copy.time.is_empty(), curve.time.is_empty());
            assert!(
                copy.time.iter().chain(&copy.flux).all(|v| v.is_finite()),
                "{i} {z:?}"
            );
            assert!(
                copy.flux_err.iter().all(|e| e.is_finite() && *e > 0.0),
                "{i} {z:?}"
            );
            assert!(
                copy.time.windows(2).all(|pair| pair[0] <= pair[1]),
                "{i} {z:?}"
            );
        }
    }
}

//! A row of features for each light curve: the loop that the kinds share which measure objects one by one.

use flow_engine::StageError;
use flow_engine::kind::Action;
use rayon::prelude::*;

use crate::numeric::stats::distribution::normal_quantile;
use crate::table::{Curves, FeatureWriter, LightCurve, row_attrs};

/// The most redshifts at which an object may be measured. More make no difference that is worth their time.
pub const MOST_DRAWS: i64 = 64;

/// What the parameter `redshift_draws` of every such kind means.
pub const DRAWS: &str = "Redshifts over which features are averaged if an object's redshift has an error; 1 takes it as it is.";

/// What is known of an object that is measured.
#[derive(Clone, Copy, Debug)]
pub struct Measured<'a> {
    /// Its place in the shard.
    pub index: usize,
    /// Its light curve.
    pub curve: LightCurve<'a>,
    /// Its redshift, or one of the redshifts that it may have.
    pub redshift: Option<f64>,
    /// Its Galactic reddening E(B-V), in magnitudes.
    pub ebv: Option<f64>,
}

/// Measures every object of a shard, and writes the rows as the output `features`. `columns` are the names of
/// the features. `measure` gets an object and a row of NaN with a place for each column. A value that an f32
/// cannot hold becomes NaN.
///
/// An object whose redshift has an error may have another redshift. If `draws` is more than 1, such an object
/// is measured at that many redshifts, and its features are the means of the values that are numbers. The
/// redshifts are the quantiles `(k + 1/2) / draws` of a normal distribution, so nothing is random.
///
/// # Errors
/// If two columns share a name, the writer fails, or the run was interrupted.
pub fn measure_objects<F>(
    action: &mut Action<'_>,
    curves: &Curves,
    columns: &[String],
    draws: usize,
    measure: F,
) -> Result<(), StageError>
where
    F: Fn(&Measured<'_>, &mut [f64]) + Sync,
{
    let width = columns.len();
    let mut rows = vec![f32::NAN; curves.len() * width];
    let quantiles = quantiles(draws);
    let stop = action.stop();
    let each = rows.par_chunks_mut(width.max(1)).enumerate();
    each.try_for_each(|(i, row)| {
        if stop() {
            return Err(StageError::interrupted());
        }
        let objects = &curves.objects;
        let redshifts =
            possible_redshifts(objects.redshift[i], objects.redshift_err[i], &quantiles);
        let values = mean_over(&redshifts, width, |redshift, out| {
            let object = Measured {
                index: i,
                curve: curves.get(i),
                redshift,
                ebv: objects.ebv[i],
            };
            measure(&object, out);
        });
        for (to, from) in row.iter_mut().zip(values) {
            let value = from as f32;
            *to = if value.is_finite() { value } else { f32::NAN };
        }
        Ok(())
    })?;
    let mut writer = FeatureWriter::new(action.create()?, columns)?;
    writer.push(&curves.objects.object_id, &rows)?;
    let attrs = row_attrs(&curves.objects.object_id);
    action.finish("features", writer.finish()?, attrs)
}

/// Returns the middles of `n` equal parts of the standard normal distribution.
fn quantiles(n: usize) -> Vec<f64> {
    (0..n)
        .map(|k| normal_quantile((k as f64 + 0.5) / n as f64))
        .collect()
}

/// Returns the redshifts at which an object is measured.
fn possible_redshifts(
    redshift: Option<f64>,
    err: Option<f64>,
    quantiles: &[f64],
) -> Vec<Option<f64>> {
    let err = err.filter(|err| err.is_finite() && *err > 0.0);
    match (redshift, err) {
        (Some(redshift), Some(err)) if quantiles.len() > 1 => quantiles
            .iter()
            // A redshift that was positive stays so: at 0 there would be no distance.
            .map(|z| Some((redshift + err * z).max(redshift.min(LEAST_REDSHIFT))))
            .collect(),
        _ => vec![redshift],
    }
}

/// The least redshift that the error of a larger one may lead to.
pub const LEAST_REDSHIFT: f64 = 0.001;

/// Returns the mean of each column over the redshifts, leaving out values that are not finite.
fn mean_over(
    redshifts: &[Option<f64>],
    width: usize,
    measure: impl Fn(Option<f64>, &mut [f64]),
) -> Vec<f64> {
    let mut values = vec![f64::NAN; width];
    let [others @ .., last] = redshifts else {
        return values;
    };
    let mut sums = vec![(0.0, 0u32); width];
    for (redshift, is_last) in others.iter().map(|z| (z, false)).chain([(last, true)]) {
        values.fill(f64::NAN);
        measure(*redshift, &mut values);
        if is_last && others.is_empty() {
            return values;
        }
        for ((sum, count), value) in sums.iter_mut().zip(&values) {
            if value.is_finite() {
                (*sum, *count) = (*sum + value, *count + 1);
            }
        }
    }
    let means = sums.iter().map(|&(sum, count)| sum / f64::from(count));
    means.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_redshift_with_an_error_has_others_beside_it() {
        for (redshift, err, draws) in [
            (Some(0.3), None, 8),
            (Some(0.3), Some(0.0), 8),
            (Some(0.3), Some(f64::NAN), 8),
            (None, Some(0.1), 8),
            (Some(0.3), Some(0.1), 1),
        ] {
            assert_eq!(
                possible_redshifts(redshift, err, &quantiles(draws)),
                [redshift]
            );
        }
        let many: Vec<f64> = possible_redshifts(Some(0.3), Some(0.02), &quantiles(4))
            .into_iter()
            .flatten()
            .collect();
        assert_eq!(many.len(), 4);
        // The quartile's middle, -1.1503 standard errors.
        assert!(
            (many[0] - (0.3 - 0.02 * 1.150_349_4)).abs() < 1e-6,
            "{many:?}"
        );
        assert!((many[0] + many[3] - 0.6).abs() < 1e-12, "{many:?}");
        let low = possible_redshifts(Some(0.01), Some(0.1), &quantiles(4));
        assert_eq!(low[0], Some(LEAST_REDSHIFT));
        let star = possible_redshifts(Some(0.0), Some(0.1), &quantiles(4));
        assert_eq!(star[0], Some(0.0));
    }

    #[test]
    fn a_column_is_the_mean_of_its_numbers() {
        let redshifts = [Some(0.1), Some(0.2), Some(0.6)];
        let means = mean_over(&redshifts, 3, |redshift, out| {
            let z = redshift.unwrap();
            out[0] = z;
            out[1] = if z > 0.15 { z } else { f64::INFINITY };
        });
        assert!((means[0] - 0.3).abs() < 1e-15 && (means[1] - 0.4).abs() < 1e-15);
        assert!(means[2].is_nan());
        // One measurement is kept as it is.
        let one = mean_over(&[None], 1, |_, out| out[0] = f64::INFINITY);
        assert_eq!(one, [f64::INFINITY]);
    }
}

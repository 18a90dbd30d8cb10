//! The spectral density of a series by the method of Welch.

use crate::numeric::fourier::Fourier;
use crate::numeric::pairwise::{mean, sum_of};

/// The most values of a segment.
const SEGMENT: usize = 256;

/// Returns the density at frequencies 0, 1 / m, 2 / m to 1 / 2, where m is the number of values, at most 256. It is that of
/// `scipy.signal.welch`: the segments overlap by half, each loses its mean, gets a periodic Hann window, and their squared
/// transforms are averaged (Welch 1967, IEEE Trans. Audio Electroacoust. 15, 70).
pub fn density(x: &[f64]) -> Vec<f64> {
    let m = x.len().min(SEGMENT);
    let hop = m - m / 2;
    let angle = |i: usize| std::f64::consts::TAU * i as f64 / m as f64;
    let window: Vec<f64> = match m {
        1 => vec![1.0],
        m => (0..m).map(|i| 0.5 - 0.5 * libm::cos(angle(i))).collect(),
    };
    let power = sum_of(m, |i| window[i] * window[i]);
    let fourier = Fourier::new(m);
    let mut total = vec![0.0; m / 2 + 1];
    let mut count = 0;
    for segment in x.windows(m).step_by(hop) {
        let middle = mean(segment);
        let tapered: Vec<f64> = segment
            .iter()
            .zip(&window)
            .map(|(x, w)| (x - middle) * w)
            .collect();
        for (total, c) in total.iter_mut().zip(fourier.real(&tapered)) {
            *total += c.re * c.re + c.im * c.im;
        }
        count += 1;
    }
    let last = total.len() - 1;
    for (k, total) in total.iter_mut().enumerate() {
        // All frequencies but 0 and, if m is even, 1 / 2 stand for a negative one too.
        let single = k == 0 || (k == last && m.is_multiple_of(2));
        *total *= if single { 1.0 } else { 2.0 } / (power * f64::from(count));
    }
    total
}

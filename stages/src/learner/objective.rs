//! Logistic and softmax objectives: derivatives, probabilities and log-loss, with `libm` only.
//!
//! The crates that grow the trees have exponentials of their own whose last bits depend on the
//! processor; computing them here makes models and probabilities the same everywhere.

/// Second derivatives are kept at least this large, so that a leaf of certain rows stays finite.
const MIN_HESSIAN: f64 = 1e-16;
/// Probabilities are kept this far from 0 in the log-loss.
const MIN_PROBABILITY: f64 = 1e-15;

/// The logistic function 1 / (1 + exp(-x)), without overflow.
pub fn sigmoid(x: f64) -> f64 {
    let e = libm::exp(-x.abs());
    if x >= 0.0 {
        1.0 / (1.0 + e)
    } else {
        e / (1.0 + e)
    }
}

/// Writes softmax(`margins`) to `out` (equal lengths): exp(m_c - max m) / sum.
pub fn softmax<M: Copy + Into<f64>>(margins: &[M], out: &mut [f64]) {
    let top = margins
        .iter()
        .fold(f64::NEG_INFINITY, |top, &m| top.max(m.into()));
    let mut sum = 0.0;
    for (o, &m) in out.iter_mut().zip(margins) {
        *o = libm::exp(m.into() - top);
        sum += *o;
    }
    out.iter_mut().for_each(|o| *o /= sum);
}

/// A weighted classification loss over raw margins. With two classes, a row has one margin (the
/// log-odds of class 1), else one margin for each class.
#[derive(Clone, Debug)]
pub struct ClassLoss {
    weights: Vec<f64>,
}

impl ClassLoss {
    /// The objective for `weights.len()` classes, at least 2, with these class weights.
    pub fn new(weights: Vec<f64>) -> ClassLoss {
        ClassLoss { weights }
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.weights.len()
    }

    /// The weight of a row of a class.
    pub fn weight(&self, class: usize) -> f64 {
        self.weights[class]
    }

    /// The number of margins for each row.
    pub fn outputs(&self) -> usize {
        outputs(self.weights.len())
    }

    /// The margin that every row starts from: with two classes the log-odds of the weighted share of
    /// class 1, else 0. `counts` are the rows of each class; both are present if there are two.
    pub fn base_margin(&self, counts: &[usize]) -> f64 {
        match (counts, &self.weights[..]) {
            (&[negative, positive], &[w0, w1]) => {
                libm::log((w1 * positive as f64) / (w0 * negative as f64))
            }
            _ => 0.0,
        }
    }

    /// First and second derivatives of the loss at `margins` (row-major, [`ClassLoss::outputs`] a row)
    /// for the class indices `y`, handed to `put(index, gradient, hessian)` in order.
    ///
    /// Two classes: g = w (p - y), h = w p (1 - p). More: g_c = w (p_c - [y = c]) and the bound
    /// h_c = 2 w p_c (1 - p_c) on the diagonal of the Hessian (Chen and Guestrin 2016, XGBoost).
    pub fn derivatives(&self, margins: &[f32], y: &[f32], mut put: impl FnMut(usize, f64, f64)) {
        let k = self.outputs();
        let mut p = vec![0.0; k];
        for (row, (m, &label)) in margins.chunks_exact(k).zip(y).enumerate() {
            let class = label as usize;
            let w = self.weights[class];
            if let &[m] = m {
                let p = sigmoid(f64::from(m));
                let g = w * (p - class as f64);
                put(row, g, w * (p * (1.0 - p)).max(MIN_HESSIAN));
                continue;
            }
            softmax(m, &mut p);
            for (c, &p) in p.iter().enumerate() {
                let target = if c == class { 1.0 } else { 0.0 };
                let h = (2.0 * p * (1.0 - p)).max(MIN_HESSIAN);
                put(row * k + c, w * (p - target), w * h);
            }
        }
    }

    /// Weighted mean of -log p(true class), in nats, over class probabilities (row-major).
    pub fn log_loss(&self, probabilities: &[f64], y: impl IntoIterator<Item = usize>) -> f64 {
        let (mut loss, mut weight) = (0.0, 0.0);
        for (p, class) in probabilities.chunks_exact(self.weights.len()).zip(y) {
            let w = self.weights[class];
            loss -= w * libm::log(p[class].max(MIN_PROBABILITY));
            weight += w;
        }
        loss / weight
    }
}

/// The number of margins for each row with `n_classes` classes.
pub fn outputs(n_classes: usize) -> usize {
    if n_classes == 2 { 1 } else { n_classes }
}

/// Returns class probabilities, row-major with `n_classes` columns, from margins ([`outputs`] for each
/// row).
pub fn probabilities(margins: &[f32], n_classes: usize) -> Vec<f64> {
    if n_classes == 2 {
        return margins
            .iter()
            .flat_map(|&m| {
                let p = sigmoid(f64::from(m));
                [1.0 - p, p]
            })
            .collect();
    }
    let mut p = vec![0.0; margins.len()];
    for (m, p) in margins
        .chunks_exact(n_classes)
        .zip(p.chunks_exact_mut(n_classes))
    {
        softmax(m, p);
    }
    p
}

#[cfg(test)]
mod tests {
    use super::*;

    /// -log p(y) for one row, whose derivatives are compared with differences.
    fn loss(o: &ClassLoss, margins: &[f32], y: usize) -> f64 {
        let p = probabilities(margins, o.weights.len());
        -o.weights[y] * libm::log(p[y])
    }

    #[test]
    fn gradients_are_slopes_of_the_loss() {
        let step = 1.0 / 1024.0;
        for (weights, margins) in [
            (vec![1.0, 3.0], vec![0.75f32]),
            (vec![1.0, 2.0, 0.5], vec![0.25f32, -1.0, 0.5]),
        ] {
            let o = ClassLoss::new(weights);
            for y in 0..o.weights.len() {
                o.derivatives(&margins, &[y as f32], |at, g, h| {
                    let (mut up, mut down) = (margins.clone(), margins.clone());
                    up[at] += step;
                    down[at] -= step;
                    let (a, b) = (loss(&o, &up, y), loss(&o, &down, y));
                    let slope = (a - b) / (2.0 * f64::from(step));
                    let bend = (a - 2.0 * loss(&o, &margins, y) + b) / f64::from(step * step);
                    assert!((g - slope).abs() < 1e-5, "{g} {slope}");
                    let factor = if margins.len() == 1 { 1.0 } else { 2.0 };
                    assert!((h - factor * bend).abs() < 1e-4, "{h} {bend}");
                });
            }
        }
    }

    #[test]
    fn extreme_margins_stay_finite() {
        assert_eq!(sigmoid(1e4), 1.0);
        assert_eq!(sigmoid(-1e4), 0.0);
        assert_eq!(probabilities(&[1e30, -1e30, 0.0], 3), [1.0, 0.0, 0.0]);
        let o = ClassLoss::new(vec![1.0; 2]);
        assert!(o.log_loss(&[0.0, 1.0], [0]).is_finite());
        assert!((o.log_loss(&[0.75, 0.25], [1]) - libm::log(4.0)).abs() < 1e-15);
    }

    #[test]
    fn base_margin_is_the_weighted_log_odds() {
        let o = ClassLoss::new(vec![1.0, 9.0]);
        assert_eq!(o.base_margin(&[90, 10]), 0.0);
        assert_eq!(ClassLoss::new(vec![1.0; 3]).base_margin(&[1, 2, 3]), 0.0);
    }
}

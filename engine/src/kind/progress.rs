//! How far an action is.

/// How far an action is, and figures of what it has reached so far.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Units done, such as epochs of a fit.
    pub done: u64,
    /// Units in all.
    pub total: u64,
    /// Figures by name, in the order in which people read them. A figure that is no finite number is NaN.
    pub figures: Vec<(String, f64)>,
}

impl Progress {
    /// Makes it from figures that may be infinite.
    pub(crate) fn new(done: u64, total: u64, figures: &[(&str, f64)]) -> Self {
        let finite = |value: f64| if value.is_finite() { value } else { f64::NAN };
        let figures = figures.iter();
        Self {
            done,
            total,
            figures: figures
                .map(|&(name, value)| (name.to_owned(), finite(value)))
                .collect(),
        }
    }

    /// Returns the part that is done, 0 to 1.
    pub fn part(&self) -> f64 {
        (self.done as f64 / self.total.max(1) as f64).min(1.0)
    }

    /// Returns true if all units are done.
    pub fn is_whole(&self) -> bool {
        self.total > 0 && self.done >= self.total
    }
}

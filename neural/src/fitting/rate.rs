//! The learning rate of each step.

/// How the learning rate changes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RateSchedule {
    /// It stays.
    Constant,
    /// It falls along half a cosine to zero at the end of the last epoch (Loshchilov and Hutter 2017, "SGDR", equation 5,
    /// without restarts).
    Cosine,
    /// It is multiplied by `factor` after every `epochs` epochs.
    Step {
        /// The number of epochs with one rate.
        epochs: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
    /// It is multiplied by `factor` after `epochs` epochs in a row without a new least loss.
    Plateau {
        /// The number of epochs that are waited for.
        epochs: usize,
        /// What the rate is multiplied by.
        factor: f64,
    },
}

/// The learning rate of a fit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateSettings {
    /// The rate that the schedule starts with.
    pub rate: f64,
    /// How it changes.
    pub schedule: RateSchedule,
    /// The number of epochs over which it first grows, from near zero, in equal steps.
    pub warmup: usize,
}

/// Where a fit is.
#[derive(Clone, Copy, Debug)]
pub struct RatePlace {
    /// The number of steps before this one.
    pub step: u64,
    /// The number of steps of an epoch.
    pub steps_per_epoch: u64,
    /// The most epochs.
    pub epochs: usize,
    /// The number of plateaus so far.
    pub plateaus: u32,
}

impl RateSettings {
    /// Returns the learning rate at a place.
    pub fn at(&self, place: &RatePlace) -> f64 {
        let warmup = self.warmup as u64 * place.steps_per_epoch;
        let risen = match place.step < warmup {
            true => (place.step + 1) as f64 / (warmup + 1) as f64,
            false => 1.0,
        };
        let power = |factor: f64, times: u64| libm::pow(factor, times as f64);
        let share = match self.schedule {
            RateSchedule::Constant => 1.0,
            RateSchedule::Cosine => {
                let all = (place.epochs as u64 * place.steps_per_epoch).saturating_sub(warmup);
                let done = place.step.saturating_sub(warmup) as f64 / all.max(1) as f64;
                0.5 * (1.0 + libm::cos(std::f64::consts::PI * done.min(1.0)))
            }
            RateSchedule::Step { epochs, factor } => power(
                factor,
                place.step / place.steps_per_epoch.max(1) / epochs.max(1) as u64,
            ),
            RateSchedule::Plateau { factor, .. } => power(factor, u64::from(place.plateaus)),
        };
        self.rate * risen * share
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_follow_their_schedule() {
        let at = |schedule, warmup, step| {
            let settings = RateSettings {
                rate: 2.0,
                schedule,
                warmup,
            };
            settings.at(&RatePlace {
                step,
                steps_per_epoch: 10,
                epochs: 4,
                plateaus: 2,
            })
        };
        assert_eq!(at(RateSchedule::Constant, 0, 39), 2.0);
        assert_eq!(at(RateSchedule::Constant, 1, 4), 2.0 * 5.0 / 11.0);
        assert_eq!(at(RateSchedule::Cosine, 0, 0), 2.0);
        assert!((at(RateSchedule::Cosine, 0, 20) - 1.0).abs() < 1e-12);
        assert!((at(RateSchedule::Cosine, 2, 30) - 1.0).abs() < 1e-12);
        let (epochs, factor) = (2, 0.5);
        assert_eq!(at(RateSchedule::Step { epochs, factor }, 0, 19), 2.0);
        assert_eq!(at(RateSchedule::Step { epochs, factor }, 0, 20), 1.0);
        assert_eq!(at(RateSchedule::Plateau { epochs, factor }, 0, 0), 0.5);
    }
}

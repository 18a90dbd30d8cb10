//! The values of which statistics are taken: fluxes, errors, ratios of both, times.

use std::borrow::Cow;

use super::measurements::Measurements;

/// The observations of an object, or some of them: columns of equal lengths in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Observations {
    /// Times in days.
    pub time: Vec<f64>,
    /// Places of the bands in the survey's list.
    pub band: Vec<f64>,
    /// Fluxes, in any unit.
    pub flux: Vec<f64>,
    /// Standard errors of the fluxes.
    pub err: Vec<f64>,
}

/// What is taken of each observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Derived {
    /// The flux.
    Flux,
    /// Its error.
    Err,
    /// Flux over error, with an error of 1.
    Snr,
    /// The square of flux over error.
    SnrSq,
    /// The flux times the square of flux over error.
    FluxSnrSq,
    /// 1 if the flux is more than 3 errors away from 0, else 0.
    Detected,
    /// The time.
    Time,
    /// The place of the band in the survey's list, from 0.
    Band,
    /// The mean of the flux and those of the two observations before it, from the third observation on.
    Rolling,
}

/// A quantity of all observations, or of those that are detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurveSeries {
    /// The quantity.
    pub derived: Derived,
    /// Only observations count whose flux is more than 3 errors away from 0.
    pub detected: bool,
}

/// The errors by which the flux of a detected observation is away from 0. PLAsTiCC's flag of detected
/// observations is about 3 standard errors as well.
const DETECTED_SNR: f64 = 3.0;
/// The observations of which a rolling mean is taken.
const WINDOW: usize = 3;

impl Observations {
    /// Appends an observation.
    pub fn push(&mut self, time: f64, band: u16, (flux, err): (f64, f64)) {
        self.time.push(time);
        self.band.push(f64::from(band));
        self.flux.push(flux);
        self.err.push(err);
    }

    /// Returns the observations that are detected.
    pub fn detected(&self) -> Observations {
        let kept: Vec<usize> = (0..self.flux.len())
            .filter(|&i| is_detected(self.flux[i], self.err[i]))
            .collect();
        let pick = |column: &[f64]| kept.iter().map(|&i| column[i]).collect();
        Observations {
            time: pick(&self.time),
            band: pick(&self.band),
            flux: pick(&self.flux),
            err: pick(&self.err),
        }
    }

    /// Returns the values of a quantity with their times and, if they have any, their errors.
    pub fn measurements(&self, derived: Derived) -> Measurements<'_> {
        let time = &self.time[..];
        let each = |of: fn(f64, f64) -> f64| -> Vec<f64> {
            let pairs = self.flux.iter().zip(&self.err);
            pairs.map(|(&flux, &err)| of(flux, err)).collect()
        };
        let errors = |errors| Some(Cow::from(errors));
        match derived {
            Derived::Flux => Measurements::new(time, &self.flux[..], errors(&self.err[..])),
            Derived::Err => Measurements::new(time, &self.err[..], None),
            Derived::Snr => {
                let ones = vec![1.0; time.len()];
                Measurements::new(time, each(|f, e| f / e), Some(Cow::from(ones)))
            }
            Derived::SnrSq => Measurements::new(time, each(|f, e| (f / e) * (f / e)), None),
            Derived::FluxSnrSq => Measurements::new(time, each(|f, e| f * (f / e) * (f / e)), None),
            Derived::Detected => {
                let flags = each(|f, e| f64::from(is_detected(f, e)));
                Measurements::new(time, flags, None)
            }
            Derived::Time => Measurements::new(time, time, None),
            Derived::Band => Measurements::new(time, &self.band[..], None),
            Derived::Rolling => {
                let windows = self.flux.windows(WINDOW);
                let means: Vec<f64> = windows
                    .map(|window| window.iter().sum::<f64>() / WINDOW as f64)
                    .collect();
                let first = time.len() - means.len();
                Measurements::new(&time[first..], means, None)
            }
        }
    }
}

fn is_detected(flux: f64, err: f64) -> bool {
    flux.abs() > DETECTED_SNR * err
}

impl Derived {
    /// Returns true if its values have errors.
    pub fn has_errors(self) -> bool {
        matches!(self, Derived::Flux | Derived::Snr)
    }

    /// All quantities with their names, in the order of their numbers.
    pub const ALL: [(&str, Derived); 9] = [
        ("flux", Derived::Flux),
        ("err", Derived::Err),
        ("snr", Derived::Snr),
        ("snr_sq", Derived::SnrSq),
        ("flux_snr_sq", Derived::FluxSnrSq),
        ("detected", Derived::Detected),
        ("time", Derived::Time),
        ("band", Derived::Band),
        ("rolling", Derived::Rolling),
    ];
}

impl CurveSeries {
    /// Its name in columns, such as `flux` or `detected_flux`.
    pub fn name(self) -> String {
        let (name, _) = Derived::ALL[self.derived as usize];
        if self.detected {
            format!("detected_{name}")
        } else {
            name.to_owned()
        }
    }
}

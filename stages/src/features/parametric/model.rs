//! The models and their unknowns, each a row of a table.

use crate::numeric::least_squares::Prior;

use super::shape::FALLBACK;

/// An unknown of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Time of the peak after the object's reference time.
    PeakTime,
    /// Time scale of the rise.
    Rise,
    /// Time scale of the decline.
    Decay,
    /// Exponent of a decline by a power law.
    Exponent,
    /// Length of a plateau.
    Plateau,
    /// Share of the flux that is lost on a plateau.
    Drop,
    /// Full width at half maximum.
    Width,
    /// Temperature at the peak.
    Temperature,
    /// Change of the logarithm of the temperature.
    Cooling,
    /// Exponent of the loss of ultraviolet light.
    Suppression,
}

use Quantity::{
    Cooling, Decay, Drop, Exponent, PeakTime, Plateau, Rise, Suppression, Temperature, Width,
};

/// What is declared about a [`Quantity`]. Numbers are in its unit.
#[derive(Clone, Copy, Debug)]
pub struct QuantityEntry {
    /// Which one it is. Its place in [`QUANTITIES`] is its number.
    pub quantity: Quantity,
    /// The end of its column's name, and its name under `priors`.
    pub name: &'static str,
    /// The unit, or nothing.
    pub unit: &'static str,
    /// True if the fit varies its natural logarithm, so that the width of the prior is one of the logarithm.
    pub logarithmic: bool,
    /// The center and the width of its prior.
    pub prior: (f64, f64),
    /// Its least and greatest value.
    pub bounds: (f64, f64),
    /// The values that are tried to find where searches start; none if that is the center of the prior.
    pub tried: &'static [f64],
    /// What it is.
    pub about: &'static str,
}

const fn quantity(
    quantity: Quantity,
    name: &'static str,
    unit: &'static str,
    about: &'static str,
    logarithmic: bool,
) -> QuantityEntry {
    QuantityEntry {
        quantity,
        name,
        unit,
        logarithmic,
        prior: (0.0, 1.0),
        bounds: (0.0, 0.0),
        tried: &[],
        about,
    }
}

impl QuantityEntry {
    const fn around(mut self, center: f64, width: f64) -> Self {
        self.prior = (center, width);
        self
    }

    const fn within(mut self, lower: f64, upper: f64) -> Self {
        self.bounds = (lower, upper);
        self
    }

    const fn tried_at(mut self, tried: &'static [f64]) -> Self {
        self.tried = tried;
        self
    }

    /// The value that the fit varies, from one in the unit of the quantity.
    pub(super) fn inner(&self, value: f64) -> f64 {
        if self.logarithmic {
            libm::log(value)
        } else {
            value
        }
    }

    /// The value in the unit of the quantity, from one that the fit varies.
    pub(super) fn outer(&self, value: f64) -> f64 {
        if self.logarithmic {
            libm::exp(value)
        } else {
            value
        }
    }

    /// The prior as the fit needs it, for a center and a width.
    pub(super) fn prior(&self, (center, width): (f64, f64)) -> Prior {
        Prior {
            mean: self.inner(center),
            width,
            lower: self.inner(self.bounds.0),
            upper: self.inner(self.bounds.1),
        }
    }
}

/// The number of quantities.
pub(super) const ALL: usize = 10;

/// All quantities. Priors of time scales are wide enough for all transients that last weeks to months.
#[rustfmt::skip]
pub const QUANTITIES: [QuantityEntry; ALL] = [
    quantity(PeakTime, "peak_time", "d", "time of the peak after the reference time", false).around(0.0, 15.0).within(-60.0, 60.0).tried_at(&[-45.0, -30.0, -15.0, 0.0, 15.0, 30.0, 45.0]),
    quantity(Rise, "rise", "d", "time scale of the rise", true).around(12.0, 0.8).within(1.0, 120.0).tried_at(&[6.0, 25.0]),
    quantity(Decay, "decay", "d", "time scale of the decline", true).around(40.0, 0.9).within(2.0, 600.0).tried_at(&[20.0, 80.0]),
    quantity(Exponent, "exponent", "", "exponent of the decline", false).around(FALLBACK, 0.6).within(0.3, 5.0),
    quantity(Plateau, "plateau", "d", "length of the plateau", true).around(40.0, 0.7).within(1.0, 300.0),
    quantity(Drop, "drop", "", "share of the flux that is lost on the plateau", false).around(0.3, 0.3).within(0.0, 0.95),
    quantity(Width, "width", "d", "full width at half maximum", true).around(2.0, 1.5).within(0.02, 120.0).tried_at(&[0.5, 2.0, 10.0, 40.0]),
    quantity(Temperature, "temperature", "K", "temperature at the peak", true).around(15_000.0, 0.5).within(3500.0, 60_000.0).tried_at(&[8000.0, 20_000.0]),
    quantity(Cooling, "cooling", "1 / 100 d", "change of ln temperature in 100 days, positive if it rises", false).around(0.0, 0.35).within(-1.2, 1.2),
    quantity(Suppression, "suppression", "", "exponent of the loss of ultraviolet light", false).around(0.0, 1.5).within(-1.0, 6.0),
];

impl Quantity {
    /// What is declared about it.
    pub fn entry(self) -> &'static QuantityEntry {
        &QUANTITIES[self as usize]
    }
}

/// The shape of a model in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShapeKind {
    /// A Gaussian rise and a decline by a power law.
    PowerLawDecay,
    /// A Gaussian rise and an exponential decline.
    ExponentialDecay,
    /// A Gaussian rise and a Gaussian decline.
    GaussianDecay,
    /// The function of Bazin et al. (2009).
    Bazin,
    /// The function of Villar et al. (2019).
    Villar,
    /// A rise by the square of time and an exponential decline.
    Fireball,
    /// The template of Davenport et al. (2014).
    Flare,
}

impl ShapeKind {
    /// The unknowns of the shape.
    pub fn quantities(self) -> &'static [Quantity] {
        match self {
            ShapeKind::PowerLawDecay => &[Rise, Decay, Exponent],
            ShapeKind::ExponentialDecay
            | ShapeKind::GaussianDecay
            | ShapeKind::Bazin
            | ShapeKind::Fireball => &[Rise, Decay],
            ShapeKind::Villar => &[Rise, Decay, Plateau, Drop],
            ShapeKind::Flare => &[Width],
        }
    }
}

/// A model: a shape in time, times the spectrum of a black body.
#[derive(Debug)]
pub struct Model {
    /// Its name in pipelines and columns.
    pub name: &'static str,
    /// What it is for.
    pub about: &'static str,
    /// The formula of its shape, with `y` the days since the peak at rest.
    pub formula: &'static str,
    /// Its shape in time.
    pub shape: ShapeKind,
    /// The unknowns that are kept at the center of their prior.
    pub fixed: &'static [Quantity],
    /// The model whose optimum the first search starts from, if it is fitted too.
    pub starts_from: Option<&'static str>,
    /// The models that it is compared with, if they are fitted too.
    pub against: &'static [&'static str],
}

/// All models. A model that starts from another stands below it.
pub static MODELS: [Model; 10] = [
    Model {
        name: "tde",
        about: "tidal disruption: the decline follows the fall-back of the debris",
        formula: "exp(-y^2 / (2 rise^2)) before the peak, (1 + y / decay)^(-5/3) after it",
        shape: ShapeKind::PowerLawDecay,
        fixed: &[Exponent, Suppression],
        starts_from: None,
        against: &[],
    },
    Model {
        name: "isothermal",
        about: "tidal disruption whose temperature stays the same",
        formula: "that of `tde`, with cooling 0",
        shape: ShapeKind::PowerLawDecay,
        fixed: &[Exponent, Cooling, Suppression],
        starts_from: Some("tde"),
        against: &["tde"],
    },
    Model {
        name: "power_law",
        about: "decline by a power law with a free exponent",
        formula: "exp(-y^2 / (2 rise^2)) before the peak, (1 + y / decay)^(-exponent) after it",
        shape: ShapeKind::PowerLawDecay,
        fixed: &[Suppression],
        starts_from: Some("tde"),
        against: &["tde"],
    },
    Model {
        name: "exp",
        about: "exponential decline, as of radioactive decay",
        formula: "exp(-y^2 / (2 rise^2)) before the peak, exp(-y / decay) after it",
        shape: ShapeKind::ExponentialDecay,
        fixed: &[Suppression],
        starts_from: Some("tde"),
        against: &["tde"],
    },
    Model {
        name: "gaussian",
        about: "a bump of two half Gaussians",
        formula: "exp(-y^2 / (2 rise^2)) before the peak, exp(-y^2 / (2 decay^2)) after it",
        shape: ShapeKind::GaussianDecay,
        fixed: &[Suppression],
        starts_from: Some("exp"),
        against: &["tde", "exp"],
    },
    Model {
        name: "supernova",
        about: "`exp` with ultraviolet light lost to lines of metals",
        formula: "that of `exp`, times min(lambda / 3800 A, 1)^suppression",
        shape: ShapeKind::ExponentialDecay,
        fixed: &[],
        starts_from: Some("exp"),
        against: &["exp"],
    },
    Model {
        name: "bazin",
        about: "smooth rise and exponential decline (Bazin et al. 2009, A&A 499, 653, equation 1, without the constant)",
        formula: "exp(-y / decay) / (1 + exp(-y / rise))",
        shape: ShapeKind::Bazin,
        fixed: &[Suppression],
        starts_from: None,
        against: &["tde", "exp"],
    },
    Model {
        name: "villar",
        about: "smooth rise, plateau and exponential decline (Villar et al. 2019, ApJ 884, 83, equation 1, with the slope of the plateau as its drop)",
        formula: "(1 - drop y / plateau) / (1 + exp(-y / rise)) until y = plateau, (1 - drop) exp(-(y - plateau) / decay) / (1 + exp(-y / rise)) after it",
        shape: ShapeKind::Villar,
        fixed: &[Suppression],
        starts_from: None,
        against: &["tde", "exp"],
    },
    Model {
        name: "fireball",
        about: "photosphere that expands at a constant speed (Riess et al. 1999, AJ 118, 2675), exponential decline",
        formula: "(1 + y / rise)^2 from the explosion to the peak, exp(-y / decay) after it",
        shape: ShapeKind::Fireball,
        fixed: &[Suppression],
        starts_from: None,
        against: &["tde", "exp"],
    },
    Model {
        name: "flare",
        about: "flare of a star (Davenport et al. 2014, ApJ 797, 122, equations 1 and 4)",
        formula: "1 + 1.941 t - 0.175 t^2 - 2.246 t^3 - 1.125 t^4 before the peak, 0.6890 exp(-1.600 t) + 0.3030 exp(-0.2783 t) after it, t = y / width",
        shape: ShapeKind::Flare,
        fixed: &[Suppression],
        starts_from: None,
        against: &["tde", "exp"],
    },
];

/// The names of all models.
pub const MODEL_NAMES: [&str; MODELS.len()] = {
    let mut names = [""; MODELS.len()];
    let mut i = 0;
    while i < names.len() {
        names[i] = MODELS[i].name;
        i += 1;
    }
    names
};

/// The models that are fitted unless a pipeline names others.
pub const DEFAULT_MODELS: [&str; 6] = [
    "tde",
    "isothermal",
    "power_law",
    "exp",
    "gaussian",
    "supernova",
];

/// The unknowns that all models have, in the first places.
const COMMON: [Quantity; 4] = [PeakTime, Temperature, Cooling, Suppression];

/// The most places of [`Model::slots`].
pub(super) const SLOTS: usize = 8;

/// A value for each place of [`Model::slots`].
pub(super) type Slots = [f64; SLOTS];

impl Model {
    /// Returns the model of that name.
    pub fn of(name: &str) -> Option<&'static Model> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// All unknowns in the order of their places, those that are fixed among them.
    pub fn slots(&self) -> impl Iterator<Item = Quantity> {
        let shape = self.shape.quantities().iter().copied();
        COMMON.into_iter().chain(shape)
    }

    /// The places of the unknowns that are fitted, with the unknowns.
    pub fn free(&self) -> impl Iterator<Item = (usize, Quantity)> {
        self.slots()
            .enumerate()
            .filter(|(_, quantity)| !self.fixed.contains(quantity))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_are_in_order() {
        for (i, entry) in QUANTITIES.iter().enumerate() {
            assert_eq!(entry.quantity as usize, i, "{}", entry.name);
            let (lower, upper) = entry.bounds;
            for inside in [&[entry.prior.0], entry.tried].concat() {
                assert!(lower <= inside && inside <= upper, "{}", entry.name);
            }
            assert!(!entry.logarithmic || lower > 0.0, "{}", entry.name);
            assert!((entry.outer(entry.inner(7.0)) - 7.0).abs() < 1e-12);
        }
        for (i, model) in MODELS.iter().enumerate() {
            let above = |name: &str| MODELS[..i].iter().any(|other| other.name == name);
            assert!(model.starts_from.is_none_or(above), "{}", model.name);
            assert!(model.against.iter().all(|name| above(name)));
            assert!(model.slots().count() <= SLOTS, "{}", model.name);
            let fixed = |quantity: &Quantity| model.slots().any(|slot| slot == *quantity);
            assert!(model.fixed.iter().all(fixed), "{}", model.name);
        }
        assert!(DEFAULT_MODELS.iter().all(|name| Model::of(name).is_some()));
    }
}

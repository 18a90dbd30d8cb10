//! The PLAsTiCC challenge with all its classes: those of [`super::plasticc`], the three others of its training set, and
//! class 99, which only objects without a label are of.
//!
//! - classes: labelled objects have the counts of Kessler et al. 2019 (PASP 131, 094501, Table 2), and so do most of the
//!   others. Kinds of objects that [`super::plasticc`] does not have are 1 % of the unlabelled objects each, because there
//!   would be none of them among some thousand: the challenge has 133 kilonovae among 3.5 million objects;
//! - Mira stars and microlensing: magnitudes of the training set; its kilonovae have a median redshift of 0.068;
//! - class 99 is made of four kinds of objects: microlensing of stars with a companion in the place of lenses with one,
//!   intermediate luminosity optical transients, calcium-rich transients and pair-instability supernovae.
//!
//! As in the challenge, no class is the positive one.

use super::super::survey::{Class, DemoSurvey, Population, Redshifts, UnlessGiven};
use super::plasticc::{PLASTICC, at, magnitudes, population};

/// The number of unlabelled objects of a kind that is rare in the challenge, in units of its counts.
const RARE: f64 = 35_000.0;
/// The class of objects that are like no labelled one.
const OTHER: &str = "99";

/// The classes that the smaller survey does not have.
const MORE: [Population; 7] = [
    population(
        Class::Mira(magnitudes(21.85, 1.86, 17.9, 24.5)),
        "53",
        (30.0, RARE),
    ),
    population(
        Class::Lensed {
            star: magnitudes(19.2, 1.45, 14.7, 21.2),
            companion: false,
        },
        "6",
        (151.0, RARE),
    ),
    at(
        (0.09, 0.61),
        population(Class::Kilonova, "64", (102.0, RARE)),
    ),
    population(
        Class::Lensed {
            star: magnitudes(19.2, 1.45, 14.7, 21.2),
            companion: true,
        },
        OTHER,
        (0.0, RARE),
    ),
    near((0.012, 0.4), population(Class::Ilot, OTHER, (0.0, RARE))),
    at(
        (0.08, 0.45),
        population(Class::CalciumRich, OTHER, (0.0, RARE)),
    ),
    at(
        (0.9, 0.4),
        population(Class::PairInstability, OTHER, (0.0, RARE)),
    ),
];

/// The same population at small redshifts of this median and logarithmic scatter.
const fn near(redshift: (f64, f64), population: Population) -> Population {
    Population {
        redshift: Redshifts {
            median: redshift.0,
            scatter: redshift.1,
            nearest: 0.002,
            farthest: 0.1,
        },
        ..population
    }
}

const FEWER: usize = PLASTICC.populations.len();

const POPULATIONS: [Population; FEWER + MORE.len()] = {
    let mut all = [MORE[0]; FEWER + MORE.len()];
    let mut i = 0;
    while i < all.len() {
        all[i] = match i < FEWER {
            true => PLASTICC.populations[i],
            false => MORE[i - FEWER],
        };
        i += 1;
    }
    all
};

/// The survey.
pub const PLASTICC_15: DemoSurvey = DemoSurvey {
    name: "plasticc_15",
    populations: &POPULATIONS,
    unless_given: UnlessGiven {
        positive: false,
        ..PLASTICC.unless_given
    },
    ..PLASTICC
};

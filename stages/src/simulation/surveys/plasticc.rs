//! The PLAsTiCC challenge: transients, active nuclei and variable stars of LSST's wide and deep fields.
//!
//! - classes: the counts of the training set and of the test set, by the challenge's numbers (Kessler et al.
//!   2019, PASP 131, 094501, Table 2), without kilonovae, Mira stars, microlensing and class 99;
//! - redshifts of extragalactic classes and magnitudes of stars: the medians and scatters of the training set;
//! - fields: 27 % of the training set and 1 % of the test set are in deep-drilling fields. A wide light curve
//!   has some 130 observations and a deep one 330, of about 2.3 years; depths of wide nights are LSST's
//!   (Ivezic et al. 2019, ApJ 873, 111, Table 2), those of deep nights follow from the errors of the training
//!   set, and so do the seasons;
//! - redshift errors: the median is 0.025 (1 + z), and one in eight is poor.

use super::super::survey::{
    Class, DemoSurvey, Detection, Field, Magnitudes, Nights, PhotoZ, Population, Redshifts, Share,
    UnlessGiven, Years,
};
use super::mallorn::LSST;

/// A class with its counts in the training set and in the test set.
pub(super) const fn population(class: Class, name: &'static str, counts: (f64, f64)) -> Population {
    Population {
        class,
        name,
        share: Share {
            labelled: counts.0 / 7_565.0,
            unlabelled: counts.1 / 3_476_914.0,
        },
        redshift: Redshifts::GALACTIC,
        host_dust: 0.0,
        blanketing: 0.0,
    }
}

/// The same population at redshifts of this median and logarithmic scatter among unlabelled objects.
pub(super) const fn at(redshift: (f64, f64), population: Population) -> Population {
    let redshift = Redshifts {
        median: redshift.0,
        scatter: redshift.1,
        nearest: 0.02,
        farthest: 3.5,
    };
    Population {
        redshift,
        ..population
    }
}

/// The same population with dust in the host galaxy and with line blanketing.
const fn behind(host_dust: f64, blanketing: f64, population: Population) -> Population {
    Population {
        host_dust,
        blanketing,
        ..population
    }
}

pub(super) const fn magnitudes(
    mean: f64,
    scatter: f64,
    brightest: f64,
    faintest: f64,
) -> Magnitudes {
    Magnitudes {
        mean,
        scatter,
        brightest,
        faintest,
    }
}

const YEARS: Years = Years {
    mean: 2.35,
    scatter: 0.05,
    least: 2.2,
    most: 2.6,
};

const WIDE: Field = Field {
    share: Share {
        labelled: 0.73,
        unlabelled: 0.99,
    },
    first_night: 59_580.0,
    years: YEARS,
    season: 180.0,
    nights: Nights::Rolling {
        per_year: [3.7, 5.3, 12.2, 12.2, 10.6, 10.6],
        dense: (0.0, 1.0),
    },
    peak_within: (10.0, 30.0),
    depth: [23.78, 24.81, 24.35, 23.92, 23.34, 22.45],
    depth_scatter: [0.4; 6],
};

const DEEP: Field = Field {
    share: Share {
        labelled: 0.27,
        unlabelled: 0.01,
    },
    first_night: 59_580.0,
    years: YEARS,
    season: 140.0,
    nights: Nights::Regular {
        every: 2.6,
        lost: 0.05,
        used: [0.48; 6],
    },
    peak_within: (10.0, 30.0),
    depth: [24.9, 25.4, 25.45, 25.05, 24.65, 23.75],
    depth_scatter: [0.31, 0.6, 0.5, 0.38, 0.30, 0.27],
};

/// The survey.
pub const PLASTICC: DemoSurvey = DemoSurvey {
    name: "plasticc",
    bands: &LSST,
    fields: &[WIDE, DEEP],
    populations: &[
        // Tidal disruption events.
        behind(
            0.10,
            0.0,
            at(
                (0.28, 0.62),
                population(Class::Tde, "15", (495.0, 13_555.0)),
            ),
        ),
        // Active galactic nuclei.
        at(
            (1.02, 0.78),
            population(
                Class::Agn(magnitudes(21.6, 0.9, 18.0, 23.5)),
                "88",
                (370.0, 101_424.0),
            ),
        ),
        // Supernovae: Ia, Iax, Ia-91bg, Ibc, II and SLSN-I.
        behind(
            0.0,
            4_500.0,
            at(
                (0.456, 0.47),
                population(Class::SnIa, "90", (2_313.0, 1_659_831.0)),
            ),
        ),
        behind(
            0.05,
            4_500.0,
            at(
                (0.295, 0.56),
                population(Class::SnIax, "52", (183.0, 63_664.0)),
            ),
        ),
        behind(
            0.0,
            4_800.0,
            at(
                (0.30, 0.37),
                population(Class::Sn91bg, "67", (208.0, 40_193.0)),
            ),
        ),
        behind(
            0.18,
            4_800.0,
            at(
                (0.232, 0.54),
                population(Class::SnIbc, "62", (484.0, 175_094.0)),
            ),
        ),
        behind(
            0.12,
            4_000.0,
            at(
                (0.239, 0.67),
                population(Class::SnIi, "42", (1_193.0, 1_000_150.0)),
            ),
        ),
        behind(
            0.03,
            3_000.0,
            at(
                (1.59, 0.47),
                population(Class::Slsn, "95", (175.0, 35_782.0)),
            ),
        ),
        // In the Milky Way: RR Lyrae, eclipsing binaries, flares of M dwarfs.
        population(
            Class::RrLyrae(magnitudes(17.4, 1.1, 14.5, 22.0)),
            "92",
            (239.0, 197_155.0),
        ),
        population(
            Class::Eclipsing(magnitudes(18.2, 1.6, 14.5, 22.5)),
            "16",
            (924.0, 96_572.0),
        ),
        population(
            Class::FlareStar(magnitudes(20.5, 1.5, 15.0, 23.5)),
            "65",
            (981.0, 93_494.0),
        ),
    ],
    detection: Detection {
        snr: 5.0,
        near_snr: 4.0,
        near_points: 3,
        fewest_visits: 17,
    },
    photo_z: PhotoZ {
        error: 0.02,
        poor: 0.125,
        missing: 0.0,
    },
    labelled_reach: 0.75,
    unless_given: UnlessGiven {
        positive: true,
        positives: None,
        copies: 1,
        difficulty: Some(43.8),
    },
};

//! The Supernova Photometric Classification Challenge: supernovae of the Dark Energy Survey.
//!
//! - classes: 5,086 of its 21,319 supernovae are of type Ia, and the labelled ones are brighter and more often
//!   of type Ia (Kessler et al. 2010, PASP 122, 1415);
//! - bands: DECam's g, r, i and z, with the effective wavelengths of the SVO Filter Profile Service;
//! - fields: eight shallow and two deep ones that reach magnitude 23.5 and 24.5, visited about every five days
//!   in a season of some five months (Bernstein et al. 2012, ApJ 753, 152; Kessler et al. 2015, AJ 150, 172);
//! - redshifts: those of host galaxies, with an error of about 0.03 (1 + z).

use super::super::survey::{
    Class, DemoBand, DemoSurvey, Detection, Field, Nights, PhotoZ, Population, Redshifts, Share,
    UnlessGiven, Years,
};

const fn band(name: &'static str, wavelength: f64, extinction: f64) -> DemoBand {
    DemoBand {
        name,
        wavelength,
        extinction,
    }
}

const fn redshift(median: f64, scatter: f64) -> Redshifts {
    Redshifts {
        median,
        scatter,
        nearest: 0.02,
        farthest: 1.2,
    }
}

/// A season of 160 to 170 days, in fields of a depth that is the same in all bands.
const fn field(share: f64, depth: f64) -> Field {
    Field {
        share: Share::both(share),
        first_night: 56_176.0,
        years: Years {
            mean: 0.45,
            scatter: 0.01,
            least: 0.42,
            most: 0.48,
        },
        season: 366.0,
        nights: Nights::Regular {
            every: 5.0,
            lost: 0.12,
            used: [0.9, 0.95, 0.95, 0.95, 0.0, 0.0],
        },
        peak_within: (5.0, 30.0),
        depth: [depth; 6],
        depth_scatter: [0.35; 6],
    }
}

/// The survey.
pub const SPCC: DemoSurvey = DemoSurvey {
    name: "spcc",
    bands: &[
        band("g", 4_770.0, 3.70634),
        band("r", 6_370.0, 2.46534),
        band("i", 7_774.0, 1.79945),
        band("z", 9_158.0, 1.36141),
    ],
    fields: &[field(0.6, 23.5), field(0.4, 24.5)],
    populations: &[
        Population {
            class: Class::SnIa,
            name: "Ia",
            share: Share {
                labelled: 0.51,
                unlabelled: 0.2386,
            },
            redshift: redshift(0.52, 0.38),
            host_dust: 0.0,
            blanketing: 4_500.0,
        },
        Population {
            class: Class::SnIi,
            name: "II",
            share: Share {
                labelled: 0.37,
                unlabelled: 0.63,
            },
            redshift: redshift(0.33, 0.45),
            host_dust: 0.12,
            blanketing: 4_000.0,
        },
        Population {
            class: Class::SnIbc,
            name: "Ibc",
            share: Share {
                labelled: 0.12,
                unlabelled: 0.1314,
            },
            redshift: redshift(0.35, 0.42),
            host_dust: 0.18,
            blanketing: 4_800.0,
        },
    ],
    detection: Detection {
        snr: 5.0,
        near_snr: 4.0,
        near_points: 4,
        fewest_visits: 17,
    },
    photo_z: PhotoZ {
        error: 0.03,
        poor: 0.02,
        missing: 0.0,
    },
    labelled_reach: 0.6,
    unless_given: UnlessGiven {
        positive: true,
        positives: None,
        copies: 1,
        difficulty: None,
    },
};

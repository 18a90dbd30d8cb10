//! The MALLORN challenge: LSST's wide survey, tidal disruption events among look-alikes.
//!
//! The rates and depths are fitted to the counts and flux errors of the MALLORN set, which follows the
//! wide-fast-deep survey of the Rubin Observatory (Ivezic et al. 2019, ApJ 873, 111). Luminosities and
//! redshifts are set so that detected objects match the set in magnitude, color and decline.

use super::super::survey::{
    Class, DemoBand, DemoSurvey, Detection, Field, Magnitudes, Nights, PhotoZ, Population,
    Redshifts, Share, UnlessGiven, Years,
};

/// The LSST bands: effective wavelengths of the SVO Filter Profile Service.
pub const LSST: [DemoBand; 6] = [
    band("u", 3_641.0, 4.74838),
    band("g", 4_704.0, 3.77205),
    band("r", 6_155.0, 2.59202),
    band("i", 7_504.0, 1.90752),
    band("z", 8_695.0, 1.48890),
    band("y", 10_056.0, 1.15699),
];

const fn band(name: &'static str, wavelength: f64, extinction: f64) -> DemoBand {
    DemoBand {
        name,
        wavelength,
        extinction,
    }
}

const fn redshift(median: f64, scatter: f64, farthest: f64) -> Redshifts {
    Redshifts {
        median,
        scatter,
        nearest: 0.02,
        farthest,
    }
}

/// The survey.
pub const MALLORN: DemoSurvey = DemoSurvey {
    name: "mallorn",
    bands: &LSST,
    fields: &[Field {
        share: Share::both(1.0),
        first_night: 60_980.0,
        years: Years {
            mean: 5.9,
            scatter: 1.3,
            least: 2.0,
            most: 9.0,
        },
        season: 215.0,
        nights: Nights::Rolling {
            per_year: [2.3, 2.75, 6.15, 6.15, 5.4, 3.9],
            // One object in 67 lies in a deep-drilling field.
            dense: (0.015, 4.0),
        },
        // The peak falls where the survey can see the rise and most of the decline.
        peak_within: (200.0, 300.0),
        depth: [23.35, 24.47, 24.08, 23.55, 22.97, 22.02],
        depth_scatter: [0.37, 0.46, 0.43, 0.43, 0.37, 0.35],
    }],
    populations: &[
        Population {
            class: Class::Tde,
            name: "TDE",
            share: Share::both(0.0486),
            redshift: redshift(0.44, 0.62, 1.9),
            host_dust: 0.10,
            blanketing: 0.0,
        },
        Population {
            class: Class::Agn(Magnitudes {
                mean: 21.8,
                scatter: 0.7,
                brightest: 19.0,
                faintest: 23.5,
            }),
            name: "AGN",
            share: Share::both(0.587),
            redshift: redshift(0.77, 0.66, 3.5),
            host_dust: 0.0,
            blanketing: 0.0,
        },
        Population {
            class: Class::SnIa,
            name: "SN Ia",
            share: Share::both(0.271),
            redshift: redshift(0.36, 0.33, 1.9),
            host_dust: 0.0,
            blanketing: 4_500.0,
        },
        Population {
            class: Class::SnIi,
            name: "SN II",
            share: Share::both(0.058),
            redshift: redshift(0.18, 0.40, 1.9),
            host_dust: 0.12,
            blanketing: 4_000.0,
        },
        Population {
            class: Class::SnIin,
            name: "SN IIn",
            share: Share::both(0.013),
            redshift: redshift(0.45, 0.36, 1.9),
            host_dust: 0.05,
            blanketing: 3_500.0,
        },
        Population {
            class: Class::SnIbc,
            name: "SN Ib",
            share: Share::both(0.018),
            redshift: redshift(0.19, 0.40, 1.9),
            host_dust: 0.18,
            blanketing: 4_800.0,
        },
        Population {
            class: Class::Slsn,
            name: "SLSN-I",
            share: Share::both(0.008),
            redshift: redshift(0.72, 0.30, 1.9),
            host_dust: 0.03,
            blanketing: 3_000.0,
        },
    ],
    detection: Detection {
        snr: 8.5,
        near_snr: 4.0,
        near_points: 4,
        fewest_visits: 17,
    },
    photo_z: PhotoZ {
        error: 0.02,
        poor: 0.0,
        missing: 0.0,
    },
    labelled_reach: 1.0,
    unless_given: UnlessGiven {
        positive: true,
        positives: Some(148),
        copies: 3,
        difficulty: Some(43.45),
    },
};

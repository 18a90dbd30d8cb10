//! The Zwicky Transient Facility: the northern sky in g, r and i, every few nights but not deep.
//!
//! - bands: the effective wavelengths of the SVO Filter Profile Service;
//! - depth: 20.5 in g and r and 19.9 in i in 30 s (Bellm et al. 2019, PASP 131, 018002); g and r every two to
//!   three nights, i less often (Bellm et al. 2019, PASP 131, 068003);
//! - classes: supernovae in the proportions of ZTF's spectroscopic classifications (1,272 of type Ia, 328 of
//!   type II, 94 of type Ibc and 24 SLSN; Sanchez-Saez et al. 2021, AJ 161, 141), 30 tidal disruption events
//!   (Hammerstein et al. 2023, ApJ 942, 9), and active nuclei as often as one object in four: unlabelled ones
//!   are more, as spectra are not taken of known nuclei;
//! - redshifts: photometric ones of host galaxies, which one object in five does not have.

use super::super::survey::{
    Class, DemoBand, DemoSurvey, Detection, Field, Magnitudes, Nights, PhotoZ, Population,
    Redshifts, Share, UnlessGiven, Years,
};

const fn band(name: &'static str, wavelength: f64, extinction: f64) -> DemoBand {
    DemoBand {
        name,
        wavelength,
        extinction,
    }
}

/// Relative frequencies among labelled and unlabelled objects.
const fn share(labelled: f64, unlabelled: f64) -> Share {
    Share {
        labelled,
        unlabelled,
    }
}

const fn redshift(median: f64, scatter: f64) -> Redshifts {
    Redshifts {
        median,
        scatter,
        nearest: 0.005,
        farthest: 1.5,
    }
}

/// The survey.
pub const ZTF: DemoSurvey = DemoSurvey {
    name: "ztf",
    bands: &[
        band("g", 4_746.48, 3.72985),
        band("r", 6_366.38, 2.46741),
        band("i", 7_829.03, 1.77846),
    ],
    fields: &[Field {
        share: Share::both(1.0),
        first_night: 58_194.0,
        years: Years {
            mean: 2.6,
            scatter: 0.2,
            least: 1.8,
            most: 3.0,
        },
        season: 220.0,
        nights: Nights::Regular {
            every: 2.5,
            lost: 0.3,
            used: [0.8, 0.85, 0.2, 0.0, 0.0, 0.0],
        },
        peak_within: (60.0, 60.0),
        depth: [20.5, 20.5, 19.9, 0.0, 0.0, 0.0],
        depth_scatter: [0.4, 0.4, 0.4, 0.0, 0.0, 0.0],
    }],
    populations: &[
        Population {
            class: Class::Tde,
            name: "TDE",
            share: share(30.0, 15.0),
            redshift: redshift(0.14, 0.5),
            host_dust: 0.10,
            blanketing: 0.0,
        },
        Population {
            class: Class::SnIa,
            name: "SN Ia",
            share: share(1_272.0, 1_272.0),
            redshift: redshift(0.095, 0.45),
            host_dust: 0.0,
            blanketing: 4_500.0,
        },
        Population {
            class: Class::SnIi,
            name: "SN II",
            share: share(328.0, 328.0),
            redshift: redshift(0.05, 0.5),
            host_dust: 0.12,
            blanketing: 4_000.0,
        },
        Population {
            class: Class::SnIbc,
            name: "SN Ibc",
            share: share(94.0, 94.0),
            redshift: redshift(0.06, 0.5),
            host_dust: 0.18,
            blanketing: 4_800.0,
        },
        Population {
            class: Class::Slsn,
            name: "SLSN",
            share: share(24.0, 24.0),
            redshift: redshift(0.33, 0.4),
            host_dust: 0.03,
            blanketing: 3_000.0,
        },
        Population {
            class: Class::Agn(Magnitudes {
                mean: 18.6,
                scatter: 0.7,
                brightest: 15.5,
                faintest: 20.5,
            }),
            name: "AGN",
            share: share(580.0, 2_000.0),
            redshift: redshift(0.4, 0.6),
            host_dust: 0.0,
            blanketing: 0.0,
        },
    ],
    detection: Detection {
        snr: 5.0,
        near_snr: 4.0,
        near_points: 4,
        fewest_visits: 20,
    },
    photo_z: PhotoZ {
        error: 0.03,
        poor: 0.03,
        missing: 0.2,
    },
    labelled_reach: 0.7,
    unless_given: UnlessGiven {
        positive: true,
        positives: None,
        copies: 1,
        difficulty: Some(43.9),
    },
};

//! What the named sets consist of.

use super::catalogue::LIGHT_CURVE;
use super::series::{CurveSeries, Derived};

/// Whether statistics are taken of each band, of all bands together, or both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bands {
    /// Of each band.
    Each,
    /// Of the observations of all bands together.
    All,
    /// Of all bands together and of each band.
    Both,
}

/// A named set of features.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatisticSet {
    /// The features of light-curve, for any series and bands.
    LightCurve,
    /// Means, deviations, extremes, medians and skews of fluxes, errors and their ratios.
    Basic,
    /// The aggregates of Chaini and Kumar (2020, arXiv:2006.12333) for PLAsTiCC, with metadata.
    Plasticc156,
    /// Aggregates, rolling means, and differences and ratios of bands, as in many entries to PLAsTiCC.
    Engineered,
    /// No statistics: redshift and reddening alone, to be joined with other features.
    Metadata,
}

/// What is known of an object apart from its light curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metadata {
    /// The redshift.
    Redshift,
    /// The standard error of the redshift.
    RedshiftErr,
    /// The reddening E(B-V) by the Milky Way.
    Ebv,
    /// The distance modulus that follows from the redshift.
    DistanceModulus,
}

impl Metadata {
    /// All of them with the names of their columns, in the order of their numbers.
    pub const ALL: [(&str, Metadata); 4] = [
        ("redshift", Metadata::Redshift),
        ("redshift_err", Metadata::RedshiftErr),
        ("ebv", Metadata::Ebv),
        ("distance_modulus", Metadata::DistanceModulus),
    ];
}

/// Statistics of one series.
pub(super) struct SetBlock {
    pub bands: Bands,
    pub series: CurveSeries,
    pub statistics: &'static [&'static str],
}

/// What a set consists of.
pub(super) struct SetContents {
    pub blocks: Vec<SetBlock>,
    /// Statistics of the flux that are compared between adjacent bands.
    pub pairs: &'static [&'static str],
    /// Names of columns that are left out.
    pub left_out: &'static [&'static str],
    pub metadata: &'static [Metadata],
}

impl StatisticSet {
    /// All of them with their names.
    pub const ALL: [(&str, StatisticSet); 5] = [
        ("light_curve", StatisticSet::LightCurve),
        ("basic", StatisticSet::Basic),
        ("plasticc_156", StatisticSet::Plasticc156),
        ("engineered", StatisticSet::Engineered),
        ("metadata", StatisticSet::Metadata),
    ];

    /// Returns what the set consists of. `series` and `bands` are those of the set `light_curve`; the others have
    /// their own.
    pub(super) fn contents(self, series: &[Derived], bands: Bands) -> SetContents {
        match self {
            StatisticSet::LightCurve => SetContents {
                blocks: series
                    .iter()
                    .map(|&derived| block(bands, derived, &LIGHT_CURVE))
                    .collect(),
                pairs: &[],
                left_out: &[],
                metadata: &[],
            },
            StatisticSet::Basic => SetContents {
                blocks: [Derived::Flux, Derived::Err, Derived::Snr]
                    .map(|derived| block(Bands::Both, derived, &BASIC))
                    .into(),
                pairs: &[],
                left_out: &[],
                metadata: &[Metadata::Redshift, Metadata::Ebv],
            },
            StatisticSet::Plasticc156 => plasticc(),
            StatisticSet::Engineered => engineered(),
            StatisticSet::Metadata => SetContents {
                blocks: Vec::new(),
                pairs: &[],
                left_out: &[],
                metadata: &[Metadata::Redshift, Metadata::Ebv],
            },
        }
    }
}

fn block(bands: Bands, derived: Derived, statistics: &'static [&'static str]) -> SetBlock {
    SetBlock {
        bands,
        series: CurveSeries {
            derived,
            detected: false,
        },
        statistics,
    }
}

fn detected(bands: Bands, derived: Derived, statistics: &'static [&'static str]) -> SetBlock {
    let mut block = block(bands, derived, statistics);
    block.series.detected = true;
    block
}

const BASIC: [&str; 6] = [
    "mean",
    "standard_deviation",
    "minimum",
    "maximum",
    "median",
    "skew",
];

/// The columns that the authors dropped because others say nearly the same.
const PLASTICC_LEFT_OUT: [&str; 17] = [
    "r_flux_maximum",
    "u_flux_median",
    "z_flux_median",
    "g_err_skew",
    "i_err_skew",
    "z_detected_mean",
    "i_detected_standard_deviation",
    "z_detected_standard_deviation",
    "z_detected_sum",
    "z_snr_sq_mean",
    "i_snr_sq_sum",
    "z_snr_sq_sum",
    "all_flux_median",
    "all_err_skew",
    "all_snr_sq_sum",
    "y_detected_time_range",
    "all_detected_snr_sq_skew",
];

#[rustfmt::skip]
fn plasticc() -> SetContents {
    use Bands::{All, Both, Each};
    use Derived::{Detected, Err, Flux, FluxSnrSq, SnrSq, Time};
    const FLUX: &[&str] = &["minimum", "maximum", "mean", "median", "standard_deviation", "sum", "skew"];
    const SUMS: &[&str] = &["mean", "sum", "skew"];
    const ALL_SUMS: &[&str] = &["minimum", "maximum", "mean", "sum", "skew"];
    const OF_DETECTED: &[&str] = &["mean", "skew", "range"];
    SetContents {
        blocks: vec![
            block(Each, Flux, FLUX),
            block(Each, Err, &["minimum", "maximum", "mean", "skew"]),
            block(Each, Detected, &["mean", "standard_deviation", "sum"]),
            block(Each, SnrSq, SUMS),
            block(Each, FluxSnrSq, SUMS),
            block(All, Flux, &["observation_count"]),
            block(All, Flux, FLUX),
            block(All, Err, FLUX),
            block(All, Detected, &["mean", "skew", "median", "sum"]),
            block(All, SnrSq, ALL_SUMS),
            block(All, FluxSnrSq, ALL_SUMS),
            block(All, Flux, &["range", "range_over_mean", "snr_weighted_mean", "range_over_snr_weighted_mean"]),
            detected(Both, Time, &["range"]),
            detected(All, Flux, OF_DETECTED),
            detected(All, SnrSq, OF_DETECTED),
            detected(All, FluxSnrSq, OF_DETECTED),
        ],
        pairs: &[],
        left_out: &PLASTICC_LEFT_OUT,
        metadata: &[Metadata::Redshift, Metadata::RedshiftErr, Metadata::DistanceModulus, Metadata::Ebv],
    }
}

#[rustfmt::skip]
fn engineered() -> SetContents {
    use Bands::{All, Each};
    use Derived::{Band, Err, Flux, FluxSnrSq, Rolling, Snr, SnrSq, Time};
    const MANY: &[&str] = &[
        "mean", "median", "maximum", "standard_deviation", "skew", "kurtosis",
        "quantile_10", "quantile_25", "quantile_75", "quantile_90", "maximum_slope",
    ];
    const FEW: &[&str] = &["mean", "median", "standard_deviation", "skew"];
    SetContents {
        blocks: vec![
            block(All, Flux, MANY),
            block(All, Err, MANY),
            block(All, Rolling, MANY),
            block(All, Band, FEW),
            block(All, Time, FEW),
            block(All, Snr, FEW),
            block(All, SnrSq, FEW),
            block(All, FluxSnrSq, FEW),
            block(Each, Flux, &["mean", "median", "maximum", "minimum", "standard_deviation", "range", "range_over_mean"]),
        ],
        pairs: &["mean", "median", "maximum", "minimum", "standard_deviation"],
        left_out: &[],
        metadata: &[Metadata::Redshift, Metadata::RedshiftErr, Metadata::Ebv, Metadata::DistanceModulus],
    }
}

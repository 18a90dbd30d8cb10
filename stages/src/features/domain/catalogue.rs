//! The one table of features: their names, units and definitions, and what each needs.

use std::fmt::Write as _;

/// What a feature is computed from, which decides how often it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FeatureScope {
    /// One feature for each band: `g_peak_flux`.
    Band,
    /// One for each of the first four pairs of adjacent bands: `color_g_r`.
    Pair,
    /// One for each of the first two pairs of adjacent bands: `color_g_r_peak`.
    Evolution,
    /// One for each object: `total_flux`.
    Object,
}

/// One row of the catalogue. In `name`, `{}` stands for the band or the pair.
pub(super) struct CatalogueEntry {
    pub scope: FeatureScope,
    pub name: &'static str,
    pub unit: &'static str,
    pub definition: &'static str,
    pub needs: &'static str,
}

const fn entry(
    scope: FeatureScope,
    name: &'static str,
    unit: &'static str,
    definition: &'static str,
    needs: &'static str,
) -> CatalogueEntry {
    CatalogueEntry {
        scope,
        name,
        unit,
        definition,
        needs,
    }
}

use FeatureScope::{Band, Evolution, Object, Pair};

/// Every feature. The computing code fills values in this order.
#[rustfmt::skip]
pub(super) const CATALOGUE: &[CatalogueEntry] = &[
    entry(Band, "{}_peak_flux", "uJy", "flux at the band's peak: the point with the largest flux minus error", "1 point"),
    entry(Band, "{}_peak_time", "d", "phase of the band's peak: time since the object's reference time", "peak S/N"),
    entry(Band, "{}_mean_flux", "uJy", "plain mean of all fluxes", "1 point"),
    entry(Band, "{}_std_flux", "uJy", "sample standard deviation of all fluxes", "2 points"),
    entry(Band, "{}_median_flux", "uJy", "median of all fluxes", "1 point"),
    entry(Band, "{}_skewness", "", "third standardised moment of all fluxes", "3 points that differ"),
    entry(Band, "{}_kurtosis", "", "fourth standardised moment of all fluxes, minus 3", "4 points that differ"),
    entry(Band, "{}_rise_time", "d", "time from half the peak flux up to the peak, on straight lines between points", "peak S/N; a point below half before the peak, no gap above `max_gap`"),
    entry(Band, "{}_decay_rate", "mag/d", "slope of the weighted line through the magnitudes from the peak on, within `decay_days`", "peak S/N; 3 points above `min_snr`"),
    entry(Band, "{}_amplitude_ratio", "", "peak flux over the root mean square flux outside the event", "3 points outside the event; a reference time"),
    entry(Band, "{}_duration", "d", "time from the first to the last point above 5 errors", "2 points above 5 errors; a reference time"),
    entry(Band, "{}_above_baseline_frac", "", "fraction of all points more than 3 errors above zero", "1 point"),
    entry(Band, "{}_snr_mean", "", "mean of flux over error", "1 point"),
    entry(Band, "{}_snr_max", "", "largest flux over error", "1 point"),
    entry(Band, "{}_decay_chi2", "", "chi-squared per degree of freedom of the best `A (1 + x / t0)^(-5/3)` from the peak on, within `decay_days`; weak prior on `t0`", "peak S/N; 3 points"),
    entry(Band, "{}_decay_alpha_dev", "", "exponent of the best `A (1 + x / t0)^(-alpha)` from the peak on, within `decay_days`, minus 5/3; weak priors on `t0` and `alpha`, so that points without information give 0", "peak S/N; 3 points"),
    entry(Band, "{}_n_inflection_points", "", "sign changes of the second divided difference, where it exceeds its error", "4 points; a reference time"),
    entry(Band, "{}_max_acceleration", "1/d^2", "largest absolute second derivative over the peak flux, of neighbouring points within `max_gap`", "peak S/N; 3 neighbouring points within `max_gap`"),
    entry(Band, "{}_monotonic_ratio", "", "share of decline in the summed absolute flux changes from the peak on, within `decay_days`", "peak S/N; 3 points"),
    entry(Band, "{}_roughness", "", "mean squared difference of successive fluxes over the variance (von Neumann 1941)", "3 points that differ"),
    entry(Pair, "color_{}", "mag", "colour at phases from -20 to 100 days, from fluxes matched in time", "S/N of both summed fluxes at least `min_snr`"),
    entry(Pair, "peak_time_diff_{}", "d", "peak time of the first band minus that of the second", "peak S/N in both bands"),
    entry(Object, "total_flux", "uJy", "sum over bands of the peak fluxes", "peak S/N in one band"),
    entry(Object, "total_flux_abs_mag", "mag", "the same sum as an absolute AB magnitude (no K-correction)", "peak S/N in one band; redshift"),
    entry(Object, "total_flux_late_ratio", "", "mean flux at phases from 80 to 300 days over that at phases from -10 to 40 days, summed over the bands seen in both", "S/N of the flux from -10 to 40 days above `min_snr`"),
    entry(Object, "total_flux_outside_chi2", "", "mean of (flux / error)^2 outside the event, all bands together", "5 points outside the event; a reference time"),
    entry(Evolution, "color_{}_peak", "mag", "colour at the reference time: from fluxes matched in time within 20 days, of which nearer ones weigh more", "S/N of both summed fluxes at least `min_snr`"),
    entry(Evolution, "color_{}_30d", "mag", "colour 30 days after the reference time, in the same way", "S/N of both summed fluxes at least `min_snr`"),
    entry(Evolution, "color_{}_rate", "mag/d", "slope of the weighted line through the colours of matched points at phases from -5 to 100 days", "3 matched points above `min_snr`"),
];

/// The rows of one scope, in order.
pub(super) fn rows(scope: FeatureScope) -> impl Iterator<Item = &'static CatalogueEntry> {
    CATALOGUE.iter().filter(move |e| e.scope == scope)
}

/// Pairs of adjacent bands (by the index of the first) that have colours and peak-time differences.
pub(super) fn pairs(bands: usize) -> std::ops::Range<usize> {
    0..bands.saturating_sub(1).min(4)
}

/// Pairs whose colours are followed in time.
pub(super) fn evolving(bands: usize) -> std::ops::Range<usize> {
    0..bands.saturating_sub(1).min(2)
}

/// The names of the features of a survey with these bands, in the order in which
/// [`features`](super::features) fills values: 20 for each band, then the colours and peak-time
/// differences pair by pair, the object's totals, and the colour evolution pair by pair.
///
/// Pairs consist of bands that are adjacent in `bands`. There are at most four, and the first two have
/// evolution. For `u g r i z y` that makes 138 names.
pub fn names(bands: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    let mut push = |scope: FeatureScope, key: &str| {
        names.extend(rows(scope).map(|e| e.name.replace("{}", key)));
    };
    let pair = |i: usize| format!("{}_{}", bands[i], bands[i + 1]);
    for band in bands {
        push(Band, band);
    }
    for i in pairs(bands.len()) {
        push(Pair, &pair(i));
    }
    push(Object, "");
    for i in evolving(bands.len()) {
        push(Evolution, &pair(i));
    }
    names
}

/// Formats the catalogue as a Markdown page, with the names for these bands.
pub fn catalogue_markdown(bands: &[&str]) -> String {
    let mut page = String::from(INTRODUCTION);
    let sections = [
        (Band, "Per band", "the band"),
        (Pair, "Per pair of adjacent bands", "the pair"),
        (Object, "Per object", ""),
        (Evolution, "Colour evolution", "the pair"),
    ];
    let pair_list = |range: std::ops::Range<usize>| -> Vec<String> {
        range
            .map(|i| format!("`{}_{}`", bands[i], bands[i + 1]))
            .collect()
    };
    for (scope, title, key) in sections {
        let keys = match scope {
            Band => bands.iter().map(|b| format!("`{b}`")).collect(),
            Pair => pair_list(pairs(bands.len())),
            Evolution => pair_list(evolving(bands.len())),
            Object => Vec::new(),
        };
        let _ = write!(page, "\n## {title}\n\n");
        if !key.is_empty() {
            let _ = write!(page, "`{{}}` is {key}: {}.\n\n", keys.join(", "));
        }
        page.push_str("| name | unit | definition | needs |\n|---|---|---|---|\n");
        for e in rows(scope) {
            let unit = if e.unit.is_empty() { "-" } else { e.unit };
            let _ = writeln!(
                page,
                "| `{}` | {unit} | {} | {} |",
                e.name, e.definition, e.needs
            );
        }
    }
    let _ = write!(
        page,
        "\n{} features in all for bands {}.\n",
        names(bands).len(),
        bands.join(" ")
    );
    page
}

const INTRODUCTION: &str = "\
# Domain features

These features are figures that an astronomer would read off a light curve. Points that are not finite or have no
positive error are dropped, and the visits of one night are merged. If the points do not support a value, the value is
NaN. It is never made up.

The *reference time* of an object is the median of the peak times of its bands, weighted by their peak signal to noise
(S/N), over the bands whose peak S/N reaches `min_snr`. In the tables, *peak S/N* means this condition. Phases and
durations are rest-frame days if the redshift is known (`rest_frame`), or else observer days. The *event* lasts from
`event_before` days before the reference time to `event_after` days after it. Fluxes of two bands are *matched in time*
if both have points within 5 days of each other, or if one has a point between two points of the other that are at most
`max_gap` apart (on a straight line).
";

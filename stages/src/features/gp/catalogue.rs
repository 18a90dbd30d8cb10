//! The one table of features: their names, units and definitions, and what each needs.

use std::fmt::Write as _;

/// The phases at which the event is described, rest-frame days after its peak.
pub(super) const PHASES: [f64; 8] = [-30.0, -15.0, 0.0, 15.0, 30.0, 50.0, 75.0, 100.0];

/// What a feature is computed from, which decides how often it occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GpScope {
    /// One feature for each object, from the process of the whole light curve.
    Whole,
    /// One for each pair of neighbouring bands, from the process of the whole light curve.
    WholePair,
    /// One for each object, from the process of the event.
    Event,
    /// One for each band, from the process of the event.
    Band,
    /// One for each phase.
    Phase,
    /// One for each pair of neighbouring bands.
    Pair,
    /// One for each pair of neighbouring bands and each phase.
    PairPhase,
}

/// One row of the catalogue. In `name`, `{}` stands for the band, pair or phase.
pub(super) struct GpEntry {
    scope: GpScope,
    name: &'static str,
    unit: &'static str,
    definition: &'static str,
    needs: &'static str,
}

const fn entry(
    scope: GpScope,
    name: &'static str,
    unit: &'static str,
    definition: &'static str,
    needs: &'static str,
) -> GpEntry {
    GpEntry {
        scope,
        name,
        unit,
        definition,
        needs,
    }
}

use GpScope::{Band, Event, Pair, PairPhase, Phase, Whole, WholePair};

/// Every feature. The computing code fills values in this order.
#[rustfmt::skip]
const CATALOGUE: &[GpEntry] = &[
    entry(Whole, "gp_length_time", "d", "length scale in time", "3 points"),
    entry(Whole, "gp_length_wavelength", "angstrom", "length scale in wavelength, observer frame", "3 points"),
    entry(Whole, "gp_amplitude", "ln uJy", "logarithm of the amplitude `a`", "3 points"),
    entry(Whole, "gp_amplitude_ratio", "", "logarithm of the amplitude over the brightest flux", "3 points"),
    entry(Whole, "gp_amplitude_abs_mag", "mag", "the amplitude as an absolute AB magnitude (no K-correction)", "3 points; redshift"),
    entry(Whole, "gp_gain", "", "log-likelihood minus that of noise alone, over the number of points", "3 points"),
    entry(Whole, "gp_gain_total", "", "inverse hyperbolic sine of log-likelihood minus that of noise alone", "3 points"),
    entry(Whole, "gp_minus_walk", "", "log-likelihood minus that of a damped random walk, over the number of points", "3 points"),
    entry(Whole, "gp_minus_walk_total", "", "inverse hyperbolic sine of log-likelihood minus that of a damped random walk", "3 points"),
    entry(Whole, "gp_walk_time", "d", "length scale in time of the damped random walk", "3 points"),
    entry(Whole, "gp_chi2", "", "mean of ((flux - process) / error)^2", "3 points"),
    entry(Whole, "gp_chi2_zero", "", "mean of (flux / error)^2", "3 points"),
    entry(Whole, "gp_detected_share", "", "share of the points above 3 errors", "3 points"),
    entry(Whole, "gp_negative_share", "", "share of the points below -3 errors", "3 points"),
    entry(Whole, "gp_duration", "d", "time between the 10th and the 90th percentile of the times of points above 3 errors", "5 such points"),
    entry(Whole, "gp_duty", "", "that time over the length of the survey", "5 such points"),
    entry(Whole, "gp_peak_mag", "mag", "AB magnitude of the peak", "a positive peak"),
    entry(Whole, "gp_peak_abs_mag", "mag", "absolute AB magnitude of the peak, with the K-correction of a flat spectrum", "a positive peak; redshift"),
    entry(Whole, "gp_rise_1mag", "d", "time from 1 mag below the peak up to it", "a crossing before the peak"),
    entry(Whole, "gp_fade_1mag", "d", "time from the peak down to 1 mag below it", "a crossing after the peak"),
    entry(Whole, "gp_rise_half", "d", "time from half of the peak up to it", "a crossing before the peak"),
    entry(Whole, "gp_fade_half", "d", "time from the peak down to half of it", "a crossing after the peak"),
    entry(Whole, "gp_rise_2mag", "d", "time from 2 mag below the peak up to it", "a crossing before the peak"),
    entry(Whole, "gp_fade_2mag", "d", "time from the peak down to 2 mag below it", "a crossing after the peak"),
    entry(Whole, "gp_asymmetry", "", "share of the rise in the time above 1 mag below the peak", "both crossings"),
    entry(Whole, "gp_fwhm", "d", "full width at half of the peak", "both crossings"),
    entry(Whole, "gp_equivalent_width", "d", "integral of the flux over the peak", "a positive peak"),
    entry(Whole, "gp_energy", "dex", "log10 of the integral over time and the main bands of the positive flux, times the squared distance, 0 for 1 uJy d at 10 pc", "redshift"),
    entry(Whole, "gp_blue_share", "", "share of the bluer half of the main bands in the integral of the positive flux of the main bands", "positive flux"),
    entry(Whole, "gp_p20_over_p50", "", "20th percentile of the positive fluxes over the median", "4 positive fluxes"),
    entry(Whole, "gp_p50", "", "median of the positive fluxes over the peak", "4 positive fluxes"),
    entry(Whole, "gp_p80", "", "80th percentile of the positive fluxes over the peak", "4 positive fluxes"),
    entry(Whole, "gp_p90", "", "90th percentile of the positive fluxes over the peak", "4 positive fluxes"),
    entry(Whole, "gp_start", "", "median flux of the first 15 % of the survey over the peak", "a positive peak"),
    entry(Whole, "gp_minimum", "", "least flux over the peak", "a positive peak"),
    entry(Whole, "gp_second_peak", "", "largest flux more than 150 observer days from the peak, over the peak", "a positive peak; such a time"),
    entry(Whole, "gp_rms_far", "", "root mean square over all bands more than 150 observer days from the peak, over the peak", "a positive peak; such a time"),
    entry(Whole, "gp_fade_correlation", "", "correlation of time and flux from the peak on", "4 times after the peak"),
    entry(Whole, "gp_fade_power", "", "slope of ln flux against ln(time after peak + 10 d), observer days", "2 positive fluxes after the peak"),
    entry(Whole, "gp_fade_misfit", "dex", "log10 of the mean squared difference from `((x + 10 d) / (x0 + 10 d))^(-5/3)`, for times `x` after the peak in observer days, of which `x0` is the first", "5 times after the peak"),
    entry(Whole, "gp_fade_shape_misfit", "", "root mean square difference from `(1 + 0.516 x / h)^(-5/3)` up to `x = 3 h`, where `h` is the time after the peak at which half of it is left", "a crossing of half of the peak"),
    entry(WholePair, "gp_color_{}", "mag", "color at the peak", "a positive peak"),
    entry(WholePair, "gp_color_{}_fade", "mag", "mean color from the peak to 1 mag below it", "a positive peak"),
    entry(WholePair, "gp_color_{}_fade_scatter", "mag", "standard deviation of the color from the peak to 1 mag below it", "a positive peak"),
    entry(WholePair, "gp_color_{}_fade_change", "mag", "change of color from the peak to 1 mag below it", "a positive peak"),
    entry(WholePair, "gp_color_{}_half_change", "mag", "change of color in the first half of that time", "a positive peak"),
    entry(WholePair, "gp_color_{}_rise", "mag", "mean color from 1 mag below the peak up to it", "a positive peak"),
    entry(WholePair, "gp_color_{}_rise_change", "mag", "change of color from 1 mag below the peak up to it", "a positive peak"),
    entry(Event, "gp_event_length_time", "d", "length scale in time", "8 points in the window"),
    entry(Event, "gp_event_length_wavelength", "angstrom", "length scale in wavelength, rest frame", "8 points in the window"),
    entry(Event, "gp_event_gain", "", "log-likelihood minus that of noise alone, over the number of points", "8 points in the window"),
    entry(Event, "gp_event_gain_total", "", "inverse hyperbolic sine of log-likelihood minus that of noise alone", "8 points in the window"),
    entry(Event, "gp_event_chi2", "", "mean of ((flux - process) / error)^2", "8 points in the window"),
    entry(Event, "gp_event_shift", "d", "time of the event's peak minus that of the whole light curve's peak", "8 points in the window"),
    entry(Event, "gp_temperature_rise", "dex", "log10 of the temperature at the peak over that 30 days before", "8 points in the window"),
    entry(Event, "gp_temperature_rate", "dex/d", "slope of log10 temperature from the peak on", "8 points in the window"),
    entry(Event, "gp_radius_rate", "dex/d", "slope of log10 radius from the peak on", "8 points in the window"),
    entry(Event, "gp_abs_mag_2700", "mag", "absolute AB magnitude at the peak at 2,700 angstrom in the rest frame", "a positive flux; redshift; wavelength in the range of the survey"),
    entry(Event, "gp_abs_mag_3300", "mag", "the same at 3,300 angstrom", "as above"),
    entry(Event, "gp_abs_mag_4000", "mag", "the same at 4,000 angstrom", "as above"),
    entry(Event, "gp_abs_mag_5000", "mag", "the same at 5,000 angstrom", "as above"),
    entry(Event, "gp_abs_mag_6200", "mag", "the same at 6,200 angstrom", "as above"),
    entry(Event, "gp_rest_color_3300_4000", "mag", "color at the peak between 3,300 and 4,000 angstrom in the rest frame", "positive fluxes; wavelengths in the range of the survey"),
    entry(Event, "gp_rest_color_4000_5000", "mag", "the same between 4,000 and 5,000 angstrom", "as above"),
    entry(Event, "gp_rest_color_5000_6200", "mag", "the same between 5,000 and 6,200 angstrom", "as above"),
    entry(Event, "gp_abs_mag_2700_30d", "mag", "absolute AB magnitude 30 days after the peak at 2,700 angstrom in the rest frame", "a positive flux; redshift; wavelength in the range of the survey"),
    entry(Event, "gp_abs_mag_3300_30d", "mag", "the same at 3,300 angstrom", "as above"),
    entry(Event, "gp_abs_mag_4000_30d", "mag", "the same at 4,000 angstrom", "as above"),
    entry(Event, "gp_abs_mag_5000_30d", "mag", "the same at 5,000 angstrom", "as above"),
    entry(Event, "gp_abs_mag_6200_30d", "mag", "the same at 6,200 angstrom", "as above"),
    entry(Event, "gp_rest_color_3300_4000_30d", "mag", "color 30 days after the peak between 3,300 and 4,000 angstrom in the rest frame", "positive fluxes; wavelengths in the range of the survey"),
    entry(Event, "gp_rest_color_4000_5000_30d", "mag", "the same between 4,000 and 5,000 angstrom", "as above"),
    entry(Event, "gp_rest_color_5000_6200_30d", "mag", "the same between 5,000 and 6,200 angstrom", "as above"),
    entry(Band, "gp_{}_abs_mag", "mag", "absolute AB magnitude of the band's peak, with the K-correction of a flat spectrum", "a positive peak; redshift"),
    entry(Band, "gp_{}_peak_time", "d", "time of the band's peak minus that of the event's peak", "8 points in the window"),
    entry(Band, "gp_{}_rise_half", "d", "time from half of the band's peak up to it", "a crossing before the peak"),
    entry(Band, "gp_{}_fade_half", "d", "time from the band's peak down to half of it", "a crossing after the peak"),
    entry(Band, "gp_{}_rise_1mag", "d", "time from 1 mag below the band's peak up to it", "a crossing before the peak"),
    entry(Band, "gp_{}_fade_1mag", "d", "time from the band's peak down to 1 mag below it", "a crossing after the peak"),
    entry(Phase, "gp_flux_{}", "", "flux summed over the main bands, over that at the peak", "a positive peak"),
    entry(Phase, "gp_temperature_{}", "dex", "log10 of the black-body temperature in kelvin, mean of its posterior", "8 points in the window"),
    entry(Phase, "gp_temperature_err_{}", "dex", "standard deviation of that posterior", "8 points in the window"),
    entry(Phase, "gp_black_body_chi2_{}", "", "chi-squared of the best black body, with 3 % of the flux as an error beside that of the process", "8 points in the window"),
    entry(Phase, "gp_radius_{}", "dex", "log10 of the black-body radius in cm", "8 points in the window; redshift"),
    entry(Phase, "gp_luminosity_{}", "dex", "log10 of the black-body luminosity in erg/s", "8 points in the window; redshift"),
    entry(Pair, "gp_color_{}_rate", "mag/d", "slope of the color from the peak to 100 days after it", "2 colors"),
    entry(PairPhase, "gp_color_{}", "mag", "color, where a flux below half of its error counts as half of the error", "S/N above 1 in one band"),
];

/// The rows of one scope, in order.
fn entries(scope: GpScope) -> impl Iterator<Item = &'static GpEntry> {
    CATALOGUE.iter().filter(move |e| e.scope == scope)
}

/// How a phase is called in a name: `m30d` is 30 days before the peak, `15d` 15 days after it.
fn phase_name(phase: f64) -> String {
    let sign = if phase < 0.0 { "m" } else { "" };
    format!("{sign}{}d", phase.abs())
}

/// The scopes in the order of the values. What comes at each phase comes phase by phase.
const ORDER: [GpScope; 7] = [Whole, WholePair, Event, Band, Phase, Pair, PairPhase];

/// The keys that a scope has for bands of these names, which are in the order of their wavelengths.
fn keys(scope: GpScope, bands: &[&str]) -> Vec<String> {
    let pairs = || {
        let pairs = bands.windows(2);
        pairs.map(|pair| format!("{}_{}", pair[0], pair[1]))
    };
    let phases = || PHASES.map(phase_name);
    match scope {
        Whole | Event => vec![String::new()],
        Band => bands.iter().map(|&b| b.to_owned()).collect(),
        Phase => phases().into(),
        WholePair | Pair => pairs().collect(),
        PairPhase => phases()
            .iter()
            .flat_map(|phase| pairs().map(move |pair| format!("{pair}_{phase}")))
            .collect(),
    }
}

/// The names of the features of a survey with these bands, in the order in which values are filled.
/// `bands` are in the order of their wavelengths.
pub(super) fn names(bands: &[&str]) -> Vec<String> {
    let of_scope = |scope: GpScope| {
        keys(scope, bands)
            .into_iter()
            .flat_map(move |key| entries(scope).map(move |e| e.name.replace("{}", &key)))
    };
    ORDER.into_iter().flat_map(of_scope).collect()
}

/// Formats the catalogue as Markdown tables, with the names for bands in the order of their wavelengths.
pub fn catalogue_markdown(bands: &[&str]) -> String {
    let mut page = String::new();
    let titles = [
        "The whole light curve",
        "The whole light curve, for each pair of neighboring bands",
        "The event",
        "The event, for each band",
        "The event, for each phase",
        "The event, for each pair of neighboring bands",
        "The event, for each phase and pair of neighboring bands",
    ];
    for (scope, title) in ORDER.into_iter().zip(titles) {
        let _ = write!(page, "### {title}\n\n");
        let keys = keys(scope, bands);
        if keys.len() > 1 {
            let listed: Vec<String> = keys.iter().map(|k| format!("`{k}`")).collect();
            let _ = write!(page, "`{{}}` is {}.\n\n", listed.join(", "));
        }
        page.push_str("| name | unit | definition | needs |\n|---|---|---|---|\n");
        for e in entries(scope) {
            let unit = if e.unit.is_empty() { "-" } else { e.unit };
            let (name, definition, needs) = (e.name, e.definition, e.needs);
            let _ = writeln!(page, "| `{name}` | {unit} | {definition} | {needs} |");
        }
        page.push('\n');
    }
    let count = names(bands).len();
    let _ = writeln!(
        page,
        "{count} features in all for bands {}.",
        bands.join(" ")
    );
    page
}

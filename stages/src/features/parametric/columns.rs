//! The columns that a list of models gives: names, units, definitions, and what each needs.

use std::fmt::Write as _;

use super::FitOptions;
use super::model::{DEFAULT_MODELS, MODELS, Model, QUANTITIES};

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FitColumn {
    /// Its name without the prefix of the stage.
    pub name: String,
    /// Its unit, or nothing.
    pub unit: &'static str,
    /// What it is.
    pub definition: String,
    /// What it needs to have a value.
    pub needs: &'static str,
}

/// The end of a column's name, its unit, definition and needs.
type Row = (&'static str, &'static str, &'static str, &'static str);

const FIT: &str = "a fit";
const DISTANCE: &str = "a fit; redshift above 0";

/// What every model has besides its unknowns.
pub(super) const OF_MODEL: [Row; 3] = [
    (
        "chi2",
        "",
        "sum of squared residuals over errors, per point",
        FIT,
    ),
    (
        "explained",
        "",
        "1 - chi-squared / chi-squared of no light at all",
        "a fit; a flux that is not 0",
    ),
    (
        "abs_mag",
        "mag",
        "absolute AB magnitude at 4500 angstrom at rest, at the peak",
        DISTANCE,
    ),
];

/// What the first model of the list has in addition.
#[rustfmt::skip]
pub(super) const OF_FIRST: [Row; 4] = [
    ("asymmetry", "", "ln(rise / decay)", "a fit of a model with both"),
    ("log_luminosity", "", "log10 of the luminosity of the black body at the peak in erg / s, `4 pi R^2 sigma T^4`", DISTANCE),
    ("log_radius", "", "log10 of the radius of the black body at the peak in cm", DISTANCE),
    ("log_energy", "", "log10 of luminosity times decay in erg", "the same; a model with a decay"),
];

/// The bins of the wavelength at rest, in angstrom: from the end of the bin before to this one.
pub(super) const WAVELENGTHS: [(&str, f64); 5] = [
    ("below_3000", 3000.0),
    ("3000_3800", 3800.0),
    ("3800_5000", 5000.0),
    ("5000_6500", 6500.0),
    ("above_6500", f64::INFINITY),
];

/// The two phases for which residuals are binned by wavelength: at most 20 d from the peak, and later.
pub(super) const STAGES: [(&str, &str); 2] = [
    ("near", "less than 20 d from the peak"),
    ("after", "from 20 to 80 d after the peak"),
];

/// The bins of the days since the peak, at rest: from the end of the bin before to this one.
pub(super) const PHASES: [(&str, f64); 6] = [
    ("before_rise", -25.0),
    ("rise", 0.0),
    ("peak", 20.0),
    ("decline", 50.0),
    ("late", 100.0),
    ("tail", f64::INFINITY),
];

const BLOCK: &str = "a fit; a point in the bin";
const OUTSIDE: &str = "a fit; 5 points there";

/// The days at rest before the peak that count as the event. Points before them are outside it.
pub(super) const DAYS_BEFORE: f64 = 50.0;

/// The two parts of the survey outside the event.
pub(super) const SIDES: [&str; 2] = ["before", "after"];

/// What is measured of the points of each part.
pub(super) const OF_SIDE: [(&str, &str); 6] = [
    ("mean", "weighted mean of the flux over the amplitude"),
    ("snr", "weighted mean of the flux over its error"),
    ("chi2", "mean of (flux / error)^2"),
    ("max", "largest flux over error"),
    ("min", "least flux over error"),
    (
        "excess",
        "root of the weighted variance in excess of the errors, over the amplitude, with the sign of the excess",
    ),
];

/// What is measured of the whole survey, without any model.
#[rustfmt::skip]
pub(super) const OF_SURVEY: [Row; 5] = [
    ("runs", "", "groups of points with |flux| > 4 errors, more than 60 d apart", "1 point"),
    ("negative_share", "", "share of points below -3 errors", "1 point"),
    ("window_share", "", "sum of (flux / error)^2 inside the window over that of all points", "1 point; a flux that is not 0"),
    ("window_signal", "", "ln of the mean (flux / error)^2 inside the window, the floor of the error included, at least ln 0.001", FIT),
    ("signal", "", "ln of the mean (flux / error)^2 of all points, at least ln 0.001", "1 point"),
];

/// What `uncertainties` adds to every model.
const OF_SEARCH: [Row; 2] = [
    (
        "converged",
        "",
        "1 if the search ended by itself, 0 if it ran out of evaluations",
        FIT,
    ),
    (
        "evaluations",
        "",
        "evaluations of the model in all searches",
        FIT,
    ),
];

/// The pairs of models that are compared: places in the list, the first of which the second declares.
pub(super) fn pairs(models: &[&Model]) -> Vec<(usize, usize)> {
    let mut pairs = Vec::new();
    for (j, model) in models.iter().enumerate() {
        for name in model.against {
            let other = models.iter().position(|other| other.name == *name);
            pairs.extend(other.map(|i| (i, j)));
        }
    }
    pairs
}

/// The columns of these models in the order in which values are written.
pub(super) fn columns(models: &[&Model], options: &FitOptions) -> Vec<FitColumn> {
    let mut all = Vec::new();
    for model in models {
        of_model(model, options.uncertainties, &mut all);
    }
    if let Some(first) = models.first() {
        of_first(first, options, &mut all);
    }
    for (i, j) in pairs(models) {
        let (a, b) = (models[i].name, models[j].name);
        all.push(FitColumn {
            name: format!("{a}_minus_{b}"),
            unit: "",
            definition: format!("asinh(C({a}) - C({b})) of the MAP costs C"),
            needs: "both fits",
        });
        all.push(FitColumn {
            name: format!("{a}_relative_{b}"),
            unit: "",
            definition: format!("(C({a}) - C({b})) / max(C({b}), points)"),
            needs: "both fits",
        });
    }
    all.extend(OF_SURVEY.iter().map(|row| column("", row)));
    all
}

fn column(start: &str, row: &Row) -> FitColumn {
    let (name, unit, definition, needs) = *row;
    FitColumn {
        name: format!("{start}{name}"),
        unit,
        definition: definition.into(),
        needs,
    }
}

/// The number of columns of one model.
pub(super) fn width(model: &Model, uncertainties: bool) -> usize {
    let (each, more) = if uncertainties {
        (2, OF_SEARCH.len())
    } else {
        (1, 0)
    };
    OF_MODEL.len() + each * model.free().count() + more
}

fn of_model(model: &Model, uncertainties: bool, all: &mut Vec<FitColumn>) {
    let start = format!("{}_", model.name);
    all.extend(OF_MODEL.iter().map(|row| column(&start, row)));
    for (_, quantity) in model.free() {
        let entry = quantity.entry();
        all.push(column(&start, &(entry.name, entry.unit, entry.about, FIT)));
        if uncertainties {
            let mut error = column(
                &start,
                &(entry.name, entry.unit, "standard error of it", FIT),
            );
            error.name.push_str("_err");
            all.push(error);
        }
    }
    if uncertainties {
        all.extend(OF_SEARCH.iter().map(|row| column(&start, row)));
    }
}

fn of_first(model: &Model, options: &FitOptions, all: &mut Vec<FitColumn>) {
    let start = model.name;
    let mut push = |name: String, definition: String, needs: &'static str| {
        all.push(FitColumn {
            name: format!("{start}_{name}"),
            unit: "",
            definition,
            needs,
        });
    };
    for (name, _, definition, needs) in OF_FIRST {
        push(name.into(), definition.into(), needs);
    }
    for (bin, _) in WAVELENGTHS {
        for (stage, when) in STAGES {
            let text = format!(
                "mean residual over the amplitude, at these wavelengths at rest in angstrom, {when}"
            );
            push(format!("residual_{bin}_{stage}"), text, BLOCK);
        }
    }
    for (bin, _) in PHASES {
        let text = "mean residual over the amplitude, in this phase".to_owned();
        push(format!("residual_{bin}"), text, BLOCK);
        let text = "mean squared residual over error, in this phase".to_owned();
        push(format!("chi2_{bin}"), text, BLOCK);
    }
    for side in SIDES {
        let when = match side {
            "before" => format!("more than {} d before the peak", DAYS_BEFORE),
            _ => format!("more than {} d after the peak", options.window_after),
        };
        for (name, what) in OF_SIDE {
            push(
                format!("{side}_{name}"),
                format!("{what}, of points {when}"),
                OUTSIDE,
            );
        }
    }
}

/// The tables of `docs/fits.md`: the models, their unknowns, and the columns of the default models.
pub fn columns_markdown() -> String {
    let mut page = String::new();
    push_models(&mut page);
    push_quantities(&mut page);
    page.push_str("\n| column | unit | definition | needs |\n|---|---|---|---|\n");
    let models: Vec<&Model> = DEFAULT_MODELS
        .iter()
        .filter_map(|name| Model::of(name))
        .collect();
    for c in columns(&models, &FitOptions::default()) {
        let unit = if c.unit.is_empty() { "-" } else { c.unit };
        let _ = writeln!(
            page,
            "| `fit_{}` | {unit} | {} | {} |",
            c.name, c.definition, c.needs
        );
    }
    page
}

fn push_models(page: &mut String) {
    page.push_str(
        "| model | formula of its shape `g(y)` | for | compared with |\n|---|---|---|---|\n",
    );
    for model in &MODELS {
        let against: Vec<String> = model
            .against
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let against = match against.is_empty() {
            true => "-".to_owned(),
            false => against.join(", "),
        };
        let default = match DEFAULT_MODELS.contains(&model.name) {
            true => "",
            false => " (on request)",
        };
        let (name, formula, about) = (model.name, model.formula, model.about);
        let _ = writeln!(
            page,
            "| `{name}`{default} | `{formula}` | {about} | {against} |"
        );
    }
}

fn push_quantities(page: &mut String) {
    page.push_str("\n| unknown | unit | prior | least | greatest | what it is | in models |\n|---|---|---|---|---|---|---|\n");
    for entry in &QUANTITIES {
        let with = MODELS
            .iter()
            .filter(|m| m.free().any(|(_, q)| q == entry.quantity));
        let with: Vec<String> = with.map(|m| format!("`{}`", m.name)).collect();
        let with = match with.len() == MODELS.len() {
            true => "all".to_owned(),
            false => with.join(", "),
        };
        let (center, width) = entry.prior;
        let center = format!("{center:.4}");
        let center = center.trim_end_matches('0').trim_end_matches('.');
        let prior = match entry.logarithmic {
            true => format!("`{center}`, {width} in ln"),
            false => format!("`{center}`, {width}"),
        };
        let unit = if entry.unit.is_empty() {
            "-"
        } else {
            entry.unit
        };
        let (name, (lower, upper), about) = (entry.name, entry.bounds, entry.about);
        let _ = writeln!(
            page,
            "| `{name}` | {unit} | {prior} | {lower} | {upper} | {about} | {with} |"
        );
    }
}

//! Shows a study to people: as tables on the terminal, and in words.

use flow_stages::comparison::{ArmSummary, ComparisonVerdict, Estimate, PairedDifference};
use flow_stages::evaluation::Metric;

use super::results::{AblationResults, AblationRow, Scheme};
use crate::outcome::RunOutcome;
use crate::render::table::{fitted, plain};
use crate::wording::{count, seconds};

/// Tables cut the names of variants to this many characters, so that 120 columns suffice.
const NAME: usize = 22;

/// What a study ends with: a table for each evaluation, a table of costs, and a few sentences.
pub fn tables(results: &AblationResults, outcome: &RunOutcome) -> String {
    let mut text = String::new();
    for scheme in &results.schemes {
        text.push_str(&format!(
            "{}\n\n{}\n\n",
            heading(results, scheme),
            metrics(results, scheme)
        ));
        for row in &scheme.rows {
            if let Some(note) = &row.note {
                let name = &results.variants[row.variant].name;
                text.push_str(&format!("{name}: {note}\n"));
            }
        }
        if scheme.rows.iter().any(|row| row.note.is_some()) {
            text.push('\n');
        }
    }
    text.push_str(&format!(
        "{}\n\n{}\n",
        costs(results),
        cost_in_words(results)
    ));
    let took = seconds(outcome.wall_s);
    text.push_str(&format!(
        "\nrun {} {} in {took}\n",
        outcome.run,
        outcome.status.name()
    ));
    text
}

fn heading(results: &AblationResults, scheme: &Scheme) -> String {
    let mut text = scheme.name.clone();
    if let Some(summary) = scheme.rows.iter().find_map(|row| row.summary.as_ref()) {
        let unit = match summary.unit {
            flow_stages::comparison::Unit::Object => String::new(),
            flow_stages::comparison::Unit::Group => format!(" in {} groups", summary.units),
        };
        text.push_str(&format!(
            ": {} objects{unit}, {}, {}",
            summary.objects,
            classes(summary),
            count(summary.repeats, "repeat"),
        ));
    }
    if let Some(tried) = scheme.tried {
        text.push_str(&format!(
            "; {} tried on these folds so far",
            count(tried, "configuration")
        ));
    }
    text.push_str(&format!("\nintervals {}%", percent(results.options.level)));
    text
}

/// Says which classes the metrics are of.
fn classes(summary: &ArmSummary) -> String {
    match summary.positives {
        Some(positives) => format!("{positives} positive"),
        None => "macro averages over classes".to_owned(),
    }
}

fn percent(part: f64) -> String {
    format!("{:.0}", part * 100.0)
}

fn cut(name: &str) -> String {
    if name.chars().count() <= NAME {
        return name.to_owned();
    }
    let start: String = name.chars().take(NAME - 3).collect();
    format!("{start}...")
}

fn metrics(results: &AblationResults, scheme: &Scheme) -> String {
    let of_classes = scheme.rows.iter().find_map(|row| row.summary.as_ref());
    let of_classes = of_classes.is_some_and(|summary| summary.positives.is_none());
    let (last, last_title) = match of_classes {
        true => (Metric::LogLoss, "loss"),
        false => (Metric::RocAuc, "AUC"),
    };
    let header = [
        "variant",
        "AP",
        "F1",
        "prec",
        "rec",
        last_title,
        "AP - base",
        "verdict",
        "detects",
    ];
    let rows = scheme.rows.iter().map(|row| {
        let mut cells = vec![cut(&results.variants[row.variant].name)];
        cells.push(match estimate(row, Metric::Ap) {
            Some(ap) => format!("{:.3} [{:.2}, {:.2}]", ap.value, ap.low, ap.high),
            None => pooled(row, Metric::Ap),
        });
        for metric in [Metric::F1, Metric::Precision, Metric::Recall, last] {
            cells.push(match estimate(row, metric) {
                Some(estimate) => format!("{:.3}", estimate.value),
                None => pooled(row, metric),
            });
        }
        match primary(row) {
            Some(found) => {
                cells.push(difference(&found.difference));
                cells.push(found.verdict.word().to_owned());
                cells.push(format!("{:.3}", found.detectable));
            }
            None => cells.extend([String::new(), missing(row).to_owned(), String::new()]),
        }
        cells
    });
    let least = ["detects", "AUC", "rec", "prec", "F1"];
    fitted(&header, 1, rows.collect(), &least)
}

/// What is shown in place of a verdict.
fn missing(row: &AblationRow) -> &'static str {
    match (row.status, &row.note) {
        ("ok", None) => "",
        ("ok", Some(_)) => "not compared",
        (status, _) => status,
    }
}

fn estimate(row: &AblationRow, metric: Metric) -> Option<&Estimate> {
    row.summary.as_ref()?.metrics.get(&metric)
}

fn primary(row: &AblationRow) -> Option<&PairedDifference> {
    row.comparison.as_ref()?.metrics.get(&Metric::Ap)
}

/// A metric as the `evaluate` stage reports it, for a row that has no estimate.
fn pooled(row: &AblationRow, metric: Metric) -> String {
    let value = row.metrics.get(metric.key()).and_then(|m| m.pooled);
    value.map_or("-".into(), |value| format!("{value:.3}"))
}

fn difference(d: &Estimate) -> String {
    format!("{:+.3} [{:+.3}, {:+.3}]", d.value, d.low, d.high)
}

fn costs(results: &AblationResults) -> String {
    let header = [
        "variant", "actions", "shared", "CPU cold", "CPU now", "saved",
    ];
    let rows = results.variants.iter().map(|variant| {
        let cost = &variant.cost;
        vec![
            cut(&variant.name),
            cost.actions.to_string(),
            cost.shared.to_string(),
            seconds(cost.cold_s),
            seconds(cost.now_s),
            format!("{} %", percent(cost.saved())),
        ]
    });
    plain(&header, 1, rows.collect())
}

fn cost_in_words(results: &AblationResults) -> String {
    let costs = &results.costs;
    let mut text = format!(
        "{} and {} are in common with earlier variants.\n{} of CPU now; {} for all of it with nothing in the store",
        count(results.shared_stages, "stage"),
        count(costs.together.shared, "action"),
        seconds(costs.together.now_s),
        seconds(costs.together.cold_s),
    );
    if let Some(ratio) = costs.ratio() {
        let separate = seconds(costs.separate_s());
        text.push_str(&format!(
            ",\n{} % of the {separate} that separate cold runs take",
            percent(ratio),
        ));
    }
    text.push('.');
    text
}

/// A study in words, as Markdown.
pub fn summary(results: &AblationResults) -> String {
    let mut text = format!("# Ablation of {}\n", escape(&results.pipeline));
    for scheme in &results.schemes {
        text.push_str(&format!(
            "\n## {}\n\n{}\n",
            escape(&scheme.name),
            about(results, scheme)
        ));
        for row in &scheme.rows {
            text.push_str(&format!("\n- {}", sentence(results, row)));
        }
        text.push('\n');
    }
    text.push_str(&format!("\n## Cost\n\n{}\n", cost_in_words(results)));
    text
}

/// Says what the comparison of one evaluation rests on, and what it found.
fn about(results: &AblationResults, scheme: &Scheme) -> String {
    let Some(summary) = scheme.rows.iter().find_map(|row| row.summary.as_ref()) else {
        return "Nothing could be compared here.".into();
    };
    let unit = match summary.unit {
        flow_stages::comparison::Unit::Object => "objects".to_owned(),
        flow_stages::comparison::Unit::Group => format!("{} groups", summary.units),
    };
    let mut text = format!(
        "Scores of {} objects ({}) that no model had seen, averaged over {}. Every variant is \
         compared with the base on the same objects in the same folds; intervals hold with {} % confidence \
         (bootstrap over {unit}, {} draws). A difference counts if it is unlikely by chance after Holm's \
         adjustment for the number of variants; \"equivalent\" means that it is smaller than {} either way.",
        summary.objects,
        classes(summary),
        count(summary.repeats, "repeat"),
        percent(results.options.level),
        results.options.draws,
        results.options.margin,
    );
    let verdicts = |verdict: ComparisonVerdict| {
        let found = scheme.rows.iter().filter_map(primary);
        found.filter(|found| found.verdict == verdict).count()
    };
    let found: Vec<String> = ComparisonVerdict::ALL
        .into_iter()
        .map(|verdict| (verdicts(verdict), verdict.word()))
        .filter(|(n, _)| *n > 0)
        .map(|(n, word)| format!("{n} {word}"))
        .collect();
    if !found.is_empty() {
        text.push_str(&format!(" Average precision: {}.", found.join(", ")));
    }
    if let Some(tried) = scheme.tried.filter(|tried| *tried > 1) {
        text.push_str(&format!(
            " {} have been evaluated on these folds so far: the best of many looks better than it is.",
            count(tried, "configuration"),
        ));
    }
    text
}

fn sentence(results: &AblationResults, row: &AblationRow) -> String {
    let variant = &results.variants[row.variant];
    let mut text = format!("**{}**", escape(&variant.name));
    if !variant.changes.is_empty() {
        let changes = variant.changes.iter();
        let changes: Vec<String> = changes
            .map(|(path, value)| format!("`{path} = {value}`"))
            .collect();
        text.push_str(&format!(" ({})", changes.join(", ")));
    }
    let figures = match (estimate(row, Metric::Ap), estimate(row, Metric::F1)) {
        (Some(ap), Some(f1)) => format!(
            "AP {:.3} [{:.3}, {:.3}], F1 {:.3} [{:.3}, {:.3}]",
            ap.value, ap.low, ap.high, f1.value, f1.low, f1.high
        ),
        _ => String::new(),
    };
    let Some(found) = primary(row) else {
        let note = row.note.as_deref().map(escape);
        let parts = [Some(figures).filter(|f| !f.is_empty()), note];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let what = match row.status {
            "ok" => parts.join("; "),
            status => [vec![status.to_owned()], parts].concat().join(": "),
        };
        return format!("{text}: {what}.");
    };
    let d = &found.difference;
    let against = match d.value {
        v if v > 0.0 => format!("{v:.3} above the base"),
        v if v < 0.0 => format!("{:.3} below the base", -v),
        _ => "no different from the base".to_owned(),
    };
    text.push_str(&format!(
        ": {}. {figures}; AP is {against} [{:+.3}, {:+.3}], p = {:.3} after Holm's adjustment.",
        found.verdict.word(),
        d.low,
        d.high,
        found.p_holm,
    ));
    if found.verdict == ComparisonVerdict::Inconclusive {
        text.push_str(&format!(
            " A true difference of {:.3} would have been found with a chance of 80 %.",
            found.detectable
        ));
    }
    text
}

/// Text that Markdown accepts as it is.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '*' | '_' | '[' | ']' | '<' | '#' | '|' | '\\' => out.extend(['\\', c]),
            '\n' | '\r' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

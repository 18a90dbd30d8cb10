//! The range in which a dimension of a study is searched.

use super::{MOST, RANGES, Range};
use crate::base::diag::{Diag, Diags, Span};
use crate::text::expect::{unknown_key, wrong};
use crate::text::node::{Entry, Item, Node, Table, value};

pub(super) fn is_range(table: &Table) -> bool {
    table
        .iter()
        .any(|entry| RANGES.contains(&entry.key.as_str()) || entry.key == "steps")
        || table
            .iter()
            .all(|entry| !matches!(entry.node.item, Item::Table(_)))
}

pub(super) fn no_range(path: &str, span: Span) -> Diag {
    Diag::new(
        "flow::tune::range",
        format!("`{path}` needs a range of values to try"),
    )
    .label(span, "not a range")
    .help(format!(
        "\"{path}\" = {{ int = [1, 10] }}, or {{ float = [0.0, 1.0] }}, {{ log = [0.001, 1.0] }}, {{ int_log = [1, 1000] }}, {{ choice = [\"a\", \"b\"] }}"
    ))
}

/// Reads the range that `entry` gives for `path`.
pub(super) fn read_range(
    path: &str,
    entry: &Entry,
    range: &Table,
    diags: &mut Diags,
) -> Option<Range> {
    let (key, steps) = keys(path, entry, range, diags)?;
    let Item::List(nodes) = &key.node.item else {
        let wanted = if key.key == "choice" {
            "a list of values"
        } else {
            "a list of two numbers, [LOWEST, HIGHEST]"
        };
        diags.push(wrong(key, wanted));
        return None;
    };
    if key.key == "choice" {
        return choice(path, key, nodes, steps.map(|(_, span)| span), diags);
    }
    let whole = key.key.starts_with("int");
    let log = key.key.ends_with("log");
    let [low, high] = ends(key, nodes, whole, diags)?;
    if let Some(diag) = no_numbers(path, key, [low, high], log) {
        diags.push(diag);
        return None;
    }
    Some(Range::Numbers {
        low,
        high,
        whole,
        log,
        steps: steps.map(|(n, _)| n),
    })
}

/// How many values to try, and where the pipeline says so.
type Steps = Option<(usize, Span)>;

/// Finds the one key of a range that says what kind of range it is, and its steps.
fn keys<'t>(
    path: &str,
    entry: &Entry,
    range: &'t Table,
    diags: &mut Diags,
) -> Option<(&'t Entry, Steps)> {
    let before = diags.len();
    let mut found: Option<&Entry> = None;
    let mut steps = None;
    for key in range.iter() {
        match (key.key.as_str(), &key.node.item) {
            ("steps", Item::Int(n @ 2..=MOST)) => {
                steps = usize::try_from(*n).ok().map(|n| (n, key.key_span));
            }
            ("steps", _) => diags.push(wrong(key, &format!("a whole number from 2 to {MOST}"))),
            (word, _) if RANGES.contains(&word) => match found {
                None => found = Some(key),
                Some(first) => diags.push(
                    Diag::new(
                        "flow::tune::range",
                        format!("`{path}` has two ranges, `{}` and `{word}`", first.key),
                    )
                    .label(key.key_span, "again here")
                    .label(first.key_span, "first here")
                    .help("keep one of them"),
                ),
            },
            _ => {
                let known = RANGES.iter().copied().chain(["steps"]).collect::<Vec<_>>();
                diags.push(unknown_key(key, "a range", &known));
            }
        }
    }
    if diags.len() > before {
        return None;
    }
    if found.is_none() {
        diags.push(no_range(path, entry.node.span));
    }
    Some((found?, steps))
}

/// Returns the diagnostic for a range without any numbers between its ends.
fn no_numbers(path: &str, key: &Entry, [low, high]: [f64; 2], log: bool) -> Option<Diag> {
    let problem = if low >= high {
        "the lowest value must be below the highest"
    } else if log && low <= 0.0 {
        "a logarithm needs values above 0"
    } else {
        return None;
    };
    let message = format!("the range of `{path}` is empty or without end: {problem}");
    let diag = Diag::new("flow::tune::range", message).label(key.node.span, "this range");
    Some(match low > high && (!log || high > 0.0) {
        true => diag.help(format!("{} = [{high}, {low}]", key.key)),
        false => diag,
    })
}

fn ends(key: &Entry, nodes: &[Node], whole: bool, diags: &mut Diags) -> Option<[f64; 2]> {
    // Beyond 2^53, a float cannot represent every whole number.
    const EXACT: i64 = 1 << 53;
    let number = |node: &Node| match node.item {
        Item::Int(v) if !whole || v.abs() <= EXACT => Some(v as f64),
        Item::Float(v) if !whole && v.is_finite() => Some(v),
        _ => None,
    };
    if let [low, high] = nodes
        && let (Some(low), Some(high)) = (number(low), number(high))
    {
        return Some([low, high]);
    }
    let what = if whole { "whole numbers" } else { "numbers" };
    diags.push(
        Diag::new(
            "flow::tune::range",
            format!("`{}` takes two {what}, the lowest and the highest", key.key),
        )
        .label(key.node.span, "not a range")
        .help(format!("{} = [1, 10]", key.key)),
    );
    None
}

fn choice(
    path: &str,
    key: &Entry,
    nodes: &[Node],
    steps: Option<Span>,
    diags: &mut Diags,
) -> Option<Range> {
    let values: Vec<toml::Value> = nodes.iter().map(value).collect();
    // The order of a table's entries can matter, as it does for the rules of `classes`.
    let texts: Vec<String> = values.iter().map(ToString::to_string).collect();
    let twice = (1..texts.len()).find(|&i| texts[..i].contains(&texts[i]));
    let problem = if let Some(i) = twice {
        Some(("is there twice", nodes[i].span))
    } else if values.len() < 2 {
        Some((
            "are fewer than two values: there is nothing to choose",
            key.node.span,
        ))
    } else {
        steps.map(|span| ("steps are for numbers only", span))
    };
    if let Some((problem, span)) = problem {
        diags.push(
            Diag::new(
                "flow::tune::range",
                format!("the values of `{path}` leave no sound choice"),
            )
            .label(span, problem),
        );
        return None;
    }
    Some(Range::Choice(values))
}

//! The names of lists of objects, for people and for programs.

use flow_stages::inspection::{Judgement, ListKind};

/// The name of a list in links and in JSON.
pub fn id(kind: ListKind) -> &'static str {
    match kind {
        ListKind::FalsePositives => "false_positives",
        ListKind::FalseNegatives => "false_negatives",
        ListKind::WrongClass => "wrong",
        ListKind::LeastCertain => "least_certain",
        ListKind::MostCertain => "most_certain",
        ListKind::Candidates => "candidates",
    }
}

/// Its name for people.
pub fn title(kind: ListKind) -> &'static str {
    match kind {
        ListKind::FalsePositives => "False positives",
        ListKind::FalseNegatives => "False negatives",
        ListKind::WrongClass => "Wrong predictions",
        ListKind::LeastCertain => "Least certain",
        ListKind::MostCertain => "Most certain",
        ListKind::Candidates => "Candidates",
    }
}

/// What is in it, and in which order.
pub fn about(kind: ListKind, judgement: &Judgement) -> String {
    let class = judgement.positive.as_deref();
    match (kind, class) {
        (ListKind::FalsePositives, Some(class)) => {
            format!("taken for {class} and of another class, the highest score first")
        }
        (ListKind::FalseNegatives, Some(class)) => {
            format!("{class} taken for another class, the lowest score first")
        }
        (ListKind::LeastCertain, Some(_)) => "labelled, closest to their threshold".into(),
        (ListKind::LeastCertain, None) => {
            "labelled, with two classes that are nearly as probable".into()
        }
        (ListKind::MostCertain, _) => "labelled, the highest score first, right or wrong".into(),
        (ListKind::Candidates, _) => "without a label, the highest score first".into(),
        _ => "taken for another class, the most probable first".into(),
    }
}

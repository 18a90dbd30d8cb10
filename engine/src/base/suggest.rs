//! "Did you mean": the known names nearest to one that is not known.

use std::cmp::Reverse;

use crate::base::diag::Diag;

/// Lists of at most this many names are shown in full.
const FEW: usize = 12;

/// Returns the name closest to `given`, if it is close enough to be a slip of the pen: an edit distance of
/// at most a third of its length (at least 1), ignoring letter case. Of equally close names, one that
/// begins like it is preferred (`gpus` means `gpu`, not `cpus`), then the first.
pub fn closest<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (given.chars().count() / 3).max(1);
    let lower = given.to_lowercase();
    let near = known.into_iter().filter_map(|name| {
        let name_lower = name.to_lowercase();
        let distance = strsim::osa_distance(&lower, &name_lower);
        let pairs = lower.chars().zip(name_lower.chars());
        let alike = pairs.take_while(|(a, b)| a == b).count();
        (distance <= limit).then_some(((distance, Reverse(alike)), name))
    });
    near.min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

/// Adds "did you mean", and all names if there are few.
pub fn did_you_mean<'a>(
    diag: Diag,
    given: &str,
    known: impl IntoIterator<Item = &'a str>,
    what: &str,
) -> Diag {
    let known: Vec<&str> = known.into_iter().collect();
    let diag = match closest(given, known.iter().copied()) {
        Some(name) => diag.help(format!("did you mean `{name}`?")),
        None => diag,
    };
    match known.len() {
        0 => diag.help(format!("there are no {what} here")),
        1..=FEW => diag.help(format!("{what}: {}", known.join(", "))),
        _ => diag,
    }
}

#[cfg(test)]
mod tests {
    use super::closest;

    #[test]
    fn finds_slips_and_nothing_else() {
        let known = ["kernels", "length", "seed"];
        assert_eq!(closest("kernel", known), Some("kernels"));
        assert_eq!(closest("Kernels", known), Some("kernels"));
        assert_eq!(closest("lenght", known), Some("length"));
        assert_eq!(closest("banana", known), None);
        assert_eq!(closest("gpus", ["cpus", "gpu"]), Some("gpu"));
        assert_eq!(closest("aa", ["ab", "ac"]), Some("ab"));
    }
}

//! Reads LightGBM's text models (`booster.save_model("model.txt")`, format v4).
//!
//! The conditions of LightGBM are `value <= threshold` with thresholds of 64 bits. Values have 32 bits here,
//! so the largest 32-bit number up to a threshold, and the one above it, give the same answer as
//! `value < threshold`. Leaves keep their 64 bits. So every row ends in the same leaf, and margins are the
//! same bits.

use std::collections::HashMap;
use std::str::FromStr;

use super::LearnError;
use super::ensemble::{EnsembleNode, EnsembleTree, MarginLink, MarginSum, TreeEnsemble};

/// Bits of `decision_type` (LightGBM's `include/LightGBM/tree.h`).
const CATEGORICAL: u8 = 1;
const DEFAULT_LEFT: u8 = 2;
/// The kinds of missing values, in bits 2 and 3: none, zero, NaN.
const MISSING_NONE: u8 = 0;
const MISSING_ZERO: u8 = 1;

/// Reads a model, and the names of its columns.
///
/// # Errors
/// [`LearnError::Model`] if the text is no such model, or one that cannot be predicted exactly here: with
/// categorical splits, linear leaves, averaged trees (`boosting=rf`), or a loss that gives no probabilities
/// of classes.
pub fn read(text: &str) -> Result<(TreeEnsemble, Vec<String>), LearnError> {
    read_text(text).map_err(|reason| LearnError::Model(reason.into()))
}

fn read_text(text: &str) -> Result<(TreeEnsemble, Vec<String>), String> {
    let body = text.split("\nend of trees").next().unwrap_or_default();
    let mut blocks = body.split("\nTree=");
    let header = Fields::of(blocks.next().unwrap_or_default());
    if !text.trim_start().starts_with("tree") {
        return Err("the text does not begin with `tree`, as a model of LightGBM does".into());
    }
    if body.len() == text.len() {
        return Err("the text ends before `end of trees`".into());
    }
    if header.0.contains_key("average_output") {
        return Err("it averages its trees (boosting=rf), which is not supported".into());
    }
    let names: Vec<String> = header.list("feature_names")?;
    let (columns, last) = (names.len(), header.one::<usize>("max_feature_idx")?);
    if last.checked_add(1) != Some(columns) {
        return Err(format!("{columns} names of columns that end with {last}"));
    }
    let outputs: usize = header.one("num_tree_per_iteration")?;
    let link = link(&header)?;
    let mut trees = Vec::new();
    for (index, block) in blocks.enumerate() {
        let nodes = nodes(&Fields::of(block)).map_err(|e| format!("tree {index}: {e}"))?;
        let output = index % outputs.max(1);
        trees.push(EnsembleTree { nodes, output });
    }
    if outputs == 0 || trees.is_empty() || !trees.len().is_multiple_of(outputs) {
        let count = trees.len();
        return Err(format!("{count} trees are no rounds of {outputs} trees"));
    }
    let ensemble = TreeEnsemble {
        trees,
        base: vec![0.0; outputs],
        columns,
        link,
        sum: MarginSum::Double,
    };
    let checked = ensemble.checked().map_err(|e| e.to_string())?;
    Ok((checked, names))
}

/// The lines `key=value` of the header or of a tree.
struct Fields<'a>(HashMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn of(block: &'a str) -> Self {
        let lines = block.lines().map(str::trim_end);
        Fields(
            lines
                .map(|line| line.split_once('=').unwrap_or((line, "")))
                .collect(),
        )
    }

    fn text(&self, key: &str) -> Result<&'a str, String> {
        let text = self.0.get(key).copied();
        text.ok_or_else(|| format!("it has no `{key}`"))
    }

    fn one<T: FromStr>(&self, key: &str) -> Result<T, String> {
        let text = self.text(key)?;
        let wrong = |_| format!("`{key}` is `{text}`");
        text.parse().map_err(wrong)
    }

    fn list<T: FromStr>(&self, key: &str) -> Result<Vec<T>, String> {
        let items = self.text(key)?.split_whitespace();
        items
            .map(|item| item.parse().map_err(|_| format!("`{key}` has `{item}`")))
            .collect()
    }

    /// A list of a known length.
    fn exactly<T: FromStr>(&self, key: &str, length: usize) -> Result<Vec<T>, String> {
        let list = self.list(key)?;
        match list.len() == length {
            true => Ok(list),
            false => Err(format!("`{key}` has {} values, not {length}", list.len())),
        }
    }
}

/// How the model's loss makes probabilities.
fn link(header: &Fields<'_>) -> Result<MarginLink, String> {
    let mut words = header.text("objective")?.split_whitespace();
    let name = words.next().unwrap_or_default();
    let slope = words.find_map(|word| word.strip_prefix("sigmoid:"));
    match name {
        "binary" => match slope.unwrap_or("1").parse() {
            Ok(slope) => Ok(MarginLink::Logistic(slope)),
            Err(_) => Err(format!("its sigmoid is `{}`", slope.unwrap_or_default())),
        },
        "cross_entropy" | "xentropy" => Ok(MarginLink::Logistic(1.0)),
        "multiclass" | "softmax" => Ok(MarginLink::Softmax),
        other => Err(format!(
            "its objective `{other}` gives no probabilities of classes; binary, cross_entropy and multiclass do"
        )),
    }
}

/// The nodes of a tree: its splits in their order, then its leaves.
fn nodes(fields: &Fields<'_>) -> Result<Vec<EnsembleNode>, String> {
    let leaves: usize = fields.one("num_leaves")?;
    if leaves == 0 {
        return Err("it has no leaves".into());
    }
    if fields
        .0
        .get("is_linear")
        .is_some_and(|&linear| linear != "0")
    {
        return Err("its leaves are linear models, which are not supported".into());
    }
    let splits = leaves - 1;
    let values = fields.exactly::<f64>("leaf_value", leaves)?;
    // A tree of a single leaf has no counts.
    let covers = match splits {
        0 => vec![0.0],
        _ => fields.exactly::<f64>("leaf_count", leaves)?,
    };
    let ends = values.into_iter().zip(covers);
    let ends = ends.map(|(value, cover)| EnsembleNode::leaf(value, cover));
    if splits == 0 {
        return Ok(ends.collect());
    }
    let columns = fields.exactly::<usize>("split_feature", splits)?;
    let thresholds = fields.exactly::<f64>("threshold", splits)?;
    let decisions = fields.exactly::<u8>("decision_type", splits)?;
    let left = fields.exactly::<i64>("left_child", splits)?;
    let right = fields.exactly::<i64>("right_child", splits)?;
    let covers = fields.exactly::<f64>("internal_count", splits)?;
    let mut nodes = Vec::with_capacity(splits + leaves);
    for i in 0..splits {
        if decisions[i] & CATEGORICAL != 0 {
            return Err("it splits by categories, which are not supported".into());
        }
        let missing = (decisions[i] >> 2) & 3;
        nodes.push(EnsembleNode {
            children: [child(left[i], splits)?, child(right[i], splits)?],
            column: columns[i],
            threshold: above(thresholds[i])?,
            // Without missing values, NaN counts as zero.
            missing_left: match missing {
                MISSING_NONE => 0.0 <= thresholds[i],
                _ => decisions[i] & DEFAULT_LEFT != 0,
            },
            zero_missing: missing == MISSING_ZERO,
            value: 0.0,
            cover: covers[i],
        });
    }
    nodes.extend(ends);
    Ok(nodes)
}

/// The index of a child, which LightGBM writes as a split, or as the complement of a leaf.
fn child(index: i64, splits: usize) -> Result<usize, String> {
    let (index, from) = match index < 0 {
        true => (!index, splits),
        false => (index, 0),
    };
    let index = usize::try_from(index).map_err(|e| e.to_string())?;
    Ok(index.saturating_add(from))
}

/// The 32-bit number `t` for which `value < t` says the same of 32-bit values as `value <= threshold`.
fn above(threshold: f64) -> Result<f32, String> {
    if threshold.is_nan() {
        return Err("a threshold is NaN".into());
    }
    let nearest = threshold as f32;
    let below = match f64::from(nearest) > threshold {
        true => nearest.next_down(),
        false => nearest,
    };
    // It is infinite where only missing values go right: LightGBM then writes 1e300 or more.
    Ok(below.next_up())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_threshold_of_32_bits_divides_32_bit_values_as_one_of_64() {
        for threshold in [
            0.1,
            0.716_000_000_000_000_1,
            -1e-40,
            0.0,
            0.25,
            1e-300,
            -3.0,
        ] {
            let t = above(threshold).unwrap();
            let near = threshold as f32;
            for value in [near.next_down(), near, near.next_up(), -near] {
                let theirs = f64::from(value) <= threshold;
                assert_eq!(value < t, theirs, "{value} at {threshold}");
            }
        }
        assert_eq!(above(1e300).unwrap(), f32::INFINITY);
        assert_eq!(above(-1e300).unwrap(), f32::MIN);
        assert!(above(f64::NAN).is_err());
    }
}

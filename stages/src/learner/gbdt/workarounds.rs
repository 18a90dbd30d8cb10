//! Keeps the defects of the crate `gbdt` (0.1.3) from doing harm. Nothing else calls the crate.
//!
//! - **It takes values nearer than 1e-5 for equal**, whatever their unit: a column of small numbers would
//!   have no splits. It is therefore given the rank of each value among the column's distinct ones
//!   ([`Grower::new`]), and thresholds are put back half way between two values
//!   ([`Grower::restore_thresholds`]).
//! - **It takes a node of total weight 1 or less for pure** and does not split it. Weights are therefore
//!   scaled so that the least is 1 ([`Grower::new`]).
//! - **It knows only the least of all floats as a missing value, and learns no side for it.** It never sees
//!   one: they are imputed before ([`ImputedColumn`]).
//! - **It panics where it should return an error.** A panic becomes an error ([`Grower::grow`]).
//! - **Its trees have no public nodes, and its own prediction takes exponentials from the platform.** Trees
//!   are read from their serde form ([`Grown`]), checked, and walked by our own code.
//! - **Its boosting loop draws rows from a generator that cannot be seeded, and cannot stop early.** Only
//!   single trees are grown here; the loop is in the folder's root.

use std::panic::{AssertUnwindSafe, catch_unwind};

use ::gbdt::config::Loss;
use ::gbdt::decision_tree::{Data, DecisionTree, TrainingCache};
use serde::Deserialize;

use super::super::{LearnError, LearnerParams, Matrix};
use super::tree::{Tree, TreeNode};
use super::{ImputedColumn, imputed};

/// The training rows in the form that the crate takes, and the growing of trees on them.
pub struct Grower {
    /// The distinct training values of each column, ascending.
    distinct: Vec<Vec<f32>>,
    /// One item for each row, whose features are ranks in `distinct`.
    rows: Vec<Data>,
    cache: TrainingCache,
}

impl Grower {
    /// Takes the rows of `x`, with a weight for each.
    pub fn new(x: &Matrix, columns: Vec<ImputedColumn>, weights: &[f64]) -> Self {
        let least = weights.iter().copied().fold(f64::INFINITY, f64::min);
        let row = |(row, weight): (usize, &f64)| {
            let values = x.row(row).iter().zip(&columns);
            let ranks = values.map(|(&value, column)| {
                let value = imputed(value, column.median);
                column.distinct.partition_point(|&d| d < value) as f32
            });
            Data::new_training_data(ranks.collect(), (weight / least) as f32, 0.0, None)
        };
        let rows: Vec<Data> = weights.iter().enumerate().map(row).collect();
        Grower {
            // Level 2 is the crate's default, which sorts every column once.
            cache: TrainingCache::get_cache(x.cols(), &rows, 2),
            distinct: columns.into_iter().map(|column| column.distinct).collect(),
            rows,
        }
    }

    /// The weight of a row.
    pub fn weight(&self, row: usize) -> f64 {
        f64::from(self.rows[row].weight)
    }

    /// The value that the next tree should give for a row.
    pub fn target(&self, row: usize) -> f64 {
        f64::from(self.rows[row].target)
    }

    /// Sets the value that the next tree should give for each row.
    pub fn aim(&mut self, targets: impl Iterator<Item = f64>) {
        for (row, target) in self.rows.iter_mut().zip(targets) {
            row.target = target as f32;
        }
    }

    /// The rank of a row's value in a column.
    pub fn rank(&self, row: usize, column: usize) -> f32 {
        self.rows[row].feature[column]
    }

    /// Grows a tree on the rows of `sample`. Its thresholds are ranks.
    ///
    /// # Errors
    /// [`LearnError::Library`] when the crate panics, or returns something that is not a tree.
    pub fn grow(&mut self, sample: &[usize], params: &LearnerParams) -> Result<Tree, LearnError> {
        let columns = self.distinct.len();
        let mut tree = DecisionTree::new();
        tree.set_feature_size(columns);
        tree.set_max_depth(params.max_depth as u32);
        tree.set_min_leaf_size(params.min_samples.unwrap_or(1));
        tree.set_loss(Loss::LogLikelyhood);
        // The cache is rebuilt from the targets at the start of each tree, so a panic leaves nothing
        // that a later tree could read. No tree follows anyway, because the error ends this fit.
        let (rows, cache) = (&self.rows, &mut self.cache);
        catch_unwind(AssertUnwindSafe(|| tree.fit_n(rows, sample, cache))).map_err(|_| {
            LearnError::Library("the gbdt crate panicked while growing a tree".into())
        })?;
        let grown = serde_json::to_value(&tree).and_then(serde_json::from_value::<Grown>);
        let grown =
            grown.map_err(|e| LearnError::Library(format!("unreadable gbdt tree: {e}").into()))?;
        let tree = Tree::from(grown);
        tree.check(columns)
            .map_err(|e| LearnError::Library(e.into()))?;
        Ok(tree)
    }

    /// Turns thresholds between two ranks into thresholds half way between the values of these ranks.
    pub fn restore_thresholds(&self, tree: &mut Tree) {
        for node in &mut tree.0 {
            if let TreeNode::Split {
                column, threshold, ..
            } = node
            {
                let values = &self.distinct[*column];
                // A rank below the threshold is at most its floor: ranks k and k + n give k + n / 2,
                // and the ranks between do not occur in the node.
                let above = (threshold.ceil() as usize).clamp(1, values.len() - 1);
                let (low, high) = (values[above - 1], values[above]);
                let middle = low / 2.0 + high / 2.0;
                // There is nothing between two neighbouring numbers.
                *threshold = if middle > low { middle } else { high };
            }
        }
    }
}

/// The part of the serde form of `gbdt::decision_tree::DecisionTree` that is read.
#[derive(Deserialize)]
struct Grown {
    tree: Arena,
}

#[derive(Deserialize)]
struct Arena {
    tree: Vec<GrownNode>,
}

#[derive(Deserialize)]
struct GrownNode {
    value: GrownValue,
    left: usize,
    right: usize,
}

#[derive(Deserialize)]
struct GrownValue {
    feature_index: usize,
    feature_value: f32,
    pred: f32,
    is_leaf: bool,
}

impl From<Grown> for Tree {
    fn from(grown: Grown) -> Tree {
        let node = |node: &GrownNode| match node.value.is_leaf {
            true => TreeNode::Leaf(node.value.pred),
            false => TreeNode::Split {
                column: node.value.feature_index,
                threshold: node.value.feature_value,
                left: node.left,
                right: node.right,
            },
        };
        Tree(grown.tree.tree.iter().map(node).collect())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn split(threshold: f32) -> Tree {
        let root = TreeNode::Split {
            column: 0,
            threshold,
            left: 1,
            right: 2,
        };
        Tree(vec![root, TreeNode::Leaf(-1.0), TreeNode::Leaf(1.0)])
    }

    #[test]
    fn thresholds_lie_between_the_values_of_their_ranks() {
        let tiny = f32::MIN_POSITIVE;
        for (values, rank, wanted) in [
            (vec![1.0, 3.0, 10.0], 0.5, 2.0),
            (vec![1.0, 3.0, 10.0], 1.5, 6.5),
            // Ranks 0 and 2 met in a node without rank 1.
            (vec![1.0, 3.0, 10.0], 1.0, 2.0),
            (vec![tiny, 2.0 * tiny], 0.5, 1.5 * tiny),
            (vec![1.0, 1.0f32.next_up()], 0.5, 1.0f32.next_up()),
        ] {
            let mut tree = split(rank);
            let x = Matrix::new(values.len(), 1, Arc::new(values.clone())).unwrap();
            let column = ImputedColumn::of(&x, 0);
            let weights = vec![1.0; values.len()];
            Grower::new(&x, vec![column], &weights).restore_thresholds(&mut tree);
            assert_eq!(tree, split(wanted), "{values:?}");
            for (at, &value) in values.iter().enumerate() {
                let side = if (at as f32) < rank { -1.0 } else { 1.0 };
                assert_eq!(tree.value(|_| value), side, "{value} in {values:?}");
            }
        }
    }
}

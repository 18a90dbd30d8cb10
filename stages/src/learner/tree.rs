//! Regression trees read from the `gbdt` crate's serde form.

use serde::{Deserialize, Serialize};

/// A binary tree whose node 0 is the root; children come after their parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree(pub Vec<Node>);

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum Node {
    /// Rows whose value in `column` is below `threshold` go to node `left`, others to `right`.
    Split {
        column: usize,
        threshold: f32,
        left: usize,
        right: usize,
    },
    /// The value of the rows that end here.
    Leaf(f32),
}

impl Tree {
    /// Calls `visit` with the index of each node from the root to the leaf of the row whose value in a
    /// column is `feature(column)`.
    pub fn walk(&self, feature: impl Fn(usize) -> f32, mut visit: impl FnMut(usize)) {
        let mut at = 0;
        visit(at);
        while let Node::Split {
            column,
            threshold,
            left,
            right,
        } = self.0[at]
        {
            at = if feature(column) < threshold {
                left
            } else {
                right
            };
            visit(at);
        }
    }

    /// The value of the leaf that a row reaches.
    pub fn value(&self, feature: impl Fn(usize) -> f32) -> f64 {
        let mut last = 0;
        self.walk(feature, |node| last = node);
        match self.0[last] {
            Node::Leaf(value) => f64::from(value),
            Node::Split { .. } => 0.0,
        }
    }

    /// Turns thresholds between two ranks into thresholds between the values of these ranks, where
    /// `distinct[column]` are the distinct values of a column in ascending order.
    pub fn restore_thresholds(&mut self, distinct: &[Vec<f32>]) {
        for node in &mut self.0 {
            if let Node::Split {
                column, threshold, ..
            } = node
            {
                let values = &distinct[*column];
                // A rank below the threshold is at most its floor: ranks k and k + n give k + n / 2,
                // and the ranks between do not occur in the node.
                let above = (threshold.ceil() as usize).clamp(1, values.len() - 1);
                let (low, high) = (values[above - 1], values[above]);
                let middle = low / 2.0 + high / 2.0;
                // Two neighbouring numbers have nothing between them.
                *threshold = if middle > low { middle } else { high };
            }
        }
    }

    /// Refuses a tree that cannot be walked over rows of `columns` values.
    pub fn check(&self, columns: usize) -> Result<(), String> {
        if self.0.is_empty() {
            return Err("a tree without nodes".into());
        }
        for (at, node) in self.0.iter().enumerate() {
            let good = match *node {
                Node::Leaf(value) => value.is_finite(),
                Node::Split {
                    column,
                    threshold,
                    left,
                    right,
                } => {
                    let child = |c: usize| c > at && c < self.0.len();
                    column < columns && threshold.is_finite() && child(left) && child(right)
                }
            };
            if !good {
                return Err(format!(
                    "node {at} of a tree of {columns} columns is {node:?}"
                ));
            }
        }
        Ok(())
    }
}

/// The serde form of `gbdt::decision_tree::DecisionTree` in gbdt 0.1.3, as far as it is read.
#[derive(Deserialize)]
pub struct Grown {
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
            true => Node::Leaf(node.value.pred),
            false => Node::Split {
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
    use super::*;

    fn split(threshold: f32) -> Tree {
        let root = Node::Split {
            column: 0,
            threshold,
            left: 1,
            right: 2,
        };
        Tree(vec![root, Node::Leaf(-1.0), Node::Leaf(1.0)])
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
            tree.restore_thresholds(std::slice::from_ref(&values));
            assert_eq!(tree, split(wanted), "{values:?}");
            for (at, &value) in values.iter().enumerate() {
                let side = if (at as f32) < rank { -1.0 } else { 1.0 };
                assert_eq!(tree.value(|_| value), side, "{value} in {values:?}");
            }
        }
    }

    #[test]
    fn broken_trees_are_refused() {
        assert!(split(1.0).check(1).is_ok());
        assert!(split(1.0).check(0).is_err(), "column out of range");
        assert!(split(f32::NAN).check(1).is_err());
        assert!(Tree(vec![]).check(1).is_err());
        let mut cycle = split(1.0);
        cycle.0[1] = cycle.0[0];
        assert!(cycle.check(1).is_err());
    }
}

//! Regression trees in the form that models keep.

use serde::{Deserialize, Serialize};

/// A binary tree whose node 0 is the root; children come after their parent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tree(pub Vec<TreeNode>);

/// A node of a [`Tree`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub enum TreeNode {
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
        while let TreeNode::Split {
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

    /// Returns the value of the leaf that a row reaches.
    pub fn value(&self, feature: impl Fn(usize) -> f32) -> f64 {
        let mut last = 0;
        self.walk(feature, |node| last = node);
        match self.0[last] {
            TreeNode::Leaf(value) => f64::from(value),
            TreeNode::Split { .. } => 0.0,
        }
    }

    /// Refuses a tree that cannot be walked over rows of `columns` values.
    pub fn check(&self, columns: usize) -> Result<(), String> {
        if self.0.is_empty() {
            return Err("a tree without nodes".into());
        }
        for (at, node) in self.0.iter().enumerate() {
            let good = match *node {
                TreeNode::Leaf(value) => value.is_finite(),
                TreeNode::Split {
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

#[cfg(test)]
mod tests {
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

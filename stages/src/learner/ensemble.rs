//! Sums of decision trees as plain data, wherever they were fitted: what predicts a model of a user's own,
//! what Shapley values are computed of, and what is written for other programs.

use super::objective::{sigmoid, softmax};
use super::{LearnError, Matrix, check_width};

/// A node of a tree. Node 0 is the root, so a child is never 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EnsembleNode {
    /// The children of rows below the threshold, and of others; both 0 in a leaf.
    pub children: [usize; 2],
    /// The column that is compared.
    pub column: usize,
    /// Rows whose value is below it go left.
    pub threshold: f32,
    /// Rows without a value go left.
    pub missing_left: bool,
    /// Zero counts as missing.
    pub zero_missing: bool,
    /// What a leaf adds to the margin.
    pub value: f64,
    /// The training rows of the node, as the program that fitted it counts them: their number, or the sum of
    /// their second derivatives.
    pub cover: f64,
}

impl EnsembleNode {
    /// A leaf.
    pub fn leaf(value: f64, cover: f64) -> Self {
        EnsembleNode {
            children: [0; 2],
            column: 0,
            threshold: 0.0,
            missing_left: false,
            zero_missing: false,
            value,
            cover,
        }
    }

    /// Whether the node has no children.
    pub fn is_leaf(&self) -> bool {
        self.children == [0; 2]
    }

    /// The child that a row goes to, and the other one.
    pub fn turn(&self, row: &[f32]) -> [usize; 2] {
        let value = row[self.column];
        let missing = value.is_nan() || (self.zero_missing && value.abs() <= ZERO);
        let left = if missing {
            self.missing_left
        } else {
            value < self.threshold
        };
        let [a, b] = self.children;
        if left { [a, b] } else { [b, a] }
    }
}

/// The largest magnitude that LightGBM takes for zero (`kZeroThreshold`).
const ZERO: f32 = 1e-35;

/// A tree, and the margin that it adds to.
#[derive(Clone, Debug, PartialEq)]
pub struct EnsembleTree {
    /// The nodes, the root first.
    pub nodes: Vec<EnsembleNode>,
    /// The index of the margin.
    pub output: usize,
}

impl EnsembleTree {
    /// The value of the leaf that a row reaches.
    pub fn value(&self, row: &[f32]) -> f64 {
        let mut node = &self.nodes[0];
        while !node.is_leaf() {
            node = &self.nodes[node.turn(row)[0]];
        }
        node.value
    }

    /// The number of splits on the longest way from the root to a leaf; `None` if nodes are missing, used
    /// twice or not used, or a column is not below `columns`.
    fn depth(&self, columns: usize) -> Option<usize> {
        let mut seen = vec![false; self.nodes.len()];
        let (mut deepest, mut stack) = (0, vec![(0, 0)]);
        while let Some((at, depth)) = stack.pop() {
            let node = self.nodes.get(at)?;
            if std::mem::replace(&mut seen[at], true) {
                return None;
            }
            deepest = deepest.max(depth);
            if !node.is_leaf() {
                if node.column >= columns || node.children.contains(&0) {
                    return None;
                }
                stack.extend(node.children.map(|child| (child, depth + 1)));
            }
        }
        seen.iter().all(|&seen| seen).then_some(deepest)
    }
}

/// How margins become probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MarginLink {
    /// One margin, the log-odds of class 1 divided by this slope.
    Logistic(f64),
    /// A margin for each class, as softmax takes them.
    Softmax,
}

/// How the values of the trees are summed, each in the order of the trees.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MarginSum {
    /// In 32 bits, as XGBoost and hessboost do.
    Single,
    /// In 64 bits, as LightGBM does.
    Double,
}

/// The most splits on a way from the root to a leaf. Deeper trees come from damaged files only.
const MOST_DEPTH: usize = 4_096;

/// A sum of trees.
#[derive(Clone, Debug, PartialEq)]
pub struct TreeEnsemble {
    /// The trees, in the order in which they are summed.
    pub trees: Vec<EnsembleTree>,
    /// What each margin starts from.
    pub base: Vec<f64>,
    /// The number of columns of a row.
    pub columns: usize,
    /// How margins become probabilities.
    pub link: MarginLink,
    /// The precision of sums.
    pub sum: MarginSum,
}

impl TreeEnsemble {
    /// Refuses an ensemble that was read but cannot be used.
    ///
    /// # Errors
    /// [`LearnError::Model`] if a tree is no tree over the columns, or the margins do not fit the link.
    pub fn checked(self) -> Result<Self, LearnError> {
        let refuse = |reason: String| Err(LearnError::Model(reason.into()));
        let outputs = self.base.len();
        let fits = match self.link {
            MarginLink::Logistic(slope) => outputs == 1 && slope.is_finite() && slope > 0.0,
            MarginLink::Softmax => outputs >= 2,
        };
        if !fits {
            return refuse(format!(
                "{outputs} margins a row do not fit its loss, {:?}",
                self.link
            ));
        }
        for (index, tree) in self.trees.iter().enumerate() {
            let finite = |node: &EnsembleNode| {
                let numbers = node.value.is_finite() && node.cover.is_finite();
                numbers && node.cover >= 0.0 && !node.threshold.is_nan()
            };
            let depth = tree.depth(self.columns);
            let sound = depth.is_some_and(|depth| depth <= MOST_DEPTH);
            if !sound || tree.output >= outputs || !tree.nodes.iter().all(finite) {
                return refuse(format!("tree {index} is no tree over its columns"));
            }
        }
        Ok(self)
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.base.len().max(2)
    }

    /// Margins, row-major, one or [`TreeEnsemble::n_classes`] a row.
    ///
    /// # Errors
    /// [`LearnError::Data`] if the matrix has another number of columns.
    pub fn margins(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        check_width(x, self.columns)?;
        let mut margins = Vec::with_capacity(x.rows() * self.base.len());
        for row in (0..x.rows()).map(|row| x.row(row)) {
            let from = margins.len();
            margins.extend(&self.base);
            for tree in &self.trees {
                let margin = &mut margins[from + tree.output];
                let value = tree.value(row);
                *margin = match self.sum {
                    MarginSum::Single => f64::from(*margin as f32 + value as f32),
                    MarginSum::Double => *margin + value,
                };
            }
        }
        Ok(margins)
    }

    /// Class probabilities as [`super::Model::predict`] gives them.
    ///
    /// # Errors
    /// As for [`TreeEnsemble::margins`].
    pub fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        let margins = self.margins(x)?;
        Ok(match self.link {
            MarginLink::Logistic(slope) => margins
                .iter()
                .flat_map(|&margin| {
                    let p = sigmoid(slope * margin);
                    [1.0 - p, p]
                })
                .collect(),
            MarginLink::Softmax => {
                let (classes, mut p) = (self.base.len(), vec![0.0; margins.len()]);
                for (m, p) in margins.chunks(classes).zip(p.chunks_mut(classes)) {
                    softmax(m, p);
                }
                p
            }
        })
    }
}

//! Shapley values of trees: how far each feature moved a margin from its mean over the training rows.
//!
//! Path-dependent TreeSHAP (Lundberg, Erion and Lee 2018, "Consistent individualized feature attribution for
//! tree ensembles", arXiv:1802.03888, Algorithm 2). A feature that is left out of a coalition is averaged over
//! by following both children of its splits, each by its share of the training rows. The values of a row
//! and the mean add up to its margin.

use super::Explainer;
use super::ensemble::{EnsembleTree, MarginLink, TreeEnsemble};

/// A feature on the way to a node: the m_i of the paper.
#[derive(Clone, Copy)]
struct PathElement {
    /// The column; `None` for the root.
    column: Option<usize>,
    /// The share of coalitions without the feature that flow this way.
    zero: f64,
    /// 1 if coalitions with the feature flow this way, else 0.
    one: f64,
    /// The sum of the weights of all subsets of a size.
    weight: f64,
}

impl Explainer for TreeEnsemble {
    fn add(&self, row: &[f32], class: usize, phi: &mut [f64]) {
        match self.link {
            // The log-odds of class 0 are those of class 1 with the other sign.
            MarginLink::Logistic(slope) => {
                let sign = if class == 1 { slope } else { -slope };
                let mut moved = vec![0.0; phi.len()];
                self.add_shap(row, 0, &mut moved);
                phi.iter_mut().zip(moved).for_each(|(p, m)| *p += sign * m);
            }
            MarginLink::Softmax => self.add_shap(row, class, phi),
        }
    }
}

impl TreeEnsemble {
    /// Adds the Shapley value of each column to `phi`, for the margin `output` of a row.
    pub fn add_shap(&self, row: &[f32], output: usize, phi: &mut [f64]) {
        for tree in self.trees.iter().filter(|tree| tree.output == output) {
            let root = PathElement {
                column: None,
                zero: 1.0,
                one: 1.0,
                weight: 1.0,
            };
            Recursion { tree, row, phi }.visit(0, &[], root);
        }
    }

    /// The mean of the margin `output` over the training rows: what the Shapley values of a row start from.
    pub fn mean_margin(&self, output: usize) -> f64 {
        let trees = self.trees.iter().filter(|tree| tree.output == output);
        trees.fold(self.base[output], |sum, tree| sum + mean(tree))
    }
}

/// The mean of a tree's leaves, weighted by their rows.
fn mean(tree: &EnsembleTree) -> f64 {
    let (mut sum, mut stack) = (0.0, vec![(0, 1.0)]);
    while let Some((at, share)) = stack.pop() {
        let node = &tree.nodes[at];
        if node.is_leaf() {
            sum += share * node.value;
        } else {
            stack.extend(
                node.children
                    .map(|child| (child, share * part(tree, at, child))),
            );
        }
    }
    sum
}

/// The share of a node's rows that go to one of its children; one half if the node has none.
fn part(tree: &EnsembleTree, node: usize, child: usize) -> f64 {
    match tree.nodes[node].cover {
        cover if cover > 0.0 => tree.nodes[child].cover / cover,
        _ => 0.5,
    }
}

struct Recursion<'a> {
    tree: &'a EnsembleTree,
    row: &'a [f32],
    phi: &'a mut [f64],
}

impl Recursion<'_> {
    /// Visits a node that is reached by `path` and then by the feature `by`.
    fn visit(&mut self, at: usize, path: &[PathElement], by: PathElement) {
        let mut path = extended(path, by);
        let node = &self.tree.nodes[at];
        if node.is_leaf() {
            for (i, element) in path.iter().enumerate() {
                if let Some(column) = element.column {
                    let share = element.one - element.zero;
                    self.phi[column] += unwound_sum(&path, i) * share * node.value;
                }
            }
            return;
        }
        // A feature that is on the way already is taken off it, and put on again with both its shares.
        let (mut zero, mut one) = (1.0, 1.0);
        let same = |element: &PathElement| element.column == Some(node.column);
        if let Some(before) = path.iter().position(same) {
            (zero, one) = (path[before].zero, path[before].one);
            unwind(&mut path, before);
        }
        let [hot, cold] = node.turn(self.row);
        for (child, one) in [(hot, one), (cold, 0.0)] {
            let by = PathElement {
                column: Some(node.column),
                zero: zero * part(self.tree, at, child),
                one,
                weight: 0.0,
            };
            // No coalition comes to a child without training rows that the row itself does not go to.
            if by.zero != 0.0 || by.one != 0.0 {
                self.visit(child, &path, by);
            }
        }
    }
}

/// EXTEND of the paper.
fn extended(path: &[PathElement], by: PathElement) -> Vec<PathElement> {
    let depth = path.len();
    let mut path = path.to_vec();
    let weight = if depth == 0 { 1.0 } else { 0.0 };
    path.push(PathElement { weight, ..by });
    let size = (depth + 1) as f64;
    for i in (0..depth).rev() {
        let weight = path[i].weight;
        path[i + 1].weight += by.one * weight * (i + 1) as f64 / size;
        path[i].weight = by.zero * weight * (depth - i) as f64 / size;
    }
    path
}

/// UNWIND of the paper: takes element `at` off the path.
fn unwind(path: &mut Vec<PathElement>, at: usize) {
    let last = path.len() - 1;
    let PathElement { zero, one, .. } = path[at];
    let (mut next, size) = (path[last].weight, (last + 1) as f64);
    for i in (0..last).rev() {
        let weight = path[i].weight;
        if one != 0.0 {
            path[i].weight = next * size / ((i + 1) as f64 * one);
            next = weight - path[i].weight * zero * (last - i) as f64 / size;
        } else {
            path[i].weight = weight * size / (zero * (last - i) as f64);
        }
    }
    for i in at..last {
        let PathElement {
            column, zero, one, ..
        } = path[i + 1];
        path[i] = PathElement {
            weight: path[i].weight,
            column,
            zero,
            one,
        };
    }
    path.pop();
}

/// The sum of the weights that are left when element `at` is taken off the path.
fn unwound_sum(path: &[PathElement], at: usize) -> f64 {
    let last = path.len() - 1;
    let PathElement { zero, one, .. } = path[at];
    let (mut next, mut total, size) = (path[last].weight, 0.0, (last + 1) as f64);
    for i in (0..last).rev() {
        if one != 0.0 {
            let weight = next * size / ((i + 1) as f64 * one);
            total += weight;
            next = path[i].weight - weight * zero * (last - i) as f64 / size;
        } else if zero != 0.0 {
            total += path[i].weight * size / (zero * (last - i) as f64);
        }
    }
    total
}

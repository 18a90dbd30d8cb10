//! Isolation forests: how easily a row is told apart from others (Liu, Ting and Zhou 2008).
//!
//! A tree splits a sample of rows by random columns at random values until each row is alone. A row that is unlike
//! the others is alone after few splits. Its score is `2^(-E(h) / c(n))`, where h is the number of splits, the mean is
//! over the trees, and c(n) is the number that is expected of a sample of n rows (equations 1 and 2 there).

use rayon::prelude::*;

use super::rng::Stream;

/// Settings of a forest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForestOptions {
    /// The number of trees.
    pub trees: usize,
    /// The rows that are drawn for each tree.
    pub sample: usize,
}

/// The place of a column in a leaf, which has none.
const LEAF: u32 = u32::MAX;
/// The bytes of a node in a file.
const NODE_BYTES: usize = 13;

/// A split, or a leaf. The left child of a split is the next node of its tree.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Node {
    /// The column that decides, or [`LEAF`].
    column: u32,
    /// Smaller values go to the left. In a leaf, the number of splits up to here and those that are expected of the
    /// rows that it still holds.
    value: f32,
    /// The place of the right child in the tree.
    right: u32,
    /// Whether a missing value goes to the left, to which more of the rows went.
    missing_left: bool,
}

/// A fitted forest.
#[derive(Clone, Debug, PartialEq)]
pub struct IsolationForest {
    trees: Vec<Vec<Node>>,
    /// The rows of the sample of each tree.
    sample: usize,
}

impl IsolationForest {
    /// Fits a forest on `rows` of a table with `width` values in each row. Missing values are NaN. Equal arguments
    /// always give the same forest.
    ///
    /// # Panics
    /// If a row is not in `values`.
    pub fn fit(
        values: &[f32],
        width: usize,
        rows: &[usize],
        options: &ForestOptions,
        seed: u64,
    ) -> Self {
        let sample = options.sample.min(rows.len());
        let trees = (0..options.trees).into_par_iter().map(|tree| {
            let mut stream = Stream::new(seed, &[tree as u64]);
            let mut drawn = rows.to_vec();
            for i in 0..sample {
                let other = i + stream.below((drawn.len() - i) as u64) as usize;
                drawn.swap(i, other);
            }
            drawn.truncate(sample);
            let mut growth = Growth {
                values,
                width,
                deepest: sample.max(2).next_power_of_two().trailing_zeros(),
                columns: (0..width).collect(),
                stream,
                nodes: Vec::new(),
            };
            growth.grow(&mut drawn, 0);
            growth.nodes
        });
        Self {
            trees: trees.collect(),
            sample,
        }
    }

    /// Returns the score of a row: near 1 if it is unlike the rows of the fit, below 0.5 if it is like many of them.
    pub fn score(&self, row: &[f32]) -> f64 {
        let splits: f64 = self
            .trees
            .iter()
            .map(|tree| f64::from(splits(tree, row)))
            .sum();
        let expected = expected_splits(self.sample);
        if self.trees.is_empty() || expected == 0.0 {
            return 0.5;
        }
        libm::exp2(-splits / self.trees.len() as f64 / expected)
    }

    /// Returns the forest as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for count in [self.sample, self.trees.len()] {
            bytes.extend((count as u64).to_le_bytes());
        }
        for tree in &self.trees {
            bytes.extend((tree.len() as u64).to_le_bytes());
            for node in tree {
                bytes.extend(node.column.to_le_bytes());
                bytes.extend(node.value.to_le_bytes());
                bytes.extend(node.right.to_le_bytes());
                bytes.push(u8::from(node.missing_left));
            }
        }
        bytes
    }

    /// Reads a forest from the beginning of `bytes`, and moves it behind that. `None` if it is not one for rows of
    /// `width` values.
    pub fn from_bytes(bytes: &mut &[u8], width: usize) -> Option<Self> {
        let sample = take_count(bytes)?;
        let trees = take_count(bytes)?;
        let mut forest = Self {
            trees: Vec::new(),
            sample,
        };
        for _ in 0..trees {
            let nodes = take_count(bytes)?;
            let (body, rest) = bytes.split_at_checked(nodes.checked_mul(NODE_BYTES)?)?;
            *bytes = rest;
            let tree: Vec<Node> = body.chunks_exact(NODE_BYTES).filter_map(node).collect();
            let fits = |(i, node): (usize, &Node)| {
                let splits = (node.column as usize) < width
                    && i + 1 < (node.right as usize)
                    && (node.right as usize) < tree.len();
                node.column == LEAF || splits
            };
            if tree.is_empty() || !tree.iter().enumerate().all(fits) {
                return None;
            }
            forest.trees.push(tree);
        }
        Some(forest)
    }
}

fn take_count(bytes: &mut &[u8]) -> Option<usize> {
    let (count, rest) = bytes.split_first_chunk::<8>()?;
    *bytes = rest;
    usize::try_from(u64::from_le_bytes(*count)).ok()
}

fn node(bytes: &[u8]) -> Option<Node> {
    let word = |at: usize| bytes.get(at..at + 4)?.try_into().ok();
    Some(Node {
        column: u32::from_le_bytes(word(0)?),
        value: f32::from_le_bytes(word(4)?),
        right: u32::from_le_bytes(word(8)?),
        missing_left: *bytes.get(12)? != 0,
    })
}

/// Returns the number of splits that a row passes in a tree.
fn splits(tree: &[Node], row: &[f32]) -> f32 {
    let mut at = 0;
    // Children come after their parents, so this ends.
    loop {
        let node = tree[at];
        if node.column == LEAF {
            return node.value;
        }
        let value = row[node.column as usize];
        let left = value < node.value || (value.is_nan() && node.missing_left);
        at = if left { at + 1 } else { node.right as usize };
    }
}

/// The mean number of splits that an unsuccessful search in a binary tree of `n` rows passes, c(n).
fn expected_splits(n: usize) -> f64 {
    /// Euler's constant.
    const GAMMA: f64 = 0.577_215_664_901_532_9;
    let n = n as f64;
    if n <= 1.0 {
        0.0
    } else if n == 2.0 {
        1.0
    } else {
        2.0 * (libm::log(n - 1.0) + GAMMA) - 2.0 * (n - 1.0) / n
    }
}

/// A tree that grows.
struct Growth<'a> {
    values: &'a [f32],
    width: usize,
    /// The depth at which rows are no longer split.
    deepest: u32,
    /// All columns, in an order that is shuffled at each split.
    columns: Vec<usize>,
    stream: Stream,
    nodes: Vec<Node>,
}

impl Growth<'_> {
    /// Adds the node of some rows at a depth, and all below it.
    fn grow(&mut self, rows: &mut [usize], depth: u32) {
        let at = self.nodes.len();
        self.nodes.push(Node {
            column: LEAF,
            value: depth as f32 + expected_splits(rows.len()) as f32,
            right: 0,
            missing_left: false,
        });
        if depth >= self.deepest || rows.len() <= 1 {
            return;
        }
        let Some((column, value)) = self.split(rows) else {
            return;
        };
        let present = |row: usize| self.values[row * self.width + column];
        let below = rows.iter().filter(|&&row| present(row) < value).count();
        let above = rows.iter().filter(|&&row| present(row) >= value).count();
        let missing_left = below > above;
        let left = |row: usize| {
            let x = present(row);
            x < value || (x.is_nan() && missing_left)
        };
        // The order among the rows of a side has no meaning, but it must always be the same.
        let mut count = 0;
        for i in 0..rows.len() {
            if left(rows[i]) {
                rows.swap(i, count);
                count += 1;
            }
        }
        let (lefts, rights) = rows.split_at_mut(count);
        self.grow(lefts, depth + 1);
        let right = self.nodes.len() as u32;
        self.grow(rights, depth + 1);
        self.nodes[at] = Node {
            column: column as u32,
            value,
            right,
            missing_left,
        };
    }

    /// Draws a column in which the rows differ, and a value between the least and the largest. `None` if there is
    /// no such column.
    fn split(&mut self, rows: &[usize]) -> Option<(usize, f32)> {
        for i in 0..self.width {
            let other = i + self.stream.below((self.width - i) as u64) as usize;
            self.columns.swap(i, other);
            let column = self.columns[i];
            let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
            for row in rows {
                // The comparisons leave NaN out.
                let value = self.values[row * self.width + column];
                least = if value < least { value } else { least };
                most = if value > most { value } else { most };
            }
            if least < most {
                let value = self.stream.uniform_in(f64::from(least), f64::from(most)) as f32;
                // Rounding must not leave a side empty.
                let value = if value > least { value } else { most };
                return Some((column, value));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPTIONS: ForestOptions = ForestOptions {
        trees: 100,
        sample: 128,
    };

    /// Rows of two normal values, of which some are missing, and then one far away.
    fn cloud(missing: f64) -> Vec<f32> {
        let mut stream = Stream::new(1, &[]);
        let mut values: Vec<f32> = (0..1000)
            .map(|_| {
                let value = stream.normal() as f32;
                if stream.uniform() < missing {
                    f32::NAN
                } else {
                    value
                }
            })
            .collect();
        values.extend([6.0, -6.0]);
        values
    }

    fn fitted(values: &[f32], seed: u64) -> IsolationForest {
        let rows: Vec<usize> = (0..500).collect();
        IsolationForest::fit(values, 2, &rows, &OPTIONS, seed)
    }

    #[test]
    fn a_row_that_is_unlike_the_others_has_the_largest_score() {
        for missing in [0.0, 0.3] {
            let values = cloud(missing);
            let forest = fitted(&values, 3);
            let scores: Vec<f64> = values.chunks(2).map(|row| forest.score(row)).collect();
            let far = scores[500];
            assert!(scores[..500].iter().all(|s| *s < far && *s > 0.0), "{far}");
            assert!(far > 0.65 && forest.score(&[0.0, 0.0]) < 0.5, "{far}");
            // Rows without any value are scored as well.
            let none = forest.score(&[f32::NAN, f32::NAN]);
            assert!(none > 0.0 && none < far, "{none}");
        }
    }

    #[test]
    fn the_score_is_that_of_the_paper() {
        // Two rows are apart after one split, and c(2) is 1.
        let forest = IsolationForest::fit(&[0.0, 1.0], 1, &[0, 1], &OPTIONS, 1);
        assert_eq!(forest.score(&[0.0]), 0.5);
        // Rows that are all equal cannot be split: h is c(n), and the score 1/2.
        let forest =
            IsolationForest::fit(&[7.0; 100], 1, &(0..100).collect::<Vec<_>>(), &OPTIONS, 1);
        assert!((forest.score(&[7.0]) - 0.5).abs() < 1e-6);
        // c(256) is in table 1 of Liu, Ting and Zhou (2012) as 10.24.
        assert!((expected_splits(256) - 10.244).abs() < 1e-3);
        let none = IsolationForest::fit(&[], 1, &[], &OPTIONS, 1);
        assert_eq!(none.score(&[1.0]), 0.5);
    }

    #[test]
    fn the_seed_and_the_rows_decide_the_forest() {
        let values = cloud(0.1);
        assert_eq!(fitted(&values, 3).to_bytes(), fitted(&values, 3).to_bytes());
        assert_ne!(fitted(&values, 3), fitted(&values, 4));
        let few: Vec<usize> = (0..200).collect();
        let other = IsolationForest::fit(&values, 2, &few, &OPTIONS, 3);
        let mut changed = values.clone();
        // Rows that are not fitted on have no influence.
        changed[400..].fill(0.0);
        assert_eq!(other, IsolationForest::fit(&changed, 2, &few, &OPTIONS, 3));
        let less = ForestOptions {
            trees: 10,
            ..OPTIONS
        };
        assert_eq!(
            IsolationForest::fit(&values, 2, &few, &less, 3).trees.len(),
            10
        );
        let short = ForestOptions {
            sample: 16,
            ..OPTIONS
        };
        let shallow = IsolationForest::fit(&values, 2, &few, &short, 3);
        assert!(shallow.trees.iter().all(|tree| tree.len() <= 31));
    }

    #[test]
    fn bytes_give_the_same_forest_and_damage_is_noticed() {
        let forest = fitted(&cloud(0.1), 3);
        let bytes = forest.to_bytes();
        let mut left = &bytes[..];
        assert_eq!(IsolationForest::from_bytes(&mut left, 2), Some(forest));
        assert!(left.is_empty());
        assert_eq!(IsolationForest::from_bytes(&mut &bytes[..], 1), None);
        for end in [0, 7, 20, bytes.len() - 1] {
            assert_eq!(IsolationForest::from_bytes(&mut &bytes[..end], 2), None);
        }
        let mut circle = bytes.clone();
        // The right child of the first split is that split.
        circle[24 + 8..24 + 12].fill(0);
        assert_eq!(IsolationForest::from_bytes(&mut &circle[..], 2), None);
    }

    #[test]
    fn extreme_values_give_scores() {
        let values = [
            f32::MAX,
            f32::MIN,
            1e-45,
            0.0,
            -0.0,
            f32::NAN,
            1.0,
            f32::MAX,
        ];
        let rows: Vec<usize> = (0..8).collect();
        let forest = IsolationForest::fit(&values, 1, &rows, &OPTIONS, 1);
        for value in values {
            let score = forest.score(&[value]);
            assert!(score > 0.0 && score < 1.0, "{value}: {score}");
        }
    }
}

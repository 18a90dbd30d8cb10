//! Dilations, and the number of biases of each.

use super::{KERNELS, TAPS};

/// The fewest points of a series that a kernel without dilation fits in.
pub const LEAST_POINTS: usize = TAPS;

/// The dilations of all kernels for series of one length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DilationPlan {
    /// The number of points of a series.
    pub points: usize,
    /// The distances between neighbouring weights, ascending, in points.
    pub dilations: Vec<usize>,
    /// For each dilation, the number of biases of a kernel.
    pub biases: Vec<usize>,
}

impl DilationPlan {
    /// Plans about `features` biases in all: a multiple of 84 that is not larger, and at least 84. There are
    /// at most `most` dilations: the whole parts of powers of 2 whose exponents are equally spaced, up to
    /// the largest that fits, and several equal ones share their biases.
    ///
    /// Where `(points - 1) / 8` is a whole number, it is the largest dilation. In aeon, it may be one less, by
    /// the rounding of a power that differs between machines.
    ///
    /// A series of fewer than [`LEAST_POINTS`] points gets the dilation 1.
    pub fn new(points: usize, features: usize, most: usize) -> DilationPlan {
        let of_kernel = (features / KERNELS).max(1);
        let count = of_kernel.min(most.max(1));
        let reach = points.saturating_sub(1) as f64 / (TAPS - 1) as f64;
        let last = libm::log2(reach.max(1.0));
        let (mut dilations, mut times) = (Vec::<usize>::new(), Vec::<usize>::new());
        for i in 0..count {
            // The last power is the reach itself, whatever the rounding of its logarithm.
            let power = match count {
                1 => 1.0,
                _ if i + 1 == count => reach,
                _ => libm::exp2(last / (count - 1) as f64 * i as f64),
            };
            let dilation = (power as usize).max(1);
            if dilations.last() == Some(&dilation) {
                times[dilations.len() - 1] += 1;
            } else {
                dilations.push(dilation);
                times.push(1);
            }
        }
        let share = of_kernel as f64 / count as f64;
        let mut biases: Vec<usize> = times.iter().map(|&n| (n as f64 * share) as usize).collect();
        let rest = of_kernel.saturating_sub(biases.iter().sum());
        for i in 0..rest {
            let place = i % biases.len();
            biases[place] += 1;
        }
        DilationPlan {
            points,
            dilations,
            biases,
        }
    }

    /// The number of biases of all kernels and dilations.
    pub fn features(&self) -> usize {
        KERNELS * self.biases.iter().sum::<usize>()
    }

    /// The pairs of dilation and kernel, in the order of their features.
    pub(super) fn pairs(&self) -> impl Iterator<Item = Pair> {
        let mut first = 0;
        let dilations = self.dilations.iter().zip(&self.biases).enumerate();
        dilations.flat_map(move |(number, (&dilation, &biases))| {
            let start = first;
            first += KERNELS * biases;
            (0..KERNELS).map(move |kernel| Pair {
                kernel,
                dilation,
                whole: (number + kernel).is_multiple_of(2),
                first: start + kernel * biases,
                biases,
            })
        })
    }
}

/// A kernel with a dilation.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    pub(super) kernel: usize,
    pub(super) dilation: usize,
    /// All outputs count, also those for which the kernel reaches beyond the series.
    pub(super) whole: bool,
    /// The first of its features.
    pub(super) first: usize,
    /// The number of its features.
    pub(super) biases: usize,
}

//! Random kernels and the sets they come in.

use crate::numeric::rng::Stream;

/// The longest kernel of any variant.
pub(super) const MAX_TAPS: usize = 11;

/// How the random kernels are drawn. Bias, dilation and padding follow the same rules in both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KernelVariant {
    /// Dempster et al. (2020): lengths 7, 9 and 11, weights standard normal less their mean.
    Rocket,
    /// Lengths 7 and 9, weights -1, 0 or 1 with equal probability, less their mean.
    Ternary,
}

impl KernelVariant {
    fn lengths(self) -> &'static [usize] {
        match self {
            KernelVariant::Rocket => &[7, 9, 11],
            KernelVariant::Ternary => &[7, 9],
        }
    }

    fn weight(self, stream: &mut Stream) -> f64 {
        match self {
            KernelVariant::Rocket => stream.normal(),
            KernelVariant::Ternary => stream.below(3) as f64 - 1.0,
        }
    }
}

/// One dilated convolution; the fields are those of the formula in the module's documentation.
#[derive(Clone, Debug, PartialEq)]
pub struct Kernel {
    /// The first `length` entries are the weights; the others are zero.
    pub(super) weights: [f32; MAX_TAPS],
    pub(super) length: usize,
    pub(super) bias: f32,
    pub(super) dilation: usize,
    pub(super) padding: usize,
}

impl Kernel {
    /// A kernel of at most [`MAX_TAPS`] weights; further weights are dropped.
    pub(super) fn new(weights: &[f32], bias: f32, dilation: usize, padding: usize) -> Kernel {
        let length = weights.len().min(MAX_TAPS);
        let mut padded = [0.0; MAX_TAPS];
        padded[..length].copy_from_slice(&weights[..length]);
        Kernel {
            weights: padded,
            length,
            bias,
            dilation,
            padding,
        }
    }

    /// Draws a kernel for series of `series_len` points.
    ///
    /// With `T` points and `L` taps the dilation is `floor(2^u)`, `u` uniform between 0 and
    /// `log2((T-1)/(L-1))`, and the padding is `(L-1)*d/2` or none with equal probability. Where the
    /// series is shorter than the kernel the dilation is 1 and the kernel always padded, so that
    /// there are `T` outputs.
    fn draw(variant: KernelVariant, series_len: usize, stream: &mut Stream) -> Kernel {
        let lengths = variant.lengths();
        let length = lengths[stream.below(lengths.len() as u64) as usize];
        let mut weights = [0.0; MAX_TAPS];
        for weight in &mut weights[..length] {
            *weight = variant.weight(stream);
        }
        let mean = weights[..length].iter().sum::<f64>() / length as f64;
        let centred = weights.map(|weight| (weight - mean) as f32);
        let bias = stream.uniform_in(-1.0, 1.0) as f32;

        let largest = series_len.saturating_sub(1) / (length - 1);
        let fits = largest >= 1;
        let ratio = series_len.saturating_sub(1) as f64 / (length - 1) as f64;
        let limit = if fits { libm::log2(ratio) } else { 0.0 };
        let drawn = libm::exp2(stream.uniform_in(0.0, limit)) as usize;
        let dilation = drawn.clamp(1, largest.max(1));
        let padded = stream.below(2) == 1 || !fits;
        let padding = if padded {
            (length - 1) * dilation / 2
        } else {
            0
        };
        Kernel::new(&centred[..length], bias, dilation, padding)
    }

    /// The weights, first tap first.
    pub fn weights(&self) -> &[f32] {
        &self.weights[..self.length]
    }

    /// The bias.
    pub fn bias(&self) -> f32 {
        self.bias
    }

    /// The distance between neighbouring taps, in points.
    pub fn dilation(&self) -> usize {
        self.dilation
    }

    /// The number of zeros before and after the series.
    pub fn padding(&self) -> usize {
        self.padding
    }

    /// The number of outputs for a series of `series_len` points; 0 where the kernel does not fit.
    pub(super) fn outputs(&self, series_len: usize) -> usize {
        let reach = self.length.saturating_sub(1) * self.dilation;
        match series_len {
            0 => 0,
            _ => (series_len + 2 * self.padding).saturating_sub(reach),
        }
    }
}

/// A run of consecutive outputs that use the same taps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct TapRun {
    /// The first tap inside the series, and the number of taps inside.
    pub(super) tap: usize,
    pub(super) taps: usize,
    /// The point of the series under the first tap, for the first output.
    pub(super) first: usize,
    /// The number of outputs.
    pub(super) outputs: usize,
}

impl TapRun {
    /// Appends the segments of `kernel` for series of `series_len` points, in the order of outputs.
    fn push_all(kernel: &Kernel, series_len: usize, segments: &mut Vec<TapRun>) {
        let outputs = kernel.outputs(series_len);
        // In padded coordinates the series fills `inside`, and tap `j` of output `t` is at `t + j*d`.
        let inside = kernel.padding..kernel.padding + series_len;
        let mut start = 0;
        while start < outputs {
            let at = |tap: usize| start + tap * kernel.dilation;
            let tap = (0..kernel.length)
                .find(|&j| at(j) >= inside.start)
                .unwrap_or(kernel.length);
            let taps = (tap..kernel.length)
                .take_while(|&j| at(j) < inside.end)
                .count();
            // The run ends where an earlier tap enters the series or the last tap inside leaves it.
            let entering = (tap > 0).then(|| inside.start - at(tap - 1));
            let leaving = (taps > 0).then(|| inside.end - at(tap + taps - 1));
            let run = [entering, leaving, Some(outputs - start)];
            let run = run.into_iter().flatten().min().unwrap_or(1);
            let first = if taps > 0 { at(tap) - inside.start } else { 0 };
            segments.push(TapRun {
                tap,
                taps,
                first,
                outputs: run,
            });
            start += run;
        }
    }
}

/// Kernels for series of one length, ready to transform them.
#[derive(Clone, Debug)]
pub struct KernelSet {
    pub(super) series_len: usize,
    pub(super) kernels: Vec<Kernel>,
    /// The segments of all kernels, one kernel after the other.
    pub(super) segments: Vec<TapRun>,
    /// `segments[ends[k - 1]..ends[k]]` are those of kernel `k`.
    pub(super) ends: Vec<usize>,
}

impl KernelSet {
    /// Draws `n_kernels` kernels for series of `series_len` points.
    ///
    /// Kernel `j` depends only on `(variant, series_len, seed, band, j)`: it is drawn from the stream
    /// of `seed` at path `[band, j]`. A smaller set is therefore a prefix of a larger one.
    pub fn generate(
        variant: KernelVariant,
        n_kernels: usize,
        series_len: usize,
        seed: u64,
        band: u64,
    ) -> KernelSet {
        let kernels = (0..n_kernels as u64)
            .map(|j| Kernel::draw(variant, series_len, &mut Stream::new(seed, &[band, j])))
            .collect();
        KernelSet::from_kernels(series_len, kernels)
    }

    pub(super) fn from_kernels(series_len: usize, kernels: Vec<Kernel>) -> KernelSet {
        let mut segments = Vec::new();
        let mut ends = Vec::with_capacity(kernels.len());
        for kernel in &kernels {
            TapRun::push_all(kernel, series_len, &mut segments);
            ends.push(segments.len());
        }
        KernelSet {
            series_len,
            kernels,
            segments,
            ends,
        }
    }

    /// The kernels in the order of their features.
    pub fn kernels(&self) -> &[Kernel] {
        &self.kernels
    }

    /// The number of points of the series that this set is for.
    pub fn series_len(&self) -> usize {
        self.series_len
    }

    /// The number of features of one series: two for each kernel.
    pub fn n_features(&self) -> usize {
        2 * self.kernels.len()
    }
}

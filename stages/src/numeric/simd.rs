//! The instruction sets that numerical code is compiled for, and the process-wide choice between them.
//!
//! Code that LLVM vectorizes by itself is written once, as a [`Kernel`], and [`SimdLevel::run`] runs
//! the copy that was compiled for a level. Rust neither reassociates nor contracts floating-point
//! arithmetic, so all copies give the same bits.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

/// An instruction set, from least to most capable. The result of a computation never depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum SimdLevel {
    /// Portable code; `f32::mul_add` is exact but slow where the target has no fused multiply-add.
    Scalar,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// x86-64 with AVX-512 F, DQ and VL, which all processors with AVX-512 have but the Xeon Phi.
    Avx512,
}

/// The highest level that [`SimdLevel::active`] may return, as a number.
static CAP: AtomicU8 = AtomicU8::new(SimdLevel::Avx512 as u8);

impl SimdLevel {
    /// All levels in ascending order. The place of a level is its number.
    pub const ALL: [SimdLevel; 3] = [SimdLevel::Scalar, SimdLevel::Avx2, SimdLevel::Avx512];

    /// The best level that this processor has.
    pub fn detect() -> SimdLevel {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            let avx512 = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if avx2 && avx512 {
                return SimdLevel::Avx512;
            }
            if avx2 {
                return SimdLevel::Avx2;
            }
        }
        SimdLevel::Scalar
    }

    /// Forbids levels above `cap` in the whole process from now on.
    pub fn set_cap(cap: SimdLevel) {
        CAP.store(cap as u8, Ordering::Relaxed);
    }

    /// The level in use: the best one that the processor has and the cap allows.
    pub fn active() -> SimdLevel {
        let cap = Self::ALL[usize::from(CAP.load(Ordering::Relaxed))];
        SimdLevel::detect().min(cap)
    }

    /// Runs the copy of `kernel` that was compiled for this level, or for the best level of this
    /// processor if that is lower.
    pub fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.min(SimdLevel::detect()) {
            // SAFETY: the processor has what was detected.
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx512 => unsafe { run_avx512(kernel) },
            // SAFETY: as above.
            #[cfg(target_arch = "x86_64")]
            SimdLevel::Avx2 => unsafe { run_avx2(kernel) },
            _ => kernel.run(),
        }
    }

    /// The levels that this processor has, in ascending order.
    pub fn available() -> impl Iterator<Item = SimdLevel> {
        SimdLevel::ALL
            .into_iter()
            .filter(|&level| level <= SimdLevel::detect())
    }
}

/// A computation that is compiled once for each level.
///
/// Mark [`Kernel::run`], and every function that its inner loops call, `#[inline(always)]`: only code
/// that is inlined gets the instructions of a level. A closure cannot promise that.
pub trait Kernel {
    /// What the computation returns.
    type Output;
    /// Computes in plain arithmetic, without a fused multiply-add.
    fn run(self) -> Self::Output;
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl")]
fn run_avx512<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn run_avx2<K: Kernel>(kernel: K) -> K::Output {
    kernel.run()
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SimdLevel::Scalar => "scalar",
            SimdLevel::Avx2 => "avx2",
            SimdLevel::Avx512 => "avx512",
        })
    }
}

/// The text that is not the name of a level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseSimdLevelError(String);

impl fmt::Display for ParseSimdLevelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "unknown SIMD level {:?}: expected scalar, avx2 or avx512",
            self.0
        )
    }
}

impl std::error::Error for ParseSimdLevelError {}

impl FromStr for SimdLevel {
    type Err = ParseSimdLevelError;

    fn from_str(text: &str) -> Result<SimdLevel, ParseSimdLevelError> {
        SimdLevel::ALL
            .into_iter()
            .find(|level| level.to_string() == text)
            .ok_or_else(|| ParseSimdLevelError(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn level_names_round_trip() {
        for name in ["scalar", "avx2", "avx512"] {
            assert_eq!(name.parse::<SimdLevel>().unwrap().to_string(), name);
        }
        let error = "sse9".parse::<SimdLevel>().unwrap_err().to_string();
        assert!(
            error.contains("sse9") && error.contains("avx512"),
            "{error}"
        );
    }

    struct Sum<'a>(&'a [f64]);

    impl Kernel for Sum<'_> {
        type Output = f64;

        #[inline(always)]
        fn run(self) -> f64 {
            self.0.iter().fold(0.0, |sum, x| sum * 0.3 + x)
        }
    }

    #[test]
    fn a_kernel_gives_the_same_bits_at_every_level() {
        let values: Vec<f64> = (0..99).map(|i| 1.0 / f64::from(i + 3)).collect();
        let expected = Sum(&values).run();
        for level in SimdLevel::ALL {
            assert_eq!(level.run(Sum(&values)).to_bits(), expected.to_bits());
        }
    }
}

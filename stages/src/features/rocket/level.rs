//! The instruction sets that the transform can use, and the process-wide choice between them.

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
    /// x86-64 with AVX-512F.
    Avx512,
}

/// All levels in ascending order. The place of a level is its number.
const ALL: [SimdLevel; 3] = [SimdLevel::Scalar, SimdLevel::Avx2, SimdLevel::Avx512];

/// The highest level that [`SimdLevel::active`] may return, as a number.
static CAP: AtomicU8 = AtomicU8::new(SimdLevel::Avx512 as u8);

impl SimdLevel {
    /// The best level that this processor has.
    pub fn detect() -> SimdLevel {
        #[cfg(target_arch = "x86_64")]
        {
            let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
            if avx2 && is_x86_feature_detected!("avx512f") {
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
        let cap = ALL[usize::from(CAP.load(Ordering::Relaxed))];
        SimdLevel::detect().min(cap)
    }

    /// The levels that this processor has, in ascending order.
    pub fn available() -> impl Iterator<Item = SimdLevel> {
        ALL.into_iter()
            .filter(|&level| level <= SimdLevel::detect())
    }
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
        ALL.into_iter()
            .find(|level| level.to_string() == text)
            .ok_or_else(|| ParseSimdLevelError(text.to_owned()))
    }
}

//! Vectors of [`LANES`] series, one implementation for each SIMD level.

use crate::numeric::simd::SimdLevel;

/// The number of series that are processed side by side: one AVX-512 register, or a pair of AVX2
/// registers.
pub const LANES: usize = 16;

/// The values of [`LANES`] series at one time, aligned to a cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
pub struct LaneRow(pub [f32; LANES]);

impl LaneRow {
    /// Zeros.
    pub const ZERO: LaneRow = LaneRow([0.0; LANES]);

    /// Lays at most [`LANES`] series of `len` points side by side: a row for each time. `series` is row-major
    /// (series, time), and lanes without a series are zero.
    pub fn side_by_side(series: &[f32], len: usize) -> Vec<LaneRow> {
        let mut times = vec![LaneRow::ZERO; len];
        for (lane, values) in series.chunks_exact(len.max(1)).take(LANES).enumerate() {
            for (row, &value) in times.iter_mut().zip(values) {
                row.0[lane] = value;
            }
        }
        times
    }

    /// Writes columns to a row-major matrix with rows of `stride` values, a row for each lane, from place `at`
    /// of each row on.
    // Inlined into code for a level, it would become gathers, which are several times slower.
    #[inline(never)]
    pub fn write(columns: &[LaneRow], rows: &mut [f32], stride: usize, at: usize) {
        for (lane, row) in rows.chunks_exact_mut(stride).take(LANES).enumerate() {
            for (value, column) in row[at..][..columns.len()].iter_mut().zip(columns) {
                *value = column.0[lane];
            }
        }
    }
}

/// Arithmetic on [`LANES`] values at once, lane by lane, with the same result in every implementation.
///
/// # Safety
///
/// The processor must have the instructions of the implementation. All methods must be inlined into a
/// function that enables these instructions; otherwise they become calls.
pub trait Lanes: Copy {
    /// The same value in every lane.
    unsafe fn splat(value: f32) -> Self;
    /// The values of a row.
    unsafe fn load(row: &LaneRow) -> Self;
    /// Puts the values into a row.
    unsafe fn store(self, row: &mut LaneRow);
    /// `weight * x + self`, rounded once.
    unsafe fn add_product(self, weight: Self, x: Self) -> Self;
    /// Returns `candidate` where it is greater, else `self`. A candidate that is NaN is ignored.
    unsafe fn max(self, candidate: Self) -> Self;
    /// Returns `self + 1` where `value` is greater than `threshold`, else `self`.
    unsafe fn count_above(self, value: Self, threshold: Self) -> Self;
    /// `self / divisor`.
    unsafe fn divide(self, divisor: Self) -> Self;
    /// `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`.
    unsafe fn subtract(self, other: Self) -> Self;
    /// Returns `self` where `value` is greater than `threshold`, else `other`.
    unsafe fn where_above(self, value: Self, threshold: Self, other: Self) -> Self;
}

/// A computation that is compiled once for each level. Like that of [`crate::numeric::simd::Kernel`], but with
/// lanes of its own, where the compiler does not find the best instructions by itself.
pub trait LaneKernel {
    /// Computes. Every function that its inner loops call must be inlined.
    ///
    /// # Safety
    ///
    /// As for [`Lanes`].
    unsafe fn run<V: Lanes>(self);
}

/// Runs the copy of `kernel` for a level, or for the best level of this processor if that is lower.
pub fn run_at(level: SimdLevel, kernel: impl LaneKernel) {
    // SAFETY: the processor has what was detected.
    match level.min(SimdLevel::detect()) {
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx512 => unsafe { x86::run_avx512(kernel) },
        #[cfg(target_arch = "x86_64")]
        SimdLevel::Avx2 => unsafe { x86::run_avx2(kernel) },
        _ => unsafe { kernel.run::<Portable>() },
    }
}

/// Portable lanes.
#[derive(Clone, Copy)]
pub struct Portable([f32; LANES]);

impl Lanes for Portable {
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Portable([value; LANES])
    }

    #[inline(always)]
    unsafe fn load(row: &LaneRow) -> Self {
        Portable(row.0)
    }

    #[inline(always)]
    unsafe fn store(self, row: &mut LaneRow) {
        row.0 = self.0;
    }

    #[inline(always)]
    unsafe fn add_product(mut self, weight: Self, x: Self) -> Self {
        for (sum, (w, x)) in self.0.iter_mut().zip(weight.0.iter().zip(&x.0)) {
            *sum = w.mul_add(*x, *sum);
        }
        self
    }

    #[inline(always)]
    unsafe fn max(mut self, candidate: Self) -> Self {
        for (best, &value) in self.0.iter_mut().zip(&candidate.0) {
            *best = if value > *best { value } else { *best };
        }
        self
    }

    #[inline(always)]
    unsafe fn count_above(mut self, value: Self, threshold: Self) -> Self {
        for (count, (value, threshold)) in self.0.iter_mut().zip(value.0.iter().zip(&threshold.0)) {
            *count += if value > threshold { 1.0 } else { 0.0 };
        }
        self
    }

    #[inline(always)]
    unsafe fn divide(mut self, divisor: Self) -> Self {
        for (value, d) in self.0.iter_mut().zip(&divisor.0) {
            *value /= d;
        }
        self
    }

    #[inline(always)]
    unsafe fn add(mut self, other: Self) -> Self {
        for (sum, x) in self.0.iter_mut().zip(&other.0) {
            *sum += x;
        }
        self
    }

    #[inline(always)]
    unsafe fn subtract(mut self, other: Self) -> Self {
        for (sum, x) in self.0.iter_mut().zip(&other.0) {
            *sum -= x;
        }
        self
    }

    #[inline(always)]
    unsafe fn where_above(mut self, value: Self, threshold: Self, other: Self) -> Self {
        for (lane, x) in self.0.iter_mut().enumerate() {
            let above = value.0[lane] > threshold.0[lane];
            *x = if above { *x } else { other.0[lane] };
        }
        self
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{LaneKernel, LaneRow, Lanes};
    use std::arch::x86_64::*;

    #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
    pub fn run_avx512(kernel: impl LaneKernel) {
        // SAFETY: this function enables the instructions.
        unsafe { kernel.run::<Avx512>() }
    }

    #[target_feature(enable = "avx2,fma")]
    pub fn run_avx2(kernel: impl LaneKernel) {
        // SAFETY: this function enables the instructions.
        unsafe { kernel.run::<Avx2>() }
    }

    /// A pair of AVX2 registers.
    #[derive(Clone, Copy)]
    pub struct Avx2(__m256, __m256);

    // SAFETY of every block below: `Lanes` requires the instructions, and a `LaneRow` is 64 aligned bytes.
    impl Lanes for Avx2 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Avx2(_mm256_set1_ps(value), _mm256_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(row: &LaneRow) -> Self {
            let at = row.0.as_ptr();
            unsafe { Avx2(_mm256_load_ps(at), _mm256_load_ps(at.add(8))) }
        }

        #[inline(always)]
        unsafe fn store(self, row: &mut LaneRow) {
            let at = row.0.as_mut_ptr();
            unsafe {
                _mm256_store_ps(at, self.0);
                _mm256_store_ps(at.add(8), self.1);
            }
        }

        #[inline(always)]
        unsafe fn add_product(self, weight: Self, x: Self) -> Self {
            unsafe {
                Avx2(
                    _mm256_fmadd_ps(weight.0, x.0, self.0),
                    _mm256_fmadd_ps(weight.1, x.1, self.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn max(self, candidate: Self) -> Self {
            // The instruction returns its second operand unless the first is greater.
            unsafe {
                Avx2(
                    _mm256_max_ps(candidate.0, self.0),
                    _mm256_max_ps(candidate.1, self.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn count_above(self, value: Self, threshold: Self) -> Self {
            unsafe {
                let one = _mm256_set1_ps(1.0);
                let first = _mm256_cmp_ps::<_CMP_GT_OQ>(value.0, threshold.0);
                let second = _mm256_cmp_ps::<_CMP_GT_OQ>(value.1, threshold.1);
                Avx2(
                    _mm256_add_ps(self.0, _mm256_and_ps(first, one)),
                    _mm256_add_ps(self.1, _mm256_and_ps(second, one)),
                )
            }
        }

        #[inline(always)]
        unsafe fn divide(self, divisor: Self) -> Self {
            unsafe {
                Avx2(
                    _mm256_div_ps(self.0, divisor.0),
                    _mm256_div_ps(self.1, divisor.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe {
                Avx2(
                    _mm256_add_ps(self.0, other.0),
                    _mm256_add_ps(self.1, other.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            unsafe {
                Avx2(
                    _mm256_sub_ps(self.0, other.0),
                    _mm256_sub_ps(self.1, other.1),
                )
            }
        }

        #[inline(always)]
        unsafe fn where_above(self, value: Self, threshold: Self, other: Self) -> Self {
            unsafe {
                let first = _mm256_cmp_ps::<_CMP_GT_OQ>(value.0, threshold.0);
                let second = _mm256_cmp_ps::<_CMP_GT_OQ>(value.1, threshold.1);
                Avx2(
                    _mm256_blendv_ps(other.0, self.0, first),
                    _mm256_blendv_ps(other.1, self.1, second),
                )
            }
        }
    }

    /// One AVX-512 register.
    #[derive(Clone, Copy)]
    pub struct Avx512(__m512);

    impl Lanes for Avx512 {
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            unsafe { Avx512(_mm512_set1_ps(value)) }
        }

        #[inline(always)]
        unsafe fn load(row: &LaneRow) -> Self {
            unsafe { Avx512(_mm512_load_ps(row.0.as_ptr())) }
        }

        #[inline(always)]
        unsafe fn store(self, row: &mut LaneRow) {
            unsafe { _mm512_store_ps(row.0.as_mut_ptr(), self.0) }
        }

        #[inline(always)]
        unsafe fn add_product(self, weight: Self, x: Self) -> Self {
            unsafe { Avx512(_mm512_fmadd_ps(weight.0, x.0, self.0)) }
        }

        #[inline(always)]
        unsafe fn max(self, candidate: Self) -> Self {
            // The instruction returns its second operand unless the first is greater.
            unsafe { Avx512(_mm512_max_ps(candidate.0, self.0)) }
        }

        #[inline(always)]
        unsafe fn count_above(self, value: Self, threshold: Self) -> Self {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value.0, threshold.0);
                Avx512(_mm512_mask_add_ps(
                    self.0,
                    above,
                    self.0,
                    _mm512_set1_ps(1.0),
                ))
            }
        }

        #[inline(always)]
        unsafe fn divide(self, divisor: Self) -> Self {
            unsafe { Avx512(_mm512_div_ps(self.0, divisor.0)) }
        }

        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_add_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn subtract(self, other: Self) -> Self {
            unsafe { Avx512(_mm512_sub_ps(self.0, other.0)) }
        }

        #[inline(always)]
        unsafe fn where_above(self, value: Self, threshold: Self, other: Self) -> Self {
            unsafe {
                let above = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(value.0, threshold.0);
                Avx512(_mm512_mask_blend_ps(above, other.0, self.0))
            }
        }
    }
}

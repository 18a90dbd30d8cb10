//! Sums whose order fits the widest registers, for loops that are compiled for every instruction set.

/// The numbers that are added to each other at the same time. Their sums are then added in order.
pub const LANES: usize = 16;

/// Returns the sum of a row.
#[inline(always)]
pub fn sum(row: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (sum, x) in sums.iter_mut().zip(chunk) {
            *sum += x;
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x;
    }
    total(&sums)
}

/// Returns the sum of the products of two rows.
#[inline(always)]
pub fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    let (a, b) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest = a.remainder().iter().zip(b.remainder());
    for (a, b) in a.zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    for (sum, (a, b)) in sums.iter_mut().zip(rest) {
        *sum += a * b;
    }
    total(&sums)
}

/// Returns the largest number of a row that is not NaN; minus infinity if there is none.
#[inline(always)]
pub fn most(row: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; LANES];
    let chunks = row.chunks_exact(LANES);
    let rest = chunks.remainder();
    for chunk in chunks {
        for (most, &x) in most.iter_mut().zip(chunk) {
            *most = larger(*most, x);
        }
    }
    let all = most.iter().chain(rest);
    all.fold(f32::NEG_INFINITY, |most, &x| larger(most, x))
}

#[inline(always)]
fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

#[inline(always)]
fn total(sums: &[f32; LANES]) -> f32 {
    let mut total = 0.0;
    for sum in sums {
        total += sum;
    }
    total
}

#[cfg(test)]
mod tests {
    use super::super::testing::numbers;
    use super::*;

    #[test]
    fn sums_and_maxima_are_those_of_rows_of_any_length() {
        for count in [0, 1, 15, 16, 17, 40, 333] {
            let (a, b) = (numbers("a", count), numbers("b", count));
            let exact = |term: &dyn Fn(usize) -> f64| (0..count).map(term).sum::<f64>();
            let expected = exact(&|i| f64::from(a[i]));
            assert!((f64::from(sum(&a)) - expected).abs() < 1e-5, "{count}");
            let expected = exact(&|i| f64::from(a[i]) * f64::from(b[i]));
            assert!((f64::from(dot(&a, &b)) - expected).abs() < 1e-5, "{count}");
            let expected = a.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
            assert_eq!(most(&a), expected, "{count}");
        }
    }
}

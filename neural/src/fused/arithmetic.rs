//! What the processor and the system decide in the numbers of a network.

use super::matrix::{Matrix, MatrixMut, unblocked_product};

/// Returns what decides the last bits of a network's numbers besides the code: two machines that return the same text
/// compute the same bytes.
///
/// For the operations of this folder that is only whether a product of matrices rounds after each multiplication, as
/// processors without fused multiply-adds do: their sums have a fixed order, and their functions are plain arithmetic. The
/// rest is for operations of burn: after how many terms its products of large matrices begin a new sum, which hangs on
/// the sizes of caches, and a digest of a product of two vectors, which the library adds up in as many parts as a register
/// has numbers, and of some values of the exponential, logarithm, power, hyperbolic tangent, sine, cosine and inverse
/// hyperbolic sine of the system. For instance `x86_64, fused multiply-add, sums of 512, digest 5f0a8c41`.
pub fn arithmetic() -> String {
    let multiply = match fuses() {
        true => "fused multiply-add",
        false => "multiply, then add",
    };
    let arch = std::env::consts::ARCH;
    let (terms, digest) = (terms_of_a_sum(), digest());
    format!("{arch}, {multiply}, sums of {terms}, digest {digest:08x}")
}

/// Returns whether products of matrices use fused multiply-adds.
pub(super) fn fuses() -> bool {
    // The square of this number is rounded. Without that, it would be 2^-24 more.
    let x = 1.0 + 1.0 / 4096.0_f32;
    let left = [-(x * x), 0.0, 0.0, x];
    // In the first of two columns, so that the library does not take it for a product of vectors.
    let right = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, x, 0.0];
    let mut out = [0.0; 2];
    unblocked_product(
        Matrix::new(&left, 1, 4, 4),
        Matrix::new(&right, 4, 2, 2),
        MatrixMut::new(&mut out, 2),
        false,
    );
    out[0] != 0.0
}

/// Returns after how many terms the library begins a new sum in a product of large matrices.
fn terms_of_a_sum() -> usize {
    const SIZE: usize = 72;
    const DEPTH: usize = 8192;
    /// Adding 1 to it changes nothing.
    const LARGE: f32 = 16_777_216.0;
    let mut left = vec![1.0; SIZE * DEPTH];
    left.iter_mut()
        .step_by(DEPTH)
        .for_each(|first| *first = LARGE);
    let right = vec![1.0; DEPTH * SIZE];
    let mut out = vec![0.0; SIZE * SIZE];
    unblocked_product(
        Matrix::new(&left, SIZE, DEPTH, DEPTH),
        Matrix::new(&right, DEPTH, SIZE, SIZE),
        MatrixMut::new(&mut out, SIZE),
        false,
    );
    // All ones are lost but those of sums that begin later.
    DEPTH - (out[0] - LARGE) as usize
}

/// Returns a digest of a product of two vectors, in the order of the library, and of values of functions of the standard
/// library that burn calls.
#[allow(
    clippy::disallowed_methods,
    reason = "what they return is the question"
)]
fn digest() -> u32 {
    let numbers: Vec<f32> = (1..2000).map(|i| i as f32 * 0.011).collect();
    let functions = numbers.iter().flat_map(|&x| {
        [
            (-x).exp(),
            x.ln(),
            x.tanh(),
            x.powf(1.7),
            x.sin(),
            x.cos(),
            x.asinh(),
        ]
    });
    let mut values = vec![0.0];
    unblocked_product(
        Matrix::dense(&numbers, numbers.len()),
        Matrix::dense(&numbers, numbers.len()).transposed(),
        MatrixMut::new(&mut values, 1),
        false,
    );
    values.extend(functions);
    let bytes = values
        .iter()
        .flat_map(|value| value.to_bits().to_le_bytes());
    bytes.fold(0x811c_9dc5, |digest: u32, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_for_fused_multiply_adds_agrees_with_the_processor() {
        #[cfg(target_arch = "x86_64")]
        assert_eq!(fuses(), is_x86_feature_detected!("fma"));
        #[cfg(target_arch = "aarch64")]
        assert!(fuses());
    }

    #[test]
    fn sums_have_at_least_as_many_terms_as_our_products_hand_out() {
        let terms = terms_of_a_sum();
        assert!((512..=8192).contains(&terms), "{terms}");
    }

    #[test]
    fn the_text_names_all_that_decides() {
        let text = arithmetic();
        assert_eq!(text, arithmetic());
        for part in [std::env::consts::ARCH, "add, sums of ", ", digest "] {
            assert!(text.contains(part), "{text}");
        }
    }
}

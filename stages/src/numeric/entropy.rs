//! How evenly a probability is spread over classes.

/// Returns the entropy of probabilities that sum to 1, as a share of what equal probabilities have: 0 if one of them
/// is 1, and 1 if all are equal (the evenness of Pielou 1966, J. Theor. Biol. 13, 131). 0 if there are fewer than two.
pub fn evenness(probabilities: &[f64]) -> f64 {
    if probabilities.len() < 2 {
        return 0.0;
    }
    let term = |p: f64| if p > 0.0 { -p * libm::log(p) } else { 0.0 };
    let entropy: f64 = probabilities.iter().map(|&p| term(p)).sum();
    (entropy / libm::log(probabilities.len() as f64)).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_share_of_the_largest_entropy() {
        assert_eq!(evenness(&[0.5, 0.5]), 1.0);
        assert_eq!(evenness(&[0.0, 1.0, 0.0]), 0.0);
        for classes in 2..50 {
            let even = evenness(&vec![1.0 / f64::from(classes); classes as usize]);
            assert!((even - 1.0).abs() < 1e-14 && even <= 1.0, "{even}");
        }
        // One bit of the two that four classes can have.
        assert!((evenness(&[0.5, 0.5, 0.0, 0.0]) - 0.5).abs() < 1e-15);
        // -(0.9 ln 0.9 + 0.1 ln 0.1) / ln 2.
        assert!((evenness(&[0.9, 0.1]) - 0.468_995_593_589_281_2).abs() < 1e-15);
        assert!(evenness(&[0.6, 0.2, 0.2]) > evenness(&[0.6, 0.4, 0.0]));
    }

    #[test]
    fn what_says_nothing_is_zero() {
        assert_eq!((evenness(&[]), evenness(&[1.0])), (0.0, 0.0));
        assert_eq!(
            evenness(&[f64::MIN_POSITIVE, 1.0, 0.0]),
            evenness(&[1.0, f64::MIN_POSITIVE, -0.0])
        );
    }
}

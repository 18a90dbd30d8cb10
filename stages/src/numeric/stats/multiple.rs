//! Several comparisons at once.

/// Adjusts p-values so that the chance of any false rejection among them stays at the level that each
/// is compared with, whatever their dependence: the step-down method of Holm (1979). Keeps the given
/// order.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![0.0; p.len()];
    let mut highest: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        // The adjusted value is never below that of a smaller p.
        highest = highest.max(p[i] * (p.len() - rank) as f64).min(1.0);
        adjusted[i] = highest;
    }
    adjusted
}

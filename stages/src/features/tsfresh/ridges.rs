//! Peaks as ridges of a wavelet transform, by the method of `scipy.signal.find_peaks_cwt` (Du, Kibbe and Lin 2006,
//! Bioinformatics 22, 2059).

/// A line of maxima that runs through neighboring widths.
struct Ridge {
    /// Rows and columns of its maxima, in the order in which they were found: from the widest wavelet to the narrowest.
    points: Vec<(usize, usize)>,
    /// How many rows ago it was last continued.
    gap: usize,
}

/// After more rows than this without a maximum, a ridge ends.
const LONGEST_GAP: usize = 1;

/// Returns the number of ridges that are long and stand out. `rows` are the transforms with wavelets of width 1, 2, 3 and so
/// on, all of the same length.
pub fn count(rows: &[Vec<f64>]) -> usize {
    let shortest = rows.len().div_ceil(4);
    let stands_out = |ridge: &&Ridge| {
        if ridge.points.len() < shortest {
            return false;
        }
        // The maximum with the narrowest wavelet; the first that was found if there are several.
        let narrowest = ridge.points.iter().min_by_key(|(row, _)| row);
        narrowest.is_some_and(|(row, column)| {
            let ratio = (rows[*row][*column] / noise(&rows[0], *column)).abs();
            ratio >= 1.0 || ratio.is_nan()
        })
    };
    ridges(rows).iter().filter(stands_out).count()
}

/// Returns the tenth percentile of the narrowest transform about a column.
fn noise(row: &[f64], column: usize) -> f64 {
    let window = row.len().div_ceil(20);
    let from = column.saturating_sub(window / 2);
    let to = (column + window / 2 + window % 2).min(row.len());
    let mut values = row[from..to].to_vec();
    values.sort_unstable_by(f64::total_cmp);
    let at = 0.1 * (values.len() - 1) as f64;
    let below = at.floor() as usize;
    match values.get(below + 1) {
        Some(above) if at > below as f64 => {
            let part = at - below as f64;
            values[below] * ((below + 1) as f64 - at) + above * part
        }
        _ => values[below],
    }
}

fn ridges(rows: &[Vec<f64>]) -> Vec<Ridge> {
    let maxima: Vec<Vec<usize>> = rows.iter().map(|row| peaks(row)).collect();
    let Some(widest) = maxima.iter().rposition(|row| !row.is_empty()) else {
        return Vec::new();
    };
    let start = |row: usize, column: usize| Ridge {
        points: vec![(row, column)],
        gap: 0,
    };
    let mut open: Vec<Ridge> = maxima[widest].iter().map(|c| start(widest, *c)).collect();
    let mut ended = Vec::new();
    for row in (0..widest).rev() {
        for ridge in &mut open {
            ridge.gap += 1;
        }
        let ends: Vec<usize> = open
            .iter()
            .map(|ridge| ridge.points[ridge.points.len() - 1].1)
            .collect();
        for column in &maxima[row] {
            let far = |end: &usize| end.abs_diff(*column);
            let near = (0..ends.len()).min_by_key(|i| far(&ends[*i]));
            // A maximum may be a quarter of the width away.
            match near.filter(|i| 4 * far(&ends[*i]) <= row + 1) {
                Some(i) => {
                    open[i].points.push((row, *column));
                    open[i].gap = 0;
                }
                None => open.push(start(row, *column)),
            }
        }
        let (over, left) = open.into_iter().partition(|ridge| ridge.gap > LONGEST_GAP);
        open = left;
        ended.extend::<Vec<Ridge>>(over);
    }
    ended.extend(open);
    ended
}

/// Returns the places of values that are larger than both neighbors.
fn peaks(row: &[f64]) -> Vec<usize> {
    let inner = 1..row.len().saturating_sub(1);
    let is_peak = |i: &usize| row[*i] > row[*i - 1] && row[*i] > row[*i + 1];
    inner.filter(is_peak).collect()
}

//! Sorting and tied ranks, shared by ROC-AUC, rank averaging and the rank tests.
//!
//! Equal values share the mean of the ranks they occupy ("midranks"). `-0.0` and `0.0` are equal.
//! Infinities are ordinary extreme values; a NaN sorts after everything in [`ascending`] and is never
//! admitted to [`Packed`].

/// Returns the indices of `values` from the lowest value to the highest. Equal values keep their order.
pub fn ascending(values: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    // Adding 0.0 turns -0.0 into 0.0 and leaves everything else as it is.
    order.sort_by(|&a, &b| (values[a] + 0.0).total_cmp(&(values[b] + 0.0)));
    order
}

/// Returns the midranks of `values`, from 1 to `values.len()`. NaNs rank last, each tied only with
/// itself.
pub fn midranks(values: &[f64]) -> Vec<f64> {
    let order = ascending(values);
    let mut ranks = vec![0.0; values.len()];
    let mut start = 0;
    for run in order.chunk_by(|&a, &b| values[a] == values[b]) {
        // The mean of the ranks start + 1 ..= end.
        let end = start + run.len();
        for &row in run {
            ranks[row] = (start + 1 + end) as f64 / 2.0;
        }
        start = end;
    }
    ranks
}

/// Returns a quantile of values in ascending order, by linear interpolation between order statistics; none without a
/// value.
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let at = share * last as f64;
    let below = at as usize;
    let above = (below + 1).min(last);
    Some(sorted[below] + (sorted[above] - sorted[below]) * (at - below as f64))
}

/// The number of bits of the radix sort's digit. Four digits of 8 bits cover a key. At a few thousand
/// items they are faster than three of 11 bits, whose tables outgrow the first-level cache.
const DIGIT: u32 = 8;
const PASSES: usize = 4;
const BUCKETS: usize = 1 << DIGIT;

/// Insertion takes over if at most one pair of neighbors in so many is out of order.
const INSERTED: usize = 16;

/// One value with the class of its row, packed so that a sort moves a single word: the upper half
/// orders as the value does, the lower half is the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed(u64);

impl Packed {
    /// Packs `value`; `None` if it is NaN.
    pub fn new(value: f32, class: u32) -> Option<Packed> {
        (!value.is_nan()).then(|| Packed::of(value, class))
    }

    fn of(value: f32, class: u32) -> Packed {
        let bits = (value + 0.0).to_bits();
        // Floats order as sign and magnitude: flip all bits of a negative one, else the sign alone.
        let mask = ((bits as i32 >> 31) as u32) | 0x8000_0000;
        Packed(u64::from(bits ^ mask) << 32 | u64::from(class))
    }

    /// A number that orders as the value does; equal for equal values.
    pub fn key(self) -> u32 {
        (self.0 >> 32) as u32
    }

    /// The class that was packed.
    pub fn class(self) -> usize {
        (self.0 as u32) as usize
    }

    fn digit(self, pass: u32) -> usize {
        (self.key() >> (DIGIT * pass)) as usize & (BUCKETS - 1)
    }
}

/// Packs rows with their classes into `items`, in their order, and leaves out those that are NaN.
pub fn pack(rows: impl ExactSizeIterator<Item = (f32, u32)>, items: &mut Vec<Packed>) {
    items.clear();
    items.resize(rows.len(), Packed(0));
    let mut n = 0;
    // A row that is left out is written over by the next one, so that nothing depends on a branch.
    for (value, class) in rows {
        items[n] = Packed::of(value, class);
        n += usize::from(!value.is_nan());
    }
    items.truncate(n);
}

/// Working memory of [`Sorter::sort`], kept between columns.
pub struct Sorter {
    other: Vec<Packed>,
    counts: Box<[[u32; BUCKETS]; PASSES]>,
}

impl Default for Sorter {
    fn default() -> Self {
        Sorter {
            other: Vec::new(),
            counts: Box::new([[0; BUCKETS]; PASSES]),
        }
    }
}

impl Sorter {
    /// Sorts `items` by key, with equal keys in their given order: a radix sort from the lowest digit
    /// up (Knuth, The Art of Computer Programming 3, 5.2.5), about three times as fast as a comparison
    /// sort at 2,400 items. It takes at most `u32::MAX` items.
    ///
    /// Values of which no two agree in all but the lowest digit are in order without it, and so are most of
    /// those that a column has. Insertion puts the few others in order, or the whole sort if they are many.
    pub fn sort(&mut self, items: &mut Vec<Packed>) {
        self.sort_by_digits(items, 1);
        let pairs = items.windows(2);
        let wrong = pairs.filter(|pair| pair[0].key() > pair[1].key()).count();
        if wrong > items.len() / INSERTED {
            self.sort_by_digits(items, 0);
        } else if wrong > 0 {
            for i in 1..items.len() {
                let item = items[i];
                let mut at = i;
                while at > 0 && items[at - 1].key() > item.key() {
                    items[at] = items[at - 1];
                    at -= 1;
                }
                items[at] = item;
            }
        }
    }

    /// Sorts by all digits from number `lowest` on.
    fn sort_by_digits(&mut self, items: &mut Vec<Packed>, lowest: usize) {
        let counts = &mut self.counts[lowest..];
        counts.iter_mut().for_each(|pass| pass.fill(0));
        for item in items.iter() {
            for (pass, counts) in counts.iter_mut().enumerate() {
                counts[item.digit((lowest + pass) as u32)] += 1;
            }
        }
        self.other.resize(items.len(), Packed(0));
        for (pass, counts) in counts.iter_mut().enumerate() {
            let pass = (lowest + pass) as u32;
            let Some(first) = items.first() else { return };
            if counts[first.digit(pass)] as usize == items.len() {
                continue;
            }
            let mut next = 0;
            for count in counts.iter_mut() {
                next += std::mem::replace(count, next);
            }
            let other = self.other.as_mut_slice();
            for &item in items.iter() {
                let place = &mut counts[item.digit(pass)];
                other[*place as usize] = item;
                *place += 1;
            }
            std::mem::swap(items, &mut self.other);
        }
    }
}

/// Adds to `sums`, by class, twice the midranks of the class's rows. Returns the sum of t^3 - t over
/// the runs of t equal values, the correction for ties of a rank test. `sorted` is ascending.
pub fn add_doubled_midranks(sorted: &[Packed], sums: &mut [u64]) -> f64 {
    let (mut first, mut ties) = (0, 0_u128);
    while let Some(item) = sorted.get(first) {
        let mut end = first + 1;
        while sorted.get(end).is_some_and(|next| next.key() == item.key()) {
            end += 1;
        }
        // The first place of the run, the last one, and 2.
        let doubled = (first + end + 1) as u64;
        for item in &sorted[first..end] {
            sums[item.class()] += doubled;
        }
        if end - first > 1 {
            let t = (end - first) as u128;
            ties += t * t * t - t;
        }
        first = end;
    }
    ties as f64
}

#[cfg(test)]
mod tests {
    use super::super::rng::Stream;
    use super::*;

    #[test]
    fn midranks_share_ties() {
        let ranks = midranks(&[3.0, 1.0, 3.0, -0.0, 0.0, 3.0]);
        assert_eq!(ranks, [5.0, 3.0, 5.0, 1.5, 1.5, 5.0]);
        assert_eq!(midranks(&[f64::NAN, f64::INFINITY, 2.0]), [3.0, 2.0, 1.0]);
        assert!(midranks(&[]).is_empty());
    }

    #[test]
    fn packing_keeps_order_and_class() {
        let values = [
            f32::NEG_INFINITY,
            -3.5,
            -f32::MIN_POSITIVE,
            0.0,
            1e-40,
            2.0,
            f32::INFINITY,
        ];
        let keys: Vec<u32> = values
            .iter()
            .map(|&v| Packed::new(v, 7).unwrap().key())
            .collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
        assert_eq!(Packed::new(-0.0, 1), Packed::new(0.0, 1));
        assert_eq!(Packed::new(2.0, 7).unwrap().class(), 7);
        assert_eq!(Packed::new(f32::NAN, 0), None);
    }

    #[test]
    fn sums_are_those_of_the_midranks() {
        let values = [2.0, 1.0, 2.0, 5.0, 2.0, 1.0, 7.0];
        let classes = [0, 1, 1, 0, 2, 0, 1];
        let mut items: Vec<Packed> = (values.iter().zip(classes))
            .map(|(&value, class)| Packed::new(value, class).unwrap())
            .collect();
        Sorter::default().sort(&mut items);
        let mut sums = [0; 3];
        let ties = add_doubled_midranks(&items, &mut sums);
        let ranks = midranks(&values.map(f64::from));
        for (class, &sum) in sums.iter().enumerate() {
            let of_class = ranks.iter().zip(classes).filter(|r| r.1 as usize == class);
            assert_eq!(sum as f64, 2.0 * of_class.map(|r| r.0).sum::<f64>());
        }
        assert_eq!(ties, (8.0 - 2.0) + (27.0 - 3.0));
    }

    #[test]
    fn radix_sort_equals_a_stable_sort() {
        let mut stream = Stream::new(5, &[]);
        let mut sorter = Sorter::default();
        for (len, scale) in [(0, 1.0), (1, 1.0), (2, 0.0), (777, 3.0), (2400, 1e30)] {
            let mut items: Vec<Packed> = (0..len)
                .map(|i| {
                    let value = ((stream.uniform() - 0.5) * scale) as f32;
                    // A coarse grid makes ties.
                    let value = if scale == 3.0 {
                        (value * 50.0).round()
                    } else {
                        value
                    };
                    Packed::new(value, i).unwrap()
                })
                .collect();
            if scale == 1e30 {
                // Values that differ in the lowest digit alone, after values that do not.
                let near = |i: u32| Packed::new(59_000.0 + 0.004 * (i * 7 % 60) as f32, i);
                items.extend((0..len / 20).filter_map(near));
                check(&mut sorter, items.clone());
                items.extend((0..len).filter_map(near));
            }
            check(&mut sorter, items);
        }
    }

    fn check(sorter: &mut Sorter, mut items: Vec<Packed>) {
        let mut expected = items.clone();
        expected.sort_by_key(|item| item.key());
        sorter.sort(&mut items);
        assert_eq!(items, expected);
    }
}

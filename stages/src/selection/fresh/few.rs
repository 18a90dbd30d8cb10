//! Columns of few values, which need no sorting of their rows: those are counted by value and class.

use crate::numeric::rank::Packed;

/// The number of slots of the table, a power of 2.
const SLOTS: usize = 1024;

/// The most values that are counted. The table then is a quarter full at most.
const MOST: usize = 256;

/// A column has many values if more than this plus half of its first rows differ.
const EARLY: usize = 32;

/// The number of rows by value and class.
pub(super) struct FewValues {
    /// For each slot, its value as a key in the upper half and its number plus 1 in the lower half, or 0.
    slots: Box<[u64; SLOTS]>,
    /// The values as keys that order as they do.
    keys: Vec<u32>,
    /// By value and class.
    counts: Vec<u32>,
    classes: usize,
}

impl FewValues {
    pub(super) fn new(classes: usize) -> FewValues {
        FewValues {
            slots: Box::new([0; SLOTS]),
            keys: Vec::with_capacity(MOST),
            counts: Vec::with_capacity(MOST * classes),
            classes,
        }
    }

    /// Counts the rows of a column that have a value. Returns false if there are more than [`MOST`] values, or if
    /// the first rows look like that. Then the counts are of no use.
    pub(super) fn count(&mut self, values: &[f32], labels: &[usize]) -> bool {
        self.slots.fill(0);
        self.keys.clear();
        self.counts.clear();
        for (row, (&value, &label)) in values.iter().zip(labels).enumerate() {
            if self.keys.len() > EARLY + row / 2 {
                return false;
            }
            let Some(item) = Packed::new(value, 0) else {
                continue;
            };
            match self.number(item.key()) {
                Some(number) => self.counts[number * self.classes + label] += 1,
                None => return false,
            }
        }
        true
    }

    /// Returns the number of a value, a new one if there is room.
    #[inline]
    fn number(&mut self, key: u32) -> Option<usize> {
        // Fibonacci hashing (Knuth, The Art of Computer Programming 3, 6.4), then linear probing.
        let mut slot = (key.wrapping_mul(0x9E37_79B1) >> (32 - SLOTS.ilog2())) as usize;
        loop {
            match self.slots[slot] {
                0 if self.keys.len() == MOST => return None,
                0 => {
                    self.keys.push(key);
                    self.counts.resize(self.keys.len() * self.classes, 0);
                    self.slots[slot] = u64::from(key) << 32 | self.keys.len() as u64;
                    return Some(self.keys.len() - 1);
                }
                taken if (taken >> 32) as u32 == key => return Some(taken as u32 as usize - 1),
                _ => slot = (slot + 1) % SLOTS,
            }
        }
    }

    /// The number of values.
    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    /// The counts by class of each value, from the lowest to the highest.
    fn ascending(&self) -> impl Iterator<Item = &[u32]> {
        let mut order: Vec<usize> = (0..self.keys.len()).collect();
        order.sort_unstable_by_key(|&number| self.keys[number]);
        let counts = |number: usize| &self.counts[number * self.classes..][..self.classes];
        order.into_iter().map(counts)
    }

    /// Adds the rows of the highest value to `sums`, by class, and returns their number.
    pub(super) fn add_highest(&self, sums: &mut [u64]) -> usize {
        let highest = self.ascending().last().unwrap_or_default();
        for (sum, &count) in sums.iter_mut().zip(highest) {
            *sum += u64::from(count);
        }
        highest.iter().sum::<u32>() as usize
    }

    /// Does what [`crate::numeric::rank::add_doubled_midranks`] does.
    pub(super) fn add_doubled_midranks(&self, sums: &mut [u64]) -> f64 {
        let (mut below, mut ties) = (0_u64, 0_u128);
        for counts in self.ascending() {
            let run: u64 = counts.iter().map(|&count| u64::from(count)).sum();
            // First place + last place + 2.
            let doubled = 2 * below + run + 1;
            for (sum, &count) in sums.iter_mut().zip(counts) {
                *sum += u64::from(count) * doubled;
            }
            let t = u128::from(run);
            ties += t * t * t - t;
            below += run;
        }
        ties as f64
    }
}

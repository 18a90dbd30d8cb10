//! Counter-based random numbers: the same draws on every machine, thread count and call order.
//!
//! The generator is Philox4x32-10 (Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
//! as 1, 2, 3", SC11, 2011). Its output is a pure function of a 64-bit key and a 128-bit counter, so a
//! stream needs no shared state: the seed and the *path* of a draw (say stage, object, kernel) are
//! enough to make it.
//!
//! # How a seed and a path become a key and a counter
//!
//! `mix` is the finaliser of SplitMix64 (Steele, Lea and Flood, 2014), a bijection of 64-bit words,
//! and `G = 0x9E3779B97F4A7C15`. Starting from `key = mix(seed + G)` and `lane = mix(key + G)`, each
//! word `w` of the path gives, modulo 2^64,
//!
//! ```text
//! key  <- mix((key  xor mix(w + G))  + G)
//! lane <- mix((lane xor mix(w + 2G)) + key)
//! ```
//!
//! The Philox key is `key` (low half first). The counter starts at `(0, 0, low(lane), high(lane))`,
//! and its first two words count blocks of four 32-bit outputs. Two different paths therefore share
//! draws only if a 128-bit hash collides, and `[1, 2]`, `[2, 1]`, `[1]` and `[1, 0]` all differ.

use super::simd::{Kernel, SimdLevel};

/// Multipliers of the Philox4x32 round function.
const ROUND: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl increments of the Philox4x32 key schedule.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// 2^64 divided by the golden ratio, the increment of SplitMix64.
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// One block of Philox4x32-10: four 32-bit words from a 128-bit counter and a 64-bit key.
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    for _ in 0..10 {
        c = round(c, k);
        k = next_key(k);
    }
    c
}

#[inline(always)]
fn round(c: [u32; 4], k: [u32; 2]) -> [u32; 4] {
    let p0 = u64::from(ROUND[0]) * u64::from(c[0]);
    let p1 = u64::from(ROUND[1]) * u64::from(c[2]);
    [
        (p1 >> 32) as u32 ^ c[1] ^ k[0],
        p1 as u32,
        (p0 >> 32) as u32 ^ c[3] ^ k[1],
        p0 as u32,
    ]
}

#[inline(always)]
fn next_key(k: [u32; 2]) -> [u32; 2] {
    [k[0].wrapping_add(WEYL[0]), k[1].wrapping_add(WEYL[1])]
}

/// How many blocks [`Stream::fill_u32`] computes side by side.
const LANES: usize = 16;

/// Consecutive blocks of a stream, side by side.
struct Blocks<'a> {
    key: [u32; 2],
    lane: [u32; 2],
    first: u64,
    /// Four words of each block.
    out: &'a mut [u32],
}

impl Kernel for Blocks<'_> {
    type Output = ();

    #[inline(always)]
    fn run(self) {
        let places = std::array::from_fn::<u64, LANES, _>(|i| self.first.wrapping_add(i as u64));
        let mut c0 = places.map(|block| block as u32);
        let mut c1 = places.map(|block| (block >> 32) as u32);
        let (mut c2, mut c3) = ([self.lane[0]; LANES], [self.lane[1]; LANES]);
        let mut k = self.key;
        for _ in 0..10 {
            let first = c0.iter_mut().zip(&mut c1);
            for ((c0, c1), (c2, c3)) in first.zip(c2.iter_mut().zip(&mut c3)) {
                [*c0, *c1, *c2, *c3] = round([*c0, *c1, *c2, *c3], k);
            }
            k = next_key(k);
        }
        let words = c0.iter().zip(&c1).zip(c2.iter().zip(&c3));
        for (block, ((c0, c1), (c2, c3))) in self.out.chunks_exact_mut(4).zip(words) {
            block.copy_from_slice(&[*c0, *c1, *c2, *c3]);
        }
    }
}

/// The SplitMix64 finaliser, a bijection that spreads every input bit over the whole word.
fn mix(word: u64) -> u64 {
    let z = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// A stream of random numbers, addressed by a seed and a path. See the module's documentation.
#[derive(Clone, Debug)]
pub struct Stream {
    key: [u32; 2],
    lane: [u32; 2],
    block: u64,
    words: [u32; 4],
    used: usize,
    /// The second of the pair of normal deviates that one Box-Muller step makes.
    spare_normal: Option<f64>,
}

impl Stream {
    /// The stream of `seed` at `path`. Equal arguments always give equal draws.
    pub fn new(seed: u64, path: &[u64]) -> Stream {
        let mut key = mix(seed.wrapping_add(GOLDEN));
        let mut lane = mix(key.wrapping_add(GOLDEN));
        for &word in path {
            let first = mix(word.wrapping_add(GOLDEN));
            let second = mix(word.wrapping_add(GOLDEN.wrapping_mul(2)));
            key = mix((key ^ first).wrapping_add(GOLDEN));
            lane = mix((lane ^ second).wrapping_add(key));
        }
        Stream {
            key: [key as u32, (key >> 32) as u32],
            lane: [lane as u32, (lane >> 32) as u32],
            block: 0,
            words: [0; 4],
            used: 4,
            spare_normal: None,
        }
    }

    /// The next 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        if self.used == self.words.len() {
            let counter = [
                self.block as u32,
                (self.block >> 32) as u32,
                self.lane[0],
                self.lane[1],
            ];
            self.words = philox4x32_10(counter, self.key);
            self.block = self.block.wrapping_add(1);
            self.used = 0;
        }
        let word = self.words[self.used];
        self.used += 1;
        word
    }

    /// Fills `out` with what as many calls of [`Stream::next_u32`] would return.
    pub fn fill_u32(&mut self, out: &mut [u32]) {
        let mut out = out;
        while self.used < self.words.len() && !out.is_empty() {
            out[0] = self.next_u32();
            out = &mut out[1..];
        }
        let mut chunks = out.chunks_exact_mut(4 * LANES);
        for chunk in &mut chunks {
            let blocks = Blocks {
                key: self.key,
                lane: self.lane,
                first: self.block,
                out: chunk,
            };
            SimdLevel::active().run(blocks);
            self.block = self.block.wrapping_add(LANES as u64);
        }
        for word in chunks.into_remainder() {
            *word = self.next_u32();
        }
    }

    /// The next 64 random bits; the low half is drawn first.
    pub fn next_u64(&mut self) -> u64 {
        let low = u64::from(self.next_u32());
        low | (u64::from(self.next_u32()) << 32)
    }

    /// A uniform number in [0, 1), a multiple of 2^-53.
    pub fn uniform(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// A uniform number in [low, high) up to rounding: `low + (high - low) * uniform()`.
    pub fn uniform_in(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.uniform()
    }

    /// A standard normal deviate, by the trigonometric method of Box and Muller (1958). Deviates come
    /// in pairs, and the second of a pair is kept for the next call.
    pub fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare_normal.take() {
            return spare;
        }
        // 1 - uniform() lies in (0, 1], where the logarithm is finite.
        let radius = (-2.0 * libm::log(1.0 - self.uniform())).sqrt();
        let (sine, cosine) = libm::sincos(2.0 * std::f64::consts::PI * self.uniform());
        self.spare_normal = Some(radius * sine);
        radius * cosine
    }

    /// A uniform integer in `0..n` without bias, by rejection; 0 when `n` is 0 or 1.
    pub fn below(&mut self, n: u64) -> u64 {
        if n <= 1 {
            return 0;
        }
        // Lemire (2019): the high half of a 128-bit product is uniform once the draws whose low half
        // falls under 2^64 mod n are rejected.
        let reject_under = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= reject_under {
                return (product >> 64) as u64;
            }
        }
    }

    /// An exponential deviate of the given mean, by inversion; 0 when the mean is not positive.
    pub fn exponential(&mut self, mean: f64) -> f64 {
        if mean > 0.0 {
            -mean * libm::log(1.0 - self.uniform())
        } else {
            0.0
        }
    }

    /// A Poisson count of the given mean; 0 when the mean is not positive or not finite.
    ///
    /// It is exact at every mean. A sum of Poisson counts is Poisson, so a large mean is drawn in parts
    /// of at most 500, each by Knuth's product of uniforms (which would underflow beyond about 700).
    /// The time grows in proportion to the mean.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        const PART: f64 = 500.0;
        if !mean.is_finite() {
            return 0;
        }
        let mut left = mean;
        let mut count = 0;
        while left > 0.0 {
            let limit = libm::exp(-left.min(PART));
            let mut product = self.uniform();
            while product > limit {
                count += 1;
                product *= self.uniform();
            }
            left -= PART;
        }
        count
    }

    /// Puts `items` in a uniformly random order (Fisher and Yates; Durstenfeld's form, 1964).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            let other = self.below(last as u64 + 1) as usize;
            items.swap(last, other);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known-answer vectors of philox4x32-10 from the Random123 distribution (`kat_vectors`).
    #[test]
    fn known_answers() {
        let ones = u32::MAX;
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
        );
        assert_eq!(
            philox4x32_10([ones; 4], [ones; 2]),
            [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
                [0xa4093822, 0x299f31d0]
            ),
            [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]
        );
    }

    #[test]
    fn streams_repeat_and_paths_differ() {
        let draw = |seed, path: &[u64]| {
            let mut stream = Stream::new(seed, path);
            [stream.next_u64(), stream.next_u64(), stream.next_u64()]
        };
        assert_eq!(draw(7, &[1, 2]), draw(7, &[1, 2]));
        let all = [
            draw(7, &[1, 2]),
            draw(7, &[2, 1]),
            draw(7, &[1]),
            draw(7, &[1, 0]),
            draw(7, &[]),
            draw(7, &[0]),
            draw(8, &[1, 2]),
        ];
        for (i, a) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|b| a != b), "path {i} repeats another");
        }
    }

    #[test]
    fn words_in_bulk_are_those_of_single_draws() {
        for (before, count) in [(0, 0), (0, 64), (1, 3), (1, 200), (2, 131), (4, 4096)] {
            let mut one = Stream::new(3, &[1]);
            let mut bulk = Stream::new(3, &[1]);
            for _ in 0..before {
                assert_eq!(one.next_u32(), bulk.next_u32());
            }
            let singly: Vec<u32> = (0..count).map(|_| one.next_u32()).collect();
            let mut filled = vec![0; count];
            bulk.fill_u32(&mut filled);
            assert_eq!(filled, singly, "{count} after {before}");
            assert_eq!(bulk.next_u32(), one.next_u32());
        }
    }

    /// The mean and variance of `n` draws.
    fn moments(n: usize, mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let (mut sum, mut squares) = (0.0, 0.0);
        for _ in 0..n {
            let x = draw();
            sum += x;
            squares += x * x;
        }
        let mean = sum / n as f64;
        (mean, squares / n as f64 - mean * mean)
    }

    fn assert_moments(name: &str, found: (f64, f64), mean: f64, variance: f64) {
        let tolerance = 5.0 * (variance / 100_000.0).sqrt();
        assert!(
            (found.0 - mean).abs() < tolerance,
            "{name}: mean {}",
            found.0
        );
        assert!(
            (found.1 / variance - 1.0).abs() < 0.05,
            "{name}: variance {}",
            found.1
        );
    }

    #[test]
    fn distributions_have_their_moments() {
        let n = 100_000;
        let mut s = Stream::new(3, &[14]);
        assert_moments("uniform", moments(n, || s.uniform()), 0.5, 1.0 / 12.0);
        assert_moments(
            "range",
            moments(n, || s.uniform_in(-1.0, 3.0)),
            1.0,
            16.0 / 12.0,
        );
        assert_moments("normal", moments(n, || s.normal()), 0.0, 1.0);
        assert_moments("exponential", moments(n, || s.exponential(2.0)), 2.0, 4.0);
        assert_moments("poisson", moments(n, || s.poisson(4.5) as f64), 4.5, 4.5);
        assert_moments("below", moments(n, || s.below(7) as f64), 3.0, 4.0);
        let large = moments(2_000, || s.poisson(1_200.0) as f64).0;
        assert!((large - 1_200.0).abs() < 5.0 * (1_200.0f64 / 2_000.0).sqrt());
    }

    #[test]
    fn edges_of_the_parameters() {
        let mut s = Stream::new(0, &[]);
        assert_eq!((s.below(0), s.below(1)), (0, 0));
        assert_eq!(
            (s.poisson(0.0), s.poisson(-1.0), s.poisson(f64::NAN)),
            (0, 0, 0)
        );
        assert_eq!(s.exponential(0.0), 0.0);
        assert!((0..1000).all(|_| s.below(3) < 3));
        s.shuffle::<u8>(&mut []);
    }

    #[test]
    fn shuffles_are_permutations_and_cover_all_orders() {
        let mut s = Stream::new(11, &[]);
        let mut seen = std::collections::BTreeMap::new();
        for _ in 0..6_000 {
            let mut items = [0, 1, 2];
            s.shuffle(&mut items);
            *seen.entry(items).or_insert(0) += 1;
        }
        assert_eq!(seen.len(), 6);
        assert!(
            seen.values().all(|&count| (850..1150).contains(&count)),
            "{seen:?}"
        );
    }
}

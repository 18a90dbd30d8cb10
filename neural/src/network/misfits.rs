//! Checks of sizes.

use super::InputShape;

/// Checks of sizes, each of which may add a sentence.
#[derive(Default)]
pub struct Misfits(Vec<String>);

impl Misfits {
    /// What the sizes and the input have been found not to fit in.
    pub fn found(self) -> Vec<String> {
        self.0
    }

    /// Adds the sentence unless something holds.
    pub fn unless(mut self, holds: bool, sentence: impl FnOnce() -> String) -> Self {
        if !holds {
            self.0.push(sentence());
        }
        self
    }

    /// All sizes are at least 1.
    pub fn sizes(self, of: &str, sizes: &[usize]) -> Self {
        self.unless(!sizes.contains(&0), || format!("{of} must be at least 1"))
    }

    /// There is a layer of recurrent units.
    pub fn recurrent(self, units: &[usize]) -> Self {
        self.unless(!units.is_empty(), || {
            "it has no layer of recurrent units".into()
        })
        .sizes("the units of each recurrent layer", units)
    }

    /// A share is at least 0 and less than 1.
    pub fn share(self, of: &str, share: f64) -> Self {
        self.unless((0.0..1.0).contains(&share), || {
            format!("{of} must be at least 0 and less than 1, not {share}")
        })
    }

    /// The heads divide the width.
    pub fn heads(self, heads: usize, width: usize) -> Self {
        self.unless(heads > 0 && width.is_multiple_of(heads), || {
            format!("{heads} heads cannot share a width of {width}: the width must be a multiple of the heads")
        })
    }

    /// Waves of these periods make up an encoding of this width.
    pub fn periods(self, shortest: f64, longest: f64, width: usize) -> Self {
        let holds = shortest > 0.0 && longest > shortest && longest.is_finite();
        self.unless(holds, || {
            format!("the periods of the encoding must be positive and grow, not {shortest} and {longest}")
        })
        .unless(width.is_multiple_of(2), || {
            format!("sines and cosines cannot share a width of {width}: it must be even")
        })
    }

    /// There is a sequence to read.
    pub fn some_track(self, input: &InputShape) -> Self {
        self.unless(!input.tracks.is_empty(), || {
            "it reads sequences, and there are none".into()
        })
        .points(input)
    }

    /// All observations are in one sequence.
    pub fn one_track(self, input: &InputShape) -> Self {
        let tracks = input.tracks.len();
        self.unless(tracks == 1, || match tracks {
            0 => "it reads sequences, and there are none".into(),
            _ => format!("it reads one sequence with the observations of all bands, and there are {tracks} tracks"),
        })
        .points(input)
    }

    fn points(self, input: &InputShape) -> Self {
        let holds = input.tracks.is_empty() || input.points > 0 && !input.channels.is_empty();
        self.unless(holds, || {
            "its sequences have no points or no channels".into()
        })
    }
}

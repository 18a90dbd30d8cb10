//! Kind `sequences`: light curves as padded sequences of observations, for networks.
//!
//! Every object is measured by itself, so nothing is fitted here. The channels and layouts are defined in
//! [`crate::features::sequences`].

use flow_cache::Value;
use flow_engine::kind::{
    Action, InputPort, KindSpec, Loops, OutputPort, Params, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{Diag, ParamType, params, words};
use serde::{Deserialize, Serialize};

use crate::features::sequences::{
    Channel, FluxScale, Keep, Layout, ObservedCurve, SequencePlan, TrackCount,
};
use crate::rows;
use crate::table::{Curves, Sequences, row_attrs};

/// The kind.
pub struct SequencesKind;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tracks {
    Bands,
    Merged,
    Nights,
}

words!(Tracks { Bands = "bands", Merged = "merged", Nights = "nights" });
words!(Keep { Latest = "latest", Earliest = "earliest" });
words!(FluxScale { MaxAbs = "max_abs", Robust = "robust", None = "none" });

const CHANNELS: [&str; Channel::ALL.len()] = {
    let mut words = [""; Channel::ALL.len()];
    let mut i = 0;
    while i < words.len() {
        words[i] = Channel::ALL[i].0;
        i += 1;
    }
    words
};

/// The channels unless others are given.
const USUAL: [&str; 6] = [
    "time",
    "flux",
    "flux_err",
    "snr",
    "log_flux",
    "cumulative_time",
];

fn usual() -> Value {
    Value::List(USUAL.iter().map(|&word| Value::Str(word.into())).collect())
}

params! {
    struct SequencesParams<'a> {
        layout: Tracks = word(Tracks::Bands, "One track for each band; one track of all observations in the order of time; or one track of nights that each have a flux for every band.");
        channels: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Choice(&CHANNELS))), "What is known of each point, in this order. `time` is since the object's first observation, `time_step` since the point before, `cumulative_time` is `time` as a share of the time to the last observation. `snr` and `log_flux`, `sign(f) ln(1 + abs(f))`, are of the flux before it is normalized. `observed` is 0 where a night's flux comes from other nights. `band` is a column for each band with a 1 for that of the observation, `wavelength` is in micrometers.").or(usual());
        points: usize = int(200, 1, 100_000, "The most points of a track. Shorter tracks are padded with NaN.");
        keep: Keep = word(Keep::Latest, "Which points of a longer track are kept.");
        normalize: FluxScale = word(FluxScale::MaxAbs, "Scale of an object's fluxes and errors, over all bands: divided by the largest absolute flux; with median 0 and distance 1 between the quartiles; or as they are.");
        noise: f64 = float(0.0, 0.0, 100.0, "Standard deviation of normal noise that is added to each flux, in units of its error. It is meant for fits: a network should be applied to sequences without it.");
        night_hours: f64 = float(8.0, 0.0, 24_000.0, "A night is its first observation and what follows within so many hours.").only("layout", &["nights"]);
        time_unit: f64 = float(1.0, 1e-6, 1e6, "Days that count as 1 in `time` and `time_step`.");
    }
}

const MAKE: usize = 0;

impl Stage for SequencesKind {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "sequences",
            version: 1,
            about: "Light curves as padded sequences of observations, for networks",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![
                    OutputPort::of(
                        "sequences",
                        "sequences",
                        MAKE,
                        "a tensor [tracks, points, channels] an object",
                    ),
                    OutputPort::of(
                        "report",
                        "report",
                        1,
                        "JSON: the points of each track, and how many were left out",
                    ),
                ],
            },
            params: SequencesParams::specs(),
            steps: steps(true),
        }
    }

    fn shape(&self, params: &Params, _inputs: &[String]) -> (Ports, Vec<Step>) {
        let draws = SequencesParams::read(params).noise > 0.0;
        (self.spec().ports, steps(draws))
    }

    fn loops(&self, _params: &Params) -> Loops {
        Loops::None
    }

    fn opaque(&self, _params: &Params, output: &str) -> bool {
        output == "report"
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let mistake = SequencesParams::read(params).mistake();
        let diag = mistake.map(|(text, help)| {
            let diag = Diag::new("flow::params::sequences", text).help(help);
            match params.span("channels") {
                Some(span) => diag.label(span, "here"),
                None => diag,
            }
        });
        diag.into_iter().collect()
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        if action.step != MAKE {
            return collect(action);
        }
        let curves = Curves::read(&action.one("curves")?.path)?;
        let plan = SequencesParams::read(action.params).plan(&curves)?;
        let tracks = plan.tracks();
        let mut report = SequenceReport::new(&tracks);
        let mut writer = Sequences::writer(action.create()?, &tracks, plan.points, &plan.names())?;
        for i in 0..curves.len() {
            action.checkpoint()?;
            let curve = curves.get(i);
            let curve = ObservedCurve {
                time: curve.time,
                band: curve.band,
                flux: curve.flux,
                flux_err: curve.flux_err,
            };
            let id = &curves.objects.object_id[i];
            let (row, counts) = plan.row(&curve, (action.seed, rows::object_word(id)));
            writer.push(&[id], &row)?;
            report.count(&counts, plan.points);
        }
        let attrs = row_attrs(&curves.objects.object_id);
        action.finish("sequences", writer.finish()?, attrs)?;
        action.write("counts", &report.json()?, Vec::new())
    }
}

fn steps(draws: bool) -> Vec<Step> {
    let make = Step::new("make", Scope::Shard)
        .port("curves")
        .writes("sequences")
        .writes("counts");
    let collect = Step::new("collect", Scope::Whole)
        .after(MAKE, "counts")
        .writes("report");
    vec![if draws { make.seeded() } else { make }, collect]
}

impl SequencesParams<'_> {
    /// What is wrong with the channels, and a hint.
    fn mistake(&self) -> Option<(String, String)> {
        if self.channels.is_empty() {
            let help = format!("they are: {}", CHANNELS.join(", "));
            return Some(("`channels` is empty".into(), help));
        }
        let nights = self.layout == Tracks::Nights;
        for (i, &channel) in self.channels.iter().enumerate() {
            let known = Channel::ALL.iter().find(|row| row.0 == channel);
            let of_one_band = known.is_some_and(|row| row.1.is_of_one_band());
            let (text, help) = match () {
                () if self.channels[..i].contains(&channel) => (
                    format!("`channels` lists `{channel}` twice"),
                    "name each once".to_owned(),
                ),
                () if nights && of_one_band => (
                    format!("a night has no `{channel}`, since it has a flux in every band"),
                    format!("remove \"{channel}\""),
                ),
                () if !nights && channel == "observed" => (
                    "`observed` is always 1 except in the layout of nights".to_owned(),
                    "remove \"observed\", or set `layout = \"nights\"`".to_owned(),
                ),
                () => continue,
            };
            return Some((text, help));
        }
        None
    }

    /// What sequences are made of in a survey.
    fn plan(&self, curves: &Curves) -> Result<SequencePlan, StageError> {
        let known = |word: &&str| Channel::ALL.iter().find(|row| row.0 == *word);
        let channels: Vec<Channel> = self
            .channels
            .iter()
            .filter_map(known)
            .map(|c| c.1)
            .collect();
        Ok(SequencePlan {
            bands: curves.bands().to_vec(),
            wavelengths: match channels.contains(&Channel::Wavelength) {
                true => curves.wavelengths()?,
                false => Vec::new(),
            },
            layout: match self.layout {
                Tracks::Bands => Layout::Bands,
                Tracks::Merged => Layout::Merged,
                Tracks::Nights => Layout::Nights {
                    hours: self.night_hours,
                },
            },
            channels,
            points: self.points,
            keep: self.keep,
            scale: self.normalize,
            noise: self.noise,
            time_unit: self.time_unit,
        })
    }
}

/// What there is in a track.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct TrackReport {
    track: String,
    /// Objects with at least one point in it.
    objects: usize,
    /// Points of all objects, those that were left out included.
    points: usize,
    /// Points of the longest one.
    longest: usize,
    /// Objects that have more points than a track may have.
    shortened: usize,
    /// Their points that were left out.
    left_out: usize,
    /// Observations that gave way to others of the same night and band.
    merged: usize,
}

/// What there is in all tracks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SequenceReport {
    tracks: Vec<TrackReport>,
}

impl SequenceReport {
    fn new(tracks: &[String]) -> Self {
        let named = |track: &String| TrackReport {
            track: track.clone(),
            ..TrackReport::default()
        };
        Self {
            tracks: tracks.iter().map(named).collect(),
        }
    }

    /// Counts an object.
    fn count(&mut self, counts: &[TrackCount], most: usize) {
        for (track, count) in self.tracks.iter_mut().zip(counts) {
            let left_out = count.points.saturating_sub(most);
            track.objects += usize::from(count.points > 0);
            track.points += count.points;
            track.longest = track.longest.max(count.points);
            track.shortened += usize::from(left_out > 0);
            track.left_out += left_out;
            track.merged += count.merged;
        }
    }

    /// Adds what is in another shard.
    fn add(&mut self, other: Self) {
        for (track, other) in self.tracks.iter_mut().zip(other.tracks) {
            track.objects += other.objects;
            track.points += other.points;
            track.longest = track.longest.max(other.longest);
            track.shortened += other.shortened;
            track.left_out += other.left_out;
            track.merged += other.merged;
        }
    }

    /// The line at the end of a run, if something was left out.
    fn note(&self) -> Option<String> {
        let sum = |of: fn(&TrackReport) -> usize| self.tracks.iter().map(of).sum::<usize>();
        let left_out = sum(|track| track.left_out);
        let longest = self.tracks.iter().map(|track| track.longest).max();
        (left_out > 0).then(|| {
            format!(
                "{left_out} of {} points were left out, since tracks are longer than `points`; the longest has {}",
                sum(|track| track.points),
                longest.unwrap_or(0)
            )
        })
    }

    fn json(&self) -> Result<Vec<u8>, StageError> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|error| StageError::environment("cannot write a report").because(error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}

fn collect(action: &mut Action<'_>) -> Result<(), StageError> {
    let mut all: Option<SequenceReport> = None;
    for part in action.input("counts") {
        let read = serde_json::from_slice::<SequenceReport>(&std::fs::read(&part.path)?);
        let part =
            read.map_err(|error| StageError::environment("the counts of a shard").because(error))?;
        match &mut all {
            Some(all) => all.add(part),
            None => all = Some(part),
        }
    }
    let all = all.unwrap_or_else(|| SequenceReport::new(&[]));
    let notes = all.note().into_iter().map(Value::Str).collect();
    let attrs = vec![("notes".to_owned(), Value::List(notes))];
    action.write("report", &all.json()?, attrs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_shards_add_up_and_say_what_was_left_out() {
        let tracks = ["g", "r"].map(String::from);
        let count = |points| TrackCount { points, merged: 1 };
        let mut one = SequenceReport::new(&tracks);
        one.count(&[count(3), count(0)], 4);
        assert_eq!(one.note(), None);
        let mut other = SequenceReport::new(&tracks);
        other.count(&[count(9), count(2)], 4);
        one.add(other);
        let of_g = TrackReport {
            track: "g".into(),
            objects: 2,
            points: 12,
            longest: 9,
            shortened: 1,
            left_out: 5,
            merged: 2,
        };
        assert_eq!(one.tracks[0], of_g);
        assert_eq!(one.tracks[1].objects, 1);
        let note = one.note().unwrap();
        assert!(note.starts_with("5 of 14 points were left out"), "{note}");
        assert!(note.ends_with("the longest has 9"), "{note}");
    }

    #[test]
    fn the_usual_channels_are_known() {
        assert!(USUAL.iter().all(|word| CHANNELS.contains(word)));
    }

    #[test]
    fn channels_that_say_nothing_are_refused() {
        let mistake = |layout, channels: &[&'static str]| {
            let params = SequencesParams {
                layout,
                channels: channels.to_vec(),
                points: 5,
                keep: Keep::Latest,
                normalize: FluxScale::None,
                noise: 0.0,
                night_hours: 8.0,
                time_unit: 1.0,
            };
            params.mistake().map(|(text, _)| text)
        };
        assert_eq!(mistake(Tracks::Bands, &["band", "flux"]), None);
        assert_eq!(mistake(Tracks::Nights, &["flux", "observed"]), None);
        for (layout, channels, text) in [
            (Tracks::Bands, &[][..], "is empty"),
            (Tracks::Merged, &["flux", "time", "flux"], "`flux` twice"),
            (Tracks::Nights, &["flux", "band"], "no `band`"),
            (Tracks::Nights, &["wavelength"], "no `wavelength`"),
            (Tracks::Merged, &["flux", "observed"], "always 1"),
        ] {
            let found = mistake(layout, channels).unwrap();
            assert!(found.contains(text), "{found}");
        }
    }
}

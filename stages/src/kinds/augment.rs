//! Kind `augment`: copies of labelled light curves, changed as another observation could have changed them, and
//! simulated events in place of observed objects.
//!
//! The output holds the copies alone. Stages measure them like any light curves, and a `model` takes their features
//! through its input `augmented`: the fit of a fold sees the copies of its training rows, and no others. The names
//! of copies are those of [`rows::copy_id`] and [`rows::synthetic_id`].

use flow_cache::Value;
use flow_engine::base::diag::Diag;
use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, Params, params};
use rayon::prelude::*;

use crate::augmentation::{Changes, CurvePoints};
use crate::numeric::rng::Stream;
use crate::rows;
use crate::simulation::{SyntheticSource, TimesAndErrors};
use crate::table::{Curves, no_positive, row_attrs};

/// The kind.
pub struct Augment;

/// The word of the random streams of synthetic objects, which no number of a copy reaches.
const SYNTHETIC: u64 = u64::MAX;

params! {
    struct AugmentParams {
        copies: usize = int(1, 0, 100, "Copies of each labelled object.");
        positive_copies: Option<usize> = new(ParamType::Int { min: 0, max: 1000 }, "Copies of each object of the positive class; as many as of the others unless given.").optional();
        noise: f64 = float(0.67, 0.0, 10.0, "Noise that is added to each flux, in units of its error. Errors grow in quadrature.");
        thin: f64 = float(0.3, 0.0, 0.95, "Largest share of the points that are left out; each copy draws its share.");
        start: f64 = float(0.0, 0.0, 0.95, "Largest share of the time, at the beginning, of which the points are left out; each copy draws its share.");
        warp: f64 = float(0.0, 0.0, 1.0, "Standard deviation of the logarithm of the pace in each quarter of the time. The first and the last point stay.");
        redshift: f64 = float(0.0, 0.0, 1.0, "Logarithm of the largest factor on the redshift. Time is stretched, and fluxes change with distance; a band stays the same part of the spectrum.");
        synthetic: f64 = float(0.0, 0.0, 1.0, "Share of the labelled objects in whose place a simulated event of the positive class is observed too, at the times and with the errors of the object. Fluxes are in microjansky, corrected for the dust of the Milky Way.");
    }
}

impl Stage for Augment {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "augment",
            version: 1,
            about: "Copies of labelled light curves, changed within what an observation could change",
            ports: Ports {
                inputs: vec![InputPort::one("curves", "curves")],
                outputs: vec![OutputPort::of(
                    "curves",
                    "curves",
                    0,
                    "the copies, called `<object>~1` and so on, and synthetic objects `<object>~+1`; for a fit alone",
                )],
            },
            params: AugmentParams::specs(),
            steps: vec![
                Step::new("copy", Scope::Shard)
                    .port("curves")
                    .writes("curves")
                    .seeded()
                    .copied(),
            ],
        }
    }

    fn check(&self, params: &Params, _inputs: &[String]) -> Vec<Diag> {
        let p = AugmentParams::read(params);
        let copies = p.copies.max(p.positive_copies.unwrap_or(0));
        let (param, message, place, help) = match () {
            () if p.synthetic > 0.0 => return Vec::new(),
            () if copies == 0 => ("copies", "there would be no copies", "none", "copies = 1"),
            () if p.changes().is_none() => (
                "noise",
                "copies would be equal to their objects",
                "no change",
                "noise = 0.67",
            ),
            () => return Vec::new(),
        };
        let diag = Diag::new("flow::params::combination", message).help(help);
        vec![match params.span(param) {
            Some(span) => diag.label(span, place),
            None => diag,
        }]
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let curves = Curves::read(&action.one("curves")?.path)?;
        let params = AugmentParams::read(action.params);
        let maker = Maker::new(&curves, &params, action.seed)?;
        let stop = action.stop();
        let each = (0..curves.len()).into_par_iter().map(|i| match stop() {
            true => Err(StageError::interrupted()),
            false => Ok(maker.copies(i)),
        });
        let made: Vec<Vec<Copied>> = each.collect::<Result<_, _>>()?;
        let mut made: Vec<Copied> = made.into_iter().flatten().collect();
        made.sort_by(|a, b| a.object_id.cmp(&b.object_id));
        let copies = joined(&curves, &made);
        let mut attrs = row_attrs(&copies.objects.object_id);
        if let Some(note) = maker.note(&made) {
            attrs.push(("notes".to_owned(), Value::List(vec![Value::Str(note)])));
        }
        let mut writer = action.create()?;
        copies.write(&mut writer)?;
        action.finish("curves", writer, attrs)
    }
}

impl AugmentParams {
    fn changes(&self) -> Changes {
        Changes {
            redshift: self.redshift,
            warp: self.warp,
            start: self.start,
            thin: self.thin,
            noise: self.noise,
        }
    }
}

/// A copy, or a synthetic object, in the place of an object.
struct Copied {
    object_id: String,
    /// The place of the object in its shard.
    of: usize,
    label: Option<String>,
    redshift: Option<f64>,
    points: CurvePoints,
    /// It is a simulated event.
    is_event: bool,
}

/// Makes the copies of the objects of a shard.
struct Maker<'a> {
    curves: &'a Curves,
    changes: Changes,
    copies: usize,
    positive_copies: usize,
    /// What events are simulated, and the share of the objects that one takes the place of.
    synthetic: Option<(SyntheticSource, f64)>,
    wavelengths: Vec<f64>,
    seed: u64,
}

impl<'a> Maker<'a> {
    fn new(curves: &'a Curves, params: &AugmentParams, seed: u64) -> Result<Self, StageError> {
        let simulates = params.synthetic > 0.0;
        Ok(Self {
            changes: params.changes(),
            copies: params.copies,
            positive_copies: params.positive_copies.unwrap_or(params.copies),
            synthetic: match simulates {
                true => Some((simulated(curves)?, params.synthetic)),
                false => None,
            },
            wavelengths: match simulates {
                true => curves.wavelengths()?,
                false => Vec::new(),
            },
            curves,
            seed,
        })
    }

    /// Makes the copies of object `i`. Without a label it has none: nothing is fitted on it.
    fn copies(&self, i: usize) -> Vec<Copied> {
        let objects = &self.curves.objects;
        let (id, Some(label)) = (&objects.object_id[i], &objects.label[i]) else {
            return Vec::new();
        };
        let word = rows::object_word(id);
        let positive = objects.survey.positive.as_ref() == Some(label);
        let count = match positive {
            true => self.positive_copies,
            false => self.copies,
        };
        let curve = self.curves.get(i);
        let points = CurvePoints {
            time: curve.time.to_vec(),
            band: curve.band.to_vec(),
            flux: curve.flux.to_vec(),
            flux_err: curve.flux_err.to_vec(),
        };
        let mut made: Vec<Copied> = (1..=count)
            .map(|number| {
                let path = (self.seed, [word, number as u64]);
                let (points, redshift) = self.changes.copy(&points, objects.redshift[i], path);
                Copied {
                    object_id: rows::copy_id(id, number),
                    of: i,
                    label: Some(label.clone()),
                    redshift,
                    points,
                    is_event: false,
                }
            })
            .collect();
        made.extend(self.event(i, word, points));
        made
    }

    /// Simulates an event in the place of object `i`, if its turn is drawn.
    fn event(&self, i: usize, word: u64, points: CurvePoints) -> Option<Copied> {
        let (source, mut rng) = self.turn(word)?;
        let visits = TimesAndErrors {
            time: &points.time,
            band: &points.band,
            flux_err: &points.flux_err,
        };
        let event = source.observe(visits, &self.wavelengths, &mut rng)?;
        let objects = &self.curves.objects;
        Some(Copied {
            object_id: rows::synthetic_id(&objects.object_id[i], 1),
            of: i,
            label: objects.survey.positive.clone(),
            redshift: Some(event.redshift),
            points: CurvePoints {
                flux: event.flux,
                ..points
            },
            is_event: true,
        })
    }

    /// Returns the draws of the event in the place of an object, if its turn is drawn.
    fn turn(&self, word: u64) -> Option<(&SyntheticSource, Stream)> {
        let (source, share) = self.synthetic.as_ref()?;
        let mut rng = Stream::new(self.seed, &[word, SYNTHETIC]);
        (rng.uniform() < *share).then_some((source, rng))
    }

    /// What to say if events were drawn and none could be detected.
    fn note(&self, made: &[Copied]) -> Option<String> {
        let objects = &self.curves.objects;
        let both = objects.object_id.iter().zip(&objects.label);
        let drawn = both
            .filter(|(id, label)| label.is_some() && self.turn(rows::object_word(id)).is_some());
        let drawn = drawn.count();
        let none = drawn > 0 && !made.iter().any(|copy| copy.is_event);
        none.then(|| {
            format!("none of {drawn} simulated events could be detected with the errors of the objects: fluxes have to be in microjansky")
        })
    }
}

/// The events of the positive class that can be simulated.
fn simulated(curves: &Curves) -> Result<SyntheticSource, StageError> {
    let survey = &curves.objects.survey;
    let Some(positive) = &survey.positive else {
        return Err(no_positive(None, &survey.classes));
    };
    SyntheticSource::named(positive).ok_or_else(|| {
        let text = format!("events of the positive class `{positive}` cannot be simulated");
        StageError::data("flow::augment::synthetic", text).help(format!(
            "set `synthetic = 0.0`; what can be simulated is {}",
            SyntheticSource::names().join(", ")
        ))
    })
}

/// Puts copies, which are in order, into a table.
fn joined(curves: &Curves, made: &[Copied]) -> Curves {
    let mut all = Curves::new(curves.objects.survey.clone());
    for copy in made {
        let objects = &mut all.objects;
        objects.push_from(&curves.objects, copy.of);
        let last = objects.len() - 1;
        objects.object_id[last].clone_from(&copy.object_id);
        objects.label[last].clone_from(&copy.label);
        objects.raw_label[last] = None;
        objects.redshift[last] = copy.redshift;
        all.time.extend_from_slice(&copy.points.time);
        all.band.extend_from_slice(&copy.points.band);
        all.flux.extend_from_slice(&copy.points.flux);
        all.flux_err.extend_from_slice(&copy.points.flux_err);
        all.offsets.push(all.time.len());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Survey;

    /// Objects with fifty points each; the third has no label.
    fn curves(ids: &[&str]) -> Curves {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            classes: vec!["AGN".into(), "TDE".into()],
            positive: Some("TDE".into()),
            ..Survey::default()
        });
        for id in ids {
            let objects = &mut curves.objects;
            objects.object_id.push((*id).into());
            objects.label.push(match *id {
                "c" => None,
                "b" => Some("TDE".into()),
                _ => Some("AGN".into()),
            });
            objects.raw_label.push(None);
            objects.redshift.push(Some(0.2));
            objects.redshift_err.push(None);
            objects.ebv.push(Some(0.01));
            objects.split.push(Some("split_01".into()));
            objects.group.push(Some(format!("of_{id}")));
            for j in 0..50 {
                curves.time.push(60_000.0 + 4.0 * f64::from(j));
                curves.band.push((j % 2) as u16);
                curves.flux.push(f64::from(j));
                curves.flux_err.push(0.3);
            }
            curves.offsets.push(curves.time.len());
        }
        curves
    }

    fn params() -> AugmentParams {
        AugmentParams {
            copies: 1,
            positive_copies: Some(3),
            noise: 1.0,
            thin: 0.0,
            start: 0.0,
            warp: 0.0,
            redshift: 0.1,
            synthetic: 1.0,
        }
    }

    fn copies(ids: &[&str], params: &AugmentParams) -> Curves {
        let curves = curves(ids);
        let maker = Maker::new(&curves, params, 5).unwrap();
        let mut made: Vec<Copied> = (0..curves.len()).flat_map(|i| maker.copies(i)).collect();
        assert_eq!(maker.note(&made), None);
        made.sort_by(|a, b| a.object_id.cmp(&b.object_id));
        joined(&curves, &made)
    }

    #[test]
    fn labelled_objects_have_copies_with_what_is_known_of_them() {
        let all = copies(&["a", "b", "c"], &params());
        let ids = ["a~+1", "a~1", "b~+1", "b~1", "b~2", "b~3"];
        assert_eq!(all.objects.object_id, ids);
        let labels = all.objects.label.iter().flatten();
        let labels: Vec<&str> = labels.map(String::as_str).collect();
        assert_eq!(labels, ["TDE", "AGN", "TDE", "TDE", "TDE", "TDE"]);
        assert_eq!(all.objects.group[1].as_deref(), Some("of_a"));
        // A simulated event has the times and errors of the object, and a flux and a redshift of its own.
        let (event, copy) = (all.get(0), all.get(1));
        let source = curves(&["a"]);
        assert_eq!(
            (event.time, event.flux_err),
            (&source.time[..], &source.flux_err[..])
        );
        assert_ne!(event.flux, &source.flux[..]);
        assert_ne!(copy.flux, &source.flux[..]);
        assert!(all.objects.redshift.iter().all(|z| *z != Some(0.2)));
        let mut bytes = Vec::new();
        all.write(&mut bytes).unwrap();
    }

    #[test]
    fn neither_shards_nor_other_objects_change_a_copy() {
        let (all, alone) = (
            copies(&["a", "b", "c"], &params()),
            copies(&["b"], &params()),
        );
        for i in 0..alone.len() {
            assert_eq!(all.objects.object_id[i + 2], alone.objects.object_id[i]);
            assert_eq!(all.get(i + 2), alone.get(i));
        }
    }

    #[test]
    fn a_shard_without_labels_has_no_copies() {
        assert!(copies(&["c"], &params()).is_empty());
        assert!(copies(&[], &params()).is_empty());
    }

    #[test]
    fn what_cannot_be_simulated_is_said() {
        let mut other = curves(&["a", "b"]);
        other.objects.survey.positive = Some("AGN".into());
        let error = Maker::new(&other, &params(), 5).err().unwrap();
        assert_eq!(error.code.as_str(), "flow::augment::synthetic");
        assert!(error.help[0].contains("TDE, SN Ia"), "{:?}", error.help);
        other.objects.survey.positive = None;
        let error = Maker::new(&other, &params(), 5).err().unwrap();
        assert_eq!(error.code.as_str(), "flow::data::no_positive");
        let mut faint = curves(&["a", "b"]);
        faint.flux_err.fill(1e6);
        let maker = Maker::new(&faint, &params(), 5).unwrap();
        let made: Vec<Copied> = (0..2).flat_map(|i| maker.copies(i)).collect();
        assert_eq!(made.len(), 4);
        let note = maker.note(&made).unwrap();
        assert!(note.starts_with("none of 2 simulated events"), "{note}");
    }
}

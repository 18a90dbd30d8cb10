//! The catalogue of a simulated survey: which objects there are, and of which class.

use super::survey::{DemoSurvey, Population};
use super::{DemoConfig, DemoError, stream};
use crate::numeric::rng::Stream;

/// The number of splits over which sources are dealt.
pub const SPLITS: u64 = 20;

/// A row of the catalogue: cheap to list, and enough to simulate one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectPlan {
    /// An opaque and stable name, such as `demo_00042`. Numbers are dealt at random.
    pub object_id: String,
    /// The survey's name of the class.
    pub class: &'static str,
    /// The physical source, equal for all copies of it.
    pub source: u64,
    /// Which observation of the source this is.
    pub copy: u64,
    /// `split_01` to `split_20`, equal for all copies of a source.
    pub split: String,
    /// Whether the class is given away.
    pub labelled: bool,
    /// Index into the survey's populations.
    pub(super) population: usize,
}

/// Lists every object of the demo set in order of `object_id`, the labelled ones first. The labelled part does
/// not depend on how many unlabelled objects there are.
pub fn catalogue(config: &DemoConfig) -> Result<Vec<ObjectPlan>, DemoError> {
    catalogue_where(config, |_, _| true)
}

/// Lists those objects of [`catalogue`] that `wanted` picks by their source and by whether they are labelled. It takes
/// 24 bytes for each of the others.
pub fn catalogue_where(
    config: &DemoConfig,
    wanted: impl Fn(u64, bool) -> bool,
) -> Result<Vec<ObjectPlan>, DemoError> {
    let positives = config.positives();
    if positives > config.objects {
        return Err(DemoError::TooManyPositives {
            positives,
            objects: config.objects,
        });
    }
    if config.copies() == 0 {
        return Err(DemoError::NoCopies);
    }
    if !(42.6..=44.8).contains(&config.difficulty()) {
        return Err(DemoError::Difficulty(config.difficulty()));
    }
    let shown = CataloguePart {
        objects: config.objects,
        positives,
        labelled: true,
        first_source: 0,
        first_name: 0,
    };
    let (mut plans, next) = shown.plan(config, &wanted);
    let hidden = CataloguePart {
        objects: config.unlabelled,
        positives: config.unlabelled_positives(),
        labelled: false,
        first_source: next,
        first_name: config.objects,
    };
    plans.extend(hidden.plan(config, &wanted).0);
    Ok(plans)
}

/// The name of the split that a source is in.
pub fn split_of(source: u64) -> String {
    format!("split_{:02}", source % SPLITS + 1)
}

/// The labelled or the unlabelled part of the catalogue.
struct CataloguePart {
    objects: usize,
    /// How many of these objects are of the positive class.
    positives: usize,
    labelled: bool,
    first_source: u64,
    first_name: usize,
}

impl CataloguePart {
    /// Returns the objects that are wanted, and the number of the first source of the next part.
    fn plan(
        &self,
        config: &DemoConfig,
        wanted: &impl Fn(u64, bool) -> bool,
    ) -> (Vec<ObjectPlan>, u64) {
        let populations = config.survey.populations;
        let most = config.copies();
        // The (population, copies) of every source. The last source of each kind may have fewer copies.
        let mut sources = Vec::new();
        for (count, positive) in [
            (self.positives, true),
            (self.objects - self.positives, false),
        ] {
            let n = count.div_ceil(most);
            let dealt = if positive {
                vec![0; n]
            } else {
                share_out(n, populations, self.labelled)
            };
            for (i, population) in dealt.into_iter().enumerate() {
                sources.push((population, most.min(count - i * most)));
            }
        }
        let part = u64::from(self.labelled);
        Stream::new(config.seed, &[stream::CLASSES, part]).shuffle(&mut sources);
        let mut names: Vec<usize> = (self.first_name..self.first_name + self.objects).collect();
        Stream::new(config.seed, &[stream::NAMES, part]).shuffle(&mut names);

        let next = self.first_source + sources.len() as u64;
        let mut plans = Vec::new();
        let mut names = names.into_iter();
        for (source, (population, copies)) in (self.first_source..).zip(sources) {
            for (copy, name) in (0..copies as u64).zip(names.by_ref()) {
                if !wanted(source, self.labelled) {
                    continue;
                }
                plans.push((
                    name,
                    ObjectPlan {
                        object_id: format!("demo_{name:05}"),
                        class: populations[population].name,
                        source,
                        copy,
                        split: split_of(source),
                        labelled: self.labelled,
                        population,
                    },
                ));
            }
        }
        plans.sort_unstable_by_key(|(name, _)| *name);
        let plans = plans.into_iter().map(|(_, plan)| plan).collect();
        (plans, next)
    }
}

/// Deals the populations of `n` sources that are not of the positive class, the first one, by largest
/// remainder.
fn share_out(n: usize, populations: &[Population], labelled: bool) -> Vec<usize> {
    let weights = populations.iter().map(|p| p.share.of(labelled));
    let weights: Vec<(usize, f64)> = weights.enumerate().skip(1).collect();
    let total: f64 = weights.iter().map(|(_, weight)| weight).sum();
    let mut shares: Vec<(usize, usize, f64)> = weights
        .into_iter()
        .map(|(index, weight)| {
            let exact = weight / total * n as f64;
            (index, exact as usize, exact - exact.floor())
        })
        .collect();
    shares.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(&b.0)));
    let given: usize = shares.iter().map(|share| share.1).sum();
    for share in shares.iter_mut().take(n.saturating_sub(given)) {
        share.1 += 1;
    }
    shares
        .into_iter()
        .flat_map(|(index, count, _)| std::iter::repeat_n(index, count))
        .collect()
}

impl DemoSurvey {
    /// Returns the field of a source, which all its copies share.
    pub(super) fn field_of(&self, plan: &ObjectPlan, seed: u64) -> usize {
        let last = self.fields.len() - 1;
        if last == 0 {
            return 0;
        }
        let mut left = Stream::new(seed, &[stream::FIELD, plan.source]).uniform();
        for (index, field) in self.fields.iter().enumerate() {
            left -= field.share.of(plan.labelled);
            if left < 0.0 {
                return index;
            }
        }
        last
    }
}

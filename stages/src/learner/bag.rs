//! Several models that differ in their seed, of which the probabilities are averaged (Breiman 1996,
//! "Bagging predictors", Machine Learning 24, 123, with the draws of rows and columns in place of a
//! bootstrap).

use super::{Explainer, FitJob, LearnError, Learner, LearnerParams, Matrix, Model, TreeEnsemble};
use crate::numeric::rng::Stream;

/// The path of the random stream that the seeds of the models come from.
const BAG: u64 = 3;

/// Models of one learner, at least one, for the same classes and columns.
pub struct Bag(Vec<Box<dyn Model>>);

impl Bag {
    /// Fits `size` models, at least one. The first has the seed of the job, so a bag of one is the model
    /// that the learner fits by itself.
    ///
    /// # Errors
    /// As for [`Learner::fit`].
    pub fn fit(learner: &dyn Learner, job: &FitJob<'_>, size: usize) -> Result<Self, LearnError> {
        let mut seeds = Stream::new(job.params.seed, &[BAG]);
        let mut models = vec![learner.fit(job)?];
        while models.len() < size {
            let params = LearnerParams {
                seed: seeds.next_u64(),
                ..job.params.clone()
            };
            models.push(learner.fit(&FitJob {
                params: &params,
                ..*job
            })?);
        }
        Ok(Self(models))
    }

    /// Reads the models from what [`Bag::to_bytes`] wrote for each of them.
    ///
    /// # Errors
    /// [`LearnError::Model`] if there is none, one is not a model of this learner, or they differ in
    /// their number of classes.
    pub fn load(learner: &dyn Learner, bytes: &[&[u8]]) -> Result<Self, LearnError> {
        let models = bytes.iter().map(|bytes| learner.load(bytes));
        let models: Vec<Box<dyn Model>> = models.collect::<Result<_, _>>()?;
        let Some(first) = models.first() else {
            return Err(LearnError::Model("there is no model in it".into()));
        };
        let n_classes = first.n_classes();
        if models.iter().any(|model| model.n_classes() != n_classes) {
            return Err(LearnError::Model("its models have other classes".into()));
        }
        Ok(Self(models))
    }

    /// The bytes of each model.
    ///
    /// # Errors
    /// As for [`Model::to_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<Vec<u8>>, LearnError> {
        self.0.iter().map(|model| model.to_bytes()).collect()
    }

    /// Returns the means of the probabilities that the models predict, as [`Model::predict`] does.
    ///
    /// # Errors
    /// As for [`Model::predict`].
    pub fn predict(&self, x: &Matrix) -> Result<Vec<f64>, LearnError> {
        self.mean(|model| model.predict(x))
    }

    /// Returns the means of [`Model::importance`].
    pub fn importance(&self) -> Vec<f64> {
        let Ok(gain) = self.mean(|model| Ok::<_, std::convert::Infallible>(model.importance()));
        gain
    }

    /// The models, in their order.
    pub fn models(&self) -> impl Iterator<Item = &dyn Model> {
        self.0.iter().map(|model| &**model)
    }

    /// The largest number of rounds of a model.
    pub fn rounds(&self) -> usize {
        self.0.iter().map(|model| model.rounds()).max().unwrap_or(0)
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.0[0].n_classes()
    }

    /// The trees of the model, if it is one model of such trees: the mean of several is no sum of trees.
    pub fn ensemble(&self) -> Option<TreeEnsemble> {
        match &self.0[..] {
            [model] => model.ensemble(),
            _ => None,
        }
    }

    /// What explains the predictions, by the mean of what the models say; none if they say nothing.
    pub fn explainer(&self) -> Option<Box<dyn Explainer + '_>> {
        let each = self.0.iter().map(|model| model.explainer());
        let each: Option<Vec<_>> = each.collect();
        Some(Box::new(BagExplainer(each?)))
    }

    /// Averages lists of equal length over the models, in their order.
    fn mean<E>(&self, of: impl Fn(&dyn Model) -> Result<Vec<f64>, E>) -> Result<Vec<f64>, E> {
        let mut sums = of(&*self.0[0])?;
        for model in &self.0[1..] {
            for (sum, value) in sums.iter_mut().zip(of(&**model)?) {
                *sum += value;
            }
        }
        let size = self.0.len() as f64;
        sums.iter_mut().for_each(|sum| *sum /= size);
        Ok(sums)
    }
}

/// The explainers of the models of a bag.
struct BagExplainer<'a>(Vec<Box<dyn Explainer + 'a>>);

impl Explainer for BagExplainer<'_> {
    fn add(&self, row: &[f32], class: usize, phi: &mut [f64]) {
        let mut sums = vec![0.0; phi.len()];
        self.0.iter().for_each(|one| one.add(row, class, &mut sums));
        let size = self.0.len() as f64;
        for (phi, sum) in phi.iter_mut().zip(sums) {
            *phi += sum / size;
        }
    }
}

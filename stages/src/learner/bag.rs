//! Several models that differ in their seed, of which the probabilities are averaged (Breiman 1996,
//! "Bagging predictors", Machine Learning 24, 123, with the draws of rows and columns in place of a
//! bootstrap).

use super::{FitJob, LearnError, Learner, LearnerParams, Matrix, Model};
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

    /// The largest number of rounds of a model.
    pub fn rounds(&self) -> usize {
        self.0.iter().map(|model| model.rounds()).max().unwrap_or(0)
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.0[0].n_classes()
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

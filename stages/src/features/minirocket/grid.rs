//! The kernels of all bands of a grid.

use serde::{Deserialize, Serialize};

use super::biases::BiasedKernels;
use super::plan::{DilationPlan, LEAST_POINTS};
use super::statistics::{MULTI, Pooling};
use super::transform::{Transform, differences};
use crate::features::rocket::z_normalise;
use crate::numeric::rng::Stream;

/// What kernels are for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridLayout {
    /// MultiRocket, rather than MiniRocket.
    pub multi: bool,
    /// About how many biases of all kernels and dilations there are: a multiple of 84 that is not larger.
    pub kernels: usize,
    /// The most dilations of a kernel.
    pub dilations: usize,
    /// Whether each series is scaled to mean 0 and standard deviation 1 first.
    pub normalise: bool,
    /// What is put before every name.
    pub prefix: String,
    /// The names of the bands.
    pub bands: Vec<String>,
    /// The number of points of a series.
    pub points: usize,
}

impl GridLayout {
    /// The fewest points that a series must have.
    pub fn least_points(&self) -> usize {
        LEAST_POINTS + usize::from(self.multi)
    }

    fn pooling(&self) -> Pooling {
        match self.multi {
            true => Pooling::Multi,
            false => Pooling::Proportion,
        }
    }

    /// The kernels for the series, and those for its differences.
    fn plans(&self) -> impl Iterator<Item = DilationPlan> {
        let shorter = 0..=usize::from(self.multi);
        shorter.map(|less| DilationPlan::new(self.points - less, self.kernels, self.dilations))
    }

    /// The number of columns of a band.
    fn width(&self) -> usize {
        let biases: usize = self.plans().map(|plan| plan.features()).sum();
        biases * self.pooling().statistics()
    }
}

/// The series of some objects in one band.
pub struct Series {
    /// The band, by its place.
    pub band: usize,
    /// The series, one after the other.
    pub values: Vec<f32>,
}

/// The kernels of all bands, with the biases that were fitted so far.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GridKernels {
    layout: GridLayout,
    /// For each band, the biases for the series, and for MultiRocket those for its differences. They are
    /// exact as numbers of 32 bits.
    biases: Vec<Vec<Vec<f64>>>,
}

impl GridKernels {
    /// Returns kernels without biases, to be fitted band by band.
    ///
    /// # Panics
    /// If the series are shorter than [`GridLayout::least_points`].
    pub fn new(layout: GridLayout) -> Self {
        assert!(layout.points >= layout.least_points(), "too few points");
        Self {
            biases: vec![Vec::new(); layout.bands.len()],
            layout,
        }
    }

    /// What the kernels are for.
    pub fn layout(&self) -> &GridLayout {
        &self.layout
    }

    /// The names of the columns: band by band, the biases in the order of dilations and kernels. MultiRocket
    /// has four columns for each, and those of the differences after those of the series.
    pub fn names(&self) -> Vec<String> {
        let GridLayout { prefix, bands, .. } = &self.layout;
        let mut names = Vec::with_capacity(bands.len() * self.layout.width());
        for band in bands {
            for (plan, of) in self.layout.plans().zip(["", "diff_"]) {
                for k in 0..plan.features() {
                    match self.layout.multi {
                        false => names.push(format!("{prefix}minirocket_{band}_{k}")),
                        true => names.extend(
                            MULTI.map(|name| format!("{prefix}multirocket_{band}_{of}{k}_{name}")),
                        ),
                    }
                }
            }
        }
        names
    }

    /// Fits the biases of a band on the series of training rows. The series of each pair of dilation and kernel
    /// is drawn from the stream of `seed` at the path `[band, pair]`.
    ///
    /// # Panics
    /// If there is no series.
    pub fn fit(&mut self, series: Series, seed: u64) {
        let band = series.band;
        let fitted = self.blocks(series).into_iter().map(|(plan, values)| {
            let points = plan.points;
            let rows = (values.len() / points) as u64;
            let kernels = BiasedKernels::fit(plan, |pair| {
                let row = Stream::new(seed, &[band as u64, pair as u64]).below(rows) as usize;
                &values[row * points..][..points]
            });
            kernels.biases().iter().copied().map(f64::from).collect()
        });
        let fitted = fitted.collect();
        self.biases[band] = fitted;
    }

    /// Each plan with the series that it is for.
    fn blocks(&self, series: Series) -> Vec<(DilationPlan, Vec<f32>)> {
        let mut values = series.values;
        if self.layout.normalise {
            z_normalise(&mut values, self.layout.points);
        }
        let mut plans = self.layout.plans();
        let first = plans.next();
        let second = plans.next().map(|plan| {
            let differences = differences(&values, self.layout.points);
            (plan, differences)
        });
        first
            .map(|plan| (plan, values))
            .into_iter()
            .chain(second)
            .collect()
    }

    /// Returns whether one of the wanted columns is of a band.
    pub fn reads(&self, band: usize, wanted: &[usize]) -> bool {
        !self
            .wanted(wanted, band * self.layout.width(), self.layout.width())
            .1
            .is_empty()
    }

    /// Returns how many wanted columns come before column `first`, and those of the next `width` columns.
    fn wanted<'w>(&self, wanted: &'w [usize], first: usize, width: usize) -> (usize, &'w [usize]) {
        let before = |column| wanted.partition_point(|&c| c < column);
        (before(first), &wanted[before(first)..before(first + width)])
    }

    /// Writes the wanted columns of a band into `out`, which has a row of all wanted columns for each series.
    /// `wanted` are the places of columns among all names, ascending.
    ///
    /// # Panics
    /// If `out` has not as many rows as there are series.
    pub fn transform(&self, series: Series, wanted: &[usize], out: &mut [f32]) {
        let pooling = self.layout.pooling();
        let biases = &self.biases[series.band];
        let mut first = series.band * self.layout.width();
        let blocks = self.blocks(series);
        for (shift, ((plan, values), biases)) in blocks.into_iter().zip(biases).enumerate() {
            let width = plan.features() * pooling.statistics();
            let (column, of_block) = self.wanted(wanted, first, width);
            let local: Vec<usize> = of_block.iter().map(|c| c - first).collect();
            first += width;
            let biases = biases.iter().map(|&bias| bias as f32).collect();
            let Some(kernels) = BiasedKernels::new(plan, biases) else {
                continue;
            };
            let transform = Transform {
                kernels: &kernels,
                pooling,
                shift,
                wanted: &local,
            };
            transform.run(&values, out, wanted.len(), column);
        }
    }

    /// Returns true if there are as many biases as the layout says.
    pub fn is_whole(&self) -> bool {
        let plans: Vec<usize> = match self.layout.points >= self.layout.least_points() {
            true => self.layout.plans().map(|plan| plan.features()).collect(),
            false => return false,
        };
        let fits = |of: &Vec<Vec<f64>>| of.iter().map(Vec::len).eq(plans.iter().copied());
        self.biases.len() == self.layout.bands.len() && self.biases.iter().all(fits)
    }
}

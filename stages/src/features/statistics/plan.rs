//! The columns of a set for a survey, and their values for an object.

use std::cell::OnceCell;

use super::catalogue::find;
use super::contrast::Contrast;
use super::measurements::Measurements;
use super::series::{CurveSeries, Derived, Observations};
use super::sets::{Bands, Metadata, StatisticSet};
use super::statistic::Statistic;

/// What a column is.
#[derive(Clone, Copy, Debug)]
enum PlanColumn {
    /// A statistic of a series, in all bands together (place 0) or in a band (its place in the survey's list + 1).
    Of(usize, CurveSeries, &'static Statistic),
    /// A statistic of the flux in two bands, compared.
    Between([usize; 2], Contrast, &'static Statistic),
    /// What is known of the object.
    Known(Metadata),
}

/// The columns of a set for a survey.
#[derive(Clone, Debug)]
pub struct StatisticPlan {
    columns: Vec<PlanColumn>,
    names: Vec<String>,
    bands: usize,
}

/// The place of all bands together.
const ALL_BANDS: usize = 0;
const FLUX: CurveSeries = CurveSeries {
    derived: Derived::Flux,
    detected: false,
};

impl StatisticPlan {
    /// Returns the columns of a set for a survey with these bands, in a fixed order.
    ///
    /// The set `light_curve` is taken of the quantities `series`, in the bands that `which` says. The others have
    /// their own. `metadata` replaces what the set has of that. A statistic that needs errors is left out for a
    /// quantity that has none.
    pub fn new(
        set: StatisticSet,
        (series, which): (&[Derived], Bands),
        metadata: Option<&[Metadata]>,
        bands: &[&str],
    ) -> Self {
        let contents = set.contents(series, which);
        let mut plan = StatisticPlan {
            columns: Vec::new(),
            names: Vec::new(),
            bands: bands.len(),
        };
        for block in &contents.blocks {
            let places = match block.bands {
                Bands::Each => 1..=bands.len(),
                Bands::All => ALL_BANDS..=ALL_BANDS,
                Bands::Both => ALL_BANDS..=bands.len(),
            };
            for place in places {
                let band = place.checked_sub(1).map_or("all", |band| bands[band]);
                for statistic in block.statistics.iter().filter_map(|name| find(name)) {
                    if statistic.errors && !block.series.derived.has_errors() {
                        continue;
                    }
                    let name = format!("{band}_{}_{}", block.series.name(), statistic.name);
                    if !contents.left_out.contains(&&*name) {
                        plan.push(name, PlanColumn::Of(place, block.series, statistic));
                    }
                }
            }
        }
        for first in 1..bands.len() {
            plan.push_pair(first, bands, contents.pairs);
        }
        for known in metadata.unwrap_or(contents.metadata) {
            let (name, _) = Metadata::ALL[*known as usize];
            plan.push(name.to_owned(), PlanColumn::Known(*known));
        }
        plan
    }

    /// Appends the statistics of a band and the next one, compared.
    fn push_pair(&mut self, first: usize, bands: &[&str], statistics: &[&str]) {
        let pair = format!("{}_{}", bands[first - 1], bands[first]);
        for statistic in statistics.iter().filter_map(|name| find(name)) {
            for contrast in Contrast::ALL {
                let name = format!("{pair}_flux_{}_{}", statistic.name, contrast.name());
                let column = PlanColumn::Between([first, first + 1], contrast, statistic);
                self.push(name, column);
            }
        }
    }

    fn push(&mut self, name: String, column: PlanColumn) {
        self.names.push(name);
        self.columns.push(column);
    }

    /// The names of the columns: `{band}_{series}_{statistic}`, where the band `all` stands for all bands together.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Returns true if there is a column for this.
    pub fn has(&self, metadata: Metadata) -> bool {
        let mut all = self.columns.iter();
        all.any(|column| matches!(column, PlanColumn::Known(known) if *known == metadata))
    }

    /// Writes the values of an object into `out`, in the order of the names. `observations` are those of all bands;
    /// `known` gives what is known of the object.
    ///
    /// # Panics
    /// If `out` has fewer places than there are names.
    pub fn measure(
        &self,
        observations: Observations,
        known: impl Fn(Metadata) -> f64,
        out: &mut [f64],
    ) {
        let places = by_place(observations, self.bands);
        let detected: Vec<OnceCell<Observations>> =
            places.iter().map(|_| OnceCell::new()).collect();
        let values: Vec<OnceCell<Measurements<'_>>> = (0..places.len() * SERIES)
            .map(|_| OnceCell::new())
            .collect();
        let values = |place: usize, series: CurveSeries| {
            let slot = place * SERIES + 2 * series.derived as usize + usize::from(series.detected);
            values[slot].get_or_init(|| {
                let all = &places[place];
                let seen = match series.detected {
                    true => detected[place].get_or_init(|| all.detected()),
                    false => all,
                };
                seen.measurements(series.derived)
            })
        };
        for (i, column) in self.columns.iter().enumerate() {
            out[i] = match *column {
                PlanColumn::Of(place, series, statistic) => {
                    statistic.measure(values(place, series))
                }
                PlanColumn::Between([first, second], contrast, statistic) => {
                    let [first, second] =
                        [first, second].map(|place| statistic.measure(values(place, FLUX)));
                    contrast.of(first, second)
                }
                PlanColumn::Known(metadata) => known(metadata),
            };
        }
    }
}

/// The number of series that there may be in one place: each quantity of all and of detected observations.
const SERIES: usize = 2 * Derived::ALL.len();

/// The observations in all bands together, and in each band.
fn by_place(observations: Observations, bands: usize) -> Vec<Observations> {
    let mut places = vec![Observations::default(); bands + 1];
    for i in 0..observations.time.len() {
        let band = observations.band[i] as u16;
        let point = (observations.flux[i], observations.err[i]);
        if let Some(place) = places.get_mut(usize::from(band) + 1) {
            place.push(observations.time[i], band, point);
        }
    }
    places[ALL_BANDS] = observations;
    places
}

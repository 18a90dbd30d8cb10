//! Kind `rocket`: random convolutional kernels (Dempster, Petitjean and Webb 2020), band by band.
//!
//! There are two features for each kernel: the proportion of positive outputs and the largest output.
//! Kernel j of a band is a function of the seed, the band's place and j alone, so a smaller number of
//! kernels gives a prefix of the features of a larger one. The arithmetic is the same, bit for bit, at
//! every SIMD level.

use std::ops::Range;

use flow_engine::kind::{
    Action, InputPort, KindSpec, OutputPort, Ports, Scope, Stage, StageError, Step,
};
use flow_engine::{ParamType, params, words};

use crate::features::rocket::{KernelSet, KernelVariant, LANES, z_normalise};
use crate::table::{FeatureWriter, Grid, row_attrs};

/// The kind.
pub struct Rocket;

/// The number of rows that are written at a time.
const ROWS: usize = 256;

words!(KernelVariant { Rocket = "rocket", Ternary = "ternary" });

params! {
    struct RocketParams<'a> {
        kernels: usize = int(5000, 1, 1_000_000, "Kernels a band; each gives two features.");
        variant: KernelVariant = word(KernelVariant::Ternary, "Weights: `rocket` is normal, lengths 7, 9 and 11 (Dempster et al. 2020); `ternary` is -1, 0 or 1 less their mean, lengths 7 and 9.");
        normalise: bool = bool(false, "Scale each band's series to mean 0 and standard deviation 1 first, which removes what the bands' relative brightness tells.");
        prefix: &'a str = new(ParamType::Str, "Put before every column name.").or("".into());
    }
}

impl Stage for Rocket {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "rocket",
            version: 1,
            about: "ROCKET: features from thousands of random convolutional kernels",
            ports: Ports {
                inputs: vec![InputPort::one("grid", "grid")],
                outputs: vec![OutputPort::of(
                    "features",
                    "features",
                    0,
                    "`rocket_<band>_<kernel>_ppv` and `_max`",
                )],
            },
            params: RocketParams::specs(),
            steps: vec![
                Step::new("transform", Scope::Shard)
                    .port("grid")
                    .writes("features")
                    .seeded(),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let grid = Grid::open(&action.one("grid")?.path)?;
        let (bands, points) = (grid.bands().len(), grid.points());
        let RocketParams {
            kernels,
            variant,
            normalise,
            prefix,
        } = RocketParams::read(action.params);
        let mut columns = Vec::with_capacity(bands * kernels * 2);
        let mut sets = Vec::with_capacity(bands);
        for (index, band) in grid.bands().iter().enumerate() {
            action.checkpoint()?;
            for j in 0..kernels {
                columns.push(format!("{prefix}rocket_{band}_{j}_ppv"));
                columns.push(format!("{prefix}rocket_{band}_{j}_max"));
            }
            sets.push(KernelSet::generate(
                variant,
                kernels,
                points,
                action.seed,
                index as u64,
            ));
        }
        let width = columns.len();
        let mut writer = FeatureWriter::new(action.create()?, &columns)?;
        let ids = grid.object_ids().to_vec();
        let mut out = Vec::new();
        for start in (0..ids.len()).step_by(ROWS) {
            action.checkpoint()?;
            action.progress(start as u64, ids.len() as u64);
            let rows = start..(start + ROWS).min(ids.len());
            out.clear();
            out.resize(rows.len() * width, 0.0);
            for (band, set) in sets.iter().enumerate() {
                let mut series = series_of_band(&grid, rows.clone(), band)?;
                if normalise {
                    z_normalise(&mut series, points);
                }
                // Each thread takes some rows at a time, so that a stop need not wait for all of them.
                let some = 2 * LANES * action.threads.max(1);
                let (series, out) = (series.chunks(some * points), out.chunks_mut(some * width));
                for (series, out) in series.zip(out) {
                    action.checkpoint()?;
                    set.transform(series, out, width, band * kernels * 2);
                }
            }
            writer.push(&ids[rows], &out)?;
        }
        let attrs = row_attrs(&ids);
        action.finish("features", writer.finish()?, attrs)
    }
}

/// Returns the series of some objects in one band.
///
/// # Errors
/// If a value is not finite.
fn series_of_band(grid: &Grid, rows: Range<usize>, band: usize) -> Result<Vec<f32>, StageError> {
    let mut series = Vec::with_capacity(rows.len() * grid.points());
    for i in rows {
        grid.series(i, band, &mut series)?;
    }
    Ok(series)
}

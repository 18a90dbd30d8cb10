//! A grid: for each object a series of even times in each band.

use std::path::Path;

use flow_engine::StageError;

use super::parquet_io::parse_list;
use super::schema_error;
use super::tensor::TensorTable;

/// A grid, mapped into memory.
#[derive(Clone, Debug)]
pub struct Grid {
    tensor: TensorTable,
    bands: Vec<String>,
    points: usize,
}

impl Grid {
    /// Opens a tensor table of the column `grid` with the shape `[bands, points]`. Without names, bands have
    /// numbers.
    ///
    /// # Errors
    /// If the file cannot be opened (environment), or does not fit (data).
    pub fn open(path: &Path) -> Result<Self, StageError> {
        let tensor = TensorTable::open(path, "grid")?;
        let &[bands, points] = tensor.shape() else {
            let shape = tensor.shape();
            let text = format!("a grid has tensors [bands, points], not {shape:?}");
            return Err(schema_error(text));
        };
        let names = tensor.metadata("flow.bands").and_then(parse_list);
        let numbers = || (0..bands).map(|band| band.to_string()).collect();
        let bands = names
            .filter(|names| names.len() == bands)
            .unwrap_or_else(numbers);
        Ok(Self {
            tensor,
            bands,
            points,
        })
    }

    /// The objects, in row order.
    pub fn object_ids(&self) -> &[String] {
        self.tensor.object_ids()
    }

    /// The names of the bands.
    pub fn bands(&self) -> &[String] {
        &self.bands
    }

    /// The number of points of a series.
    pub fn points(&self) -> usize {
        self.points
    }

    /// The values of object `row`, band by band; NaN where there is none. Panics if there is no such row.
    pub fn row(&self, row: usize) -> &[f32] {
        self.tensor.row(row)
    }

    /// Appends the series of object `row` in a band. Panics if there is no such row or band.
    ///
    /// # Errors
    /// If a value is not finite.
    pub fn series(&self, row: usize, band: usize, to: &mut Vec<f32>) -> Result<(), StageError> {
        let here = &self.tensor.row(row)[band * self.points..(band + 1) * self.points];
        if here.iter().any(|v| !v.is_finite()) {
            let id = &self.object_ids()[row];
            return Err(StageError::data(
                "flow::data::not_finite",
                format!("the grid of object `{id}` holds a value that is not finite"),
            )
            .help("convolutions need numbers throughout: set `outside` of the `interpolate` stage to \"hold\" or \"zero\""));
        }
        to.extend_from_slice(here);
        Ok(())
    }
}

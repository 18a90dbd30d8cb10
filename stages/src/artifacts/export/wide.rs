//! Features, grids and sequences, which the store keeps as one tensor for each object: as tables with a named column for
//! each value, or as arrays.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, RecordBatch, StringArray};
use arrow_schema::{DataType, Field, Schema};
use arrow_select::concat::concat_batches;
use flow_engine::StageError;
use flow_engine::kind::{Part, PortType};

use super::npz::NpzWriter;
use super::{broken, table, unsupported};
use crate::table::{FeatureTable, FeatureWriter, Grid, Sequences};

/// The number of rows of a wide table that are written at a time.
const ROWS: usize = 1024;

/// A table of 32-bit floats, one row for each object, mapped into memory.
pub trait WideTable {
    /// The names of the columns.
    fn names(&self) -> Vec<String>;
    /// The objects, in row order.
    fn ids(&self) -> &[String];
    /// The values of an object.
    fn values(&self, row: usize) -> &[f32];
    /// The values of an object as an array.
    fn axes(&self) -> Axes<'_>;
}

/// The values of an object as an array.
pub struct Axes<'a> {
    /// What the array is called.
    name: &'static str,
    /// The lengths of its dimensions.
    shape: Vec<usize>,
    /// The names along some of them.
    names: Vec<(&'static str, &'a [String])>,
}

impl WideTable for FeatureTable {
    fn names(&self) -> Vec<String> {
        self.columns().to_vec()
    }

    fn ids(&self) -> &[String] {
        self.object_ids()
    }

    fn values(&self, row: usize) -> &[f32] {
        self.row(row)
    }

    fn axes(&self) -> Axes<'_> {
        Axes {
            name: "features",
            shape: vec![self.columns().len()],
            names: vec![("columns", self.columns())],
        }
    }
}

/// A column is called after its band and its place in the series, from 0: `g_000`.
impl WideTable for Grid {
    fn names(&self) -> Vec<String> {
        let digits = self.points().saturating_sub(1).to_string().len();
        let bands = self.bands().iter();
        bands
            .flat_map(|band| (0..self.points()).map(move |at| format!("{band}_{at:0digits$}")))
            .collect()
    }

    fn ids(&self) -> &[String] {
        self.object_ids()
    }

    fn values(&self, row: usize) -> &[f32] {
        self.row(row)
    }

    fn axes(&self) -> Axes<'_> {
        Axes {
            name: "grid",
            shape: vec![self.bands().len(), self.points()],
            names: vec![("bands", self.bands())],
        }
    }
}

/// A column is called after its track, its place in the track, from 0, and its channel: `g_000_flux`.
impl WideTable for Sequences {
    fn names(&self) -> Vec<String> {
        let digits = self.points().saturating_sub(1).to_string().len();
        let places = self.tracks().iter();
        let places = places.flat_map(|track| (0..self.points()).map(move |at| (track, at)));
        let channels = self.channels();
        places
            .flat_map(|(track, at)| {
                let name = move |channel| format!("{track}_{at:0digits$}_{channel}");
                channels.iter().map(name)
            })
            .collect()
    }

    fn ids(&self) -> &[String] {
        self.object_ids()
    }

    fn values(&self, row: usize) -> &[f32] {
        self.row(row)
    }

    fn axes(&self) -> Axes<'_> {
        let (tracks, channels) = (self.tracks(), self.channels());
        Axes {
            name: "sequences",
            shape: vec![tracks.len(), self.points(), channels.len()],
            names: vec![("tracks", tracks), ("channels", channels)],
        }
    }
}

/// The parts of a wide table, and the place of each row in the order of `object_id`.
pub struct Wide<T> {
    tables: Vec<T>,
    columns: Vec<String>,
    order: Vec<(usize, usize)>,
}

/// Writes the parts of a port in a format for tables.
pub fn write(
    ty: PortType,
    parts: &[Part],
    extension: &str,
    to: &mut dyn Write,
) -> Result<(), StageError> {
    match ty {
        "features" => write_wide(&open(parts, FeatureTable::open)?, extension, to),
        "grid" => write_wide(&open(parts, Grid::open)?, extension, to),
        "sequences" => write_wide(&open(parts, Sequences::open)?, extension, to),
        _ => Err(unsupported(
            extension,
            "a tensor table",
            "arrow, shard by shard",
        )),
    }
}

/// Opens the parts of a wide table.
pub fn open<T: WideTable>(
    parts: &[Part],
    open: impl Fn(&Path) -> Result<T, StageError>,
) -> Result<Wide<T>, StageError> {
    let tables = parts.iter().map(|part| open(&part.path));
    let tables: Vec<T> = tables.collect::<Result<_, _>>()?;
    let names: Vec<Vec<String>> = tables.iter().map(WideTable::names).collect();
    if names.windows(2).any(|pair| pair[0] != pair[1]) {
        return Err(StageError::data(
            "flow::export::parts",
            "the parts have different columns, so they do not form one table",
        )
        .help("export the stages that feed this one, each by itself"));
    }
    let mut order: Vec<(usize, usize)> = tables
        .iter()
        .enumerate()
        .flat_map(|(t, table)| (0..table.ids().len()).map(move |row| (t, row)))
        .collect();
    order.sort_by(|a, b| tables[a.0].ids()[a.1].cmp(&tables[b.0].ids()[b.1]));
    Ok(Wide {
        tables,
        columns: names.into_iter().next().unwrap_or_default(),
        order,
    })
}

/// Writes feature tables as one, in the format of the store.
pub fn merge(features: &Wide<FeatureTable>, to: &mut dyn Write) -> Result<(), StageError> {
    let mut writer = FeatureWriter::new(to, &features.columns)?;
    for &(t, row) in &features.order {
        let table = &features.tables[t];
        writer.push(&table.object_ids()[row..=row], table.row(row))?;
    }
    writer.finish().map(|_| ())
}

fn write_wide<T: WideTable>(
    wide: &Wide<T>,
    extension: &str,
    to: &mut dyn Write,
) -> Result<(), StageError> {
    if extension == "npz" {
        return write_arrays(wide, to);
    }
    let names = wide.columns.iter();
    let mut fields = vec![Field::new("object_id", DataType::Utf8, false)];
    fields.extend(names.map(|name| Field::new(name, DataType::Float32, true)));
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for rows in wide.order.chunks(ROWS) {
        let ids = rows.iter().map(|&(t, row)| &wide.tables[t].ids()[row]);
        let mut arrays: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(ids))];
        for column in 0..wide.columns.len() {
            let values = rows.iter().map(|&(t, row)| {
                let value = wide.tables[t].values(row)[column];
                (!value.is_nan()).then_some(value)
            });
            arrays.push(Arc::new(values.collect::<Float32Array>()));
        }
        batches.push(RecordBatch::try_new(schema.clone(), arrays).map_err(broken)?);
    }
    table::write(
        &concat_batches(&schema, &batches).map_err(broken)?,
        extension,
        to,
    )
}

/// Writes a NumPy archive: the values of all objects as one array, what they are called, and what its dimensions are.
fn write_arrays<T: WideTable>(wide: &Wide<T>, to: &mut dyn Write) -> Result<(), StageError> {
    let mut archive = NpzWriter::new(to);
    let ids = wide.order.iter();
    let ids: Vec<&String> = ids.map(|&(t, row)| &wide.tables[t].ids()[row]).collect();
    archive.texts("object_id", &ids)?;
    if let Some(first) = wide.tables.first() {
        let Axes { name, shape, names } = first.axes();
        let shape: Vec<usize> = std::iter::once(ids.len()).chain(shape).collect();
        let rows = wide.order.iter();
        archive.numbers(
            name,
            &shape,
            rows.map(|&(t, row)| wide.tables[t].values(row)),
        )?;
        for (along, names) in names {
            archive.texts(along, names)?;
        }
    }
    archive.finish()
}

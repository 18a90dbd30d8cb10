//! Writes the rows of a fold as Parquet.
//!
//! A file holds `object_id`, then `label` for training rows, then the columns of every input. Inputs
//! are read side by side in the order of `object_id`. Each run of rows is a row group, and only one is
//! in memory at a time.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float32Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::kind::{Action, Part, Rows, StageError};
use parquet::basic::Compression;
use parquet::file::properties::EnabledStatistics;

use crate::rows::{self, FeatureView, RowLabels};
use crate::table::{TableReader, TableWriter, json_list, properties};

use super::curves::CurveTables;

/// The number of feature values in a row group: 128 MiB.
const VALUES: usize = 32 << 20;
/// The most rows in a row group, because light curves are long.
const ROWS: usize = 4096;
/// Columns with few distinct values.
const FEW: [&str; 4] = ["label", "split", "group", "lightcurve.band.list.element"];

/// Writes the rows with this role in the action's fold.
pub(super) fn write(action: &Action<'_>, role: Rows, to: &Path) -> Result<(), StageError> {
    let (folds, wanted) = rows::of_action(action, role)?;
    let ids: Vec<String> = wanted.iter().map(|&i| folds.object_id[i].clone()).collect();
    let mut inputs = Vec::new();
    for port in action.ports() {
        inputs.push(PortRows::open(port, action.input(port), &ids)?);
    }
    let mut metadata = Vec::new();
    let labels = if role == Rows::Train {
        let positive: Vec<String> = folds.positive.iter().cloned().collect();
        metadata.push(("flow.classes", json_list(&folds.classes)));
        metadata.push(("flow.positive", json_list(&positive)));
        let labels: Result<Vec<&str>, _> = wanted.iter().map(|&i| rows::label(&folds, i)).collect();
        Some(labels?)
    } else {
        None
    };
    if role == Rows::Train {
        let labels = RowLabels::of(&folds, &wanted)?;
        for input in &inputs {
            if let PortRows::Features(view) = input {
                rows::no_label(action, view, &labels)?;
            }
        }
    }
    let table = ProgramTable {
        ids,
        labels,
        inputs,
    };
    table.write(metadata, File::create(to)?, || action.checkpoint())
}

/// The rows for a program.
struct ProgramTable<'a> {
    /// The objects, in the order of their bytes.
    ids: Vec<String>,
    /// The labels of training rows.
    labels: Option<Vec<&'a str>>,
    inputs: Vec<PortRows>,
}

impl ProgramTable<'_> {
    fn write(
        mut self,
        mut metadata: Vec<(&str, String)>,
        to: File,
        checkpoint: impl Fn() -> Result<(), StageError>,
    ) -> Result<(), StageError> {
        let bands = self.inputs.iter().find_map(|input| match input {
            PortRows::Curves(tables) => tables.bands.clone(),
            PortRows::Features(_) => None,
        });
        metadata.extend(bands.map(|bands| ("flow.bands", bands)));
        let schema = Arc::new(self.schema()?);
        let stretch = (VALUES / schema.fields().len()).clamp(1, ROWS);
        // The file is read once and then removed, so compression is not worth its cost, which is
        // highest if there are many columns.
        let properties = properties(&metadata, &FEW)
            .into_builder()
            .set_compression(Compression::UNCOMPRESSED)
            .set_statistics_enabled(EnabledStatistics::None)
            .build();
        let mut writer = TableWriter::new(to, schema, properties)?;
        for first in (0..self.ids.len()).step_by(stretch) {
            checkpoint()?;
            let last = (first + stretch).min(self.ids.len());
            let ids = &self.ids[first..last];
            let mut columns: Vec<ArrayRef> = vec![Arc::new(StringArray::from_iter_values(ids))];
            if let Some(labels) = &self.labels {
                let labels = StringArray::from_iter_values(&labels[first..last]);
                columns.push(Arc::new(labels));
            }
            for input in &mut self.inputs {
                columns.extend(input.columns(first, ids)?);
            }
            writer.push(columns)?;
        }
        writer.finish()
    }

    fn schema(&self) -> Result<Schema, StageError> {
        let mut fields = vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("label", DataType::Utf8, false),
        ];
        fields.extend(self.inputs.iter().flat_map(PortRows::fields));
        // This check comes before the label is left out, so that no column can take its place among
        // rows without labels.
        let mut names: Vec<&String> = fields.iter().map(Field::name).collect();
        names.sort();
        if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(StageError::data(
                "flow::data::column_twice",
                format!("two columns for the program are called `{}`", pair[0]),
            )
            .help("give one of the stages a `prefix`; `object_id` and `label` are taken"));
        }
        if self.labels.is_none() {
            fields.remove(1);
        }
        Ok(Schema::new(fields))
    }
}

/// The data that comes in through one port.
enum PortRows {
    Features(FeatureView),
    Curves(CurveTables),
}

impl PortRows {
    /// Opens the tables behind `parts` to read the objects `ids` (in the order of their bytes).
    fn open(port: &str, parts: &[Part], ids: &[String]) -> Result<Self, StageError> {
        // A step that reads training rows and others is given the same table twice.
        let mut tables: Vec<Part> = Vec::new();
        for part in parts {
            let same = |t: &Part| t.reference == part.reference && t.path == part.path;
            if !tables.iter().any(same) {
                tables.push(part.clone());
            }
        }
        let Some(first) = tables.first() else {
            return Ok(Self::Features(FeatureView::open(&[], ids)?));
        };
        let mut magic = [0; 4];
        let parquet = File::open(&first.path)?.read_exact(&mut magic).is_ok() && &magic == b"PAR1";
        if parquet && TableReader::open(&first.path, port)?.has("lightcurve") {
            Ok(Self::Curves(CurveTables::open(port, &tables)?))
        } else {
            let view = FeatureView::open(&tables, ids).map_err(|error| {
                error.help(format!(
                    "`{port}` comes in below folds: features or light curves, a row an object"
                ))
            })?;
            Ok(Self::Features(view))
        }
    }

    fn fields(&self) -> Vec<Field> {
        match self {
            Self::Features(view) => {
                let names = view.names().iter();
                names
                    .map(|name| Field::new(name, DataType::Float32, false))
                    .collect()
            }
            Self::Curves(tables) => tables.fields.clone(),
        }
    }

    /// Returns the columns of the objects `ids`, the first of which is row `first` of all.
    fn columns(&mut self, first: usize, ids: &[String]) -> Result<Vec<ArrayRef>, StageError> {
        let view = match self {
            Self::Features(view) => view,
            Self::Curves(tables) => return tables.columns(ids),
        };
        let all: Vec<usize> = (0..view.names().len()).collect();
        let mut columns: Vec<Vec<f32>> =
            all.iter().map(|_| Vec::with_capacity(ids.len())).collect();
        let mut row = Vec::with_capacity(all.len());
        for i in first..first + ids.len() {
            row.clear();
            view.gather(i, &all, &mut row);
            for (column, &value) in columns.iter_mut().zip(&row) {
                column.push(value);
            }
        }
        let arrays = columns.into_iter().map(Float32Array::from);
        Ok(arrays.map(|array| Arc::new(array) as ArrayRef).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::{Curves, FeatureTable, FeatureWriter, Objects, Survey};
    use flow_cache::{Digest, Value};
    use flow_testkit::files::TempDir;

    fn part(path: std::path::PathBuf, reference: usize) -> Part {
        Part {
            path,
            digest: Digest::of(b""),
            attrs: Value::Null,
            reference,
            fold: None,
            views: Vec::new(),
        }
    }

    fn curves(ids: &[&str]) -> Curves {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            classes: vec!["SN".into()],
            positive: None,
            wavelengths: Vec::new(),
        });
        let mut one = Objects {
            object_id: vec![String::new()],
            label: vec![Some("SN".into())],
            raw_label: vec![None],
            redshift: vec![Some(0.5)],
            redshift_err: vec![None],
            ebv: vec![None],
            split: vec![None],
            group: vec![None],
            ..Objects::default()
        };
        for (n, id) in ids.iter().enumerate() {
            one.object_id[0] = (*id).into();
            curves.objects.push_from(&one, 0);
            let seen = n + 1;
            curves.time.extend((0..seen).map(|t| t as f64));
            curves.band.extend((0..seen).map(|t| (t % 2) as u16));
            curves
                .flux
                .extend(id.bytes().cycle().take(seen).map(f64::from));
            curves.flux_err.extend(vec![1.0; seen]);
            curves.offsets.push(curves.time.len());
        }
        curves
    }

    fn save(dir: &TempDir, name: &str, curves: &Curves) -> Part {
        let path = dir.path().join(name);
        curves.write(File::create(&path).unwrap()).unwrap();
        part(path, 0)
    }

    fn features(dir: &TempDir, name: &str, column: &str, ids: &[&str], values: &[f32]) -> Part {
        let path = dir.path().join(name);
        let mut writer =
            FeatureWriter::new(File::create(&path).unwrap(), &[column.to_owned()]).unwrap();
        writer.push(ids, values).unwrap();
        writer.finish().unwrap();
        part(path, 0)
    }

    fn texts(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    fn table<'a>(ids: &[&str], labels: Option<&[&'a str]>, ports: &[&[Part]]) -> ProgramTable<'a> {
        let ids = texts(ids);
        let open = |parts: &&[Part]| PortRows::open("x", parts, &ids).unwrap();
        ProgramTable {
            inputs: ports.iter().map(open).collect(),
            labels: labels.map(<[&str]>::to_vec),
            ids,
        }
    }

    fn written(dir: &TempDir, table: ProgramTable<'_>) -> Result<std::path::PathBuf, StageError> {
        let path = dir.path().join("rows.parquet");
        table.write(Vec::new(), File::create(&path).unwrap(), || Ok(()))?;
        Ok(path)
    }

    #[test]
    fn light_curves_of_interleaved_files_come_in_order_and_without_labels() {
        let dir = flow_testkit::files::folder();
        let parts = [
            save(&dir, "1", &curves(&["a", "c", "e"])),
            save(&dir, "2", &curves(&["b", "d"])),
            save(&dir, "1", &curves(&["a", "c", "e"])),
        ];
        let path = written(&dir, table(&["b", "c", "e"], None, &[&parts])).unwrap();
        let read = Curves::read(&path).unwrap();
        assert_eq!(read.objects.object_id, ["b", "c", "e"]);
        assert_eq!(read.offsets, [0, 1, 3, 6]);
        assert_eq!(read.flux, [98.0, 99.0, 99.0, 101.0, 101.0, 101.0]);
        assert_eq!(read.bands(), ["g", "r"]);
        assert_eq!(read.objects.redshift, [Some(0.5); 3]);
        let source = TableReader::open(&path, "rows").unwrap();
        assert!(!source.has("label"), "{:?}", source.fields());
    }

    #[test]
    fn training_rows_have_labels_and_all_inputs_side_by_side() {
        let dir = flow_testkit::files::folder();
        let light = [save(&dir, "1", &curves(&["a", "b"]))];
        let wide = [features(
            &dir,
            "2",
            "x",
            &["a", "b", "c"],
            &[1.0, f32::NAN, 3.0],
        )];
        let table = table(&["a", "b"], Some(&["SN", "AGN"]), &[&wide, &light]);
        let path = written(&dir, table).unwrap();
        let mut source = TableReader::open(&path, "rows").unwrap();
        let names: Vec<String> = source.fields().iter().map(|f| f.name().clone()).collect();
        assert_eq!(names[..3], ["object_id", "label", "x"]);
        assert_eq!(names.last().unwrap(), "lightcurve");
        let batch = source.next_batch().unwrap().unwrap();
        let labels = batch.texts("label").unwrap();
        assert_eq!(labels.iter().flatten().collect::<Vec<_>>(), ["SN", "AGN"]);
        let x = FeatureTable::from_parquet(&path, "rows", |c| c == "x").unwrap();
        assert!(x.row(0) == [1.0] && x.row(1)[0].is_nan());
    }

    #[test]
    fn many_rows_are_cut_the_same_way_every_time() {
        let dir = flow_testkit::files::folder();
        let ids: Vec<String> = (0..2 * ROWS + 5).map(|i| format!("o{i:06}")).collect();
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        let (even, odd): (Vec<&str>, Vec<&str>) = ids
            .iter()
            .partition(|id| id.ends_with(['0', '2', '4', '6', '8']));
        let short = |ids: &[&str]| {
            let mut all = curves(&[]);
            let one = curves(&["x"]);
            for id in ids {
                all.objects.push_from(&one.objects, 0);
                *all.objects.object_id.last_mut().unwrap() = (*id).into();
                all.offsets.push(0);
            }
            all
        };
        let parts = [
            save(&dir, "1", &short(&odd)),
            save(&dir, "2", &short(&even)),
        ];
        let path = written(&dir, table(&ids, None, &[&parts])).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let read = Curves::read(&path).unwrap();
        assert!(read.objects.object_id.iter().eq(&ids));
        written(&dir, table(&ids, None, &[&parts])).unwrap();
        assert_eq!(bytes, std::fs::read(&path).unwrap());
    }

    #[test]
    fn tables_that_do_not_fit_are_named() {
        let dir = flow_testkit::files::folder();
        let a = save(&dir, "a", &curves(&["a"]));
        let again = save(&dir, "again", &curves(&["a", "b"]));
        let lacks = written(&dir, table(&["a", "b"], None, &[std::slice::from_ref(&a)]));
        assert_eq!(
            lacks.unwrap_err().code.as_str(),
            "flow::data::objects_differ"
        );
        let twice = written(&dir, table(&["a", "b"], None, &[&[a, again]]));
        assert_eq!(twice.unwrap_err().code.as_str(), "flow::data::object_twice");
        for column in ["object_id", "label"] {
            let wide = features(&dir, "f", column, &["a"], &[1.0]);
            let taken = written(&dir, table(&["a"], None, &[&[wide]])).unwrap_err();
            assert_eq!(taken.code.as_str(), "flow::data::column_twice");
        }
    }
}

//! The light curves of models that were fitted to objects.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float32Type, Float64Type};
use arrow_array::{Array, ArrayRef, Float32Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::nested::{COLUMN, Nested};
use super::objects::{Survey, texts};
use super::parquet_io::{self, TableReader, properties};
use super::schema_error;

/// The curves of one fitted model for each object of a shard, in the order of `object_id`. The curve of
/// object `i` has the points `offsets[i]..offsets[i + 1]` of the flat columns, in time order.
///
/// Fluxes are what the model gives for the light curves that it was fitted to: dereddened if those were.
#[derive(Clone, Debug, PartialEq)]
pub struct FittedCurves {
    /// What the objects share. [`Survey::bands`] has the names of the bands.
    pub survey: Survey,
    /// The names of the objects.
    pub object_id: Vec<String>,
    /// The name of the model of each object; `None` if none could be fitted.
    pub model: Vec<Option<String>>,
    /// Bounds of the objects' points: one more than there are objects. The first is 0.
    pub offsets: Vec<usize>,
    /// Time in days (MJD).
    pub time: Vec<f64>,
    /// Index into [`Survey::bands`].
    pub band: Vec<u16>,
    /// Flux in the survey's unit, microjansky.
    pub flux: Vec<f32>,
    /// Standard error of the model's flux, NaN if the model gives none. In the file, NaN is a null.
    pub flux_err: Vec<f32>,
}

impl FittedCurves {
    /// Returns a table without objects.
    pub fn new(survey: Survey) -> Self {
        Self {
            survey,
            object_id: Vec::new(),
            model: Vec::new(),
            offsets: vec![0],
            time: Vec::new(),
            band: Vec::new(),
            flux: Vec::new(),
            flux_err: Vec::new(),
        }
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.object_id.len()
    }

    /// Returns true if there are no objects.
    pub fn is_empty(&self) -> bool {
        self.object_id.is_empty()
    }

    /// Adds a point to the object that is added next.
    pub fn push_point(&mut self, time: f64, band: u16, flux: f32, flux_err: f32) {
        self.time.push(time);
        self.band.push(band);
        self.flux.push(flux);
        self.flux_err.push(flux_err);
    }

    /// Adds the object to which the points since the last object belong.
    pub fn push_object(&mut self, object_id: &str, model: Option<&str>) {
        self.object_id.push(object_id.into());
        self.model.push(model.map(String::from));
        self.offsets.push(self.time.len());
    }

    /// Writes the table as Parquet: `object_id`, `model` and
    /// `lightcurve: struct<mjd: list<f64>, band: list<utf8>, flux: list<f32>, flux_err: list<f32>>`.
    ///
    /// # Errors
    /// If the writer fails, or there are more than 2^31 points.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let errors = self.flux_err.iter().map(|&e| (!e.is_nan()).then_some(e));
        let mut light = Nested::new(&self.offsets)?;
        light.push(
            "mjd",
            Arc::new(arrow_array::Float64Array::from(self.time.clone())),
        )?;
        light.push_bands(&self.band, &self.survey.bands)?;
        light.push("flux", Arc::new(Float32Array::from(self.flux.clone())))?;
        light.push_nullable("flux_err", Arc::new(Float32Array::from_iter(errors)))?;
        let (field, light) = light.finish()?;
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(&self.object_id));
        let fields = vec![
            Field::new("object_id", DataType::Utf8, false),
            Field::new("model", DataType::Utf8, true),
            field,
        ];
        let few = ["model", "lightcurve.band.list.element"];
        parquet_io::write(
            writer,
            Arc::new(Schema::new(fields)),
            vec![ids, texts(&self.model), light],
            properties(&self.survey.metadata(), &few),
        )
    }

    /// Reads [`FittedCurves::write`]'s file.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit: a column is missing, lists differ in length, or a band
    /// is unknown.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let name = "the table of fitted light curves";
        let mut source = TableReader::open(path, name)?;
        let mut fitted = Self::new(Survey::of(&source)?.unwrap_or_default());
        while let Some(batch) = source.next_batch()? {
            let before = fitted.len();
            fitted.object_id.extend(batch.ids("object_id", before)?);
            let models = batch.texts("model")?;
            fitted.model.extend(parquet_io::options(&models));
            let light = batch.fields(COLUMN)?;
            let (bounds, time) = light.lists("mjd", &DataType::Float64)?;
            let (of_bands, bands) = light.lists("band", &DataType::Utf8)?;
            let (of_fluxes, flux) = light.lists("flux", &DataType::Float32)?;
            let (of_errors, errors) = light.lists("flux_err", &DataType::Float32)?;
            if of_bands != bounds || of_fluxes != bounds || of_errors != bounds {
                let text = format!("the lists of a light curve in {name} differ in length");
                return Err(schema_error(text));
            }
            let base = fitted.time.len();
            let ends = bounds[1..].iter().map(|end| base + end - bounds[0]);
            fitted.offsets.extend(ends);
            for i in bounds[0]..bounds[bounds.len() - 1] {
                let band = fitted.survey.place(bands.as_string::<i32>().value(i))?;
                let errors = errors.as_primitive::<Float32Type>();
                let error = if errors.is_valid(i) {
                    errors.value(i)
                } else {
                    f32::NAN
                };
                let time = time.as_primitive::<Float64Type>().value(i);
                let flux = flux.as_primitive::<Float32Type>().value(i);
                fitted.push_point(time, band, flux, error);
            }
        }
        super::check_order(&fitted.object_id, name)?;
        Ok(fitted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Objects;
    use flow_testkit::files::file_of;

    #[test]
    fn a_file_gives_back_what_was_written() {
        let mut fitted = FittedCurves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            ..Survey::default()
        });
        fitted.push_point(60_000.5, 1, 3.5, f32::NAN);
        fitted.push_point(60_001.5, 0, -1.0, 0.25);
        fitted.push_object("a", Some("tde"));
        fitted.push_object("b", None);
        let mut bytes = Vec::new();
        fitted.write(&mut bytes).unwrap();
        let read = FittedCurves::read(file_of(&bytes).path()).unwrap();
        assert_eq!(read.offsets, [0, 2, 2]);
        assert_eq!(read.model, [Some("tde".into()), None]);
        assert_eq!((&read.time, &read.band), (&fitted.time, &fitted.band));
        assert_eq!(read.flux, [3.5, -1.0]);
        assert!(read.flux_err[0].is_nan() && read.flux_err[1] == 0.25);
        // Without errors, the column of errors has the same type.
        fitted.flux_err = vec![1.0, 1.0];
        let mut others = Vec::new();
        fitted.write(&mut others).unwrap();
        let kind = |bytes: &[u8]| {
            let source = TableReader::open(file_of(bytes).path(), "t").unwrap();
            source.fields().clone()
        };
        assert_eq!(kind(&bytes), kind(&others));
    }

    #[test]
    fn a_table_of_another_kind_is_refused() {
        let mut one = Objects::default();
        one.object_id.push("a".into());
        for column in [
            &mut one.label,
            &mut one.raw_label,
            &mut one.split,
            &mut one.group,
        ] {
            column.push(None);
        }
        for column in [&mut one.redshift, &mut one.redshift_err, &mut one.ebv] {
            column.push(None);
        }
        let mut bytes = Vec::new();
        one.write(&mut bytes).unwrap();
        let error = FittedCurves::read(file_of(&bytes).path()).unwrap_err();
        assert!(error.message.contains("no column `model`"), "{error}");
        assert!(FittedCurves::read(file_of(b"object_id\n").path()).is_err());
    }
}

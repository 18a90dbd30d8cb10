//! One shard of light curves with their objects.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, Float64Array};
use arrow_schema::{DataType, Schema};
use flow_engine::StageError;

use super::nested::{COLUMN, Nested};
use super::objects::{Objects, Survey};
use super::parquet_io::{self, Batch, TableReader, properties};
use super::{IMPOSSIBLE, schema_error};

/// One shard of light curves. Object `i` has the observations `offsets[i]..offsets[i + 1]` of the
/// flat columns, in time order.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// The objects.
    pub objects: Objects,
    /// Bounds of the objects' observations: one more than there are objects. The first is 0.
    pub offsets: Vec<usize>,
    /// Time in days (MJD).
    pub time: Vec<f64>,
    /// Index into [`Survey::bands`].
    pub band: Vec<u16>,
    /// Flux in the survey's unit; microjansky in MALLORN and the demo.
    pub flux: Vec<f64>,
    /// Standard error of the flux.
    pub flux_err: Vec<f64>,
}

/// The light curve of one object; slices of equal length, in time order.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LightCurve<'a> {
    /// Time in days (MJD).
    pub time: &'a [f64],
    /// Index into [`Survey::bands`].
    pub band: &'a [u16],
    /// Flux.
    pub flux: &'a [f64],
    /// Standard error of the flux.
    pub flux_err: &'a [f64],
}

impl Default for Curves {
    fn default() -> Self {
        Self::new(Survey::default())
    }
}

impl Curves {
    /// Returns a shard without objects.
    pub fn new(survey: Survey) -> Self {
        Self {
            objects: Objects {
                survey,
                ..Objects::default()
            },
            offsets: vec![0],
            time: Vec::new(),
            band: Vec::new(),
            flux: Vec::new(),
            flux_err: Vec::new(),
        }
    }

    /// The number of objects.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns true if there are no objects.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// The names of the bands.
    pub fn bands(&self) -> &[String] {
        &self.objects.survey.bands
    }

    /// The light curve of object `i`.
    pub fn get(&self, i: usize) -> LightCurve<'_> {
        let range = self.offsets[i]..self.offsets[i + 1];
        LightCurve {
            time: &self.time[range.clone()],
            band: &self.band[range.clone()],
            flux: &self.flux[range.clone()],
            flux_err: &self.flux_err[range],
        }
    }

    /// Writes the shard as Parquet: the object's columns and
    /// `lightcurve: struct<mjd: list<f64>, band: list<utf8>, flux: list<f64>, flux_err: list<f64>>`.
    ///
    /// # Errors
    /// If a light curve holds an impossible value, the writer fails, or a shard holds more than 2^31
    /// observations.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        self.check(0)?;
        self.write_unchecked(writer)
    }

    fn write_unchecked(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let floats = |values: &[f64]| -> ArrayRef { Arc::new(Float64Array::from(values.to_vec())) };
        let mut light = Nested::new(&self.offsets)?;
        light.push("mjd", floats(&self.time))?;
        light.push_bands(&self.band, self.bands())?;
        light.push("flux", floats(&self.flux))?;
        light.push("flux_err", floats(&self.flux_err))?;
        let (field, light) = light.finish()?;

        let (mut fields, mut columns) = self.objects.columns();
        fields.push(field);
        columns.push(light);
        let few = ["label", "split", "group", "lightcurve.band.list.element"];
        parquet_io::write(
            writer,
            Arc::new(Schema::new(fields)),
            columns,
            properties(&self.objects.survey.metadata(), &few),
        )
    }

    /// Reads [`Curves::write`]'s file, or one like it: `object_id` and `lightcurve` are required.
    /// Without the metadata `flow.bands`, the bands are those that occur, in the order of their bytes.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit: a column is missing, a value is null or not finite, a
    /// light curve is out of time order, or a band is unknown.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let mut source = TableReader::open(path, "the curves table")?;
        let survey = match Survey::of(&source)? {
            Some(survey) => survey,
            None => Survey {
                bands: bands_that_occur(path)?,
                ..Survey::default()
            },
        };
        let mut curves = Curves::new(survey);
        while let Some(batch) = source.next_batch()? {
            curves.extend(&batch)?;
        }
        super::check_order(&curves.objects.object_id, "the curves table")?;
        Ok(curves)
    }

    fn extend(&mut self, batch: &Batch) -> Result<(), StageError> {
        let first = self.len();
        self.objects.extend(batch)?;
        let light = batch.fields(COLUMN)?;
        let (bounds, time) = light.lists("mjd", &DataType::Float64)?;
        let mut columns = vec![(&mut self.time, time)];
        for (name, column) in [("flux", &mut self.flux), ("flux_err", &mut self.flux_err)] {
            let (other, values) = light.lists(name, &DataType::Float64)?;
            same_lengths(&bounds, &other, name)?;
            columns.push((column, values));
        }
        let (other, bands) = light.lists("band", &DataType::Utf8)?;
        same_lengths(&bounds, &other, "band")?;
        let range = bounds[0]..bounds[bounds.len() - 1];
        for (column, values) in columns {
            let values = values.as_primitive::<Float64Type>();
            let part = &values.values()[range.clone()];
            // Arrow leaves undefined what value lies behind a null.
            let valid = |i: &usize| values.is_valid(*i);
            match values.null_count() {
                0 => column.extend_from_slice(part),
                _ => column.extend(range.clone().map(|i| match valid(&i) {
                    true => values.value(i),
                    false => f64::NAN,
                })),
            }
        }
        let values = bands.as_string::<i32>();
        for i in range.clone() {
            let name = if values.is_null(i) {
                ""
            } else {
                values.value(i)
            };
            self.band.push(self.objects.survey.place(name)?);
        }
        let base = self.offsets[first];
        self.offsets
            .extend(bounds[1..].iter().map(|b| base + b - bounds[0]));
        self.check(first)?;
        for i in first..self.len() {
            if self.get(i).time.windows(2).any(|pair| pair[0] > pair[1]) {
                return Err(schema_error(format!(
                    "the light curve of `{}` is not in time order",
                    self.objects.object_id[i]
                )));
            }
        }
        Ok(())
    }
}

impl Curves {
    /// Checks the light curves from object `first` on: all values must be numbers, and all errors
    /// positive.
    fn check(&self, first: usize) -> Result<(), StageError> {
        let from = self.offsets[first];
        let good =
            |all: &[f64], least: f64| all[from..].iter().all(|v| v.is_finite() && *v > least);
        let any = f64::NEG_INFINITY;
        if good(&self.time, any) && good(&self.flux, any) && good(&self.flux_err, 0.0) {
            return Ok(());
        }
        for i in first..self.len() {
            for j in self.offsets[i]..self.offsets[i + 1] {
                let (time, flux, error) = (self.time[j], self.flux[j], self.flux_err[j]);
                let (what, value) = match () {
                    () if !time.is_finite() => ("time", time),
                    () if !flux.is_finite() => ("flux", flux),
                    () if !error.is_finite() || error <= 0.0 => ("flux error", error),
                    () => continue,
                };
                let value = match value.is_nan() {
                    true => "no number".into(),
                    false => value.to_string(),
                };
                return Err(StageError::data(
                    IMPOSSIBLE,
                    format!(
                        "object `{}` has a {what} of {value} in band `{}`{}",
                        self.objects.object_id[i],
                        self.bands()[usize::from(self.band[j])],
                        match what {
                            "time" => String::new(),
                            _ => format!(" at time {time}"),
                        }
                    ),
                )
                .help("times and fluxes are finite numbers, flux errors positive ones; leave other observations out"));
            }
        }
        Ok(())
    }
}

fn same_lengths(mjd: &[usize], other: &[usize], name: &str) -> Result<(), StageError> {
    let lengths = |bounds: &[usize]| bounds.windows(2).map(|w| w[1] - w[0]).collect::<Vec<_>>();
    if mjd[0] == other[0] && lengths(mjd) == lengths(other) {
        return Ok(());
    }
    Err(schema_error(format!(
        "the lists `mjd` and `{name}` of a light curve differ in length"
    )))
}

fn bands_that_occur(path: &Path) -> Result<Vec<String>, StageError> {
    let mut source = TableReader::open(path, "the curves table")?;
    let mut bands = std::collections::BTreeSet::new();
    while let Some(batch) = source.next_batch()? {
        let (_, values) = batch.fields(COLUMN)?.lists("band", &DataType::Utf8)?;
        let values = values.as_string::<i32>();
        for name in values.iter().flatten() {
            if !bands.contains(name) {
                bands.insert(name.to_string());
            }
        }
    }
    Ok(bands.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_engine::kind::Fault;
    use flow_testkit::files::file_of;

    fn sample() -> Curves {
        let mut curves = Curves::new(Survey {
            bands: vec!["g".into(), "r".into()],
            wavelengths: vec![("r".into(), 6215.5)],
            classes: vec!["AGN".into(), "TDE".into()],
            positive: Some("TDE".into()),
        });
        curves.objects.object_id = vec!["a".into(), "b".into(), "ü".into()];
        curves.objects.label = vec![Some("TDE".into()), None, Some("AGN".into())];
        curves.objects.raw_label = vec![None; 3];
        curves.objects.redshift = vec![Some(0.1), None, Some(-0.01)];
        curves.objects.redshift_err = vec![None; 3];
        curves.objects.ebv = vec![Some(0.02); 3];
        curves.objects.split = vec![Some("split_01".into()); 3];
        curves.objects.group = vec![None; 3];
        curves.offsets = vec![0, 2, 2, 3];
        curves.time = vec![1.0, 2.5, 7.0];
        curves.band = vec![1, 0, 1];
        curves.flux = vec![-1.5, 3.25, 0.1];
        curves.flux_err = vec![0.5, 0.25, 0.1];
        curves
    }

    fn bytes(curves: &Curves) -> Vec<u8> {
        let mut bytes = Vec::new();
        curves.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_file_gives_back_what_was_written_and_is_the_same_each_time() {
        let curves = sample();
        let first = bytes(&curves);
        assert_eq!(first, bytes(&curves));
        let file = file_of(&first);
        assert_eq!(Curves::read(file.path()).unwrap(), curves);
        // The objects' columns are those of an objects table.
        assert_eq!(Objects::read(file.path()).unwrap(), curves.objects);
        let mut objects = Vec::new();
        curves.objects.write(&mut objects).unwrap();
        let file = file_of(&objects);
        assert_eq!(Objects::read(file.path()).unwrap(), curves.objects);
    }

    /// Light curves go to the programs that run for folds, including those of held-out objects.
    #[test]
    fn what_a_label_was_is_written_with_objects_only() {
        let mut curves = sample();
        let plain = bytes(&curves);
        curves.objects.raw_label[0] = Some("TDE-H".into());
        assert_eq!(bytes(&curves), plain);
        let mut objects = Vec::new();
        curves.objects.write(&mut objects).unwrap();
        let read = Objects::read(file_of(&objects).path()).unwrap();
        assert_eq!(read, curves.objects);
        assert_eq!(read.raw_label[0].as_deref(), Some("TDE-H"));
    }

    #[test]
    fn a_file_of_another_kind_names_what_it_lacks() {
        let mut objects = Vec::new();
        sample().objects.write(&mut objects).unwrap();
        let error = Curves::read(file_of(&objects).path()).unwrap_err();
        assert_eq!(error.fault, Fault::Data);
        assert!(error.message.contains("no column `lightcurve`"), "{error}");
        assert!(
            error.help[0].contains("object_id, label"),
            "{:?}",
            error.help
        );
        let error = Curves::read(file_of(b"object_id,flux\n").path()).unwrap_err();
        assert!(
            error
                .message
                .contains("the curves table is text, where Parquet is expected"),
            "{error}"
        );
    }

    #[test]
    fn a_light_curve_out_of_order_or_not_finite_is_refused() {
        let mut curves = sample();
        curves.time.swap(0, 1);
        let error = Curves::read(file_of(bytes(&curves)).path()).unwrap_err();
        assert!(
            error.message.contains("`a` is not in time order"),
            "{error}"
        );
        let mut curves = sample();
        curves.objects.object_id.swap(0, 1);
        let error = Curves::read(file_of(bytes(&curves)).path()).unwrap_err();
        assert!(error.message.contains("order of object_id"), "{error}");
    }

    #[test]
    fn impossible_values_are_refused_where_they_are_written_and_read() {
        type Change = fn(&mut Curves);
        let changes: [(Change, &str); 4] = [
            (
                |c| c.flux[1] = f64::NAN,
                "object `a` has a flux of no number in band `g` at time 2.5",
            ),
            (
                |c| c.flux[2] = f64::INFINITY,
                "object `ü` has a flux of inf in band `r` at time 7",
            ),
            (
                |c| c.flux_err[0] = 0.0,
                "object `a` has a flux error of 0 in band `r` at time 1",
            ),
            (
                |c| c.time[2] = f64::NAN,
                "object `ü` has a time of no number",
            ),
        ];
        for (change, message) in changes {
            let mut curves = sample();
            change(&mut curves);
            let error = curves.write(Vec::new()).unwrap_err();
            assert!(error.message.contains(message), "{error}");
            // A table that a command writes is only checked when it is read.
            let mut foreign = Vec::new();
            curves.write_unchecked(&mut foreign).unwrap();
            let error = Curves::read(file_of(&foreign).path()).unwrap_err();
            assert!(error.message.contains(message), "{error}");
        }
    }

    #[test]
    fn no_objects_are_a_table_too() {
        let empty = Curves::new(sample().objects.survey);
        assert_eq!(Curves::read(file_of(bytes(&empty)).path()).unwrap(), empty);
    }
}

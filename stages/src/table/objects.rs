//! What is known of each object apart from its light curve.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, Float64Array, StringArray};
use arrow_schema::{DataType, Field, Schema};
use flow_engine::StageError;

use super::missing::is_no_value;
use super::parquet_io::{self, Batch, TableReader, json_list, properties};

/// What all objects of a survey share. It is kept in the metadata of every file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Survey {
    /// Names of the bands, in the pipeline's order. Metadata `flow.bands`.
    pub bands: Vec<String>,
    /// Effective wavelengths of bands in angstrom, as far as the survey gives them. Metadata
    /// `flow.wavelengths`, a JSON list of texts such as `g=4770`, which is left out if there are none.
    pub wavelengths: Vec<(String, f64)>,
    /// Names of the classes, in the order of their bytes. Metadata `flow.classes`.
    pub classes: Vec<String>,
    /// The class that binary metrics score. Metadata `flow.positive`, a JSON list of at most one name.
    pub positive: Option<String>,
}

/// One row per object, in the order of `object_id`'s bytes. All columns have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// What all the objects share.
    pub survey: Survey,
    /// The names of the objects, which are unique.
    pub object_id: Vec<String>,
    /// The class; `None` for an unlabelled object.
    pub label: Vec<Option<String>>,
    /// The label that the survey gave, if `classes` put it into another class.
    pub raw_label: Vec<Option<String>>,
    /// Redshift.
    pub redshift: Vec<Option<f64>>,
    /// The standard error of the redshift.
    pub redshift_err: Vec<Option<f64>>,
    /// Galactic reddening E(B-V), in magnitudes.
    pub ebv: Vec<Option<f64>>,
    /// The part of the survey that the object belongs to.
    pub split: Vec<Option<String>>,
    /// The group. Objects of one group are copies or relatives of one source.
    pub group: Vec<Option<String>>,
}

impl Survey {
    pub(super) fn metadata(&self) -> Vec<(&'static str, String)> {
        let positive: Vec<String> = self.positive.iter().cloned().collect();
        let mut all = vec![
            ("flow.bands", json_list(&self.bands)),
            ("flow.classes", json_list(&self.classes)),
            ("flow.positive", json_list(&positive)),
        ];
        if !self.wavelengths.is_empty() {
            let each = self.wavelengths.iter();
            let texts: Vec<String> = each.map(|(band, at)| format!("{band}={at}")).collect();
            all.push((WAVELENGTHS, json_list(&texts)));
        }
        all
    }

    pub(super) fn of(source: &TableReader) -> Result<Option<Self>, StageError> {
        let Some(bands) = source.metadata_list("flow.bands")? else {
            return Ok(None);
        };
        let wavelengths = source.metadata_list(WAVELENGTHS)?.unwrap_or_default();
        Ok(Some(Self {
            bands,
            wavelengths: wavelengths
                .iter()
                .map(|text| band_and_wavelength(text))
                .collect::<Result<_, _>>()?,
            classes: source.metadata_list("flow.classes")?.unwrap_or_default(),
            positive: source
                .metadata_list("flow.positive")?
                .unwrap_or_default()
                .pop(),
        }))
    }

    /// Returns the place of a band in [`Survey::bands`].
    ///
    /// # Errors
    /// If there is no band of that name.
    pub(super) fn place(&self, band: &str) -> Result<u16, StageError> {
        let index = self.bands.iter().position(|name| name == band);
        index.map(|index| index as u16).ok_or_else(|| {
            super::schema_error(format!("a light curve has the unknown band `{band}`")).help(
                format!("the bands of this table are: {}", self.bands.join(", ")),
            )
        })
    }

    /// Returns the survey of several parts. Their classes are united, because a part may know only its
    /// own.
    ///
    /// # Errors
    /// If the parts disagree in bands, their wavelengths or the positive class.
    pub fn join<'a>(parts: impl IntoIterator<Item = &'a Survey>) -> Result<Self, StageError> {
        let mut parts = parts.into_iter();
        let mut all = parts.next().cloned().unwrap_or_default();
        for part in parts {
            if part.bands != all.bands || part.positive != all.positive {
                return Err(super::schema_error(format!(
                    "parts of one table disagree: bands {:?} and {:?}, positive class {:?} and {:?}",
                    all.bands, part.bands, all.positive, part.positive
                )));
            }
            if part.wavelengths != all.wavelengths {
                return Err(super::schema_error(format!(
                    "parts of one table disagree: wavelengths {:?} and {:?}",
                    all.wavelengths, part.wavelengths
                )));
            }
            all.classes.extend_from_slice(&part.classes);
        }
        all.classes.sort();
        all.classes.dedup();
        Ok(all)
    }
}

/// The name of the metadata with the wavelengths.
const WAVELENGTHS: &str = "flow.wavelengths";

/// Reads a text such as `g=4770`.
fn band_and_wavelength(text: &str) -> Result<(String, f64), StageError> {
    let pair = text.rsplit_once('=');
    let pair = pair.and_then(|(band, at)| Some((band.to_owned(), at.parse().ok()?)));
    pair.filter(|(_, at): &(_, f64)| at.is_finite() && *at > 0.0)
        .ok_or_else(|| {
            super::schema_error(format!(
                "the metadata `{WAVELENGTHS}` has `{text}`, which is no band with its wavelength"
            ))
        })
}

/// The most classes that a survey may have: for each, a model has one tree per round and predictions
/// have one column.
pub const MOST_CLASSES: usize = 1000;
/// With fewer labels than this, it is no wonder if all of them differ.
const FEW: usize = 20;

/// The column of the labels before they were regrouped.
pub(crate) const RAW_LABEL: &str = "raw_label";

/// The text columns besides `object_id`, all of which have few distinct values.
const TEXTS: [&str; 3] = ["label", "split", "group"];

impl Objects {
    /// The number of objects.
    pub fn len(&self) -> usize {
        self.object_id.len()
    }

    /// Returns true if there are no objects.
    pub fn is_empty(&self) -> bool {
        self.object_id.is_empty()
    }

    /// Returns the classes that occur among labels, in the order of their bytes. `column` is what the
    /// survey calls the column of labels.
    ///
    /// # Errors
    /// If these are not classes: there are more than `MOST_CLASSES`, or nearly every label is unique.
    pub fn classes<'a>(
        labels: impl IntoIterator<Item = &'a Option<String>>,
        column: &str,
    ) -> Result<Vec<String>, StageError> {
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for label in labels.into_iter().flatten() {
            *counts.entry(label).or_default() += 1;
        }
        Self::counted_classes(&counts, column)
    }

    /// Returns the classes that occur so often, in the order of their bytes.
    ///
    /// # Errors
    /// As for [`Objects::classes`].
    pub fn counted_classes<S: AsRef<str>>(
        classes: &BTreeMap<S, usize>,
        column: &str,
    ) -> Result<Vec<String>, StageError> {
        let labelled: usize = classes.values().sum();
        let own = labelled >= FEW && classes.len() * 10 > labelled * 9;
        if own || classes.len() > MOST_CLASSES {
            let some: Vec<&str> = classes.keys().take(3).map(AsRef::as_ref).collect();
            let message = format!(
                "column `{column}` has {} different labels for {labelled} objects, such as {}: these are no classes",
                classes.len(),
                some.join(", ")
            );
            return Err(StageError::data("flow::data::classes", message).help(format!(
                "name the column of the class under `columns`, or group these, as in `classes = {{ other = \"*\" }}`; there may be {MOST_CLASSES} classes"
            )));
        }
        Ok(classes
            .keys()
            .map(|class| class.as_ref().to_owned())
            .collect())
    }

    /// Appends row `i` of `other`.
    pub fn push_from(&mut self, other: &Objects, i: usize) {
        self.object_id.push(other.object_id[i].clone());
        self.label.push(other.label[i].clone());
        self.raw_label.push(other.raw_label[i].clone());
        self.redshift.push(other.redshift[i]);
        self.redshift_err.push(other.redshift_err[i]);
        self.ebv.push(other.ebv[i]);
        self.split.push(other.split[i].clone());
        self.group.push(other.group[i].clone());
    }

    /// Writes the table as Parquet. It has the column `raw_label` only if a label was regrouped. Files
    /// with light curves never have that column, because programs read them and must not see it.
    ///
    /// # Errors
    /// If the writer fails.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let (mut fields, mut columns) = self.columns();
        let mut few = TEXTS.to_vec();
        if self.raw_label.iter().any(Option::is_some) {
            few.push(RAW_LABEL);
            fields.push(Field::new(RAW_LABEL, DataType::Utf8, true));
            columns.push(texts(&self.raw_label));
        }
        let schema = Arc::new(Schema::new(fields));
        parquet_io::write(
            writer,
            schema,
            columns,
            properties(&self.survey.metadata(), &few),
        )
    }

    /// Reads [`Objects::write`]'s file, or one like it: only `object_id` is required.
    ///
    /// # Errors
    /// If the file is unreadable or does not fit.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        Self::read_columns(path, |_| true)
    }

    /// Does what [`Objects::read`] does, and leaves out all columns but `object_id` and those that `wanted` picks.
    ///
    /// # Errors
    /// As for [`Objects::read`].
    pub fn read_columns(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, StageError> {
        let wanted = |name: &str| name == "object_id" || wanted(name);
        let mut source = TableReader::open_columns(path, "the objects table", wanted)?;
        let mut objects = Objects {
            survey: Survey::of(&source)?.unwrap_or_default(),
            ..Objects::default()
        };
        while let Some(batch) = source.next_batch()? {
            objects.extend(&batch)?;
        }
        super::check_order(&objects.object_id, "the objects table")?;
        Ok(objects)
    }

    pub(super) fn extend(&mut self, batch: &Batch) -> Result<(), StageError> {
        self.object_id
            .extend(batch.ids("object_id", self.object_id.len())?);
        let texts = |name: &str| -> Result<Vec<Option<String>>, StageError> {
            let Some(_) = batch.column(name) else {
                return Ok(vec![None; batch.len()]);
            };
            let some = |text: &String| !is_no_value(text.trim());
            Ok(parquet_io::options(&batch.texts(name)?)
                .map(|text| text.filter(some))
                .collect())
        };
        let floats = |name: &str| -> Result<Vec<Option<f64>>, StageError> {
            let Some(_) = batch.column(name) else {
                return Ok(vec![None; batch.len()]);
            };
            let values = batch.floats(name)?;
            Ok(values
                .iter()
                .map(|value| value.filter(|v| !v.is_nan()))
                .collect())
        };
        self.label.extend(texts("label")?);
        self.raw_label.extend(texts(RAW_LABEL)?);
        self.redshift.extend(floats("redshift")?);
        self.redshift_err.extend(floats("redshift_err")?);
        self.ebv.extend(floats("ebv")?);
        self.split.extend(texts("split")?);
        self.group.extend(texts("group")?);
        Ok(())
    }

    pub(super) fn columns(&self) -> (Vec<Field>, Vec<ArrayRef>) {
        let mut fields = vec![Field::new("object_id", DataType::Utf8, false)];
        let ids: ArrayRef = Arc::new(StringArray::from_iter_values(&self.object_id));
        let mut columns = vec![ids];
        let mut text = |name: &str, values: &[Option<String>]| -> ArrayRef {
            fields.push(Field::new(name, DataType::Utf8, true));
            texts(values)
        };
        let label = text("label", &self.label);
        let split = text("split", &self.split);
        let group = text("group", &self.group);
        columns.extend([label, split, group]);
        for (name, values) in [
            ("redshift", &self.redshift),
            ("redshift_err", &self.redshift_err),
            ("ebv", &self.ebv),
        ] {
            fields.push(Field::new(name, DataType::Float64, true));
            columns.push(Arc::new(Float64Array::from(values.clone())));
        }
        (fields, columns)
    }
}

/// A column of texts.
pub(super) fn texts(values: &[Option<String>]) -> ArrayRef {
    Arc::new(StringArray::from_iter(values.iter().map(Option::as_deref)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_that_are_no_classes_are_refused() {
        let check = |labels: &[String]| {
            let labels: Vec<Option<String>> = labels.iter().cloned().map(Some).collect();
            let classes = Objects::classes(&labels, "kind");
            classes.map(|classes| classes.len()).map_err(|error| {
                assert_eq!(error.code.as_str(), "flow::data::classes");
                error.message
            })
        };
        let labels = |n: usize, label: &dyn Fn(usize) -> usize| -> Vec<String> {
            (0..n).map(|i| format!("l{}", label(i))).collect()
        };
        // A few objects may all have different labels, and many objects usually share two.
        assert_eq!(check(&labels(19, &|i| i)), Ok(19));
        assert_eq!(check(&labels(5000, &|i| i % 2)), Ok(2));
        // A class that occurs several times is enough, even among notes that differ from object to
        // object.
        assert_eq!(check(&labels(60, &|i| if i < 10 { 0 } else { i })), Ok(51));
        assert_eq!(check(&labels(3000, &|i| i % 1000)), Ok(1000));
        for (labels, found) in [
            (labels(40, &|i| i), "40 different labels for 40 objects"),
            (labels(200, &|i| i.max(9)), "191 different labels for 200"),
            (labels(9000, &|i| i % 1001), "1001 different labels"),
        ] {
            let error = check(&labels).unwrap_err();
            assert!(error.contains(found), "{error}");
            assert!(error.contains("`kind`"), "{error}");
        }
    }

    #[test]
    fn parts_of_a_survey_join() {
        let part = |classes: &[&str]| Survey {
            bands: vec!["g".into()],
            classes: classes.iter().map(|s| s.to_string()).collect(),
            ..Survey::default()
        };
        let all = Survey::join([&part(&["b"]), &part(&["a", "b"])]).unwrap();
        assert_eq!(all.classes, ["a", "b"]);
        let other = Survey {
            bands: vec!["r".into()],
            ..part(&[])
        };
        assert!(Survey::join([&part(&[]), &other]).is_err());
        let other = Survey {
            wavelengths: vec![("g".into(), 4770.0)],
            ..part(&[])
        };
        assert!(Survey::join([&part(&[]), &other]).is_err());
    }
}

//! What is known of each object besides its light curve.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use flow_engine::StageError;

use super::missing::is_no_value;
use super::parquet_io::{self, Batch, Source, json_list, properties};

/// What all objects of a survey share; kept in the metadata of every file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Names of the bands, in the pipeline's order. Metadata `flow.bands`.
    pub bands: Vec<String>,
    /// Names of the classes, in the order of their bytes. Metadata `flow.classes`.
    pub classes: Vec<String>,
    /// The class that binary metrics score. Metadata `flow.positive`, a JSON list of at most one.
    pub positive: Option<String>,
}

/// One row an object, in the order of `object_id`'s bytes; all columns have the same length.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Objects {
    /// What all of them share.
    pub survey: Survey,
    /// Unique names.
    pub object_id: Vec<String>,
    /// Class; none for an unlabelled object.
    pub label: Vec<Option<String>>,
    /// Redshift.
    pub redshift: Vec<Option<f64>>,
    /// Its standard error.
    pub redshift_err: Vec<Option<f64>>,
    /// Galactic reddening E(B-V), in magnitudes.
    pub ebv: Vec<Option<f64>>,
    /// The part of the survey that it comes in.
    pub split: Vec<Option<String>>,
    /// Objects with one group are copies or relatives of one source.
    pub group: Vec<Option<String>>,
}

impl Survey {
    pub(super) fn metadata(&self) -> Vec<(&'static str, String)> {
        let positive: Vec<String> = self.positive.iter().cloned().collect();
        vec![
            ("flow.bands", json_list(&self.bands)),
            ("flow.classes", json_list(&self.classes)),
            ("flow.positive", json_list(&positive)),
        ]
    }

    pub(super) fn of(source: &Source) -> Result<Option<Self>, StageError> {
        let Some(bands) = source.metadata_list("flow.bands")? else {
            return Ok(None);
        };
        Ok(Some(Self {
            bands,
            classes: source.metadata_list("flow.classes")?.unwrap_or_default(),
            positive: source
                .metadata_list("flow.positive")?
                .unwrap_or_default()
                .pop(),
        }))
    }

    /// The survey of several parts: classes are united (a part may know only its own).
    ///
    /// # Errors
    /// The parts disagree in bands or in the positive class.
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
            all.classes.extend_from_slice(&part.classes);
        }
        all.classes.sort();
        all.classes.dedup();
        Ok(all)
    }
}

/// The text columns besides `object_id`, all of few values.
const TEXTS: [&str; 3] = ["label", "split", "group"];

impl Objects {
    /// Number of objects.
    pub fn len(&self) -> usize {
        self.object_id.len()
    }

    /// True without any object.
    pub fn is_empty(&self) -> bool {
        self.object_id.is_empty()
    }

    /// Appends row `i` of `other`.
    pub fn push_from(&mut self, other: &Objects, i: usize) {
        self.object_id.push(other.object_id[i].clone());
        self.label.push(other.label[i].clone());
        self.redshift.push(other.redshift[i]);
        self.redshift_err.push(other.redshift_err[i]);
        self.ebv.push(other.ebv[i]);
        self.split.push(other.split[i].clone());
        self.group.push(other.group[i].clone());
    }

    /// Writes them as Parquet.
    ///
    /// # Errors
    /// The writer fails.
    pub fn write(&self, writer: impl Write + Send) -> Result<(), StageError> {
        let (fields, columns) = self.columns();
        let schema = Arc::new(Schema::new(fields));
        parquet_io::write(
            writer,
            schema,
            columns,
            properties(&self.survey.metadata(), &TEXTS),
        )
    }

    /// Reads [`Objects::write`]'s file, or one like it: only `object_id` is required.
    ///
    /// # Errors
    /// The file is unreadable or does not fit.
    pub fn read(path: &Path) -> Result<Self, StageError> {
        let mut source = Source::open(path, "the objects table")?;
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
            Arc::new(StringArray::from_iter(values.iter().map(Option::as_deref)))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_a_survey_join() {
        let part = |classes: &[&str]| Survey {
            bands: vec!["g".into()],
            classes: classes.iter().map(|s| s.to_string()).collect(),
            positive: None,
        };
        let all = Survey::join([&part(&["b"]), &part(&["a", "b"])]).unwrap();
        assert_eq!(all.classes, ["a", "b"]);
        let other = Survey {
            bands: vec!["r".into()],
            ..part(&[])
        };
        assert!(Survey::join([&part(&[]), &other]).is_err());
    }
}

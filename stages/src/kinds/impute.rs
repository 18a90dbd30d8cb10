//! Kind `impute`: puts a number where a feature is missing, fitted on the training rows of each fold.
//!
//! Its output is a view, like that of `select`. A column that has no value among the training rows stays as
//! it is, since there is nothing to fill it with (`constant` always has something).

use flow_engine::kind::{Action, KindSpec, Rows, Scope, Stage, StageError, Step};
use flow_engine::{ParamType, params, words};

use super::select::view_ports;
use crate::numeric::column_map::{ColumnMap, mean_fill, median_fill};
use crate::rows::{COLUMNS, MappedColumn, fit_columns};

/// The kind.
pub struct Impute;

#[derive(Clone, Copy)]
enum ImputeMethod {
    Median,
    Mean,
    Constant,
}

words!(ImputeMethod { Median = "median", Mean = "mean", Constant = "constant" });

params! {
    struct ImputeParams<'a> {
        method: ImputeMethod = word(ImputeMethod::Median, "What a missing value becomes: the median or the mean of the column's training rows, or `value`.");
        value: f64 = float(0.0, -3.4e38, 3.4e38, "What a missing value becomes, in the unit of the column.").only("method", &["constant"]);
        indicator: bool = bool(false, "Add a column `<name>_missing` for each column with missing values among the training rows: 1 where the value is missing, and 0 elsewhere.");
        columns: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Str)), "Names or globs of the columns that are filled; all others stay as they are. Without it, all are filled.").optional();
    }
}

impl Stage for Impute {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "impute",
            version: 1,
            about: "Fills in missing features, fitted on the training rows of each fold",
            ports: view_ports("the same tables, with missing values filled in"),
            params: ImputeParams::specs(),
            steps: vec![
                Step::new("fit", Scope::Fold)
                    .rows("features", Rows::Train)
                    .writes(COLUMNS),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let params = ImputeParams::read(action.params);
        let fill = |values: &[f32]| match params.method {
            ImputeMethod::Median => median_fill(values),
            ImputeMethod::Mean => mean_fill(values),
            ImputeMethod::Constant => Some(ColumnMap::Fill {
                value: params.value,
            }),
        };
        fit_columns(action, &params.columns, |name, values| {
            let made = |name: String, of: &str, map| MappedColumn {
                name,
                of: of.into(),
                map,
            };
            let filled = fill(values).map(|map| made(name.into(), name, map));
            let gaps = params.indicator && values.iter().any(|x| x.is_nan());
            let told = gaps.then(|| made(format!("{name}_missing"), name, ColumnMap::Missing));
            filled.into_iter().chain(told).collect()
        })
    }
}

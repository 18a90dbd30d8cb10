//! Kind `scale`: brings feature columns to a common size, fitted on the training rows of each fold.
//!
//! Its output is a view, like that of `select`: what is done to each column is fitted fold by fold, and the
//! same feature tables are read through it. A missing value stays missing.

use flow_engine::kind::{Action, KindSpec, Rows, Scope, Stage, StageError, Step};
use flow_engine::{ParamType, params, words};

use super::select::view_ports;
use crate::numeric::column_map::{normal, robust, standard};
use crate::rows::{COLUMNS, MappedColumn, fit_columns};

/// The kind.
pub struct Scale;

#[derive(Clone, Copy)]
enum ScaleMethod {
    Standard,
    Robust,
    YeoJohnson,
}

words!(ScaleMethod { Standard = "standard", Robust = "robust", YeoJohnson = "yeo_johnson" });

params! {
    struct ScaleParams<'a> {
        method: ScaleMethod = word(ScaleMethod::Standard, "Mean 0 and standard deviation 1; median 0 and distance 1 between the quartiles; or the power of Yeo and Johnson (2000) that is most like a normal distribution, and then as `standard`.");
        columns: Vec<&'a str> = new(ParamType::List(Box::new(ParamType::Str)), "Names or globs of the columns that are scaled; all others stay as they are. Without it, all are scaled.").optional();
    }
}

impl Stage for Scale {
    fn spec(&self) -> KindSpec {
        KindSpec {
            name: "scale",
            version: 1,
            about: "Scales feature columns, fitted on the training rows of each fold",
            ports: view_ports("the same tables, with scaled columns"),
            params: ScaleParams::specs(),
            steps: vec![
                Step::new("fit", Scope::Fold)
                    .rows("features", Rows::Train)
                    .writes(COLUMNS),
            ],
        }
    }

    fn run(&self, action: &mut Action<'_>) -> Result<(), StageError> {
        let ScaleParams { method, columns } = ScaleParams::read(action.params);
        let fit = match method {
            ScaleMethod::Standard => standard,
            ScaleMethod::Robust => robust,
            ScaleMethod::YeoJohnson => normal,
        };
        fit_columns(action, &columns, |name, values| {
            vec![MappedColumn {
                name: name.into(),
                of: name.into(),
                map: fit(values),
            }]
        })
    }
}

//! `flow schema`: a JSON Schema of the pipeline TOML.

use flow_engine::pipeline::schema::schema;

use crate::ui::Ui;

/// Runs the command.
pub fn run(ui: &Ui) {
    ui.raw(&format!("{:#}\n", schema(&flow_stages::kinds::registry())));
}

//! The stage kinds, one file or folder each: ports, parameters and steps as data, and the code of the
//! steps.
//!
//! Begin with [`registry`], which names them all, and with `domain`, the plainest kind: it reads a
//! table, computes a row of features for each light curve, and writes a table. `model` shows work over
//! folds, `ingest` how foreign files come in, and `command` what the engine's kind of that name needs
//! to know of tables. `python` is no kind: it is what those that start Python share.
//!
//! A kind reads and writes tables and calls the code that computes. That code lives in the folders
//! beside this one, where it is tested without a pipeline. `docs/writing-a-stage.md` shows how to write
//! a kind.

use std::ffi::OsString;

use flow_engine::Registry;
use flow_engine::command::{CommandKind, guard};

mod augment;
mod calibrate;
mod clip;
mod colors;
mod command;
mod domain;
mod drw;
mod estimator;
mod evaluate;
mod evaluate_new;
mod extinction;
mod folds;
mod gp;
mod impute;
pub(crate) mod ingest;
mod interpolate;
mod lomb_scargle;
mod minirocket;
mod model;
mod multirocket;
mod novelty;
mod parametric_fit;
mod photo_z;
mod pretrained;
mod python;
mod reasons;
mod rocket;
mod scale;
mod select;
mod sequences;
mod stack;
mod statistics;
mod submission;
mod table;
mod threshold;
mod transformer;
mod tsfresh;

pub use command::FoldTables;
pub use model::ModelTarget;

/// The internals of the kinds that `fuzz/` and `tests/fuzz.rs` need. They are not part of the
/// interface.
#[doc(hidden)]
pub mod fuzzing {
    pub use super::ingest::read_files;
}

/// Returns all kinds, for a program that can be the [`guard`] of others: it calls
/// [`guard::serve_if_asked`] first.
pub fn registry() -> Registry {
    registry_with(guard::of_this_program())
}

/// Returns all kinds, with the command that starts a guard.
pub fn registry_with(guard: Vec<OsString>) -> Registry {
    let mut registry = Registry::default();
    registry.add(augment::Augment);
    registry.add(CommandKind::new(Box::new(FoldTables), guard));
    registry.add(calibrate::Calibrate);
    registry.add(clip::Clip);
    registry.add(colors::Colors);
    // Kinds that start Python build on it.
    if let Some(command) = registry.get("command").cloned() {
        registry.add(estimator::Estimator::new(command.clone()));
        registry.add(transformer::Transformer::new(command));
    }
    registry.add(domain::Domain);
    registry.add(drw::Drw);
    registry.add(evaluate::Evaluate);
    registry.add(evaluate_new::EvaluateNew);
    registry.add(extinction::Extinction);
    registry.add(folds::FoldsKind);
    registry.add(gp::Gp);
    registry.add(impute::Impute);
    registry.add(ingest::Ingest);
    registry.add(interpolate::Interpolate);
    registry.add(lomb_scargle::LombScargle);
    registry.add(minirocket::MiniRocket);
    registry.add(model::ModelKind);
    registry.add(multirocket::MultiRocket);
    registry.add(novelty::NoveltyKind);
    registry.add(parametric_fit::ParametricFit);
    registry.add(photo_z::PhotoZ);
    registry.add(pretrained::Pretrained);
    registry.add(reasons::ReasonsKind);
    registry.add(rocket::Rocket);
    registry.add(scale::Scale);
    registry.add(select::Select);
    registry.add(sequences::SequencesKind);
    registry.add(stack::Stack);
    registry.add(statistics::Statistics);
    registry.add(submission::Submission);
    registry.add(table::TableKind);
    registry.add(threshold::Threshold);
    registry.add(tsfresh::Tsfresh);
    registry
}

#[cfg(test)]
mod tests {
    use flow_engine::ParamType;

    use super::registry;

    #[test]
    fn every_parameter_is_read_as_a_type_that_has_room_for_it() {
        for (kind, stage) in registry().iter() {
            let params = stage.spec().params;
            for param in &params {
                let name = format!("`{}` of `{kind}`", param.name);
                assert!(param.typed, "{name}");
                let Some((on, words)) = param.only else {
                    continue;
                };
                let on = params.iter().find(|other| other.name == on);
                let Some(ParamType::Choice(all)) = on.map(|on| &on.ty) else {
                    panic!("{name} hangs on something that is no choice");
                };
                assert!(words.iter().all(|word| all.contains(word)), "{name}");
            }
        }
    }
}

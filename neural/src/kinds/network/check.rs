//! What a list of parameters cannot say.

use flow_engine::Params;
use flow_engine::base::diag::Diag;
use flow_engine::command::claimed;
use flow_engine::kind::ParamWord;
use flow_stages::kinds::ModelTarget;
use flow_stages::rows::{ApplyRows, CopyRows};

use super::APPLY_SEQUENCES;
use super::params::{ClassWeights, LossName, NetworkParams, UnknownClass};
use crate::kinds::{built, fit_params};

/// What to do where sizes do not fit.
#[cfg(feature = "burn")]
const MISFIT_HELP: &str =
    "change the sizes of the network, or leave them out for those of the document";

/// Refuses inputs that do not go together, and parameters that have no effect with the others.
pub fn check(params: &Params, inputs: &[String]) -> Vec<Diag> {
    let (resources, _) = claimed(params);
    let mut diags = built::check("network", &resources);
    diags.extend(ports(inputs));
    diags.extend(fit_params::check(params));
    #[cfg(feature = "burn")]
    diags.extend(super::sizes::misfits(params).into_iter().map(|misfit| {
        let text = format!("the network does not fit: {misfit}");
        let diag = Diag::new("flow::neural::misfit", text).help(MISFIT_HELP);
        match params.span("architecture") {
            Some(span) => diag.label(span, "this network"),
            None => diag,
        }
    }));
    let mut refuse = |param: &str, message: String, help: &str| {
        diags.push(fit_params::refused(params, param, message, help));
    };
    let given = NetworkParams::read(params);
    let binary = given.target == ModelTarget::Binary;
    if given.loss != LossName::Focal {
        for param in ["focal_alpha", "focal_gamma"] {
            if params.span(param).is_some() {
                let text = format!(
                    "`{param}` has no effect on loss = \"{}\"",
                    given.loss.word()
                );
                refuse(param, text, "loss = \"focal\"");
            }
        }
    } else if !binary && given.focal_alpha.is_some() {
        let text = "`focal_alpha` has no effect on several classes".to_owned();
        refuse("focal_alpha", text, "weigh the classes by `class_weights`");
    }
    if binary && matches!(given.class_weights, ClassWeights::Each(_)) {
        let text = "a binary target has no classes to weigh by name".to_owned();
        refuse(
            "class_weights",
            text,
            "target = \"classes\", or loss = \"focal\" with `focal_alpha`",
        );
    }
    if given.loss == LossName::LogLoss && given.class_weights == ClassWeights::Auto {
        let text = format!(
            "loss = \"{}\" makes classes count the same already",
            given.loss.word()
        );
        refuse("class_weights", text, "class_weights = \"none\"");
    }
    if binary && given.class_99 == UnknownClass::Rest {
        let text = "a binary target leaves no room for a class `99`".to_owned();
        refuse("class_99", text, "target = \"classes\"");
    }
    diags
}

fn ports(inputs: &[String]) -> Vec<Diag> {
    let has = |port: &str| inputs.iter().any(|input| input == port);
    let mut diags = Vec::new();
    if !has("sequences") && !has("features") {
        let text = "a network needs `sequences`, `features` or both to learn from";
        diags.push(
            Diag::new("flow::neural::no_input", text)
                .help("inputs = { sequences = \"STAGE\", folds = \"folds\" }"),
        );
    }
    for (port, of) in [
        (APPLY_SEQUENCES, "sequences"),
        (ApplyRows::PORT, "features"),
        (CopyRows::SEQUENCES, "sequences"),
        (CopyRows::PORT, "features"),
    ] {
        if has(port) && !has(of) {
            let text = format!("`{port}` goes with `{of}`, which is not there");
            diags.push(
                Diag::new("flow::neural::no_input", text)
                    .help(format!("add `{of}` to the inputs, or leave `{port}` out")),
            );
        }
    }
    let copied = has(CopyRows::SEQUENCES) || has(CopyRows::PORT);
    for (port, of) in [
        (CopyRows::SEQUENCES, "sequences"),
        (CopyRows::PORT, "features"),
    ] {
        if copied && has(of) && !has(port) {
            let text = format!("copies need `{port}`, since the network reads `{of}`");
            diags.push(Diag::new("flow::neural::no_input", text).help(format!(
                "make {of} of the copies as well, and add them to the inputs"
            )));
        }
    }
    diags
}

//! The variants of a pipeline as one graph, reduced to what their evaluations need.

use flow_engine::pipeline::file::{PipelineFile, Variant};
use flow_engine::pipeline::union::{Union, unite};
use flow_engine::text::variants::{BASE, matches};
use flow_engine::{Diag, Pipeline};

use crate::commands::examples;
use crate::error::CliError;
use crate::evaluation::evaluations;

/// A base and its variants.
pub struct Study {
    /// All stages.
    pub union: Union,
    /// The variants, with the base first.
    pub variants: Vec<StudyVariant>,
}

/// The base or a variant.
pub struct StudyVariant {
    /// Its name.
    pub name: String,
    /// What it replaces: the dotted path and the value.
    pub changes: Vec<(String, String)>,
    /// Its evaluations: the name, and the index of the stage in the union.
    pub schemes: Vec<(String, usize)>,
}

impl Study {
    /// The study of the variants of a file whose names match one of the patterns. Without patterns it
    /// has all variants.
    pub fn new(file: &PipelineFile, only: &[String]) -> Result<Self, CliError> {
        let registry = flow_neural::kinds::registry();
        let wanted = |name: &str| only.is_empty() || only.iter().any(|p| matches(p, name));
        // This comes first because it shows all mistakes at once.
        let found = file.variants(&registry, wanted)?;
        let names = file.names()?;
        check_patterns(only, &names)?;
        if names.is_empty() {
            let diag = Diag::new("flow::ablate::no_variants", "the pipeline has no variants");
            let example = found
                .first()
                .and_then(|base| examples::variant(&base.pipeline));
            return Err(CliError::usage(example.into_iter().fold(diag, Diag::help)));
        }
        let mut variants = Vec::with_capacity(found.len());
        let mut pipelines = Vec::with_capacity(found.len());
        for Variant {
            name,
            changes,
            mut pipeline,
        } in found
        {
            let evaluations = evaluations(&pipeline);
            if evaluations.is_empty() {
                return Err(CliError::usage(no_evaluation(&name, &pipeline)));
            }
            pipeline.keep(&evaluations);
            variants.push(StudyVariant {
                name: name.clone(),
                changes,
                schemes: scheme_names(&pipeline),
            });
            pipelines.push((name, pipeline));
        }
        let Some(union) = unite(pipelines) else {
            let message = "there is nothing to compare";
            return Err(CliError::usage(Diag::new(
                "flow::ablate::no_evaluation",
                message,
            )));
        };
        for (variant, places) in variants.iter_mut().zip(&union.places) {
            for (_, stage) in &mut variant.schemes {
                *stage = places[*stage];
            }
        }
        Ok(Self { union, variants })
    }

    /// The names of the evaluations: those of the base in order, then those that only variants have.
    pub fn schemes(&self) -> Vec<&str> {
        let mut names: Vec<&str> = Vec::new();
        for (name, _) in self.variants.iter().flat_map(|variant| &variant.schemes) {
            if !names.contains(&name.as_str()) {
                names.push(name);
            }
        }
        names
    }
}

fn no_evaluation(variant: &str, pipeline: &Pipeline) -> Diag {
    let whose = match variant {
        BASE => "the pipeline".to_owned(),
        name => format!("the variant `{name}`"),
    };
    let diag = Diag::new(
        "flow::ablate::no_evaluation",
        format!("{whose} has no `evaluate` stage, so there is nothing to compare"),
    );
    match examples::evaluation(pipeline) {
        Some(example) => diag.help(example),
        None => diag.help("and nothing in it predicts, so there is nothing to evaluate either"),
    }
}

fn check_patterns(only: &[String], names: &[String]) -> Result<(), CliError> {
    let lost = |pattern: &&String| !names.iter().any(|name| matches(pattern, name));
    let diags: Vec<Diag> = only
        .iter()
        .filter(lost)
        .map(|pattern| {
            let diag = Diag::new(
                "flow::variants::unknown",
                format!("no variant fits `--only {pattern}`"),
            );
            match names {
                [] => diag.help("the pipeline has no variants"),
                names => diag.help(format!("variants: {}", names.join(", "))),
            }
        })
        .collect();
    if diags.is_empty() {
        Ok(())
    } else {
        Err(diags.into())
    }
}

fn scheme_names(pipeline: &Pipeline) -> Vec<(String, usize)> {
    evaluations(pipeline)
        .into_iter()
        .map(|stage| (pipeline.stages[stage].name.clone(), stage))
        .collect()
}

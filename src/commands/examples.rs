//! Lines of TOML for hints, made from the stages that a pipeline has.

use flow_cache::Value;
use flow_engine::kind::ParamType;
use flow_engine::pipeline::{Pipeline, StageDecl};

/// A number among a model's parameters, and what it may be.
struct Number {
    path: String,
    value: f64,
    min: f64,
    max: f64,
    whole: bool,
}

impl Number {
    /// A number of the last model that has any, preferably one with a fraction.
    fn of(pipeline: &Pipeline) -> Option<Self> {
        let mut models = pipeline.stages.iter().rev().filter(|stage| predicts(stage));
        models.find_map(|stage| {
            let numbers = || {
                stage.spec.params.iter().filter_map(|spec| {
                    let path = format!("{}.{}", stage.name, spec.name);
                    let (value, min, max, whole) = match (stage.params.get(spec.name)?, &spec.ty) {
                        (Value::Float(value), ParamType::Float { min, max }) => {
                            (*value, *min, *max, false)
                        }
                        (Value::Int(value), ParamType::Int { min, max }) => {
                            (*value as f64, *min as f64, *max as f64, true)
                        }
                        _ => return None,
                    };
                    let number = Self {
                        path,
                        value,
                        min,
                        max,
                        whole,
                    };
                    number.other().is_some().then_some(number)
                })
            };
            numbers().find(|number| !number.whole).or(numbers().next())
        })
    }

    /// Half of the number, or twice the number.
    fn other(&self) -> Option<f64> {
        let half = if self.whole {
            (self.value / 2.0).floor()
        } else {
            self.value / 2.0
        };
        let fits = |v: &f64| *v > 0.0 && *v != self.value && (self.min..=self.max).contains(v);
        [half, self.value * 2.0].into_iter().find(fits)
    }

    fn shown(&self, value: f64) -> String {
        match self.whole {
            true => format!("{value}"),
            false => format!("{value:?}"),
        }
    }
}

fn predicts(stage: &StageDecl) -> bool {
    stage
        .ports
        .outputs
        .iter()
        .any(|port| port.ty == "predictions")
}

/// A variant of the pipeline, if it has a number to vary.
pub fn variant(pipeline: &Pipeline) -> Option<String> {
    let number = Number::of(pipeline)?;
    let value = number.shown(number.other()?);
    Some(format!("[variants.other]\n\"{}\" = {value}", number.path))
}

/// Something to search.
pub fn space(pipeline: &Pipeline) -> Option<String> {
    let number = Number::of(pipeline)?;
    let other = number.other()?;
    let (low, high) = (other.min(number.value), other.max(number.value));
    let word = if number.whole { "int" } else { "float" };
    Some(format!(
        "[tune.space]\n\"{}\" = {{ {word} = [{}, {}] }}",
        number.path,
        number.shown(low),
        number.shown(high)
    ))
}

/// The evaluation of the last stage that predicts, if there is one.
pub fn evaluation(pipeline: &Pipeline) -> Option<String> {
    let model = pipeline.stages.iter().rfind(|stage| predicts(stage))?;
    let names = ["evaluate", "scores", "evaluation"];
    let free = |name: &&str| pipeline.stages.iter().all(|stage| stage.name != **name);
    let name = names.into_iter().find(free)?;
    let fitting = model
        .ports
        .outputs
        .iter()
        .filter(|port| port.ty == "predictions");
    let from = match fitting.collect::<Vec<_>>().as_slice() {
        [_] => model.name.clone(),
        several => format!("{}.{}", model.name, several[0].name),
    };
    Some(format!(
        "[stages.{name}]\nuse = \"evaluate\"\ninputs = {{ predictions = {from:?} }}"
    ))
}

//! `resources`: what a program occupies, how long it may take and how often it is tried. Nothing of it is
//! in a recipe.

use std::time::Duration;
use std::time::Instant;

use flow_cache::Value;

use super::params::CommandParams;
use crate::base::diag::Diag;
use crate::base::suggest::did_you_mean;
use crate::kind::params::Params;
use crate::kind::stage::Resources;

const KEYS: [&str; 5] = ["cpus", "memory", "gpu", "timeout", "retries"];

/// Reads `resources`, and returns all that is wrong with it.
pub fn read(params: &Params) -> (Resources, Vec<Diag>) {
    let mut given = Resources::default();
    let mut diags = Vec::new();
    for (key, value) in CommandParams::read(params).resources {
        let result = match key {
            "cpus" => whole(value, 1).map(|n| given.cpus = n as usize),
            "gpu" => whole(value, 0).map(|n| given.gpus = n as usize),
            "retries" => whole(value, 0).map(|n| given.retries = n),
            "memory" => text(value).and_then(size).map(|n| given.memory = n),
            "timeout" => text(value)
                .and_then(duration)
                .map(|limit| given.timeout = Some(limit)),
            _ => {
                let diag = wrong(params, format!("`resources` has no `{key}`"));
                diags.push(did_you_mean(diag, key, KEYS, "keys"));
                continue;
            }
        };
        if let Err(wanted) = result {
            let message = format!("`{key}` in `resources` is {}", shown(value));
            diags.push(wrong(params, message).help(format!("{key} = {wanted}")));
        }
    }
    (given, diags)
}

fn wrong(params: &Params, message: String) -> Diag {
    let diag = Diag::new("flow::command::resources", message);
    match params.span("resources") {
        Some(span) => diag.label(span, "here"),
        None => diag,
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Int(number) => format!("the number {number}"),
        Value::Str(text) => format!("the text {text:?}"),
        _ => "neither a number nor a text".into(),
    }
}

fn whole(value: &Value, least: u32) -> Result<u32, &'static str> {
    match value {
        Value::Int(n) => u32::try_from(*n).ok().filter(|n| *n >= least),
        _ => None,
    }
    .ok_or(if least == 0 {
        "a whole number, such as 1"
    } else {
        "a whole number, 1 or more"
    })
}

fn text(value: &Value) -> Result<&str, &'static str> {
    match value {
        Value::Str(text) => Ok(text),
        // A reader could take a number without a unit for bytes or for megabytes.
        _ => Ok(""),
    }
}

const SIZE: &str = "\"2GiB\": a number with a unit (B, kB, MB, GB, TB, KiB, MiB, GiB, TiB)";
const TIME: &str = "\"10min\": a number with a unit (ms, s, min, h)";

pub fn size(text: &str) -> Result<u64, &'static str> {
    let factor = |unit: &str| {
        Some(match unit {
            "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "k" | "kib" => 1024.0,
            "m" | "mib" => 1048576.0,
            "g" | "gib" => 1073741824.0,
            "t" | "tib" => 1099511627776.0,
            _ => return None,
        })
    };
    // The conversion of floats to whole numbers saturates, so no size is too large.
    Ok(measure(text, factor).ok_or(SIZE)? as u64)
}

pub fn duration(text: &str) -> Result<Duration, &'static str> {
    let factor = |unit: &str| {
        Some(match unit {
            "ms" => 1e-3,
            "s" => 1.0,
            "min" => 60.0,
            "h" => 3600.0,
            _ => return None,
        })
    };
    let seconds = measure(text, factor).filter(|s| *s > 0.0).ok_or(TIME)?;
    Duration::try_from_secs_f64(seconds).map_err(|_| TIME)
}

/// Reads a number with a unit, ignoring letter case.
fn measure(text: &str, factor: impl Fn(&str) -> Option<f64>) -> Option<f64> {
    let text = text.trim();
    let split = text.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
    let (number, unit) = text.split_at(split);
    let factor = factor(unit.trim().to_ascii_lowercase().as_str())?;
    Some(number.parse::<f64>().ok()? * factor)
}

/// A time limit as it would be written.
pub fn describe(limit: Duration) -> String {
    let ms = limit.as_millis();
    for (unit, factor) in [("h", 3_600_000), ("min", 60_000), ("s", 1000)] {
        if ms >= factor && ms.is_multiple_of(factor) {
            return format!("{} {unit}", ms / factor);
        }
    }
    format!("{ms} ms")
}

/// The time that a program may take.
pub struct Deadline {
    /// When it was started.
    pub started: Instant,
    /// How long it may run.
    pub limit: Option<Duration>,
}

impl Deadline {
    /// Whether it has time left.
    pub fn is_ahead(&self) -> bool {
        self.limit
            .is_none_or(|limit| self.started.elapsed() < limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(entries: Vec<(&str, Value)>) -> Params {
        let mut specs = CommandParams::specs().into_iter();
        let spec = specs.find(|spec| spec.name == "resources").unwrap();
        let mut params = Params::default();
        let entries = entries.into_iter().map(|(k, v)| (k.to_owned(), v));
        params.insert(&spec, Value::map(entries), None);
        params
    }

    #[test]
    fn all_of_it_is_read() {
        let text = |t: &str| Value::Str(t.into());
        let given = params(vec![
            ("cpus", Value::Int(2)),
            ("gpu", Value::Int(1)),
            ("memory", text("1.5 GiB")),
            ("timeout", text("10min")),
            ("retries", Value::Int(3)),
        ]);
        let (claims, diags) = read(&given);
        assert!(diags.is_empty(), "{diags:?}");
        assert_eq!(
            claims,
            Resources {
                cpus: 2,
                memory: 3 << 29,
                gpus: 1,
                retries: 3,
                timeout: Some(Duration::from_secs(600)),
            }
        );
    }

    #[test]
    fn units_of_time_and_size() {
        let times = [
            ("500ms", 0.5),
            ("30s", 30.0),
            ("2h", 7200.0),
            ("1.5 MIN", 90.0),
        ];
        for (text, seconds) in times {
            assert_eq!(
                duration(text),
                Ok(Duration::from_secs_f64(seconds)),
                "{text}"
            );
        }
        assert_eq!(size("512kB"), Ok(512_000));
        assert_eq!(size("3b"), Ok(3));
        assert_eq!(describe(Duration::from_secs(600)), "10 min");
        assert_eq!(describe(Duration::from_millis(1500)), "1500 ms");
    }

    #[test]
    fn mistakes_teach() {
        let cases = [
            ("memory", Value::Int(2), "2GiB"),
            ("memory", Value::Str("2 apples".into()), "GiB"),
            ("timeout", Value::Str("10".into()), "10min"),
            ("timeout", Value::Str("0s".into()), "10min"),
            ("cpus", Value::Int(0), "1 or more"),
            ("cpus", Value::Str("2".into()), "1 or more"),
            ("retrys", Value::Int(1), "did you mean `retries`?"),
        ];
        for (key, value, help) in cases {
            let (_, diags) = read(&params(vec![(key, value)]));
            assert_eq!(diags.len(), 1, "{key}");
            assert!(diags[0].help.concat().contains(help), "{diags:?}");
        }
    }
}

//! The findings of a check as JUnit XML: a test case for each stage and each judged metric.

use std::fmt::Write;

use flow_stages::comparison::gate::Judgement;

use super::recipes::Standing;
use super::results::CheckResults;
use super::text::differences;

/// How a case ended, with a message.
enum TestOutcome {
    Passed(String),
    Skipped(String),
    Failed(&'static str, String),
}

/// The text of the file.
pub fn text(results: &CheckResults) -> String {
    let mut cases: Vec<(String, String, TestOutcome)> = Vec::new();
    for (name, standing) in &results.stages {
        let why = differences(standing).join("; ");
        let outcome = match standing {
            Standing::Same => TestOutcome::Passed("the bytes of the baseline".to_owned()),
            Standing::Nondeterministic(_) => TestOutcome::Failed("nondeterminism", why),
            Standing::Changed(_) | Standing::New | Standing::Gone => TestOutcome::Skipped(why),
        };
        cases.push(("stages".to_owned(), name.clone(), outcome));
    }
    for evaluation in &results.evaluations {
        let suite = format!("evaluations.{}", evaluation.name);
        for judged in &evaluation.metrics {
            let text = format!(
                "baseline {:.4}, now {:.4}, limit of the drop {:.4}",
                judged.baseline, judged.now, judged.limit
            );
            let outcome = match judged.verdict {
                Judgement::Worse => TestOutcome::Failed("regression", text),
                Judgement::Ok | Judgement::Better => TestOutcome::Passed(text),
            };
            cases.push((suite.clone(), judged.metric.key().to_owned(), outcome));
        }
        if evaluation.metrics.is_empty() {
            let outcome = TestOutcome::Skipped(evaluation.notes.join("; "));
            cases.push((suite, "metrics".to_owned(), outcome));
        }
    }
    let number = |wanted: fn(&TestOutcome) -> bool| cases.iter().filter(|c| wanted(&c.2)).count();
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _ = writeln!(
        text,
        "  <testsuite name=\"flow check {}\" tests=\"{}\" failures=\"{}\" errors=\"0\" skipped=\"{}\">",
        escaped(&results.pipeline),
        cases.len(),
        number(|o| matches!(o, TestOutcome::Failed(..))),
        number(|o| matches!(o, TestOutcome::Skipped(_))),
    );
    for (suite, name, outcome) in &cases {
        let (suite, name) = (escaped(suite), escaped(name));
        let inner = match outcome {
            TestOutcome::Passed(text) => format!("<system-out>{}</system-out>", escaped(text)),
            TestOutcome::Skipped(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
            TestOutcome::Failed(kind, why) => {
                format!("<failure type=\"{kind}\" message=\"{}\"/>", escaped(why))
            }
        };
        let _ = writeln!(
            text,
            "    <testcase classname=\"{suite}\" name=\"{name}\">{inner}</testcase>"
        );
    }
    text.push_str("  </testsuite>\n</testsuites>\n");
    text
}

/// Text for an element or an attribute. What XML 1.0 cannot hold becomes a replacement character.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                let _ = write!(out, "&#{};", u32::from(c));
            }
            '\u{0}'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_escaped() {
        assert_eq!(escaped("a<b> & \"c\""), "a&lt;b&gt; &amp; &quot;c&quot;");
        assert_eq!(escaped("x\n\u{1}y"), "x&#10;\u{fffd}y");
    }
}

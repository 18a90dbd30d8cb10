//! Commands of the user, as words with placeholders. Words reach a program as they are: no shell reads them, unless
//! the command itself is one.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::options::Template;
use super::scheduler::Submission;

/// The placeholders, in the order in which the pages list them.
pub(crate) const PLACEHOLDERS: [&str; 13] = [
    "name",
    "tasks",
    "last",
    "script",
    "dir",
    "cpus",
    "memory_mb",
    "memory_mb_per_cpu",
    "gpus",
    "minutes",
    "seconds",
    "exclude",
    "ids",
];

/// Values of placeholders. A name that is not there has no value.
pub(super) type Values = Vec<(&'static str, OsString)>;

/// The values for the command that submits.
pub(super) fn of_submission(array: &Submission<'_>) -> Values {
    let needs = &array.needs;
    let mut values: Values = vec![
        ("name", array.name.into()),
        ("tasks", array.tasks.to_string().into()),
        ("last", (array.tasks - 1).to_string().into()),
        ("script", array.script.into()),
        ("dir", array.dir.into()),
        ("cpus", needs.cpus.to_string().into()),
    ];
    let number = |n: u64| OsString::from(n.to_string());
    if let Some(mb) = needs.memory_mb() {
        values.push(("memory_mb", number(mb)));
        let each = mb.div_ceil(needs.cpus.max(1) as u64);
        values.push(("memory_mb_per_cpu", number(each)));
    }
    values.extend((needs.gpus > 0).then(|| ("gpus", number(needs.gpus as u64))));
    values.extend(needs.minutes().map(|minutes| ("minutes", number(minutes))));
    values.extend(needs.time.map(|time| ("seconds", number(time.as_secs()))));
    let exclude = (!array.avoid.is_empty()).then(|| array.avoid.join(","));
    values.extend(exclude.map(|names| ("exclude", names.into())));
    values
}

/// Fills in a template. A word that is `{ids}` alone becomes a word for each id; within a longer word, ids are joined
/// by commas.
pub(super) fn fill(template: &Template, values: &Values, ids: &[String]) -> Vec<OsString> {
    let mut words = Vec::new();
    for group in template {
        let filled = group.iter().map(|word| match word.as_str() {
            "{ids}" => Some(ids.iter().map(OsString::from).collect()),
            word => filled(word, values, ids).map(|word| vec![word]),
        });
        if let Some(filled) = filled.collect::<Option<Vec<Vec<OsString>>>>() {
            words.extend(filled.into_iter().flatten());
        }
    }
    words
}

/// Returns none if a placeholder has no value.
fn filled(word: &str, values: &Values, ids: &[String]) -> Option<OsString> {
    let mut bytes = Vec::new();
    let mut rest = word;
    while let Some(at) = rest.find('{') {
        bytes.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        match placeholder(rest) {
            Some("ids") => bytes.extend_from_slice(ids.join(",").as_bytes()),
            Some(name) => {
                let (_, value) = values.iter().find(|(known, _)| *known == name)?;
                bytes.extend_from_slice(value.as_bytes());
            }
            // A brace that begins no placeholder is itself.
            None => {
                bytes.push(b'{');
                rest = &rest[1..];
                continue;
            }
        }
        rest = &rest[rest.find('}').map_or(rest.len(), |end| end + 1)..];
    }
    bytes.extend_from_slice(rest.as_bytes());
    Some(OsString::from_vec(bytes))
}

/// The placeholder that a text begins with.
fn placeholder(text: &str) -> Option<&str> {
    let name = text.strip_prefix('{')?.split_once('}')?.0;
    PLACEHOLDERS.contains(&name).then_some(name)
}

/// A word as a shell reads it, whatever is in it.
pub(super) fn quoted(word: &OsStr) -> Vec<u8> {
    let mut bytes = vec![b'\''];
    for &byte in word.as_bytes() {
        match byte {
            b'\'' => bytes.extend_from_slice(b"'\\''"),
            byte => bytes.push(byte),
        }
    }
    bytes.push(b'\'');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::cluster::scheduler::TaskNeeds;
    use std::path::Path;
    use std::process::Command;

    const NASTY: &str = "/a b/it's \"new\"\n$HOME `x` \\ {name} *";

    fn array(needs: TaskNeeds) -> Submission<'static> {
        Submission {
            name: "flow-1",
            script: Path::new(NASTY),
            dir: Path::new("/d"),
            tasks: 3,
            needs,
            avoid: &[],
        }
    }

    fn template(groups: &[&[&str]]) -> Template {
        let words = |group: &&[&str]| group.iter().map(|word| (*word).to_owned()).collect();
        groups.iter().map(words).collect()
    }

    #[test]
    fn placeholders_are_filled_in_and_groups_without_a_value_are_left_out() {
        let template = template(&[
            &["qsub", "-N", "{name}", "-J", "0-{last}"],
            &["-l", "mem={memory_mb}mb"],
            &["-l", "h_vmem={memory_mb_per_cpu}M"],
            &["-l", "ngpus={gpus}"],
            &["{script}", "{}", "{what}"],
        ]);
        let none = of_submission(&array(TaskNeeds {
            cpus: 1,
            ..TaskNeeds::default()
        }));
        let words = ["qsub", "-N", "flow-1", "-J", "0-2", NASTY, "{}", "{what}"];
        assert_eq!(fill(&template, &none, &[]), words);
        let some = of_submission(&array(TaskNeeds {
            cpus: 3,
            memory: 1 << 30,
            ..TaskNeeds::default()
        }));
        let words = fill(&template, &some, &[]);
        for wanted in ["mem=1024mb", "h_vmem=342M"] {
            assert!(
                words.windows(2).any(|pair| pair == ["-l", wanted]),
                "{words:?}"
            );
        }
        let avoid = ["n1".to_owned(), "n2".to_owned()];
        let picky = of_submission(&Submission {
            avoid: &avoid,
            ..array(TaskNeeds::default())
        });
        assert_eq!(
            fill(&vec![vec!["--not={exclude}".to_owned()]], &picky, &[]),
            ["--not=n1,n2"]
        );
    }

    #[test]
    fn ids_are_words_or_joined() {
        let ids = ["1".to_owned(), "2".to_owned()];
        let filled = |words: &[&str]| fill(&template(&[words]), &Vec::new(), &ids);
        assert_eq!(filled(&["del", "{ids}"]), ["del", "1", "2"]);
        assert_eq!(filled(&["stat", "-j={ids}"]), ["stat", "-j=1,2"]);
    }

    #[test]
    fn a_shell_reads_a_quoted_word_as_it_was() {
        let script =
            OsString::from_vec([b"printf %s ".to_vec(), quoted(OsStr::new(NASTY))].concat());
        let said = Command::new("sh").arg("-c").arg(script).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&said.stdout), NASTY);
    }
}

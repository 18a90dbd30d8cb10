//! The programs that a shell line starts, as far as its text tells: `sh -c "NAME ... | NAME ..."`.

/// Shells, whose line stands after `-c`.
const SHELLS: [&str; 5] = ["sh", "bash", "dash", "ksh", "zsh"];
/// Words after which a command begins.
const BEFORE: [&str; 16] = [
    "!", "{", "{{", "if", "then", "else", "elif", "while", "until", "do", "time", "exec",
    "command", "env", "nice", "nohup",
];

/// Names in the place of a command in the line of `run`, if it is the call of a shell.
pub fn started<'t>(run: &[&'t str]) -> Vec<&'t str> {
    let shell = run.first().and_then(|program| program.rsplit('/').next());
    if !shell.is_some_and(|name| SHELLS.contains(&name)) {
        return Vec::new();
    }
    let is_line =
        |word: &&str| word.starts_with('-') && !word.starts_with("--") && word.ends_with('c');
    let option = run.iter().skip(1).position(is_line);
    let line = option.and_then(|at| run.get(at + 2));
    line.map_or(Vec::new(), |line| commands(line))
}

fn commands(line: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let (mut begins, mut to_file) = (true, false);
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        match c {
            '\n' | ';' | '|' | '&' | '(' | ')' | '`' => {
                // `2>&1` goes on.
                begins |= !to_file;
                rest = &rest[1..];
            }
            '<' | '>' => {
                to_file = true;
                rest = &rest[1..];
            }
            '#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            c if c.is_whitespace() => rest = &rest[c.len_utf8()..],
            _ => {
                let (word, after) = rest.split_at(end_of_word(rest));
                rest = after;
                if std::mem::take(&mut to_file) || !begins || is_assignment(word) {
                    continue;
                }
                begins = BEFORE.contains(&word);
                if !begins {
                    names.push(word.trim_matches('"'));
                }
            }
        }
    }
    let plain = |c: char| c.is_alphanumeric() || "_.+-".contains(c);
    names.retain(|name| !name.is_empty() && name.chars().all(plain));
    names.sort_unstable();
    names.dedup();
    names
}

/// Returns where a word ends. A part in single quotes belongs to it. A part in double quotes may hold
/// commands, `"$(date)"`.
fn end_of_word(text: &str) -> usize {
    let (mut single, mut double) = (false, false);
    for (at, c) in text.char_indices() {
        match c {
            '\'' if !double => single = !single,
            '"' if !single => double = !double,
            c if !single && (c.is_whitespace() || "\n;|&()`<>".contains(c)) => return at,
            _ => {}
        }
    }
    text.len()
}

/// `NAME=value` before a command.
fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_the_place_of_a_command_are_found() {
        let cases = [
            ("mytool > $1", vec!["mytool"]),
            (
                "a -x b | c d; e && f || g & h",
                vec!["a", "c", "e", "f", "g", "h"],
            ),
            ("X=1 Y='a b' a 2>&1 >b <c d", vec!["a"]),
            ("if a; then b; else c; fi", vec!["a", "b", "c", "fi"]),
            ("echo \"$(a b)\" `c` x=$(d)", vec!["a", "c", "d", "echo"]),
            ("awk '{{ print; x }' {in} > {out}", vec!["awk"]),
            ("{{ a; b; } > {out}\n# c\nenv V=1 d", vec!["a", "b", "d"]),
            ("./a; /bin/b; $c; {d}; \"e\"", vec!["e"]),
            ("exec time a", vec!["a"]),
        ];
        for (line, expected) in cases {
            assert_eq!(commands(line), expected, "{line}");
        }
    }

    #[test]
    fn only_a_shell_has_a_line() {
        assert_eq!(started(&["sh", "-c", "a", "b"]), ["a"]);
        assert_eq!(
            started(&["/bin/bash", "-o", "pipefail", "-euc", "a"]),
            ["a"]
        );
        for run in [
            &["python3", "-c", "a"][..],
            &["sh", "a.sh"],
            &["sh", "-c"],
            &[],
        ] {
            assert_eq!(started(run), Vec::<&str>::new());
        }
    }
}

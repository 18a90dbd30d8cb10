//! The mutations of `tests/mutations.sh` break what they claim to break, and the tests that should
//! notice exist. A mutation that breaks nothing proves nothing.
//!
//! A patch begins with a sentence, a line `Tests:` with arguments for `cargo test --workspace`, and a line
//! `In:` with the functions or types that its hunks change, in order. What a hunk expects must be in its
//! file exactly once, because elsewhere it would break something else.

use std::path::Path;

use flow_testkit::files::{files_with, read, repository};

/// A patch in its parts.
struct Mutation {
    name: String,
    tests: Vec<String>,
    places: Vec<String>,
    hunks: Vec<Hunk>,
}

/// Lines that are replaced in a file. The first and the last lines of both are context.
#[derive(Default)]
struct Hunk {
    file: String,
    before: Vec<String>,
    after: Vec<String>,
}

fn mutations() -> Vec<Mutation> {
    let patches = files_with(&repository().join("tests/mutations"), "patch");
    let all = Vec::from_iter(patches.iter().map(|path| Mutation::read(path)));
    assert!(all.len() > 20, "{} mutations: are they found?", all.len());
    all
}

impl Mutation {
    fn read(path: &Path) -> Self {
        let name = path.file_stem().expect("a name").display().to_string();
        let text = read(path);
        let words = |start: &str, between: &[char]| {
            let line = text.lines().find_map(|line| line.strip_prefix(start));
            let line = line.unwrap_or_else(|| panic!("{name}: no line `{start}`"));
            let words = line.split(between).map(str::trim);
            Vec::from_iter(words.filter(|word| !word.is_empty()).map(str::to_owned))
        };
        let (tests, places) = (words("Tests:", &[' ']), words("In:", &[',']));
        let mut hunks: Vec<Hunk> = Vec::new();
        let mut file = String::new();
        for line in text.lines() {
            if let Some(path) = line.strip_prefix("+++ b/") {
                path.clone_into(&mut file);
                for other in [
                    format!("--- a/{file}"),
                    format!("diff --git a/{file} b/{file}"),
                ] {
                    assert!(text.contains(&other), "{name}: not one file in all headers");
                }
            } else if line.starts_with("@@ ") {
                let file = file.clone();
                hunks.push(Hunk {
                    file,
                    ..Hunk::default()
                });
            } else if let Some(hunk) = hunks.last_mut() {
                hunk.take(line);
            }
        }
        Self {
            name,
            tests,
            places,
            hunks,
        }
    }
}

impl Hunk {
    fn take(&mut self, line: &str) {
        let (kind, line) = line.split_at_checked(1).unwrap_or((" ", ""));
        if kind != "+" {
            self.before.push(line.to_owned());
        }
        if kind != "-" {
            self.after.push(line.to_owned());
        }
    }

    /// How many lines of context there are before the first change.
    fn context(&self) -> usize {
        let pairs = self.before.iter().zip(&self.after);
        pairs.take_while(|(before, after)| before == after).count()
    }

    /// The first line of its file that it changes, counted from 0.
    fn place(&self, lines: &[&str]) -> Result<usize, String> {
        // The outermost lines of context may differ, as with `patch -F1`.
        for trim in [0, 1] {
            let expected = &self.before[trim..self.before.len() - trim];
            let windows = lines.windows(expected.len()).enumerate();
            let found = windows.filter(|(_, window)| window.iter().eq(expected.iter()));
            match Vec::from_iter(found.map(|(at, _)| at))[..] {
                [at] => return Ok(at + self.context() - trim),
                [] => {}
                _ => return Err("is in the file more than once: add context".to_owned()),
            }
        }
        Err("is not in the file: renew it".to_owned())
    }
}

/// The function or type that a line belongs to.
fn place_name<'t>(lines: &[&'t str], at: usize) -> Option<&'t str> {
    let name = |line: &&'t str| {
        let mut words = line.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        words.find(|word| ["fn", "struct", "enum"].contains(word))?;
        words.next()
    };
    let code = lines[..=at].iter().rev();
    code.filter(|line| !line.trim_start().starts_with("//"))
        .find_map(name)
}

#[test]
fn every_mutation_applies() {
    for mutation in mutations() {
        let Mutation {
            name,
            places,
            hunks,
            ..
        } = mutation;
        let (wanted, given) = (hunks.len(), places.len());
        assert_eq!(wanted, given, "{name}: one name a hunk in `In:`");
        for (hunk, place) in hunks.iter().zip(&places) {
            let what = format!("{name}: what it expects of {}", hunk.file);
            let text = read(&repository().join(&hunk.file));
            let lines = Vec::from_iter(text.lines());
            let at = hunk.place(&lines);
            let at = at.unwrap_or_else(|why| panic!("{what} {why}"));
            let found = place_name(&lines, at);
            assert_eq!(found, Some(place.as_str()), "{what} is in another place");
        }
    }
}

/// The tests in the files below a folder, with their modules: `command::ends::a_long_log`.
fn tests_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for file in files_with(folder, "rs") {
        let module = file.strip_prefix(folder).expect("below").with_extension("");
        let module = module.display().to_string().replace('/', "::");
        let text = read(&file);
        for piece in text.split("#[test]").skip(1) {
            let function = piece.split("fn ").nth(1).expect("a function");
            let function = function.split('(').next().expect("a name");
            found.push(format!("{module}::{function}"));
        }
    }
    found
}

#[test]
fn the_tests_of_every_mutation_exist() {
    for Mutation { name, tests, .. } in mutations() {
        let below = |name: &str| {
            let packages = ["", "cache", "engine", "neural", "stages"];
            let folders = packages.map(|package| repository().join(package).join(name));
            folders.into_iter().flat_map(|folder| tests_below(&folder))
        };
        let (mut found, mut filter) = (Vec::new(), "");
        let mut words = tests.iter().map(String::as_str);
        while let Some(word) = words.next() {
            match word {
                "--lib" => found.extend(below("src")),
                "--test" => {
                    let target = words.next().expect("a name");
                    let own = |test: &String| test.split("::").next() == Some(target);
                    found.extend(below("tests").filter(own));
                }
                word => filter = word,
            }
        }
        let selected = found.iter().any(|test| test.contains(filter));
        assert!(selected, "{name}: {} are no tests", tests.join(" "));
    }
}

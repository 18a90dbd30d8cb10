//! `code = "import-closure"`: the modules of the project that a Python script imports.
//!
//! The text is read, not run: `import` and `from ... import` statements, including indented ones. Imports
//! that exist only while the script runs are not seen: `importlib`, `exec`, changes of `sys.path`,
//! namespace tricks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// All files that a script imports from the project, transitively, and the script itself. Modules
/// are looked for where Python does: beside the script, then at the project's root.
pub fn closure(script: &Path, root: &Path) -> BTreeSet<PathBuf> {
    let folder = script.parent().unwrap_or(root).to_owned();
    let search = [folder, root.to_owned()];
    let mut found = BTreeSet::from([script.to_owned()]);
    let mut left = vec![script.to_owned()];
    while let Some(file) = left.pop() {
        let text = std::fs::read(&file).unwrap_or_default();
        for import in imports(&String::from_utf8_lossy(&text)) {
            for module in files_of(&import, &file, &search) {
                if found.insert(module.clone()) {
                    left.push(module);
                }
            }
        }
    }
    found
}

/// The files of a module that is run by its name: `python3 -m package.module`.
pub fn module(name: &str, root: &Path) -> Vec<PathBuf> {
    let import = Import {
        level: 0,
        module: name.to_owned(),
        names: vec!["__main__".to_owned()],
    };
    files_of(&import, root, &[root.to_owned()])
}

/// One module that is named.
#[derive(Debug, PartialEq)]
struct Import {
    /// Dots before the name.
    level: usize,
    /// `a.b`, perhaps empty after dots.
    module: String,
    /// What is taken from it: names in it, or modules below it.
    names: Vec<String>,
}

/// The files behind an import in `file`.
fn files_of(import: &Import, file: &Path, search: &[PathBuf]) -> Vec<PathBuf> {
    let parts: Vec<&str> = import.module.split('.').filter(|p| !p.is_empty()).collect();
    let bases = match import.level {
        0 => search.to_vec(),
        level => file
            .ancestors()
            .nth(level)
            .map(Path::to_owned)
            .into_iter()
            .collect(),
    };
    for base in bases {
        let mut files = Vec::new();
        let mut at = base;
        if import.level > 0 {
            files.extend(init(&at));
        }
        let whole = parts.iter().all(|part| step(&mut at, part, &mut files));
        if !whole && files.is_empty() {
            continue;
        }
        if whole {
            for name in &import.names {
                step(&mut at.clone(), name, &mut files);
            }
        }
        if !files.is_empty() {
            return files;
        }
    }
    Vec::new()
}

/// Goes from a package to what is called `name` in it; false where there is nothing.
fn step(at: &mut PathBuf, name: &str, files: &mut Vec<PathBuf>) -> bool {
    let package = at.join(name);
    let module = at.join(format!("{name}.py"));
    if let Some(init) = init(&package) {
        files.push(init);
    } else if module.is_file() {
        files.push(module);
    } else if !package.is_dir() {
        return false;
    }
    *at = package;
    true
}

fn init(package: &Path) -> Option<PathBuf> {
    Some(package.join("__init__.py")).filter(|init| init.is_file())
}

/// The imports in a text.
fn imports(text: &str) -> Vec<Import> {
    let mut imports = Vec::new();
    for statement in statements(text) {
        let statement = statement.trim();
        if let Some(modules) = after(statement, "import") {
            for module in modules.split(',') {
                let name = module.split_whitespace().next().unwrap_or_default();
                imports.extend((!name.is_empty()).then(|| Import {
                    level: 0,
                    module: name.to_owned(),
                    names: Vec::new(),
                }));
            }
        } else if let Some(rest) = after(statement, "from")
            && let Some((module, names)) = split_import(rest)
        {
            let module: String = module.split_whitespace().collect();
            let level = module.len() - module.trim_start_matches('.').len();
            let names = names.trim().trim_matches(['(', ')']);
            let names = names
                .split(',')
                .filter_map(|name| name.split_whitespace().next());
            imports.push(Import {
                level,
                module: module[level..].to_owned(),
                names: names.filter(|n| *n != "*").map(str::to_owned).collect(),
            });
        }
    }
    imports
}

/// What follows a keyword.
fn after<'t>(statement: &'t str, keyword: &str) -> Option<&'t str> {
    let rest = statement.strip_prefix(keyword)?;
    rest.starts_with([' ', '\t', '.']).then_some(rest)
}

/// `a.b import c` as `a.b` and `c`; the keyword needs no space after dots: `from .import c`.
fn split_import(rest: &str) -> Option<(&str, &str)> {
    rest.match_indices("import").find_map(|(at, word)| {
        let (module, names) = (&rest[..at], &rest[at + word.len()..]);
        let begins = module.ends_with([' ', '\t', '.']);
        let ends = names.starts_with([' ', '\t', '(', '*']);
        (begins && ends).then_some((module, names))
    })
}

/// Statements, each in one line, without comments and what texts hold. `if x: import y` counts as
/// two.
fn statements(text: &str) -> Vec<String> {
    let mut statements = vec![String::new()];
    let mut depth = 0usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(quote) = ["\"\"\"", "'''", "\"", "'"]
            .iter()
            .find(|q| rest.starts_with(**q))
        {
            rest = after_text(&rest[quote.len()..], quote);
            // This stands for the text, so that what follows does not begin a statement.
            push(&mut statements, '"');
            continue;
        }
        rest = &rest[c.len_utf8()..];
        match c {
            '#' => rest = rest.find('\n').map_or("", |end| &rest[end..]),
            '\\' => {
                let next = rest
                    .strip_prefix("\r\n")
                    .or_else(|| rest.strip_prefix('\n'));
                rest = next.unwrap_or(rest);
                push(&mut statements, ' ');
            }
            '\n' | ';' | ':' if depth == 0 => statements.push(String::new()),
            '\n' | '\r' => push(&mut statements, ' '),
            '(' | '[' | '{' => {
                depth += 1;
                push(&mut statements, c);
            }
            ')' | ']' | '}' => {
                depth = depth.saturating_sub(1);
                push(&mut statements, c);
            }
            _ => push(&mut statements, c),
        }
    }
    statements
}

fn push(statements: &mut [String], c: char) {
    if let Some(last) = statements.last_mut() {
        last.push(c);
    }
}

/// Returns what follows a text that began with `quote`. A text in single quotes ends with its line at the
/// latest.
fn after_text<'t>(mut rest: &'t str, quote: &str) -> &'t str {
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix(quote) {
            return after;
        }
        if c == '\n' && quote.len() == 1 {
            return rest;
        }
        rest = &rest[c.len_utf8()..];
        if c == '\\' {
            let escaped = rest.chars().next().map_or(0, char::len_utf8);
            rest = &rest[escaped..];
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        let show = |i: Import| format!("{}{} {}", ".".repeat(i.level), i.module, i.names.join("+"));
        imports(text).into_iter().map(show).collect()
    }

    #[test]
    fn every_form_of_import_is_found() {
        let forms = [
            ("import a", vec!["a "]),
            ("import a.b as c, d", vec!["a.b ", "d "]),
            ("from a import b", vec!["a b"]),
            (
                "from a.b import (c as x,\n    d,  # why\n)",
                vec!["a.b c+d"],
            ),
            ("from . import z", vec![". z"]),
            ("from .import z", vec![". z"]),
            ("from ..x.y import z", vec!["..x.y z"]),
            ("from a import*", vec!["a "]),
            ("from a \\\n  import b, \\\n  c", vec!["a b+c"]),
            (
                "def f():\n\timport a\n\n    from b import c\n",
                vec!["a ", "b c"],
            ),
            (
                "try: import a\nexcept ImportError: import b; import c",
                vec!["a ", "b ", "c "],
            ),
            ("x = [1,\n2]\r\nimport a\r\n", vec!["a "]),
            ("if x[1:2]: import a", vec!["a "]),
        ];
        for (text, expected) in forms {
            assert_eq!(named(text), expected, "{text}");
        }
    }

    #[test]
    fn texts_and_comments_are_no_imports() {
        let others = [
            "# import a",
            "x = 'import a'",
            "\"\"\"\nimport a\nfrom b import c\n\"\"\"",
            "x = '''\nimport a'''",
            "x = f\"\"\"\\\"\"\"\nimport a\n\"\"\"",
            "x = ('\\'',\nimport_a)",
            "important = 1\nfromage = 2\nimport_a()",
            "x = (\nimport_a\n)",
            "raise E('x') from error",
            "yield from a",
        ];
        for text in others {
            assert_eq!(named(text), Vec::<String>::new(), "{text}");
        }
        assert_eq!(named("x = 'it''s'  # it's\nimport a"), ["a "]);
        assert_eq!(named("x = 'open\nimport a"), ["a "]);
    }

    #[test]
    fn the_closure_follows_packages_and_relative_imports() {
        let files = [
            (
                "scripts/fit.py",
                "import numpy, helper\nfrom lib.core import run\nimport ns.deep\n",
            ),
            (
                "scripts/helper.py",
                "import os\nfrom pack import sub as s\n",
            ),
            ("scripts/unused.py", ""),
            ("scripts/pack/__init__.py", "from .names import A\n"),
            (
                "scripts/pack/names.py",
                "from . import other\nimport helper\n",
            ),
            ("scripts/pack/other.py", ""),
            ("scripts/pack/sub/__init__.py", "from ..far import x\n"),
            ("scripts/pack/far.py", ""),
            ("lib/__init__.py", ""),
            ("lib/core.py", "def f():\n    from lib.late import y\n"),
            ("lib/late.py", "import fit\n"),
            ("lib/unused.py", ""),
            ("ns/deep.py", ""),
            ("helper.py", "the one beside the script goes first"),
        ];
        let temp = flow_testkit::files::folder_with(&files);
        let root = temp.path();
        let found = closure(&root.join("scripts/fit.py"), root);
        let found: Vec<_> = found
            .iter()
            .map(|p| p.strip_prefix(root).unwrap())
            .collect();
        let expected = files.iter().map(|(name, _)| Path::new(*name));
        let mut expected: Vec<_> = expected
            .filter(|p| !p.ends_with("unused.py") && *p != Path::new("helper.py"))
            .collect();
        expected.sort();
        assert_eq!(found, expected);
        let package = module("lib.core", root);
        assert_eq!(
            package,
            [root.join("lib/__init__.py"), root.join("lib/core.py")]
        );
    }
}

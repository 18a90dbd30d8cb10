//! The names in a pipeline file, whatever mistakes are in it. Shells need them to complete a command line.

use std::path::Path;

use crate::kind::stage::Registry;
use crate::text::document;
use crate::text::node::{Item, Table};
use crate::text::variants;

/// The names in a pipeline file and in what it extends.
#[derive(Debug, Default)]
pub struct Outline {
    /// The stages, in the order of the text.
    pub stages: Vec<StageOutline>,
    /// The variants, in the order of the text.
    pub variants: Vec<String>,
}

/// What a file says of one stage.
#[derive(Debug)]
pub struct StageOutline {
    /// Its name.
    pub name: String,
    /// Its kind, known or not.
    pub kind: Option<String>,
    /// Dotted paths below the stage of what the file sets.
    given: Vec<String>,
}

impl Outline {
    /// Reads the file at `path` (relative to `cwd`). What cannot be read is left out.
    pub fn read(path: &Path, cwd: &Path) -> Self {
        let mistakes = &mut Vec::new();
        let root = document::read(path, &[], cwd, mistakes).root;
        let stages = match root.get("stages").map(|entry| &entry.node.item) {
            Some(Item::Table(stages)) => stages.iter().map(|entry| match &entry.node.item {
                Item::Table(table) => StageOutline::of(&entry.key, table),
                _ => StageOutline::of(&entry.key, &Table::default()),
            }),
            _ => return Self::default(),
        };
        let variants = variants::expand(&root, mistakes).into_iter();
        Self {
            stages: stages.collect(),
            variants: variants.map(|overlay| overlay.name).collect(),
        }
    }
}

impl StageOutline {
    fn of(name: &str, table: &Table) -> Self {
        let kind = match table.get("use").map(|entry| &entry.node.item) {
            Some(Item::Str(kind)) => Some(kind.clone()),
            _ => None,
        };
        let given = variants::leaves(table).into_iter().map(|(path, _)| path);
        Self {
            name: name.to_owned(),
            kind,
            given: given.filter(|path| path != "use").collect(),
        }
    }

    /// Returns what can be set, as paths below the stage with a word about each: what the file sets first,
    /// then the other parameters of its kind.
    pub fn settable(&self, registry: &Registry) -> Vec<(String, &'static str)> {
        let spec = self.kind.as_ref().and_then(|kind| registry.get(kind));
        let spec = spec.map(|kind| kind.spec());
        let mut known = Vec::new();
        if let Some(spec) = &spec {
            known.extend(spec.params.iter().map(|p| (p.name.to_owned(), p.about)));
            let ports = spec.ports.inputs.iter();
            known.extend(ports.map(|port| (format!("inputs.{}", port.name), "an input")));
            if spec.steps.iter().any(|step| step.seeded) {
                known.push(("seed".to_owned(), "the stage's own seed"));
            }
        }
        let mut found: Vec<(String, &'static str)> = Vec::new();
        for path in &self.given {
            let about = known.iter().find(|(name, _)| name == path);
            found.push((path.clone(), about.map_or("", |(_, about)| about)));
        }
        known.retain(|(name, _)| !self.given.contains(name));
        found.extend(known);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::folder_with;

    fn outline(files: &[(&str, &str)]) -> Outline {
        let dir = folder_with(files);
        Outline::read(Path::new(files[0].0), dir.path())
    }

    fn names(outline: &Outline) -> Vec<&str> {
        let stages = outline.stages.iter();
        stages.map(|stage| stage.name.as_str()).collect()
    }

    #[test]
    fn a_file_with_mistakes_still_has_names() {
        let found = outline(&[(
            "p.toml",
            "[pipeline]\nseed = =\n[stages.one]\nuse = \"nonsense\"\nsize = 3\nparams = { depth = 4 }\n\
             [stages.two]\nuse = 7\n[stages]\nthree = 1\n[stages.four\n[variants.v]\n\"one.size\" = 4\n",
        )]);
        assert_eq!(names(&found)[..2], ["one", "two"]);
        assert_eq!(found.stages[0].kind.as_deref(), Some("nonsense"));
        let settable = found.stages[0].settable(&Registry::default());
        let paths: Vec<&str> = settable.iter().map(|(path, _)| path.as_str()).collect();
        assert_eq!(paths, ["size", "params.depth"]);
        assert_eq!(found.variants, ["v"]);
        assert!(names(&outline(&[("p.toml", "\u{0}[[[")])).is_empty());
        assert!(names(&Outline::read(Path::new("none"), Path::new("/"))).is_empty());
    }

    #[test]
    fn what_it_extends_counts_even_in_a_circle() {
        let found = outline(&[
            (
                "p.toml",
                "[pipeline]\nextends = \"q.toml\"\n[stages.own]\nuse = \"a\"\n",
            ),
            (
                "q.toml",
                "[pipeline]\nextends = \"p.toml\"\n[stages.base]\nuse = \"b\"\n",
            ),
        ]);
        assert_eq!(names(&found), ["base", "own"]);
    }
}

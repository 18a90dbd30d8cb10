//! The settings of a project: what its `flow.toml` says. None of them is in any recipe.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::diag::{Diag, Diags, SourceMap, Span};
use crate::base::suggest::did_you_mean;
use crate::text::expect::{table, unknown_key, wrong};
use crate::text::node::{self, Entry, Item, Table};

/// The file in the project root.
pub const FILE: &str = "flow.toml";

const TABLES: [&str; 1] = ["cache"];
const CACHE_KEYS: [&str; 7] = [
    "remote",
    "mode",
    "on_write_failure",
    "writer",
    "trust",
    "trusted",
    "signing_key",
];

/// A text and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Placed {
    /// The text.
    pub text: String,
    /// Where it is written.
    pub span: Span,
}

/// What `[cache]` says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CacheSettings {
    /// The URL of the remote.
    pub remote: Option<Placed>,
    /// `mode = "read_write"`: what runs is written to the remote.
    pub write: bool,
    /// `on_write_failure = "fail"`: a run fails if it cannot write to the remote.
    pub fail_unwritten: bool,
    /// What records call their writer.
    pub writer: Option<String>,
    /// `trust = "signed"`: only records with a trusted signature are used.
    pub signed: bool,
    /// The public keys that are trusted.
    pub trusted: Vec<Placed>,
    /// The file of the key that signs records. Its place is for messages.
    pub signing_key: Option<(PathBuf, Span)>,
}

/// What `flow.toml` says.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// `[cache]`
    pub cache: CacheSettings,
    /// The text, for diagnostics.
    pub sources: SourceMap,
}

impl Settings {
    /// Reads the settings of the project in `root`. A project without the file has none.
    ///
    /// # Errors
    /// Returns everything that is wrong with the file.
    pub fn read(root: &Path) -> Result<Self, Diags> {
        let path = root.join(FILE);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => {
                let message = format!("cannot read {}", path.display());
                return Err(vec![
                    Diag::new("flow::project::settings", message).with_source(error),
                ]);
            }
        };
        let mut settings = Self::default();
        let mut diags = Vec::new();
        let source = settings.sources.add(FILE, text.clone());
        let root_table = node::parse(source, &text, &mut diags);
        for entry in root_table.iter() {
            if !TABLES.contains(&entry.key.as_str()) {
                diags.push(unknown_key(entry, "`flow.toml`", &TABLES));
            }
        }
        if let Some(cache) = table(&root_table, "cache", &mut diags) {
            settings.cache = read_cache(cache, root, &mut diags);
        }
        if diags.is_empty() {
            return Ok(settings);
        }
        let diags = diags.into_iter();
        Err(diags.map(|diag| diag.resolve(&settings.sources)).collect())
    }
}

fn read_cache(table: &Table, root: &Path, diags: &mut Diags) -> CacheSettings {
    let mut cache = CacheSettings::default();
    for entry in table.iter() {
        match entry.key.as_str() {
            "remote" => cache.remote = text(entry, diags),
            "mode" => cache.write = choice(entry, ["read", "read_write"], diags),
            "on_write_failure" => cache.fail_unwritten = choice(entry, ["report", "fail"], diags),
            "writer" => cache.writer = text(entry, diags).map(|placed| placed.text),
            "trust" => cache.signed = choice(entry, ["any", "signed"], diags),
            "trusted" => cache.trusted = texts(entry, diags),
            "signing_key" => {
                let path = text(entry, diags);
                cache.signing_key = path.map(|path| (root.join(path.text), path.span));
            }
            _ => diags.push(unknown_key(entry, "`[cache]`", &CACHE_KEYS)),
        }
    }
    if let (true, [], Some(entry)) = (cache.signed, &cache.trusted[..], table.get("trust")) {
        let message = "no record can be trusted: `trust` is \"signed\" and no key is `trusted`";
        let diag = Diag::new("flow::remote::trust", message).label(entry.node.span, "set here");
        diags.push(diag.help("list the public keys of those who write: trusted = [\"ed25519:...\"]; `flow cache keygen FILE` makes a pair"));
    }
    cache
}

fn text(entry: &Entry, diags: &mut Diags) -> Option<Placed> {
    match &entry.node.item {
        Item::Str(text) if !text.is_empty() => Some(Placed {
            text: text.clone(),
            span: entry.node.span,
        }),
        _ => {
            diags.push(wrong(entry, "a text"));
            None
        }
    }
}

fn texts(entry: &Entry, diags: &mut Diags) -> Vec<Placed> {
    let Item::List(nodes) = &entry.node.item else {
        diags.push(wrong(entry, "a list of texts"));
        return Vec::new();
    };
    let mut texts = Vec::new();
    for node in nodes {
        match &node.item {
            Item::Str(text) => texts.push(Placed {
                text: text.clone(),
                span: node.span,
            }),
            _ => diags.push(wrong(entry, "a list of texts")),
        }
    }
    texts
}

/// Returns true if the second of two words is chosen.
fn choice(entry: &Entry, words: [&str; 2], diags: &mut Diags) -> bool {
    let Item::Str(given) = &entry.node.item else {
        diags.push(wrong(entry, "a text"));
        return false;
    };
    if !words.contains(&given.as_str()) {
        let message = format!("`{}` must be one of {}", entry.key, words.join(", "));
        let diag = Diag::new("flow::params::type", message).label(entry.node.span, "is none");
        diags.push(did_you_mean(diag, given, words, "words"));
    }
    *given == words[1]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Settings, Diags> {
        let dir = tempfile_folder();
        std::fs::write(dir.path().join(FILE), text).unwrap();
        Settings::read(dir.path())
    }

    fn tempfile_folder() -> flow_testkit::files::TempDir {
        flow_testkit::files::folder_in_memory()
    }

    #[test]
    fn a_project_without_the_file_has_no_settings() {
        let dir = tempfile_folder();
        assert_eq!(
            Settings::read(dir.path()).unwrap().cache,
            CacheSettings::default()
        );
        assert_eq!(
            read("# only a marker\n").unwrap().cache,
            CacheSettings::default()
        );
    }

    #[test]
    fn every_key_of_the_cache_is_read() {
        let cache = read(
            "[cache]\nremote = \"s3://b/p\"\nmode = \"read_write\"\non_write_failure = \"fail\"\nwriter = \"ci\"\ntrust = \"signed\"\ntrusted = [\"ed25519:a\", \"ed25519:b\"]\nsigning_key = \"k\"\n",
        )
        .unwrap()
        .cache;
        assert_eq!(cache.remote.unwrap().text, "s3://b/p");
        assert!(cache.write && cache.fail_unwritten && cache.signed);
        assert_eq!(cache.writer.as_deref(), Some("ci"));
        assert_eq!(cache.trusted.len(), 2);
        assert!(cache.signing_key.unwrap().0.ends_with("k"));
    }

    #[test]
    fn mistakes_have_their_place_and_a_suggestion() {
        let diags = read("[cahce]\n").unwrap_err();
        assert!(format!("{:?}", diags[0]).contains("cache"), "{diags:?}");
        let text = "[cache]\nremot = \"x\"\nmode = \"read-write\"\nwriter = 3\ntrusted = \"x\"\n";
        let diags = read(text).unwrap_err();
        assert_eq!(diags.len(), 4, "{diags:?}");
        let all = format!("{diags:?}");
        for word in ["`remote`", "read_write", "a text", "a list of texts"] {
            assert!(all.contains(word), "{word} in {all}");
        }
        let diags = read("[cache]\ntrust = \"signed\"\n").unwrap_err();
        assert_eq!(diags.len(), 1, "{diags:?}");
    }
}

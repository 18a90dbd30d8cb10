//! `[outputs]`: the files that a run leaves for the user. None of them may be a file that the pipeline
//! reads or consists of, and they stay in the project unless the pipeline says otherwise. Both are decided
//! by where they really are, whatever links and `..` lead there.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::base::diag::{Diag, Diags, Span};
use crate::base::files::{Destination, elsewhere, normal, real};
use crate::base::suggest::did_you_mean;
use crate::kind::shards::FileRef;
use crate::kind::spec::ANY;
use crate::pipeline::resolve::{Targets, Word};
use crate::pipeline::{OutputDecl, OutputSource, Pipeline};
use crate::text::document::Document;
use crate::text::expect::{table, wrong};
use crate::text::node::{Entry, Item, Table};

/// The key of `[pipeline]` that lets outputs lie outside the project.
pub const OUTSIDE: &str = "outputs_outside";

/// The word for the report of the whole pipeline. A stage of this name goes before it.
pub const REPORT: &str = "report";

/// What `[outputs]` says.
#[derive(Default)]
pub struct Outputs {
    /// The lines that are sound.
    pub decls: Vec<OutputDecl>,
    /// Where all outputs go.
    pub places: Vec<Destination>,
}

/// Reads `[outputs]` of a pipeline in the project at `root`.
pub fn read(
    document: &Document,
    targets: &Targets<'_>,
    root: &Path,
    outside: bool,
    diags: &mut Diags,
) -> Outputs {
    let mut outputs = Outputs::default();
    let entries = table(&document.root, "outputs", diags).into_iter();
    for entry in entries.flat_map(Table::iter) {
        if let Item::Bool(false) = entry.node.item {
            diags.push(drops_nothing(entry, document));
            continue;
        }
        let path = normal(root.join(&entry.key));
        let place = Destination {
            real: real(&path),
            span: entry.key_span,
        };
        let wrong_place = spelling(entry)
            .or_else(|| twice(entry, &path, &place, &outputs, root))
            .or_else(|| closed(entry, &path, &place, root, outside))
            .or_else(|| of_pipeline(entry, &place, document, root));
        diags.extend(wrong_place);
        diags.extend(formless(entry, &path));
        outputs.places.push(place);
        if let Some(from) = source(entry, targets, diags) {
            let base = document.base_of(entry.node.span).map(str::to_owned);
            outputs.decls.push(OutputDecl { path, from, base });
        }
    }
    outputs
}

/// The diagnostic for the name of a file that does not say its format.
fn formless(entry: &Entry, path: &Path) -> Option<Diag> {
    if !entry.key.ends_with('/') && path.extension().is_some() {
        return None;
    }
    let message = format!("the name of the output `{}` has no extension", entry.key);
    Some(
        Diag::new("flow::pipeline::output_format", message)
            .label(entry.key_span, "its format is told by its extension")
            .help(format!(
                "for example \"{}.csv\"; .parquet, .arrow and .json are others",
                entry.key.trim_end_matches('/')
            )),
    )
}

/// Finds what an output is made from.
fn source(entry: &Entry, targets: &Targets<'_>, diags: &mut Diags) -> Option<OutputSource> {
    let Item::Str(text) = &entry.node.item else {
        diags.push(wrong(entry, "\"STAGE\" or \"STAGE.PORT\""));
        return None;
    };
    let word = Word {
        text: text.clone(),
        span: entry.node.span,
    };
    if text == REPORT && targets.names().all(|name| name != REPORT) {
        return page(entry, diags);
    }
    let from = targets.find(&word, ANY, diags).1?;
    if !targets.is_view(from) {
        return Some(OutputSource::Port(from));
    }
    let message = format!("`{text}` is a choice of columns by fold, not a table");
    diags.push(
        Diag::new("flow::pipeline::output_view", message)
            .label(word.span, "has no file of its own")
            .help("name the stage whose columns are chosen, or the stage that reads them"),
    );
    None
}

/// The report of the pipeline, which is a page.
fn page(entry: &Entry, diags: &mut Diags) -> Option<OutputSource> {
    let extension = Path::new(&entry.key).extension();
    let known = extension.is_some_and(|ext| ext.eq_ignore_ascii_case("html"));
    if !known {
        let message = format!("the report goes to `{}`, and is an HTML page", entry.key);
        diags.push(
            Diag::new("flow::export::format", message)
                .label(entry.key_span, "does not end in .html")
                .help(format!(
                    "\"{}\" = \"{REPORT}\"",
                    Path::new(&entry.key).with_extension("html").display()
                )),
        );
    }
    known.then_some(OutputSource::Report(entry.node.span))
}

/// The diagnostic for `"out/x.csv" = false`, which removes an inherited output, if none was inherited.
fn drops_nothing(entry: &Entry, document: &Document) -> Diag {
    let message = format!("`{}` is no output that is inherited", entry.key);
    let diag = Diag::new("flow::outputs::drop", message).label(entry.node.span, "drops nothing");
    let inherited = document.inherited_outputs.iter().map(String::as_str);
    did_you_mean(diag, &entry.key, inherited, "inherited outputs")
}

/// Refuses names with something that would be expanded in a parameter. It is not expanded in the name of a
/// file.
fn spelling(entry: &Entry) -> Option<Diag> {
    let (code, what) = if entry.key.contains("${env:") {
        let what = "`${env:...}` works only in parameters that are paths";
        ("flow::params::env", what)
    } else if entry.key.starts_with("~/") {
        ("flow::params::path", "`~` is not expanded in a pipeline")
    } else {
        return None;
    };
    let port = match &entry.node.item {
        Item::Str(port) => port,
        _ => "STAGE",
    };
    let file = entry.key.replace("${env:", "${");
    let help = format!(
        "write a path below the project root, or take the file from the store after a run: \
         flow export last {port} -o {file}"
    );
    let diag = Diag::new(code, what).label(entry.key_span, "this output");
    Some(diag.help(help))
}

/// Reports two lines for one file, and a line for a file below the path of another file.
fn twice(
    entry: &Entry,
    path: &Path,
    place: &Destination,
    outputs: &Outputs,
    root: &Path,
) -> Option<Diag> {
    let one = |other: &&Destination| is_one_file(&other.real, &place.real);
    if let Some(first) = outputs.places.iter().find(one) {
        let shown = path.strip_prefix(root).unwrap_or(path);
        return Some(
            Diag::new(
                "flow::pipeline::duplicate_output",
                format!("two outputs go to `{}`", shown.display()),
            )
            .label(entry.key_span, "again here")
            .label(first.span, "first here")
            .help("give one of them another name"),
        );
    }
    let nested = |other: &&Destination| {
        other.real.starts_with(&place.real) || place.real.starts_with(&other.real)
    };
    let other = outputs.places.iter().find(nested)?;
    let message = format!(
        "the output `{}` and another one would be a file and a folder of one name",
        entry.key
    );
    Some(
        Diag::new("flow::outputs::place", message)
            .label(entry.key_span, "this output")
            .label(other.span, "and this one")
            .help("give one of them another name"),
    )
}

/// Refuses places where no output may be.
fn closed(
    entry: &Entry,
    path: &Path,
    place: &Destination,
    root: &Path,
    outside: bool,
) -> Option<Diag> {
    let wrong = |message: String, label: &str, help: &str| {
        let diag = Diag::new("flow::outputs::place", message).label(entry.key_span, label);
        Some(diag.help(help))
    };
    let shown = &entry.key;
    for (folder, whose) in [(".flow", "flow"), (".git", "git")] {
        let own = root.join(folder);
        let real_own = own.canonicalize().unwrap_or_else(|_| own.clone());
        if path.starts_with(own) || place.real.starts_with(real_own) {
            return wrong(
                format!("the output `{shown}` lies in `{folder}`, whose files are {whose}'s own"),
                "this output",
                &elsewhere(Path::new(path.file_name().unwrap_or_default())),
            );
        }
    }
    if path.is_dir() {
        return wrong(
            format!("there is a folder at the output `{shown}`"),
            "must be a file",
            "give the output another name, or move the folder away",
        );
    }
    let above = path.ancestors().skip(1);
    if let Some(file) = above.into_iter().find(|above| above.is_file()) {
        let file = file.strip_prefix(root).unwrap_or(file).display();
        return wrong(
            format!("the output `{shown}` lies below `{file}`, which is a file"),
            "must lie in a folder",
            &elsewhere(path),
        );
    }
    if outside || place.real.starts_with(root) {
        return None;
    }
    let message = if path.starts_with(root) {
        format!(
            "a link leads the output `{shown}` out of the project, to `{}`",
            place.real.display()
        )
    } else {
        format!("the output `{shown}` lies outside the project")
    };
    let diag = Diag::new("flow::outputs::outside", message).label(entry.key_span, "this output");
    Some(diag.help(format!(
        "a run writes only below {}; where more is meant, say so:\n[pipeline]\n{OUTSIDE} = true",
        root.display()
    )))
}

/// Refuses the pipeline itself, what it extends, and what marks the project.
fn of_pipeline(
    entry: &Entry,
    place: &Destination,
    document: &Document,
    root: &Path,
) -> Option<Diag> {
    let marker = root.join("flow.toml");
    let file = document
        .files
        .iter()
        .chain([&marker])
        .find(|file| is_one_file(file, &place.real))?;
    let what = if *file == marker {
        "the file that marks the project"
    } else if Some(file) == document.files.first() {
        "the pipeline itself"
    } else {
        "a file that the pipeline extends"
    };
    let message = format!("the output `{}` would replace {what}", entry.key);
    let diag = Diag::new("flow::outputs::source", message);
    Some(
        diag.label(entry.key_span, "this output")
            .help("give the output another name"),
    )
}

/// Reports outputs that cannot be written, whatever is in them: those that are not tables, if they have
/// several parts or a format for tables.
pub fn undeliverable(pipeline: &Pipeline) -> Diags {
    let mut diags = Vec::new();
    for output in &pipeline.outputs {
        let Some(from) = output.from.port() else {
            continue;
        };
        let stage = &pipeline.stages[from.stage];
        let port = &stage.ports.outputs[from.port];
        if !stage.kind.opaque(&stage.params, &port.name) {
            continue;
        }
        let what = format!("{}.{}", stage.name, port.name);
        let dims = stage.dims.get(from.port).copied().unwrap_or_default();
        let layout = |root: Option<usize>| root.map(|root| &pipeline.stages[root].layout);
        let folds = layout(stage.fold_root.filter(|_| dims.fold)).map_or(1, |l| l.folds.len());
        let shards = layout(stage.shard_root.filter(|_| dims.shard)).map_or(1, |l| l.shards.len());
        let extension = output
            .path
            .extension()
            .and_then(|ext| ext.to_str())
            .unwrap_or_default();
        if stage.kind.converts(&stage.params, &port.name, extension) {
            continue;
        }
        let diag = if folds * shards > 1 {
            let message = format!(
                "`{what}` has {} parts that do not form one table",
                folds * shards
            );
            Diag::new("flow::export::parts", message)
                .label(from.span, "cannot be one file")
                .help("name an output that is made of all of them, or look at single parts with `flow explain`")
        } else if ["parquet", "arrow"].contains(&extension) {
            let message = format!(
                "`.{extension}` is not a format that `{what}` can be written as: it is no table"
            );
            Diag::new("flow::export::format", message)
                .label(from.span, "is no table")
                .help("its name may end in .csv, .json, .md or .txt: the bytes are the program's, as they are")
        } else {
            continue;
        };
        diags.push(diag);
    }
    diags
}

/// Reports outputs that would replace files that a stage reads. `said` tells what such a file is called,
/// and where the pipeline names it.
pub fn against_sources<'f>(
    places: &[Destination],
    files: impl Iterator<Item = FileRef<'f>>,
    said: impl Fn(&Path) -> (String, Span),
    diags: &mut Diags,
) {
    let mut told = vec![false; places.len()];
    for file in files {
        let Some(name) = file.path.file_name() else {
            continue;
        };
        for (place, told) in places.iter().zip(&mut told).filter(|(_, told)| !**told) {
            // There may be very many files, so only those of this name are looked at.
            let alike = place.real.file_name();
            if alike.is_some_and(|other| other.eq_ignore_ascii_case(name))
                && is_one_file(&real(file.path), &place.real)
            {
                *told = true;
                let (shown, source) = said(file.path);
                diags.push(replaces_source(&shown, place.span, source));
            }
        }
    }
}

/// The diagnostic for an output that would replace what a stage reads.
pub fn replaces_source(file: &str, output: Span, source: Span) -> Diag {
    let message = format!("an output would replace `{file}`, which the pipeline reads");
    Diag::new("flow::outputs::source", message)
        .label(output, "written here")
        .label(source, "read here")
        .help(elsewhere(Path::new(file)))
}

/// Returns true for two real paths of one file, even if the file system ignores letter case.
fn is_one_file(a: &Path, b: &Path) -> bool {
    if a == b {
        return true;
    }
    let same = || {
        let alike = a.file_name()?.eq_ignore_ascii_case(b.file_name()?);
        Some(alike && id(a.parent()?)? == id(b.parent()?)? && id(a)? == id(b)?)
    };
    same() == Some(true)
}

/// Returns what identifies a file.
fn id(path: &Path) -> Option<(u64, u64)> {
    let meta = path.symlink_metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

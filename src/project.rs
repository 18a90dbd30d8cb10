//! What a command needs around a pipeline: the pipeline itself, the store, and the local state
//! under `.flow` in the project root.

use std::path::{Component, Path, PathBuf};

use flow_cache::{Runs, StatCache, Store, require_no_link};
use flow_engine::outputs::delivery::Delivery;
use flow_engine::pipeline::file::PipelineFile;
use flow_engine::pipeline::load::{LoadOptions, project_root};
use flow_engine::plan::Plan;
use flow_engine::profile;
use flow_engine::{Diag, Pipeline};
use flow_stages::artifacts::export::Exporter;

use crate::args::{FileArgs, PipelineArgs, StoreArgs};
use crate::error::CliError;
use crate::remote::ProjectRemote;
use crate::report::ResultsReport;
use crate::wording::{names, quoted};

/// The working directory.
pub fn working_dir() -> Result<PathBuf, CliError> {
    std::env::current_dir().map_err(|e| CliError::environment("the working directory is gone", e))
}

/// Reads a pipeline file.
pub fn read_pipeline(args: &FileArgs) -> Result<PipelineFile, CliError> {
    let options = LoadOptions {
        sets: args.sets.clone(),
        cwd: working_dir()?,
    };
    Ok(PipelineFile::read(&args.pipeline, &options)?)
}

/// Loads a pipeline or a variant of it, either whole or only a stage and what that stage needs.
pub fn load_pipeline(args: &PipelineArgs, to: Option<&str>) -> Result<Pipeline, CliError> {
    let file = read_pipeline(&args.file)?;
    let registry = flow_neural::kinds::registry();
    let mut pipeline = match &args.variant {
        Some(variant) => file.variant(variant, &registry)?,
        None => file.pipeline(&registry)?,
    };
    if let Some(stage) = to {
        pipeline.restrict(stage).map_err(CliError::usage)?;
    }
    Ok(pipeline)
}

/// The project that a directory is in.
fn project_of(dir: &Path) -> PathBuf {
    project_root(&dir.join("pipeline.toml"))
}

/// The root of the project that the working directory is in.
pub fn root_here() -> Result<PathBuf, CliError> {
    Ok(project_of(&working_dir()?))
}

/// The names of the profiles of the project that a pipeline is in; without a pipeline, of the one that the working
/// directory is in.
pub fn profiles_of(pipeline: Option<&Path>) -> Result<Vec<String>, CliError> {
    let here = working_dir()?;
    let root = pipeline.map_or_else(|| project_of(&here), |file| project_root(&here.join(file)));
    Ok(profile::names(&root))
}

/// A command that is about the project in `root`, as somebody in the working directory would type it.
pub fn in_project(root: &Path, command: &str) -> String {
    let here = working_dir().map(|here| project_of(&here));
    match here.is_ok_and(|here| here == root) {
        true => command.to_owned(),
        false => format!("cd {} && {command}", quoted(&shown(root))),
    }
}

/// The records of the runs of the project that a directory is in, whichever store they used.
pub fn runs_of(dir: &Path) -> Result<Runs, CliError> {
    Ok(Runs::new(&local(&project_of(dir))?.join("runs")))
}

/// The folder of a project's local state. A project may come with a folder that somebody else has made,
/// so no link in it may lead elsewhere.
fn local(root: &Path) -> Result<PathBuf, CliError> {
    let dir = root.join(".flow");
    require_no_link(&dir)?;
    for part in ["logs", "runs"] {
        require_no_link(&dir.join(part))?;
    }
    Ok(dir)
}

/// Where the store is. A link in a path that the user has given is the user's own.
fn store_place(dir: &Path, asked: Option<&Path>) -> Result<PathBuf, CliError> {
    if let Some(place) = asked {
        return Ok(working_dir()?.join(place));
    }
    let place = dir.join("store");
    require_no_link(&place)?;
    Ok(place)
}

/// Says where the user might look if the project of the working directory has nothing: projects in
/// folders right below it.
pub fn elsewhere() -> Option<String> {
    let here = working_dir().ok()?;
    let entries = std::fs::read_dir(&here).ok()?.flatten();
    let mut below: Vec<String> = entries
        .filter(|entry| entry.path().join(".flow").is_dir())
        .map(|entry| shown(&entry.path()))
        .collect();
    below.sort_unstable();
    let all = names(below.iter().map(String::as_str));
    match below.as_slice() {
        [] => None,
        [only] => Some(format!("there is a project in {only}: cd {only}")),
        _ => Some(format!("there are projects in {all}: go to one of them")),
    }
}

/// Where the results of a command go: `asked`, or else `out/WHAT/PIPELINE` in the project root.
pub fn results_dir(
    asked: Option<&Path>,
    pipeline: &Pipeline,
    what: &str,
) -> Result<PathBuf, CliError> {
    if let Some(dir) = asked {
        return Ok(working_dir()?.join(dir));
    }
    let plain = |c: char| {
        if c.is_alphanumeric() || "-_.".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = pipeline.name.chars().map(plain).collect();
    // A name that is only dots would lead elsewhere.
    let name = if name.trim_matches('.').is_empty() {
        "_".to_owned()
    } else {
        name
    };
    Ok(pipeline.root.join("out").join(what).join(name))
}

/// `path` as seen from the folder `from`, both absolute.
pub fn relative(path: &Path, from: &Path) -> PathBuf {
    let (mut path_parts, mut from_parts) = (path.components(), from.components());
    let mut common = 0;
    while let (Some(a), Some(b)) = (path_parts.next(), from_parts.next()) {
        if a != b {
            break;
        }
        common += 1;
    }
    let up = from.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

/// A path as somebody in the working directory would write it. A path that is far away stays whole.
pub fn shown(path: &Path) -> String {
    let near = std::env::current_dir().ok().and_then(|here| {
        let near = relative(path, &here);
        let steps = near
            .components()
            .filter(|part| *part == Component::ParentDir);
        (steps.count() < here.components().count() - 1).then_some(near)
    });
    match near {
        Some(near) if near.as_os_str().is_empty() => ".".to_owned(),
        Some(near) if path.is_absolute() => near.display().to_string(),
        _ => path.display().to_string(),
    }
}

/// The local state of a project.
pub struct ProjectState {
    /// The store.
    pub store: Store,
    /// The remote behind the store.
    pub remote: Option<ProjectRemote>,
    dir: PathBuf,
}

impl ProjectState {
    /// Opens the state of the project in `root`.
    pub fn open(root: &Path, args: &StoreArgs) -> Result<Self, CliError> {
        let dir = local(root)?;
        let store = Store::open(&store_place(&dir, args.store.as_deref())?)?;
        let remote = ProjectRemote::put_behind(&store, root, args)?;
        Ok(Self { store, remote, dir })
    }

    /// Does the same for reading only: it creates no store.
    pub fn open_for_reading(root: &Path, args: &StoreArgs) -> Result<Self, CliError> {
        let dir = local(root)?;
        let store = Store::open_for_reading(&store_place(&dir, args.store.as_deref())?)?;
        let remote = ProjectRemote::put_behind(&store, root, args)?;
        Ok(Self { store, remote, dir })
    }

    /// The state of the project that the working directory is in. It creates nothing.
    ///
    /// # Errors
    /// Fails if there is no store.
    pub fn of_working_dir(args: &StoreArgs) -> Result<Self, CliError> {
        let mut state = Self::local_of_working_dir(args.store.as_deref())?;
        state.remote = ProjectRemote::put_behind(&state.store, &root_here()?, args)?;
        Ok(state)
    }

    /// The same without the remote.
    ///
    /// # Errors
    /// Fails if there is no store.
    pub fn local_of_working_dir(asked: Option<&Path>) -> Result<Self, CliError> {
        let dir = local(&root_here()?)?;
        let place = store_place(&dir, asked)?;
        if !place.join("format").is_file() {
            let message = format!("there is no store in {}", place.display());
            let diag = Diag::new("flow::cli::store", message).help(match asked {
                Some(_) => "a store is what a run has made with the same `--store` (`FLOW_STORE`)",
                None => "go to the project, or name the store with --store DIR",
            });
            return Err(CliError::usage(
                elsewhere().into_iter().fold(diag, Diag::help),
            ));
        }
        let store = Store::open(&place)?;
        Ok(Self {
            store,
            remote: None,
            dir,
        })
    }

    /// The digests of source files as last seen.
    pub fn stat(&self) -> StatCache {
        StatCache::open(&self.dir.join("stat"))
    }

    /// The records of runs.
    pub fn runs(&self) -> Runs {
        Runs::new(&self.dir.join("runs"))
    }

    /// Where the logs of failed programs go.
    pub fn logs(&self) -> PathBuf {
        self.dir.join("logs")
    }

    /// What writes the files under `[outputs]`.
    pub fn delivery<'a>(&'a self, plan: &'a Plan<'a>, stat: &'a StatCache) -> Delivery<'a> {
        Delivery {
            plan,
            store: &self.store,
            stat,
            manifest: self.dir.join("outputs"),
            exporter: &Exporter { flat: false },
            report: &ResultsReport,
        }
    }

    /// Where actions keep their unfinished work: `asked`, or else a folder in the project.
    pub fn scratch(&self, asked: Option<&Path>) -> Result<PathBuf, CliError> {
        let Some(asked) = asked else {
            return Ok(self.dir.join("scratch"));
        };
        let place = working_dir()?.join(asked);
        // A link in a path that the user has given is the user's own.
        Ok(place.canonicalize().unwrap_or(place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_seen_from_a_folder() {
        let seen = |path: &str, from: &str| {
            let seen = relative(Path::new(path), Path::new(from));
            seen.display().to_string()
        };
        assert_eq!(seen("/a/b/p.toml", "/a/b"), "p.toml");
        assert_eq!(seen("/a/b/p.toml", "/a/b/c"), "../p.toml");
        assert_eq!(seen("/a/b/p.toml", "/a/x/y"), "../../b/p.toml");
        assert_eq!(seen("/a/p.toml", "/b"), "../a/p.toml");
    }
}

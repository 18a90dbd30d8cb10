//! The files of a crate, and which of them use which. It looks at every path in the code that begins
//! with `crate`, `self` or `super`, in `use` and elsewhere. Tests may use what they like.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, Meta, UseTree, Visibility};

/// One file of the crate.
pub struct File {
    /// The path, relative to the crate's folder.
    pub path: String,
    /// The path of its module from the root of the crate.
    pub module: Vec<String>,
}

impl File {
    /// The folder or the single file directly in the crate's folder, or `None` for the root of a
    /// library.
    pub fn room(&self) -> Option<&str> {
        let root = (self.path == "main.rs").then_some("main");
        self.module.first().map(String::as_str).or(root)
    }

    /// Returns true if another file is in a module of this one.
    pub fn is_above(&self, other: &Self) -> bool {
        other.module.len() > self.module.len() && other.module.starts_with(&self.module)
    }
}

/// The use of one file by another.
pub struct Arrow {
    pub from: usize,
    pub to: usize,
    /// The path as it is in the code.
    pub path: String,
}

/// The code of a crate.
pub struct Sources {
    pub files: Vec<File>,
    pub arrows: Vec<Arrow>,
}

impl Sources {
    /// Reads all files below `dir` except programs (`bin/`) and those that only tests see.
    pub fn read(dir: &Path) -> Self {
        let mut parsed = Vec::new();
        let mut paths = list(dir);
        paths.sort();
        for path in paths {
            let relative = path.strip_prefix(dir).unwrap();
            let module = module_of(relative);
            if module.first().is_some_and(|first| first == "bin") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = syn::parse_file(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
            let path = relative.to_str().unwrap().to_owned();
            parsed.push((File { path, module }, code));
        }
        let hidden: Vec<Vec<String>> = parsed
            .iter()
            .flat_map(|(f, code)| tests_of(f, code))
            .collect();
        parsed.retain(|(file, _)| !hidden.iter().any(|test| file.module.starts_with(test)));
        let mut index = Index::default();
        for (at, (file, code)) in parsed.iter().enumerate() {
            index.files.insert(file.module.clone(), at);
            for item in &code.items {
                if let Item::Use(item) = item
                    && !matches!(item.vis, Visibility::Inherited)
                {
                    let mut names = Vec::new();
                    leaves(&item.tree, &mut Vec::new(), &mut names);
                    for (path, name) in names {
                        index.exports.insert((file.module.clone(), name), path);
                    }
                }
            }
        }
        let mut arrows = Vec::new();
        for (from, (file, code)) in parsed.iter().enumerate() {
            let mut paths = Paths::default();
            paths.visit_file(code);
            for path in paths.found {
                if let Some(to) = index.file_of(&file.module, &path, 0) {
                    let path = path.join("::");
                    arrows.push(Arrow { from, to, path });
                }
            }
        }
        let files = parsed.into_iter().map(|(file, _)| file).collect();
        Self { files, arrows }
    }

    pub fn room(&self, file: usize) -> Option<&str> {
        self.files[file].room()
    }
}

fn list(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let (folders, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    let files = files
        .into_iter()
        .filter(|path| path.extension().is_some_and(|e| e == "rs"));
    files
        .chain(folders.iter().flat_map(|folder| list(folder)))
        .collect()
}

fn module_of(path: &Path) -> Vec<String> {
    let mut module: Vec<String> = path
        .with_extension("")
        .iter()
        .map(|part| part.to_str().unwrap().to_owned())
        .collect();
    if module
        .last()
        .is_some_and(|last| ["mod", "lib", "main"].contains(&&**last))
    {
        module.pop();
    }
    module
}

/// The modules with files of their own that only tests see.
fn tests_of(file: &File, code: &syn::File) -> Vec<Vec<String>> {
    let modules = code.items.iter().filter_map(|item| match item {
        Item::Mod(module) if is_test(&module.attrs) => Some(module),
        _ => None,
    });
    let named = modules.map(|module| {
        // `#[path]` names the file, which is in the folder of this one.
        let mut path = file.module.clone();
        match module.attrs.iter().find_map(path_of) {
            Some(name) => {
                let is_root = file.path.ends_with("mod.rs") || file.path == "lib.rs";
                path.truncate(path.len() - usize::from(!is_root));
                path.push(name.trim_end_matches(".rs").to_owned());
            }
            None => path.push(module.ident.to_string()),
        }
        path
    });
    named.collect()
}

fn path_of(attr: &Attribute) -> Option<String> {
    let Meta::NameValue(meta) = &attr.meta else {
        return None;
    };
    match &meta.value {
        syn::Expr::Lit(syn::ExprLit {
            lit: syn::Lit::Str(text),
            ..
        }) if meta.path.is_ident("path") => Some(text.value()),
        _ => None,
    }
}

fn is_test(attrs: &[Attribute]) -> bool {
    attrs.iter().any(|attr| {
        attr.path().is_ident("cfg")
            && attr
                .parse_args::<syn::Path>()
                .is_ok_and(|path| path.is_ident("test"))
    })
}

/// Where modules and re-exported names are.
#[derive(Default)]
struct Index {
    files: HashMap<Vec<String>, usize>,
    /// For each module and name, the path that the name stands for.
    exports: HashMap<(Vec<String>, String), Vec<String>>,
}

impl Index {
    /// The file that holds what a path in `module` stands for, or `None` for something from another
    /// crate.
    fn file_of(&self, module: &[String], path: &[String], depth: usize) -> Option<usize> {
        let (mut at, mut rest) = match path.first()?.as_str() {
            "crate" => (Vec::new(), &path[1..]),
            "self" => (module.to_vec(), &path[1..]),
            "super" => (module.to_vec(), path),
            // A re-export may name a child without `self`.
            _ if depth > 0 => (module.to_vec(), path),
            _ => return None,
        };
        while let [first, others @ ..] = rest {
            if first == "super" {
                at.pop()?;
            } else {
                at.push(first.clone());
                if !self.files.contains_key(&at) {
                    at.pop();
                    break;
                }
            }
            rest = others;
        }
        if let [name, ..] = rest
            && depth < 8
            && let Some(path) = self.exports.get(&(at.clone(), name.clone()))
            && let Some(file) = self.file_of(&at, path, depth + 1)
        {
            return Some(file);
        }
        self.files.get(&at).copied()
    }
}

/// Paths that begin in this crate.
#[derive(Default)]
struct Paths {
    found: Vec<Vec<String>>,
}

impl Paths {
    fn add(&mut self, path: Vec<String>) {
        if ["crate", "self", "super"].contains(&&*path[0]) && path.len() > 1 {
            self.found.push(path);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        if !is_test(&module.attrs) {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        let mut names = Vec::new();
        leaves(&item.tree, &mut Vec::new(), &mut names);
        names.into_iter().for_each(|(path, _)| self.add(path));
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.add(path.segments.iter().map(|s| s.ident.to_string()).collect());
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, mac: &'ast syn::Macro) {
        // The arguments of a macro are not parsed. Paths in them are found by their words.
        let text = mac.tokens.to_string().replace(' ', "");
        let mut rest = text.as_str();
        while let Some(at) = rest.find("crate::") {
            rest = &rest[at..];
            let end = rest.find(|c: char| !(c.is_alphanumeric() || "_:".contains(c)));
            let path = &rest[..end.unwrap_or(rest.len())];
            self.add(
                path.split("::")
                    .filter(|s| !s.is_empty())
                    .map(str::to_owned)
                    .collect(),
            );
            rest = &rest[path.len()..];
        }
        visit::visit_macro(self, mac);
    }
}

/// The paths of a `use`, each with the name under which it is known afterwards.
fn leaves(tree: &UseTree, at: &mut Vec<String>, out: &mut Vec<(Vec<String>, String)>) {
    match tree {
        UseTree::Path(path) => {
            at.push(path.ident.to_string());
            leaves(&path.tree, at, out);
            at.pop();
        }
        UseTree::Name(name) => leaf(&name.ident.to_string(), None, at, out),
        UseTree::Rename(name) => {
            leaf(
                &name.ident.to_string(),
                Some(name.rename.to_string()),
                at,
                out,
            );
        }
        UseTree::Glob(_) => out.push((at.clone(), "*".to_owned())),
        UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, at, out)),
    }
}

fn leaf(name: &str, renamed: Option<String>, at: &[String], out: &mut Vec<(Vec<String>, String)>) {
    let mut path = at.to_vec();
    if name != "self" || at.is_empty() {
        path.push(name.to_owned());
    }
    let known = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
    out.push((path, known));
}

use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use flow_testkit::files::{TempDir, folder, write};

use super::*;

/// A project with these files, whose root has no links in it.
fn project(files: &[&str]) -> (TempDir, PathBuf) {
    let temp = folder();
    let root = temp.path().canonicalize().unwrap().join("project");
    for file in files {
        write(&root.join(file), "");
    }
    (temp, root)
}

fn pattern(root: &Path, text: &str) -> String {
    format!("{}/{text}", escape(root.to_str().unwrap()))
}

fn names(project: &Project<'_>, text: &str, links: Links) -> Result<Vec<String>, Box<Diag>> {
    let found = project.find(&pattern(project.root, text), links)?;
    Ok(found.iter().map(|path| project.show(path)).collect())
}

fn found(root: &Path, text: &str) -> Vec<String> {
    names(&Project::at(root), text, Links::Anywhere).unwrap()
}

fn refused(root: &Path, text: &str, links: Links) -> (String, String) {
    let diag = names(&Project::at(root), text, links).unwrap_err();
    (diag.code.to_string(), diag.message)
}

#[test]
fn escaped_text_stands_for_itself() {
    for text in ["a*b?[c]{d}[[]", "", "plain/ä.csv", "[*]"] {
        assert_eq!(unescape(&escape(text)), text);
        assert!(Pattern::new(&escape(text)).unwrap().matches(text));
    }
    assert_eq!(unescape("[ab]*"), "[ab]*");
}

#[test]
fn names_that_are_there_as_they_are_written_are_meant_so() {
    let (_temp, root) = project(&["run[1]/a.csv", "run1/a.csv", "x[1].csv", "x1.csv"]);
    assert_eq!(found(&root, "run[1]/*.csv"), ["run[1]/a.csv"]);
    assert_eq!(found(&root, "x[1].csv"), ["x[1].csv"]);
    assert_eq!(found(&root, "x[12].csv"), ["x1.csv"]);
    assert_eq!(found(&root, "run[12]/a.csv"), ["run1/a.csv"]);
}

#[test]
fn a_leading_dot_is_matched_by_a_dot_only() {
    let (_temp, root) = project(&[
        "a.csv",
        "._a.csv",
        ".hidden/b.csv",
        ".flow/store/c.csv",
        ".git/d.csv",
        "deep/.x/e.csv",
        "deep/f.csv",
    ]);
    assert_eq!(found(&root, "*.csv"), ["a.csv"]);
    assert_eq!(found(&root, "?_a.csv"), [""; 0]);
    assert_eq!(found(&root, ".*.csv"), ["._a.csv"]);
    assert_eq!(found(&root, "**/*.csv"), ["a.csv", "deep/f.csv"]);
    assert_eq!(found(&root, "**"), ["a.csv", "deep/f.csv"]);
    assert_eq!(found(&root, ".*/*.csv"), [".hidden/b.csv"]);
    assert_eq!(found(&root, ".hidden/**/*"), [".hidden/b.csv"]);
    assert_eq!(found(&root, "**/.x/*"), ["deep/.x/e.csv"]);
}

#[test]
fn a_store_in_the_project_is_none_of_its_files() {
    let (_temp, root) = project(&[
        "format",
        "cache/format",
        "cache/artifacts/ab/1",
        "cache/records/r.seg",
    ]);
    assert_eq!(found(&root, "**/*"), ["format"]);
}

#[test]
fn folder_links_are_followed_by_names_and_not_by_any_number_of_folders() {
    let (_temp, root) = project(&["a/x.csv", "../data/y.csv"]);
    symlink("../data", root.join("link")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    symlink("/", root.join("root")).unwrap();
    assert_eq!(found(&root, "**/*.csv"), ["a/x.csv"]);
    assert_eq!(found(&root, "link/*.csv"), ["link/y.csv"]);
    assert_eq!(found(&root, "l*k/y.csv"), ["link/y.csv"]);
    let (code, message) = refused(&root, "l*k/*.csv", Links::Within);
    assert_eq!(code, "flow::files::outside");
    assert!(message.contains("`link`"), "{message}");
    // A link behind which the pattern finds nothing is no mistake.
    let within = names(&Project::at(&root), "*/x.csv", Links::Within).unwrap();
    assert_eq!(within, ["a/x.csv", "loop/x.csv"][..1]);
}

#[test]
fn file_links_are_followed_unless_a_pattern_would_leave_the_project() {
    let (_temp, root) = project(&["a.csv", "../b.csv"]);
    symlink("a.csv", root.join("inner.csv")).unwrap();
    symlink("../b.csv", root.join("outer.csv")).unwrap();
    assert_eq!(found(&root, "*.csv"), ["a.csv", "inner.csv", "outer.csv"]);
    let (code, message) = refused(&root, "*.csv", Links::Within);
    assert_eq!(code, "flow::files::outside");
    assert!(message.contains("`outer.csv`"), "{message}");
    let named = names(&Project::at(&root), "outer.csv", Links::Within);
    assert_eq!(named.unwrap(), ["outer.csv"]);
}

#[test]
fn links_that_lead_nowhere_are_errors() {
    let (_temp, root) = project(&["d/a.csv", "e/a.csv"]);
    symlink("/nowhere/b.csv", root.join("d/b.csv")).unwrap();
    symlink("/nowhere/f", root.join("f")).unwrap();
    for pattern in ["d/*.csv", "d/b.csv", "**/*.csv", "*/b.csv", "*/a.csv"] {
        let (code, message) = refused(&root, pattern, Links::Anywhere);
        assert_eq!(code, "flow::files::link", "{pattern}");
        assert!(message.contains("/nowhere/"), "{message}");
    }
    assert_eq!(found(&root, "d/a*"), ["d/a.csv"]);
}

#[test]
fn names_that_are_no_text_are_errors_where_they_would_match() {
    let (_temp, root) = project(&["a/lc1.csv", "b/lc1.csv"]);
    let odd = std::ffi::OsStr::from_bytes(b"lc\xff.csv");
    fs::write(root.join("b").join(odd), "").unwrap();
    for pattern in ["b/lc*.csv", "**/*.csv", "b/lc?.csv"] {
        assert_eq!(
            refused(&root, pattern, Links::Anywhere).0,
            "flow::files::name"
        );
    }
    assert_eq!(found(&root, "b/*1.csv"), ["b/lc1.csv"]);
    fs::create_dir(root.join(std::ffi::OsStr::from_bytes(b"\xff"))).unwrap();
    assert_eq!(
        refused(&root, "**/a.csv", Links::Anywhere).0,
        "flow::files::name"
    );
}

#[test]
fn own_outputs_are_left_out_of_any_folders_and_refused_elsewhere() {
    let (_temp, root) = project(&["data/lc_1.csv", "data/out/lc_2.csv", "elsewhere/lc.csv"]);
    let target = |path: &str| Destination {
        real: root.join(path),
        span: Span::default(),
    };
    let outputs = [target("data/lc_all.csv"), target("data/out/lc_2.csv")];
    let project = Project {
        root: &root,
        outputs: &outputs,
    };
    let deep = names(&project, "**/*.csv", Links::Anywhere);
    assert_eq!(deep.unwrap(), ["data/lc_1.csv", "elsewhere/lc.csv"]);
    // It is refused even before the output exists for the first time.
    for pattern in ["data/lc_*.csv", "*/lc_[a-z]*.csv", "data/*/*"] {
        let diag = names(&project, pattern, Links::Anywhere).unwrap_err();
        assert_eq!(diag.code.as_str(), "flow::outputs::source", "{pattern}");
    }
    assert_eq!(
        names(&project, "e*/*.csv", Links::Anywhere).unwrap(),
        ["elsewhere/lc.csv"]
    );
}

#[test]
fn places_are_real_as_far_as_there_are_folders() {
    let (_temp, root) = project(&["a/x.csv"]);
    symlink("a", root.join("b")).unwrap();
    symlink("x.csv", root.join("a/y.csv")).unwrap();
    assert_eq!(real(&root.join("b/x.csv")), root.join("a/x.csv"));
    assert_eq!(real(&root.join("b/new/z.csv")), root.join("a/new/z.csv"));
    assert_eq!(real(&root.join("b/y.csv")), root.join("a/y.csv"));
}

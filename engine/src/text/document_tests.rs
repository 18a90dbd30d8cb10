use super::*;
use flow_testkit::files::{TempDir, folder_with};

struct Case {
    dir: TempDir,
}

impl Case {
    fn new(files: &[(&str, &str)]) -> Self {
        let dir = folder_with(files);
        Self { dir }
    }

    fn read(&self, file: &str, sets: &[&str]) -> (Document, Diags) {
        let mut diags = Vec::new();
        let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
        let document = read(Path::new(file), &sets, self.dir.path(), &mut diags);
        (document, diags)
    }

    fn sound(&self, file: &str, sets: &[&str]) -> Document {
        let (document, diags) = self.read(file, sets);
        assert!(diags.is_empty(), "{diags:?}");
        document
    }
}

/// The value at a path of keys.
fn at<'d>(document: &'d Document, path: &[&str]) -> Option<&'d Item> {
    let (last, parents) = path.split_last().unwrap();
    let mut table = &document.root;
    for key in parents {
        match &table.get(key)?.node.item {
            Item::Table(inner) => table = inner,
            _ => return None,
        }
    }
    table.get(last).map(|entry| &entry.node.item)
}

fn keys(document: &Document, section: &str) -> Vec<String> {
    match &document.root.get(section).unwrap().node.item {
        Item::Table(table) => table.iter().map(|entry| entry.key.clone()).collect(),
        _ => Vec::new(),
    }
}

const BASE: &str = r#"
[pipeline]
seed = 1
[stages.a]
use = "kind_a"
n = 1
list = [1, 2]
[stages.a.columns]
x = "x"
y = "y"
[stages.b]
use = "kind_b"
m = 2
"#;

#[test]
fn tables_merge_lists_replace_and_use_replaces_the_stage() {
    let over = r#"
[pipeline]
extends = "lib/base.toml"
name = "over"
[stages.a]
n = 3
list = [9]
columns.y = "why"
[stages.b]
use = "kind_c"
[stages.c]
use = "kind_d"
"#;
    let case = Case::new(&[("over.toml", over), ("lib/base.toml", BASE)]);
    let document = case.sound("over.toml", &[]);
    assert_eq!(at(&document, &["pipeline", "seed"]), Some(&Item::Int(1)));
    assert_eq!(at(&document, &["pipeline", "extends"]), None);
    assert_eq!(
        at(&document, &["stages", "a", "use"]),
        Some(&Item::Str("kind_a".into()))
    );
    assert_eq!(at(&document, &["stages", "a", "n"]), Some(&Item::Int(3)));
    let Some(Item::List(list)) = at(&document, &["stages", "a", "list"]) else {
        panic!("a list")
    };
    assert_eq!(list.len(), 1);
    let column = |name| at(&document, &["stages", "a", "columns", name]);
    assert_eq!(column("x"), Some(&Item::Str("x".into())));
    assert_eq!(column("y"), Some(&Item::Str("why".into())));
    assert_eq!(
        at(&document, &["stages", "b", "use"]),
        Some(&Item::Str("kind_c".into()))
    );
    assert_eq!(at(&document, &["stages", "b", "m"]), None);
    assert_eq!(keys(&document, "stages"), ["a", "b", "c"]);
}

#[test]
fn rules_that_are_laid_over_others_come_first() {
    let case = Case::new(&[
        (
            "base.toml",
            "[stages.a.classes]\nx = [\"1\"]\ny = [\"2\"]\nrest = [\"*\"]\n",
        ),
        (
            "over.toml",
            "[pipeline]\nextends = \"base.toml\"\n[stages.a.classes]\nrest = [\"*\"]\nnew = [\"2\"]\n",
        ),
    ]);
    let document = case.sound("over.toml", &["a.classes.y=[\"4\"]"]);
    let Some(Item::Table(classes)) = at(&document, &["stages", "a", "classes"]) else {
        panic!("a table")
    };
    let keys: Vec<&str> = classes.iter().map(|entry| entry.key.as_str()).collect();
    assert_eq!(keys, ["y", "rest", "new", "x"]);
}

#[test]
fn extends_is_followed_through_several_files_and_relative_to_each() {
    let case = Case::new(&[
        ("top.toml", "pipeline.extends = \"x/mid.toml\"\n"),
        (
            "x/mid.toml",
            "pipeline.extends = \"../base.toml\"\nstages.a.n = 7\n",
        ),
        ("base.toml", BASE),
    ]);
    let document = case.sound("top.toml", &[]);
    assert_eq!(at(&document, &["stages", "a", "n"]), Some(&Item::Int(7)));
}

#[test]
fn quoted_and_bare_dotted_keys_are_equal() {
    let quoted = "[stages]\n\"a.n\" = 1\n[variants.v]\n\"a.inputs.x\" = [\"b\"]\n[tune.space]\n\"a.n\" = { int = [1, 2] }\n";
    let bare = "[stages]\na.n = 1\n[variants.v]\na.inputs.x = [\"b\"]\n[tune.space]\na.n = { int = [1, 2] }\n";
    let case = Case::new(&[("quoted.toml", quoted), ("bare.toml", bare)]);
    let (quoted, bare) = (case.sound("quoted.toml", &[]), case.sound("bare.toml", &[]));
    for path in [
        &["stages", "a", "n"][..],
        &["variants", "v", "a", "inputs", "x"],
        &["tune", "space", "a", "n", "int"],
    ] {
        let shape = |document| match at(document, path) {
            Some(Item::List(items)) => items.len().to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(shape(&quoted), shape(&bare));
        assert_ne!(shape(&bare), "None");
    }
}

#[test]
fn dots_in_data_and_in_file_names_stay() {
    let text =
        "[stages.a.classes]\n\"Ia.pec\" = 1\n[outputs]\n\"out/p.csv\" = \"a\"\nq.csv = \"b\"\n";
    let case = Case::new(&[("p.toml", text)]);
    let document = case.sound("p.toml", &[]);
    assert_eq!(
        at(&document, &["stages", "a", "classes", "Ia.pec"]),
        Some(&Item::Int(1))
    );
    assert_eq!(keys(&document, "outputs"), ["out/p.csv", "q.csv"]);
}

#[test]
fn the_same_path_given_twice_is_an_error() {
    let case = Case::new(&[("p.toml", "[stages]\n\"a.n\" = 1\na.n = 2\n")]);
    let (_, diags) = case.read("p.toml", &[]);
    assert_eq!(diags.len(), 1);
    assert_eq!(diags[0].message, "`n` is given twice");
}

#[test]
fn sets_are_applied_in_order() {
    let case = Case::new(&[("p.toml", BASE)]);
    let sets = [
        "a.n=5",
        "pipeline.seed=9",
        "a.n=6",
        "\"a.columns.x\"=\"ex\"",
        "a.list=[]",
    ];
    let document = case.sound("p.toml", &sets);
    assert_eq!(at(&document, &["stages", "a", "n"]), Some(&Item::Int(6)));
    assert_eq!(at(&document, &["pipeline", "seed"]), Some(&Item::Int(9)));
    assert_eq!(
        at(&document, &["stages", "a", "columns", "x"]),
        Some(&Item::Str("ex".into()))
    );
    assert_eq!(
        at(&document, &["stages", "a", "list"]),
        Some(&Item::List(Vec::new()))
    );
    let Some(Item::Table(a)) = at(&document, &["stages", "a"]) else {
        panic!("a table")
    };
    assert!(document.is_set(a.get("n").unwrap().node.span));
    assert!(!document.is_set(a.get("use").unwrap().node.span));
}

#[test]
fn a_set_without_quotes_shows_what_to_type() {
    let case = Case::new(&[("p.toml", BASE)]);
    let (_, diags) = case.read("p.toml", &["a.path=../data"]);
    assert_eq!(diags.len(), 1);
    assert_eq!(diags[0].help, ["type: --set 'a.path=\"../data\"'"]);
}

#[test]
fn bad_sets_are_diagnosed() {
    let case = Case::new(&[("p.toml", BASE)]);
    for set in [
        "",
        "a",
        "a.n",
        "a=1",
        "a.n=",
        "=1",
        "[a]",
        "a.n=[1",
        "z.n=1",
        "pipeline.extends=\"x\"",
        "a..n=1",
    ] {
        let (_, diags) = case.read("p.toml", &[set]);
        assert_eq!(diags.len(), 1, "{set:?}: {diags:?}");
    }
}

#[test]
fn a_key_of_a_thousand_parts_does_not_build_a_deep_tree() {
    let text = format!("[stages]\n\"{}\" = 1\n", vec!["a"; 1000].join("."));
    let case = Case::new(&[("p.toml", &text)]);
    let (_, diags) = case.read("p.toml", &[]);
    assert_eq!(diags.len(), 1);
}

#[test]
fn files_that_are_not_text_or_not_there_are_diagnosed() {
    let case = Case::new(&[("p.toml", "pipeline.extends = \"gone.toml\"\n")]);
    std::fs::write(case.dir.path().join("bin.toml"), [0xff, 0xfe]).unwrap();
    for file in ["p.toml", "bin.toml", "none.toml"] {
        let (_, diags) = case.read(file, &[]);
        assert_eq!(diags.len(), 1, "{file}");
        assert_eq!(diags[0].code.as_str(), "flow::pipeline::file");
    }
}

use super::*;
use crate::base::diag::SourceId;
use crate::kind::spec::Ports;
use crate::text::node::{self, Table};

fn specs() -> Vec<ParamSpec> {
    let path = ParamSpec::new("path", ParamType::Path, "Where the data are.").optional();
    vec![
        ParamSpec::choice("format", "demo", &["demo", "csv"], "The format."),
        ParamSpec::int("n", 10, 1, 100, "How many."),
        ParamSpec::float("rate", 0.5, 0.0, f64::INFINITY, "How fast."),
        path.only("format", &["csv"]),
        ParamSpec::new("home", ParamType::Path, "A folder.").or(Value::Str(".".into())),
        ParamSpec::new(
            "columns",
            ParamType::Map(Box::new(ParamType::Str)),
            "Names.",
        )
        .optional(),
        ParamSpec::new(
            "classes",
            ParamType::Ordered(Box::new(ParamType::Str)),
            "Groups.",
        )
        .optional(),
        ParamSpec::new(
            "weight",
            ParamType::OneOf(vec![
                ParamType::Choice(&["auto"]),
                ParamType::Float { min: 0.0, max: 1e9 },
            ]),
            "Weight.",
        )
        .optional(),
        ParamSpec::bool("twist", false, "A switch.").only("format", &["csv"]),
        ParamSpec::choice("style", "own", &["own", "theirs"], "Whose defaults.").unkeyed(),
        ParamSpec::int("depth", 4, 1, 16, "How deep.").with("style", "theirs", 6),
        ParamSpec::new(
            "leaves",
            ParamType::Int { min: 2, max: 99 },
            "How many leaves.",
        )
        .optional()
        .with("style", "theirs", 31),
    ]
}

fn run(text: &str, specs: &[ParamSpec]) -> (Checked, Diags) {
    let mut diags = Vec::new();
    let table: Table = node::parse(SourceId(0), text, &mut diags);
    assert!(diags.is_empty(), "{diags:?}");
    let given: Vec<&Entry> = table.iter().collect();
    let is_set = |span: Span| span.start > 1000;
    let env = |name: &str| (name == "DATA").then(|| "/mnt/data".to_owned());
    let context = Context {
        root: Path::new("/project"),
        cwd: Path::new("/elsewhere"),
        is_set: &is_set,
        keys: &["inputs"],
        env: &env,
    };
    let kind = KindSpec {
        name: "kind",
        version: 1,
        about: "",
        ports: Ports::default(),
        params: specs.to_vec(),
        steps: Vec::new(),
    };
    let checked = check(&kind, &given, Span::default(), context, &mut diags);
    (checked, diags)
}

fn sound(text: &str) -> Params {
    let (checked, diags) = run(text, &specs());
    assert!(diags.is_empty(), "{diags:?}");
    assert!(checked.clean && checked.usable);
    checked.params
}

fn codes(text: &str) -> Vec<String> {
    let (checked, diags) = run(text, &specs());
    assert_eq!(checked.clean, diags.is_empty());
    diags.iter().map(|diag| diag.code.to_string()).collect()
}

#[test]
fn defaults_are_filled_in_and_what_does_not_apply_is_absent() {
    let params = sound("");
    assert_eq!(params.read::<i64>("n"), 10);
    assert_eq!(params.read::<&str>("format"), "demo");
    assert_eq!(params.read::<&str>("home"), "/project");
    assert!(params.get("path").is_none());
    assert!(params.get("twist").is_none());
    assert!(!sound("format = 'csv'").read::<bool>("twist"));
}

#[test]
fn a_preset_brings_defaults_that_are_in_the_recipe_as_if_they_were_given() {
    let own = sound("");
    assert_eq!(own.read::<i64>("depth"), 4);
    assert!(own.get("leaves").is_none());
    let preset = sound("style = 'theirs'\ndepth = 5");
    assert_eq!(preset.read::<i64>("depth"), 5);
    assert_eq!(preset.read::<i64>("leaves"), 31);
    let by_hand = sound("depth = 5\nleaves = 31");
    assert!(preset.keyed().eq(by_hand.keyed()));
}

#[test]
fn whole_numbers_are_numbers_and_minus_zero_is_zero() {
    assert!(matches!(sound("rate = 2").get("rate"), Some(Value::Float(v)) if *v == 2.0));
    let zero = sound("rate = -0.0").read::<f64>("rate");
    assert!(zero == 0.0 && zero.is_sign_positive());
}

#[test]
fn paths_are_resolved_and_expanded() {
    assert_eq!(sound("home = 'a/./b'").read::<&str>("home"), "/project/a/b");
    assert_eq!(sound("home = '/abs'").read::<&str>("home"), "/abs");
    assert_eq!(
        sound("home = '${env:DATA}/x'").read::<&str>("home"),
        "/mnt/data/x"
    );
    let padding = format!("#{}\nhome = 'a'", "-".repeat(1000));
    assert_eq!(sound(&padding).read::<&str>("home"), "/elsewhere/a");
    assert_eq!(codes("home = '${env:GONE}/x'"), ["flow::params::env"]);
    assert_eq!(codes("home = '${env:DATA'"), ["flow::params::env"]);
    assert_eq!(codes("home = '~/x'"), ["flow::params::path"]);
    assert_eq!(codes("home = ''"), ["flow::params::path"]);
    assert_eq!(
        codes("columns = { a = '${env:DATA}' }"),
        ["flow::params::env"]
    );
}

#[test]
fn tables_are_sorted_unless_their_order_counts() {
    let params = sound("columns = { b = 'x', a = 'y' }\nclasses = { b = 'x', a = 'y' }");
    let pairs = |name| params.read::<Vec<(&str, &str)>>(name);
    assert_eq!(pairs("columns"), [("a", "y"), ("b", "x")]);
    assert_eq!(pairs("classes"), [("b", "x"), ("a", "y")]);
}

#[test]
fn the_first_type_that_fits_counts() {
    assert_eq!(sound("weight = 'auto'").read::<&str>("weight"), "auto");
    assert_eq!(sound("weight = 3").read::<f64>("weight"), 3.0);
    assert_eq!(codes("weight = 'much'"), ["flow::params::type"]);
}

#[test]
fn wrong_values_are_reported_each() {
    let text = "n = 0\nrate = nan\nformat = 'cvs'\nkernels = 3\ncolumns = { a = 1 }";
    let (checked, diags) = run(text, &specs());
    assert_eq!(diags.len(), 5, "{diags:?}");
    assert!(
        checked.params.read::<i64>("n") == 10,
        "a wrong value leaves the default"
    );
}

#[test]
fn conditions_are_checked_unless_what_they_hang_on_is_wrong() {
    assert_eq!(codes("path = 'x'"), ["flow::params::not_applicable"]);
    assert_eq!(codes("format = 'csv'\npath = 'x'"), [] as [&str; 0]);
    assert_eq!(codes("format = 'cvs'\npath = 'x'"), ["flow::params::type"]);
}

#[test]
fn a_misspelt_required_parameter_is_one_mistake() {
    let specs = [ParamSpec::new("path", ParamType::Path, "Where.")];
    let (checked, diags) = run("paht = 'x'", &specs);
    assert_eq!(diags.len(), 1, "{diags:?}");
    assert!(!checked.usable);
    let (_, diags) = run("", &specs);
    assert_eq!(diags[0].code.as_str(), "flow::params::missing");
}

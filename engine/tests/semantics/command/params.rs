//! `params`: values by name.

use flow_testkit::local;

use super::{alone, expect_mistake, mistakes};
use crate::kinds::registry;

const PARAMS: &str = "params = { depth = 4, rate = 0.1, small = 1e-7, loss = \"a{b\", deep = true }\nenv = { RATE = \"r={rate}\" }";

#[test]
fn they_stand_in_texts_and_are_in_the_recipe() {
    let project = alone(
        "echo {depth} $RATE {small} \"{loss}\" {deep} > {out}",
        PARAMS,
    );
    project.expect(&["run: run"]);
    assert_eq!(project.read("result.txt"), "4 r=0.1 1e-7 a{b true\n");
    project.expect(&[]);
    project.edit("depth = 4", "depth = 6");
    project.expect(&["run: run"]);
    project.edit("depth = 6", "depth = 6.0");
    project.expect(&["run: run"]);
    assert!(project.read("result.txt").starts_with("6.0 "));
    project.edit("depth = 6.0", "depth = 4");
    project.expect(&[]);
}

#[test]
fn what_is_set_replaces_one_of_them() {
    let project = alone(
        "echo {depth} {loss} > {out}",
        "params = { depth = 4, loss = \"x\" }",
    );
    let more = "[variants.deep]\n\"run.params.depth\" = 8\n[tune]\n[tune.space]\n\
        \"run.params.depth\" = { int = [2, 8] }\n[outputs]";
    project.edit("[outputs]", more);
    let registry = registry(&project.control);
    let params = |sets: &[&str], variant: Option<&str>| {
        let file = local::read(&project, "p.toml", sets);
        let pipeline = match variant {
            Some(name) => file.variant(name, &registry),
            None => file.pipeline(&registry),
        };
        let pipeline = pipeline.unwrap_or_else(|diags| panic!("{diags:?}"));
        let params = pipeline.stages[0].params.get("params").unwrap();
        params.to_string()
    };
    assert_eq!(params(&[], None), "{ depth = 4, loss = \"x\" }");
    assert_eq!(
        params(&["run.params.depth=6"], None),
        "{ depth = 6, loss = \"x\" }"
    );
    assert_eq!(params(&[], Some("deep")), "{ depth = 8, loss = \"x\" }");
}

#[test]
fn mistakes_in_params_are_told() {
    let wrong = |script: &str, params: &str| alone(script, &format!("params = {params}"));
    let name = "flow::command::name";
    let two = "names two things";
    expect_mistake(&wrong("{out}", "{ out = 1 }"), name, two);
    expect_mistake(&wrong("{seed} {out}", "{ seed = 1 }"), name, two);
    expect_mistake(&wrong("{a b}", "{ \"a b\" = 1 }"), name, "cannot be called");
    let both = wrong("{i} {out}", "{ i = 1 }\neach = { i = [1] }");
    expect_mistake(&both, name, two);
    let unknown = "flow::command::placeholder";
    expect_mistake(&wrong("{out}", "{ depth = 1 }"), unknown, "used nowhere");
    let diags = mistakes(&wrong("{detph} {out}", "{ depth = 1 }"));
    let help = diags.iter().flat_map(|diag| &diag.help);
    assert!(
        help.clone().any(|help| help.contains("`depth`")),
        "{diags:?}"
    );
    expect_mistake(&wrong("{d}", "{ d = [1] }"), "flow::params::type", "");
}

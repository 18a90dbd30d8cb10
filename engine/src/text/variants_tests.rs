use super::*;
use crate::base::diag::SourceId;
use crate::text::document::split_dotted;
use crate::text::node::parse;

fn overlays(text: &str) -> (Vec<Overlay>, Diags) {
    let mut diags = Vec::new();
    let mut root = parse(SourceId(0), text, &mut diags);
    split_dotted(&mut root, &mut diags);
    assert!(diags.is_empty(), "{diags:?}");
    let overlays = expand(&root, &mut diags);
    (overlays, diags)
}

/// Names with what they replace.
fn shown(text: &str) -> Vec<String> {
    let (overlays, diags) = overlays(text);
    assert!(diags.is_empty(), "{diags:?}");
    let line = |overlay: &Overlay| {
        let changes = overlay.changes();
        let changes: Vec<String> = changes.iter().map(|(p, v)| format!("{p}={v}")).collect();
        format!("{}: {}", overlay.name, changes.join(" "))
    };
    overlays.iter().map(line).collect()
}

#[test]
fn values_of_extended_variants_lie_below_ones_own() {
    let text = r#"
[variants.both]
extends = ["one", "two"]
"a.x" = 3
[variants.one]
"a.x" = 1
"a.list" = [1, 2]
"a.table.k" = 1
[variants.two]
extends = "one"
"a.y" = 2
"a.table.l" = 2
"a.list" = [3]
"#;
    assert_eq!(
        shown(text),
        [
            "both: a.x=3 a.list=3 a.table.l=2 a.table.k=1 a.y=2",
            "one: a.x=1 a.list=1+2 a.table.k=1",
            "two: a.x=1 a.list=3 a.table.l=2 a.table.k=1 a.y=2",
        ]
    );
}

#[test]
fn a_restated_use_drops_what_an_extended_variant_says_of_the_stage() {
    let text = r#"
[variants.one.a]
x = 1
[variants.two]
extends = "one"
[variants.two.a]
use = "other"
y = 2
"#;
    assert_eq!(shown(text)[1], "two: a.use=other a.y=2");
}

#[test]
fn a_grid_is_every_combination_in_order() {
    let text = r#"
[variants.g]
"a.x" = 0
[variants.g.grid]
"a.n" = [1, 2]
"b.inputs.features" = [["p", "q"], ["p"]]
[variants.h.grid]
"a.n" = [0.5]
"b.n" = [true, false]
"#;
    assert_eq!(
        shown(text),
        [
            "g[n=1,features=p+q]: a.x=0 a.n=1 b.inputs.features=p+q",
            "g[n=1,features=p]: a.x=0 a.n=1 b.inputs.features=p",
            "g[n=2,features=p+q]: a.x=0 a.n=2 b.inputs.features=p+q",
            "g[n=2,features=p]: a.x=0 a.n=2 b.inputs.features=p",
            "h[a.n=0.5,b.n=true]: a.n=0.5 b.n=true",
            "h[a.n=0.5,b.n=false]: a.n=0.5 b.n=false",
        ]
    );
}

#[test]
fn a_variant_inherits_values_but_no_grid() {
    let text = r#"
[variants.g]
"a.x" = 1
grid."a.n" = [1, 2]
[variants.h]
extends = "g"
"#;
    assert_eq!(shown(text)[2], "h: a.x=1");
}

#[test]
fn a_circle_is_one_mistake_wherever_it_is_entered() {
    let text = r#"
[variants.outside]
extends = "a"
[variants.a]
extends = "b"
[variants.b]
extends = "c"
[variants.c]
extends = "a"
[variants.alone]
extends = "alone"
"#;
    let (overlays, diags) = overlays(text);
    assert_eq!(overlays.len(), 5);
    let messages: Vec<&str> = diags.iter().map(|diag| diag.message.as_str()).collect();
    assert_eq!(
        messages,
        [
            "variants extend each other in a circle: a -> b -> c -> a",
            "variants extend each other in a circle: alone -> alone",
        ]
    );
}

#[test]
fn a_long_chain_of_variants_needs_no_stack() {
    let mut text = String::from("[variants.v0]\n\"a.x\" = 1\n");
    for i in 1..900 {
        // The last one comes first in the text, so that no variant is done yet when another one reaches it.
        text.insert_str(0, &format!("[variants.v{i}]\nextends = \"v{}\"\n", i - 1));
    }
    let (overlays, diags) = overlays(&text);
    assert!(diags.is_empty());
    assert!(overlays.iter().all(|o| o.changes().len() == 1));
}

#[test]
fn too_many_points_are_refused_before_they_are_made() {
    let list = |n: usize| (0..n).map(|i| i.to_string()).collect::<Vec<_>>().join(", ");
    let axes: Vec<String> = (0..9)
        .map(|i| format!("\"a.p{i}\" = [{}]\n", list(200)))
        .collect();
    let (_, diags) = overlays(&format!("[variants.g.grid]\n{}", axes.concat()));
    assert_eq!(diags.len(), 1);
    assert_eq!(diags[0].code.as_str(), "flow::variants::grid");
}

#[test]
fn patterns_have_two_wildcards_and_literal_brackets() {
    assert!(matches("size[kernels=*,k=5]", "size[kernels=2000,k=5]"));
    assert!(matches("**", "anything[a=b/c]"));
    assert!(matches("no_?ocket", "no_rocket"));
    assert!(!matches("no_", "no_rocket"));
    assert!(!matches("[n]o", "no"));
}

//! The graph of a run's stages as a drawing that needs no script.

use maud::{Markup, html};

use super::layout::{GraphLayout, Line, Measures, layout};

/// A stage in the drawing.
pub struct GraphNode {
    /// Its name.
    pub name: String,
    /// What is below the name.
    pub lines: Vec<String>,
    /// What became of it, in one word. The style of the box follows from it.
    pub verdict: &'static str,
    /// The anchor to go to.
    pub anchor: String,
    /// The nodes before it that it reads.
    pub inputs: Vec<usize>,
}

/// Boxes have room for a name and two lines; sizes are in pixels.
const MEASURES: Measures = Measures {
    node: [196.0, 58.0],
    layer_gap: 34.0,
    node_gap: 12.0,
    width: 1120.0,
};
/// The room around the drawing.
const MARGIN: f64 = 8.0;
/// The most characters of a name, and of another line, that a box has room for.
const NAME: usize = 24;
const LINE: usize = 33;
/// The distance between lines of text.
const STEP: f64 = 16.0;

/// Draws the graph, with `label` for readers who do not see it.
pub fn graph(nodes: &[GraphNode], label: &str) -> Markup {
    let inputs: Vec<Vec<usize>> = nodes.iter().map(|node| node.inputs.clone()).collect();
    let made = layout(&inputs, &MEASURES);
    let [width, height] = made.size.map(|size| (size + 2.0 * MARGIN).ceil());
    let start = -MARGIN;
    html! {
        div .graph {
            svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label=(label)
                width=(width) height=(height) viewBox={ (start) " " (start) " " (width) " " (height) } {
                g .edges fill="none" stroke="currentColor" stroke-width="1.2" {
                    @for line in &made.lines {
                        path d=(path(line, &made)) {
                            title { (nodes[line.from].name) " → " (nodes[line.to].name) }
                        }
                    }
                }
                @for (node, place) in nodes.iter().zip(&made.nodes) {
                    (stage(node, *place))
                }
            }
        }
    }
}

/// A box with its texts, which leads to the stage in the table.
fn stage(node: &GraphNode, [x, y]: [f64; 2]) -> Markup {
    let [wide, high] = MEASURES.node;
    html! {
        a href={ "#" (node.anchor) } .node .(node.verdict) {
            title { (node.name) ": " (node.lines.join(", ")) }
            rect x=(number(x)) y=(number(y)) width=(wide) height=(high) rx="6" {}
            text x=(number(x + 10.0)) y=(number(y + 19.0)) font-weight="600" font-size="13" {
                (short(&node.name, NAME))
            }
            @for (at, line) in node.lines.iter().take(2).enumerate() {
                text x=(number(x + 10.0)) y=(number(y + 19.0 + STEP * (at + 1) as f64)) font-size="11" {
                    (short(line, LINE))
                }
            }
        }
    }
}

/// A line through its points, which leaves and reaches every layer at a right angle.
fn path(line: &Line, made: &GraphLayout) -> String {
    let mut path = String::new();
    for (at, pair) in line.points.windows(2).enumerate() {
        let [[x0, y0], [x1, y1]] = [pair[0], pair[1]];
        if at == 0 {
            path.push_str(&format!("M{} {}", number(x0), number(y0)));
        }
        if at % 2 == 1 {
            // It passes a layer.
            path.push_str(&format!("L{} {}", number(x1), number(y1)));
            continue;
        }
        let [a, b] = if made.across {
            let middle = (x0 + x1) / 2.0;
            [[middle, y0], [middle, y1]]
        } else {
            let middle = (y0 + y1) / 2.0;
            [[x0, middle], [x1, middle]]
        };
        let points = [a, b, [x1, y1]];
        let points = points.map(|[x, y]| format!("{} {}", number(x), number(y)));
        path.push_str(&format!("C{}", points.join(" ")));
    }
    path
}

/// A place to a tenth of a pixel.
fn number(value: f64) -> f64 {
    // Adding zero turns -0.0 into 0.0.
    (value * 10.0).round() / 10.0 + 0.0
}

/// A text of at most `most` characters.
fn short(text: &str, most: usize) -> String {
    match text.chars().count() > most {
        true => text.chars().take(most - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, inputs: &[usize]) -> GraphNode {
        GraphNode {
            name: name.to_owned(),
            lines: vec!["kind".to_owned(), "ran 1, 0.1 s".to_owned()],
            verdict: "ran",
            anchor: format!("stage-{name}"),
            inputs: inputs.to_vec(),
        }
    }

    #[test]
    fn a_graph_has_a_box_for_each_stage_and_a_line_for_each_input() {
        let nodes = [
            node("a<b", &[]),
            node("b", &[0]),
            node("a_name_that_is_much_longer_than_its_box", &[0, 1]),
        ];
        let drawn = graph(&nodes, "three stages").into_string();
        assert_eq!(drawn.matches("<rect").count(), 3);
        assert_eq!(drawn.matches("<path").count(), 3);
        assert!(
            drawn.contains("a&lt;b") && !drawn.contains("a<b"),
            "{drawn}"
        );
        assert!(drawn.contains("a_name_that_is_much_lon…"), "{drawn}");
        assert!(
            drawn.contains("href=\"#stage-b\"") && drawn.contains("aria-label=\"three stages\"")
        );
        assert!(!drawn.contains("-0 ") && !drawn.contains("NaN"));
        assert!(graph(&[], "nothing").into_string().contains("<svg"));
    }
}

//! Sections as one HTML file, with everything that it needs inside.

use maud::{DOCTYPE, PreEscaped, html};
use serde_json::Value as Json;

use super::section::Section;

const STYLE: &str = include_str!("assets/report.css");
const SCRIPT: &str = include_str!("assets/report.js");
/// Observable Plot and what it builds on. See `assets/vendor/README.md` for why it is this library.
const LIBRARIES: [&str; 2] = [
    include_str!("assets/vendor/d3.min.js"),
    include_str!("assets/vendor/plot.min.js"),
];

/// The page may run its own scripts, and may load nothing.
const POLICY: &str =
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:";

/// A page.
pub struct Page {
    /// What it is about.
    pub title: String,
    /// Its parts, in order.
    pub sections: Vec<Section>,
}

impl Page {
    /// The file.
    pub fn html(&self) -> String {
        let drawings = self
            .sections
            .iter()
            .filter_map(|section| section.drawing.as_ref());
        let mut scripts: Vec<&str> = drawings.map(|drawing| drawing.script).collect();
        scripts.dedup();
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content=(concat!("flow ", env!("CARGO_PKG_VERSION")));
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    a class="skip" href="#main" { "Skip to the report" }
                    header {
                        p class="title" { (self.title) }
                        nav aria-label="Sections" {
                            @for section in &self.sections {
                                a href=(format!("#{}", section.id)) { (section.title) }
                            }
                        }
                    }
                    main id="main" {
                        @for section in &self.sections {
                            section id=(section.id) aria-labelledby=(format!("{}-title", section.id)) {
                                h2 id=(format!("{}-title", section.id)) { (section.title) }
                                (section.html)
                            }
                        }
                        @if !scripts.is_empty() {
                            noscript { p class="note" { "Plots need JavaScript. Everything else is here." } }
                        }
                    }
                    footer {
                        p {
                            "Made by flow " (env!("CARGO_PKG_VERSION"))
                            ". Plots by Observable Plot and D3, which are under the ISC license."
                        }
                    }
                    @for section in &self.sections {
                        @if let Some(drawing) = &section.drawing {
                            script type="application/json" id=(format!("data-{}", section.id)) {
                                (PreEscaped(embedded(&drawing.data)))
                            }
                        }
                    }
                    @if !scripts.is_empty() {
                        @for script in LIBRARIES.into_iter().chain([SCRIPT]).chain(scripts) {
                            script { (PreEscaped(script)) }
                        }
                    }
                }
            }
        };
        page.into_string()
    }
}

/// JSON that may stand in a `script` element, which ends at the first `</script` and has comments that
/// begin with `<!--`.
fn embedded(data: &Json) -> String {
    data.to_string().replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::super::section::Drawing;
    use super::*;
    use serde_json::json;

    #[test]
    fn data_cannot_end_the_element_that_it_stands_in() {
        let name = "</script><script>alert(1)</script>";
        let page = Page {
            title: name.to_owned(),
            sections: vec![Section {
                id: "x",
                title: name.to_owned(),
                html: html! { (name) },
                drawing: Some(Drawing {
                    script: "flow.section('x', () => {});",
                    data: json!({ "name": name }),
                }),
            }],
        };
        let html = page.html();
        assert!(!html.contains("<script>alert"));
        let from = html.find("{\"name\"").expect("the data");
        let to = html[from..].find("</script>").expect("an end") + from;
        let data: Json = serde_json::from_str(&html[from..to]).expect("JSON");
        assert_eq!(data["name"], name);
    }

    #[test]
    fn no_script_of_the_page_ends_early() {
        for script in LIBRARIES.into_iter().chain([SCRIPT]) {
            assert!(!script.contains("</script") && !script.contains("<!--"));
        }
    }
}

//! A forest plot as SVG: for each arm its difference to the base, with an interval. The same figures
//! give the same bytes. There is no script, and the colours follow the reader's light or dark theme.

use std::fmt::Write;

/// One of several plots that are stacked.
pub struct Panel {
    /// The text above the plot.
    pub title: String,
    /// Differences within plus or minus this do not matter. They are drawn as a band.
    pub margin: f64,
    /// The rows from top to bottom.
    pub rows: Vec<PanelRow>,
}

/// One arm.
pub struct PanelRow {
    /// The text to the left.
    pub name: String,
    /// The low end, the value and the high end, or `None` where there is nothing to draw.
    pub interval: Option<[f64; 3]>,
    /// The text to the right.
    pub text: String,
}

const WIDTH: f64 = 960.0;
/// The left and the right end of the axis.
const LEFT: f64 = 240.0;
const RIGHT: f64 = 660.0;
const ROW: f64 = 24.0;
/// The space above and below the rows of a panel.
const ABOVE: f64 = 44.0;
const BELOW: f64 = 40.0;

const STYLE: &str = "\
text{font:13px sans-serif;fill:#1f2328}\
.title{font-weight:bold}\
.tick,.about{font-size:11px;fill:#59636e}\
.axis{stroke:#59636e;stroke-width:1}\
.zero{stroke:#59636e;stroke-width:1;stroke-dasharray:4 3}\
.band{fill:#818b98;fill-opacity:.2}\
.interval{stroke:#0969da;stroke-width:2}\
.value{fill:#0969da}\
@media (prefers-color-scheme:dark){\
text{fill:#f0f6fc}\
.tick,.about{fill:#9198a1}\
.axis,.zero{stroke:#9198a1}\
.interval{stroke:#4493f8}\
.value{fill:#4493f8}}";

/// Draws the panels, stacked.
pub fn svg(panels: &[Panel]) -> String {
    let total: f64 = panels.iter().map(height).sum::<f64>() + 20.0;
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {total}\" width=\"{WIDTH}\" \
         height=\"{total}\" role=\"img\">\n<title>Differences to the base</title>\n<style>{STYLE}</style>"
    );
    let mut top = 0.0;
    for panel in panels {
        let _ = draw(panel, top, &mut out);
        top += height(panel);
    }
    out.push_str("</svg>\n");
    out
}

fn height(panel: &Panel) -> f64 {
    ABOVE + ROW * panel.rows.len() as f64 + BELOW
}

/// Maps values to places on the axis.
struct Scale {
    low: f64,
    high: f64,
}

impl Scale {
    /// A scale that covers zero, the margin and all intervals, with some room to spare.
    fn of(panel: &Panel) -> Self {
        let ends = panel.rows.iter().filter_map(|row| row.interval);
        let ends = ends.flat_map(|[low, _, high]| [low, high]);
        let (mut low, mut high) = (-panel.margin * 1.5, panel.margin * 1.5);
        for end in ends.filter(|end| end.is_finite()) {
            low = low.min(end);
            high = high.max(end);
        }
        let room = (high - low).max(1e-6) * 0.05;
        Self {
            low: low - room,
            high: high + room,
        }
    }

    fn x(&self, value: f64) -> f64 {
        let part = (value - self.low) / (self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (RIGHT - LEFT)
    }

    /// Some four to eight round values.
    fn ticks(&self) -> (Vec<f64>, usize) {
        let wanted = (self.high - self.low) / 5.0;
        let steps = (-6..=6).flat_map(|power| {
            [1.0, 2.0, 5.0].map(|digit| (digit * 10_f64.powi(power), (-power).max(0) as usize))
        });
        let (step, decimals) = steps
            .into_iter()
            .find(|(step, _)| *step >= wanted)
            .unwrap_or((1.0, 0));
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        let ticks = (first..=last).map(|n| n as f64 * step).collect();
        (ticks, decimals)
    }
}

fn draw(panel: &Panel, top: f64, out: &mut String) -> std::fmt::Result {
    let scale = Scale::of(panel);
    let first = top + ABOVE;
    let bottom = first + ROW * panel.rows.len() as f64;
    let title = escape(&panel.title);
    writeln!(
        out,
        "<text class=\"title\" x=\"16\" y=\"{:.1}\">{title}</text>",
        top + 26.0
    )?;
    let (low, high) = (scale.x(-panel.margin), scale.x(panel.margin));
    writeln!(
        out,
        "<rect class=\"band\" x=\"{low:.1}\" y=\"{first:.1}\" width=\"{:.1}\" height=\"{:.1}\"/>",
        high - low,
        bottom - first
    )?;
    let zero = scale.x(0.0);
    line(out, "zero", [zero, first, zero, bottom])?;
    for (index, row) in panel.rows.iter().enumerate() {
        let y = first + ROW * (index as f64 + 0.5);
        let (name, text) = (escape(&row.name), escape(&row.text));
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            LEFT - 12.0,
            y + 4.5
        )?;
        writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\">{text}</text>",
            RIGHT + 12.0,
            y + 4.5
        )?;
        if let Some([low, value, high]) = row.interval {
            line(out, "interval", [scale.x(low), y, scale.x(high), y])?;
            let x = scale.x(value);
            writeln!(
                out,
                "<rect class=\"value\" x=\"{:.1}\" y=\"{:.1}\" width=\"8\" height=\"8\"/>",
                x - 4.0,
                y - 4.0
            )?;
        }
    }
    line(out, "axis", [LEFT, bottom, RIGHT, bottom])?;
    let (ticks, decimals) = scale.ticks();
    for tick in ticks {
        let x = scale.x(tick);
        line(out, "axis", [x, bottom, x, bottom + 4.0])?;
        // Adding zero turns -0 into 0.
        let tick = tick + 0.0;
        writeln!(
            out,
            "<text class=\"tick\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick:.decimals$}</text>",
            bottom + 17.0
        )?;
    }
    Ok(())
}

fn line(out: &mut String, class: &str, [x1, y1, x2, y2]: [f64; 4]) -> std::fmt::Result {
    writeln!(
        out,
        "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
    )
}

/// Text that XML accepts as it is. Control characters, which XML does not allow at all, are left out.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().filter(|c| !c.is_control()) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn panel(rows: Vec<PanelRow>) -> Panel {
        Panel {
            title: "a & b".into(),
            margin: 0.01,
            rows,
        }
    }

    #[test]
    fn names_are_escaped_and_intervals_lie_on_the_axis() {
        let row = |name: &str, interval| PanelRow {
            name: name.into(),
            interval,
            text: String::new(),
        };
        let drawn = svg(&[panel(vec![
            row("a<b", Some([-0.02, 0.01, 0.3])),
            row("failed", None),
        ])]);
        assert!(drawn.contains("a &amp; b") && drawn.contains("a&lt;b"));
        assert_eq!(drawn.matches("class=\"interval\"").count(), 1);
        let scale = Scale::of(&panel(vec![row("x", Some([-0.02, 0.01, 0.3]))]));
        assert!(scale.x(-0.02) > LEFT && scale.x(0.3) < RIGHT);
        assert!(scale.x(0.01) > scale.x(0.0));
    }

    #[test]
    fn ticks_are_round_and_few_whatever_the_range() {
        for high in [1e-5, 0.004, 0.03, 0.7, 1.0] {
            let scale = Scale { low: -high, high };
            let (ticks, decimals) = scale.ticks();
            assert!((3..=10).contains(&ticks.len()), "{high}: {ticks:?}");
            let texts: Vec<String> = ticks.iter().map(|t| format!("{t:.decimals$}")).collect();
            let mut different = texts.clone();
            different.dedup();
            assert_eq!(texts, different, "{high}");
        }
    }
}

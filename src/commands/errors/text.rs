//! The objects that an evaluation has wrong, for people: a table, with the light curves of each object below
//! its row.

use flow_stages::inspection::{FULL, Judged, ObjectList, ObservedObject, Window, heights};

use super::WrongObjects;
use crate::render::table;
use crate::report::objects::lists;
use crate::ui::Painted;
use crate::wording::count;

/// The days before and after the peak that are drawn.
const AROUND: [f64; 2] = [100.0, 300.0];

/// The fewest and the most cells of a light curve.
const CELLS: [usize; 2] = [16, 32];

/// Colors of bands, as codes of a terminal: of those with a name in `ugrizy`, or else in their order.
const COLORS: [(char, u8); 6] = [
    ('u', 35),
    ('g', 32),
    ('r', 31),
    ('i', 33),
    ('z', 36),
    ('y', 34),
];

/// What stands for the heights of a cell.
const BLOCKS: [char; FULL as usize] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The text.
pub fn text(wrong: &WrongObjects<'_>) -> Painted {
    let mut text = Painted::default();
    text.plain(&head(wrong));
    for list in &wrong.lists {
        text.plain(&format!("\n{}\n", heading(wrong, list)));
        if !list.objects.is_empty() {
            text.plain("\n");
            rows(wrong, list, &mut text);
        }
    }
    text
}

fn head(wrong: &WrongObjects<'_>) -> String {
    let (model, _) = wrong.evaluated.predictions;
    let mut head = format!(
        "run {}: `{}` of `{model}`, {}\n",
        wrong.evaluated.run.id,
        wrong.evaluated.stage,
        count(wrong.judged(), "object")
    );
    let shown = wrong.lists.iter().any(|list| !list.objects.is_empty());
    if let Some(stage) = wrong.curves.filter(|_| shown) {
        let [before, after] = AROUND;
        head.push_str(&format!(
            "light curves of `{stage}`, up to {before} days before the peak and {after} after\n"
        ));
    }
    head
}

fn heading(wrong: &WrongObjects<'_>, list: &ObjectList) -> String {
    let shown = match list.objects.len() {
        all if all == list.of => String::new(),
        some => format!("; the first {some}"),
    };
    let title = lists::title(list.kind).to_lowercase();
    let about = lists::about(list.kind, &wrong.judgement);
    format!("{} {title}: {about}{shown}", list.of)
}

/// A table with the light curves of each object below its row.
fn rows(wrong: &WrongObjects<'_>, list: &ObjectList, text: &mut Painted) {
    let several = wrong.of(list).any(|judged| judged.repeats > 1);
    let thresholds = wrong.judgement.positive.is_some();
    let mut header = vec!["object", "class", "predicted", "score"];
    header.extend(thresholds.then_some("threshold"));
    header.extend(several.then_some("wrong in"));
    header.extend(["peak mag", "z", "points"]);
    let cells = |judged: &Judged| {
        let mut cells = vec![
            judged.id.clone(),
            judged.label.clone().unwrap_or_default(),
            judged.predicted.clone(),
            format!("{:.3}", judged.score),
        ];
        let threshold = judged.threshold.map_or("-".into(), |t| format!("{t:.3}"));
        cells.extend(thresholds.then_some(threshold));
        cells.extend(several.then(|| format!("{} of {}", judged.wrong, judged.repeats)));
        cells.extend(observed_cells(wrong, judged));
        cells
    };
    let cells = wrong.of(list).map(cells).collect();
    let least = ["wrong in", "points", "threshold", "z"];
    let table = table::fitted(&header, 3, cells, &least);
    let mut lines = table.lines();
    text.plain(&format!("{}\n", lines.next().unwrap_or_default()));
    for (line, judged) in lines.zip(wrong.of(list)) {
        text.plain(&format!("{line}\n"));
        if let Some(observed) = wrong.observed.get(&judged.id) {
            light_curves(&wrong.observed.survey.bands, observed, table::width(), text);
        }
    }
}

fn observed_cells(wrong: &WrongObjects<'_>, judged: &Judged) -> [String; 3] {
    let observed = wrong.observed.get(&judged.id);
    let peak = observed.and_then(|observed| observed.peak);
    let band = |band: usize| &wrong.observed.survey.bands[band];
    let redshift = observed.and_then(|observed| observed.redshift);
    [
        peak.map_or("-".into(), |peak| {
            format!("{} {:.2}", band(peak.band), peak.magnitude())
        }),
        redshift.map_or("-".into(), |z| format!("{z:.3}")),
        observed.map_or("-".into(), |observed| observed.points.to_string()),
    ]
}

/// The light curves of an object, as many bands to a line as there is room for.
fn light_curves(bands: &[String], observed: &ObservedObject, width: usize, text: &mut Painted) {
    let longest = bands
        .iter()
        .map(|band| band.chars().count())
        .max()
        .unwrap_or(0);
    // Two blanks before a name, one after it.
    let cells_of = |n: usize| (width / n.max(1)).saturating_sub(3 + longest);
    let fits = |n: &usize| cells_of(*n) >= CELLS[0];
    let most = (1..=bands.len()).rev().find(fits).unwrap_or(1);
    // Lines of nearly the same number of bands have room for more cells.
    let of_line = bands
        .len()
        .div_ceil(bands.len().div_ceil(most).max(1))
        .max(1);
    let cells = cells_of(of_line).clamp(1, CELLS[1]);
    let window = Window::around_peak(observed, AROUND[0], AROUND[1]);
    let all: Vec<Vec<Option<u8>>> = heights(observed, window, cells);
    for (first, line) in all.chunks(of_line).enumerate() {
        for (at, heights) in line.iter().enumerate() {
            let place = first * of_line + at;
            let name = &bands[place];
            let cells: String = heights.iter().map(|height| block(*height)).collect();
            let mut cells = format!("{name:<longest$} {cells}");
            if at + 1 == line.len() {
                cells.truncate(cells.trim_end().len());
            }
            text.plain("  ");
            text.colored(color(name, place), &cells);
        }
        text.plain("\n");
    }
}

fn block(height: Option<u8>) -> char {
    match height {
        None => ' ',
        Some(height) => BLOCKS[usize::from(height.saturating_sub(1)).min(BLOCKS.len() - 1)],
    }
}

fn color(band: &str, place: usize) -> u8 {
    let letter = band.chars().last().map(|c| c.to_ascii_lowercase());
    let known = COLORS.iter().find(|(name, _)| Some(*name) == letter);
    known.unwrap_or(&COLORS[place % COLORS.len()]).1
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_stages::inspection::{BandPoints, Brightest};

    fn object(flux: &[f64]) -> ObservedObject {
        let band = BandPoints {
            time: (0..flux.len()).map(|k| 100.0 * k as f64).collect(),
            flux: flux.to_vec(),
            flux_err: vec![1.0; flux.len()],
        };
        ObservedObject {
            id: "a".into(),
            label: None,
            redshift: None,
            redshift_err: None,
            ebv: None,
            split: None,
            points: flux.len(),
            averaged: 1,
            peak: Some(Brightest {
                time: 100.0,
                band: 0,
                flux: flux[1],
            }),
            bands: vec![band.clone(), band],
        }
    }

    fn drawn(width: usize, color: bool) -> String {
        let bands = ["g", "LSST-r"].map(String::from);
        let mut text = Painted::default();
        light_curves(
            &bands,
            &object(&[2.0, 16.0, 8.0, -3.0, 1.0]),
            width,
            &mut text,
        );
        text.text(color)
    }

    #[test]
    fn bands_share_a_line_if_there_is_room() {
        let cells = "▁   █   ▄   ▁   ▁";
        assert_eq!(
            drawn(52, false),
            format!("  g      {cells}  LSST-r {cells}\n")
        );
        assert_eq!(drawn(49, false).lines().count(), 2);
        for width in [10, 30, 50, 80, 300] {
            let lines = drawn(width, false);
            let longest = lines.lines().map(|line| line.chars().count()).max();
            assert!(longest <= Some(width.max(10)), "{width}: {lines}");
        }
    }

    #[test]
    fn bands_have_colors() {
        assert!(drawn(80, true).contains("\u{1b}[32mg "));
        assert_eq!((color("LSST-r", 0), color("W1", 1)), (31, 32));
    }

    #[test]
    fn a_cell_without_observations_is_empty() {
        assert_eq!(
            [None, Some(0), Some(1), Some(8)].map(block),
            [' ', '▁', '▁', '█']
        );
    }
}

//! Tables for people.
//!
//! A table is at most as wide as the terminal, or 80 columns where stdout is not a terminal. To make it
//! fit, the least important columns go first, then digits, then the ends of long texts. Lines are never
//! wrapped; JSON has everything.

use comfy_table::{Cell, CellAlignment, Table, presets};
use unicode_width::UnicodeWidthStr;

/// The width of tables, in columns, where stdout is not a terminal.
const WIDTH: usize = 80;

/// No text is cut shorter than this many columns, and a terminal is taken to be at least five times as
/// wide.
const LEAST: usize = 8;

/// The number of columns between two cells.
const GAP: usize = 2;

/// A table without lines: names to the left, figures to the right.
pub fn plain(header: &[&str], texts: usize, rows: Vec<Vec<String>>) -> String {
    fitted(header, texts, rows, &[])
}

/// The same. Where not all columns fit, those named in `least` go, the first one first.
pub fn fitted(header: &[&str], texts: usize, rows: Vec<Vec<String>>, least: &[&str]) -> String {
    render(fit(header, texts, rows, least, width()))
}

/// The width of the terminal in columns.
pub fn width() -> usize {
    let terminal = terminal_size::terminal_size_of(std::io::stdout());
    terminal.map_or(WIDTH, |(width, _)| usize::from(width.0).max(5 * LEAST))
}

/// Breaks a sentence between words into lines of at most `width` columns.
pub fn lines(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.len() - 1;
        let line = &mut lines[line];
        if line.is_empty() {
            line.push_str(word);
        } else if UnicodeWidthStr::width(line.as_str()) + 1 + UnicodeWidthStr::width(word) <= width
        {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// The columns: whether each is text, and its cells with the header first.
type Columns = Vec<(bool, Vec<String>)>;

fn fit(
    header: &[&str],
    texts: usize,
    rows: Vec<Vec<String>>,
    least: &[&str],
    width: usize,
) -> Columns {
    let columns = header.iter().enumerate().map(|(at, name)| {
        let cells = rows.iter().map(|row| row[at].clone());
        let cells = std::iter::once((*name).to_owned()).chain(cells);
        (at < texts, cells.collect())
    });
    let mut columns: Columns = columns.collect();
    for name in least {
        if too_wide(&columns, width) > 0 {
            columns.retain(|(_, cells)| cells[0] != *name);
        }
    }
    for digits in [3, 2] {
        if too_wide(&columns, width) > 0 {
            let cells = columns.iter_mut().flat_map(|(_, cells)| &mut cells[1..]);
            cells.for_each(|cell| *cell = with_digits(cell, digits));
        }
    }
    loop {
        let over = too_wide(&columns, width);
        let texts = columns.iter_mut().enumerate();
        let texts = texts.filter(|(_, (text, cells))| *text && wide(cells) > LEAST);
        // The name of a row is cut last, because it may be needed for the next command.
        let widest = texts.max_by_key(|(at, (_, cells))| (*at > 0, wide(cells)));
        match widest {
            Some((_, (_, cells))) if over > 0 => {
                // The cut is made in small steps, so that several long texts share the loss.
                let most = wide(cells) - over.min(4).min(wide(cells) - LEAST);
                cells[1..]
                    .iter_mut()
                    .for_each(|cell| *cell = cut(cell, most));
                cells[0] = cut(&cells[0], most);
            }
            _ => return columns,
        }
    }
}

/// The number of columns by which a table is too wide.
fn too_wide(columns: &Columns, width: usize) -> usize {
    let all: usize = columns.iter().map(|(_, cells)| wide(cells) + GAP).sum();
    all.saturating_sub(GAP + width)
}

fn wide(cells: &[String]) -> usize {
    let cells = cells
        .iter()
        .map(|cell| UnicodeWidthStr::width(cell.as_str()));
    cells.max().unwrap_or(0)
}

/// Cuts a text to at most `most` columns.
pub fn cut(text: &str, most: usize) -> String {
    if UnicodeWidthStr::width(text) <= most {
        return text.to_owned();
    }
    let text = text.strip_suffix("...").unwrap_or(text);
    let mut start = String::new();
    for c in text.chars() {
        start.push(c);
        if UnicodeWidthStr::width(start.as_str()) + 3 > most {
            start.pop();
            break;
        }
    }
    format!("{start}...")
}

/// A cell whose decimal numbers have at most `digits` digits after the point.
fn with_digits(cell: &str, digits: usize) -> String {
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let mut out = String::new();
    let mut rest = cell;
    while let Some(start) = rest.find(|c: char| c.is_ascii_digit()) {
        let number = &rest[start..];
        let number = &number[..number.find(|c: char| !is_number(c)).unwrap_or(number.len())];
        let (before, after) = (&rest[..start], &rest[start + number.len()..]);
        // Names such as v1.2345 and numbers such as 1.2345e-7 are left alone.
        let word = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || "_-/".contains(c));
        let sign = before.trim_end_matches(['+', '-']);
        let inside = word(sign.chars().next_back()) || word(after.chars().next());
        let long = number
            .split_once('.')
            .is_some_and(|(_, d)| d.len() > digits);
        let value = number.parse::<f64>().ok().filter(|_| long && !inside);
        out.push_str(before);
        match value {
            Some(value) => out.push_str(&format!("{value:.digits$}")),
            None => out.push_str(number),
        }
        rest = after;
    }
    out + rest
}

fn render(columns: Columns) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    let rows = columns.first().map_or(0, |(_, cells)| cells.len());
    for row in 0..rows {
        let cells = columns.iter().map(|(text, cells)| {
            Cell::new(&cells[row]).set_alignment(match text {
                true => CellAlignment::Left,
                false => CellAlignment::Right,
            })
        });
        match row {
            0 => table.set_header(cells),
            _ => table.add_row(cells),
        };
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, GAP as u16));
    }
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

/// A figure of a metric, or `-` where it has none.
pub fn figure(value: Option<f64>) -> String {
    value.map_or("-".into(), |v| format!("{v:.4}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(width: usize, least: &[&str]) -> Vec<String> {
        let row = |name: &str| {
            let figures = ["0.123456", "-0.5 [-0.51234, +0.4]", "17"];
            let row = [name, "because of this and that and more"]
                .into_iter()
                .chain(figures);
            row.map(str::to_owned).collect()
        };
        let header = ["name", "why", "mean", "interval", "count"];
        let rows = vec![row("a"), row("v1.23456-long")];
        let text = render(fit(&header, 2, rows, least, width));
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn columns_then_digits_then_texts_are_given_up() {
        let least = ["count", "mean"];
        let header = |width: usize| {
            let lines = table(width, &least);
            lines[0].split_whitespace().count()
        };
        assert_eq!([100, 85, 72, 60].map(header), [5, 4, 3, 3]);
        assert!(table(85, &least)[2].contains("0.123456  -0.5 [-0.51234, +0.4]"));
        assert_eq!(
            table(70, &least)[2],
            "v1.23456-long  because of this and that and more  -0.5 [-0.512, +0.4]"
        );
        assert_eq!(
            table(60, &least)[2],
            "v1.23456-long  because of this and th...  -0.5 [-0.51, +0.4]"
        );
        for width in [40, 50, 60, 70, 80, 90] {
            for line in table(width, &least) {
                assert!(
                    UnicodeWidthStr::width(line.as_str()) <= width,
                    "{width}: {line}"
                );
            }
        }
    }

    #[test]
    fn sentences_are_broken_between_words() {
        assert_eq!(lines("one two  three", 7), ["one two", "three"]);
        assert_eq!(lines("incomprehensible", 5), ["incomprehensible"]);
        assert_eq!(lines("", 5), [""]);
    }

    #[test]
    fn only_numbers_lose_digits() {
        assert_eq!(
            with_digits("1.23456 v1.23456 1.23456e-7 b3:1.2345", 2),
            "1.23 v1.23456 1.23456e-7 b3:1.23"
        );
        assert_eq!(
            with_digits("+0.12345 [-0.98765, 3]", 3),
            "+0.123 [-0.988, 3]"
        );
        assert_eq!(with_digits("größer 0.5", 2), "größer 0.5");
    }
}

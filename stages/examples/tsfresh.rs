//! Measures series with the calculators of `tsfresh`, for `benches/tsfresh_parity.py`, which compares them with the package.
//!
//! It reads a JSON array of series from its input, each an array of numbers, in which `null` is a missing value. It prints a
//! JSON object: `columns`, `values` with a row for each series, and `cpu_seconds` of measuring alone.
//!
//! ```text
//! echo '[[1, 2, 4, 3], [0.5, null]]' | cargo run --release -p flow-stages --example tsfresh
//! ```

#![allow(
    clippy::print_stdout,
    reason = "a program that prints what it measured, not a stage"
)]

use flow_stages::features::tsfresh::{Selection, names};

/// User plus system time of this process in seconds; Linux counts it in hundredths.
fn cpu_seconds() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / 100.0)
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let series: Vec<Vec<Option<f64>>> = serde_json::from_reader(std::io::stdin())?;
    let selection = Selection::new(|_, _| true);
    let before = cpu_seconds();
    let rows: Vec<Vec<f64>> = series
        .iter()
        .map(|series| {
            let values: Vec<f64> = series.iter().map(|v| v.unwrap_or(f64::NAN)).collect();
            let mut row = vec![0.0; selection.columns().len()];
            selection.measure(&values, &mut row);
            row
        })
        .collect();
    let seconds = before
        .zip(cpu_seconds())
        .map(|(before, after)| after - before);
    // JSON has no NaN: serde writes null.
    let answer = serde_json::json!({ "columns": names(), "values": rows, "cpu_seconds": seconds });
    println!("{answer}");
    Ok(())
}

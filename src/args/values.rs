//! Reads the values of arguments.

use std::num::NonZeroUsize;

/// Reads a size such as `500MB` or `10GiB`.
pub fn size(text: &str) -> Result<u64, String> {
    let split = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let factor: f64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" if number.parse() == Ok(0.0) => 1.0,
        "" => return Err(format!("`{text}` of what? try {text}MB or {text}GiB")),
        "b" => 1.0,
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return Err(format!("`{unit}` is no unit of size; try 10GiB")),
    };
    match number.parse::<f64>() {
        // A float saturates when it becomes a whole number, so no size is too large.
        Ok(number) => Ok((number * factor) as u64),
        Err(_) => Err("give a number with a unit, such as 10GiB".into()),
    }
}

/// Reads a number of threads that a system may have.
pub fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    const MOST: usize = 1_000;
    match text.parse::<NonZeroUsize>() {
        Ok(jobs) if jobs.get() <= MOST => Ok(jobs),
        _ => Err(format!("give a number from 1 to {MOST}")),
    }
}

/// Reads a rate between 0 and a half.
pub fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate < 0.5 => Ok(rate),
        _ => Err("give a number between 0 and 0.5, such as 0.01".into()),
    }
}

/// Reads a difference of a metric.
pub fn difference(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(drop) if (0.0..1.0).contains(&drop) => Ok(drop),
        _ => Err("give a number from 0 to 1, such as 0.01".into()),
    }
}

/// Reads a number of days that is not negative.
pub fn days(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(days) if days >= 0.0 && days.is_finite() => Ok(days),
        _ => Err("give a number of days, such as 30".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        assert_eq!(size("10GiB"), Ok(10 << 30));
        assert_eq!(size("1.5 kB"), Ok(1500));
        assert_eq!((size("7B"), size("0")), (Ok(7), Ok(0)));
        assert!(size("7").is_err() && size("").is_err());
        assert!(size("GiB").is_err());
        assert!(size("1 parsec").is_err());
        assert!(size("-1").is_err());
        assert!(days("nan").is_err());
        assert!(jobs("1000").is_ok() && jobs("1001").is_err());
        assert!(jobs("0").is_err());
        assert_eq!((rate("0.02"), difference("0")), (Ok(0.02), Ok(0.0)));
        assert!(rate("0").is_err() && difference("nan").is_err());
    }
}

//! Puts figures, counts and lists of names into words, and quotes words for a shell.

/// The most names that are listed in a line.
const NAMES: usize = 4;

/// Seconds as a person would say them: `0.03 s`, `12.4 s`, `3 min 20 s`.
pub fn seconds(s: f64) -> String {
    if s < 0.095 {
        format!("{s:.2} s")
    } else if s < 99.95 {
        format!("{s:.1} s")
    } else {
        let whole = s.round() as u64;
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

/// Bytes as a person would say them: `812 B`, `3.4 MB`.
pub fn bytes(count: u64) -> String {
    let mut value = count as f64;
    for unit in ["B", "kB", "MB", "GB"] {
        if value < 999.5 {
            return if unit == "B" || value >= 99.95 {
                format!("{value:.0} {unit}")
            } else {
                format!("{value:.1} {unit}")
            };
        }
        value /= 1000.0;
    }
    format!("{value:.1} TB")
}

/// A figure with four significant digits: `0.02134`, `12`, `3.1e-7`, or `-` for what is no number.
pub fn figure(x: f64) -> String {
    if !x.is_finite() {
        return "-".to_owned();
    }
    let short = format!("{x:.3e}");
    let near: f64 = short.parse().unwrap_or(x);
    match near.abs() {
        size if size == 0.0 || (1e-4..1e6).contains(&size) => format!("{}", near + 0.0),
        _ => format!("{near:e}"),
    }
}

/// `1 action`, `2 actions`.
pub fn count(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

/// Some names separated by commas, and how many more there are.
pub fn names<'n>(all: impl IntoIterator<Item = &'n str>) -> String {
    let all: Vec<&str> = all.into_iter().collect();
    match all.len() {
        n if n > NAMES => format!("{} and {} more", all[..NAMES - 1].join(", "), n + 1 - NAMES),
        _ => all.join(", "),
    }
}

/// A word quoted for a shell.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./,:=+@%~".contains(c);
    match !word.is_empty() && word.chars().all(plain) && !word.starts_with('~') {
        true => word.to_owned(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quoted("model.rounds=11"), "model.rounds=11");
        assert_eq!(quoted("it's \"a\""), "'it'\\''s \"a\"'");
        assert_eq!((quoted(""), quoted("~x")), ("''".into(), "'~x'".into()));
    }

    #[test]
    fn figures_are_short() {
        let said: Vec<String> = [0.0, 0.031, 0.12, 12.44, 99.96, 200.0]
            .iter()
            .map(|&s| seconds(s))
            .collect();
        assert_eq!(
            said,
            [
                "0.00 s",
                "0.03 s",
                "0.1 s",
                "12.4 s",
                "1 min 40 s",
                "3 min 20 s"
            ]
        );
        let said: Vec<String> = [0, 999, 1000, 99_949, 999_600, 5_000_000_000_000]
            .iter()
            .map(|&n| bytes(n))
            .collect();
        assert_eq!(
            said,
            ["0 B", "999 B", "1.0 kB", "99.9 kB", "1.0 MB", "5.0 TB"]
        );
    }

    #[test]
    fn figures_have_four_digits() {
        let said = [
            0.021_341_2,
            12.0,
            -0.0,
            123_456.0,
            1e9,
            3.1e-7,
            -2.5,
            f64::NAN,
        ];
        let said = said.map(figure);
        assert_eq!(
            said,
            ["0.02134", "12", "0", "123500", "1e9", "3.1e-7", "-2.5", "-"]
        );
    }

    #[test]
    fn long_lists_of_names_are_cut() {
        assert_eq!(names(["a", "b", "c", "d"]), "a, b, c, d");
        assert_eq!(names(["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}

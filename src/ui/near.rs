//! Paths in messages, as somebody in the working directory would write them.

use std::borrow::Cow;

/// Takes the working directory off the paths in a text that lie below it. Messages come from all parts of
/// the program, most of which know whole paths only.
pub fn near(text: &str) -> Cow<'_, str> {
    match std::env::current_dir() {
        Ok(here) => seen_from(text, &here.to_string_lossy()),
        Err(_) => text.into(),
    }
}

fn seen_from<'t>(text: &'t str, here: &str) -> Cow<'t, str> {
    // Nothing is gained in the root.
    if here.trim_end_matches('/').is_empty() || !text.contains(here) {
        return text.into();
    }
    let folder = format!("{}/", here.trim_end_matches('/'));
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(&folder) {
        let (before, path) = rest.split_at(at);
        let path = &path[folder.len()..];
        said.push_str(before);
        // It must be the beginning of a path, and something must be left of it.
        let begins = !said.ends_with(|c: char| c.is_alphanumeric() || "/.-_~".contains(c));
        let goes_on = path.starts_with(|c: char| !c.is_whitespace() && !"`'\"),:/".contains(c));
        if !(begins && goes_on) {
            said.push_str(&folder);
        }
        rest = path;
    }
    said.push_str(rest);
    said.into()
}

#[cfg(test)]
mod tests {
    use super::seen_from;

    #[test]
    fn paths_below_the_working_directory_are_short() {
        let seen = |text: &str| seen_from(text, "/home/ada/demo").into_owned();
        assert_eq!(
            seen("wrote /home/ada/demo/out/a.csv, and /home/ada/demo/b"),
            "wrote out/a.csv, and b"
        );
        assert_eq!(seen("`/home/ada/demo/p.toml:3`"), "`p.toml:3`");
        // Other folders, and the folder itself, stay whole.
        for text in [
            "/home/ada/demo",
            "`/home/ada/demo/`",
            "/home/ada/demo2/a.csv",
            "/mnt/home/ada/demo/a.csv",
            "/home/ada/other/a.csv",
        ] {
            assert_eq!(seen(text), text);
        }
        assert_eq!(seen_from("/a.csv", "/"), "/a.csv");
    }
}

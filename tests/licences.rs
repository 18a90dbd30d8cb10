//! The licence of everything that is linked, read from `cargo metadata` without a network.

use std::process::Command;

/// Licences that a project under MIT OR Apache-2.0 can link. `deny.toml` has the same list.
const ALLOWED: [&str; 15] = [
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Packages whose licence stands in a file only, with that licence.
const IN_A_FILE: [(&str, &str); 1] = [("cfg_block", "Apache-2.0")];

/// The licence of a package, as an expression.
fn licence(package: &serde_json::Value) -> Option<&str> {
    let in_a_file = IN_A_FILE.iter().find(|(name, _)| package["name"] == *name);
    package["license"]
        .as_str()
        .or(in_a_file.map(|(_, licence)| *licence))
}

/// Returns true if allowed licences alone can satisfy the expression. `A/B` is the old way to write `A
/// OR B`.
fn acceptable(expression: &str) -> bool {
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    // Parentheses are dropped: every alternative of every AND group must then be met by some
    // allowed licence, which is stricter than the expression, never laxer.
    expression.split(" AND ").all(|group| {
        group
            .split(" OR ")
            .any(|name| ALLOWED.contains(&name.trim()))
    })
}

#[test]
fn every_dependency_has_an_acceptable_licence() {
    // Only what this platform links has been downloaded and can be read without a network.
    let platform = host();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--locked"])
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        output.status.success(),
        "cargo metadata failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let packages = metadata["packages"].as_array().expect("packages");
    assert!(
        packages.len() > 50,
        "only {} packages: is this all?",
        packages.len()
    );
    let refused: Vec<String> = packages
        .iter()
        .filter(|p| !licence(p).is_some_and(acceptable))
        .map(|p| format!("{} {}: {}", p["name"], p["version"], p["license"]))
        .collect();
    assert!(
        refused.is_empty(),
        "licences to look at:\n{}",
        refused.join("\n")
    );
}

/// The platform of this toolchain, such as `x86_64-unknown-linux-gnu`.
fn host() -> String {
    let output = Command::new("rustc")
        .arg("-vV")
        .output()
        .expect("rustc runs");
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .find_map(|line| line.strip_prefix("host: ").map(str::to_owned))
        .expect("rustc names its host")
}

#[test]
fn the_check_can_refuse() {
    assert!(acceptable("MIT OR Apache-2.0"));
    assert!(acceptable("Unlicense/MIT"));
    assert!(acceptable("(MIT OR Apache-2.0) AND Unicode-3.0"));
    assert!(acceptable("GPL-3.0 OR MIT"));
    assert!(!acceptable("GPL-3.0-only"));
    assert!(!acceptable("MIT AND GPL-3.0"));
    assert!(!acceptable(""));
}

//! The mutations of `tests/mutations.sh` still apply: a mutation that breaks nothing proves nothing.

#![allow(clippy::print_stdout)] // a test that skips says so

use std::fs;
use std::path::Path;
use std::process::Command;

#[test]
fn every_mutation_applies() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    if Command::new("patch").arg("--version").output().is_err() {
        println!("skipped: there is no `patch`");
        return;
    }
    let mut tried = 0;
    for entry in fs::read_dir(root.join("tests/mutations")).expect("a listing") {
        let path = entry.expect("an entry").path();
        let text = fs::read_to_string(&path).expect("reads");
        assert!(text.contains("\nTests: -p "), "{}", path.display());
        let dry = Command::new("patch")
            .args(["-p1", "-s", "-F1", "--dry-run", "-i"])
            .arg(&path)
            .current_dir(root)
            .output()
            .expect("patch starts");
        let said = String::from_utf8_lossy(&dry.stdout);
        assert!(dry.status.success(), "{}: {said}", path.display());
        tried += 1;
    }
    assert!(tried > 0);
}

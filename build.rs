//! Links the program at a fixed address, where the platform is known to allow it.
//!
//! A position-independent program of this size has 40,000 addresses to fill in whenever it starts, over 130
//! pages that each process then has for itself: a third of the time of a small run in which nothing changed.
//! Libraries, heap and stack stay where chance puts them. `FLOW_PIE=1 cargo build` gives that up for a
//! position-independent program, as some distributions require it. A static program (`.ci/static`) gets its
//! address from the compiler instead: the linker's option alone would make a program that crashes.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=FLOW_PIE");
    let target = |what: &str| std::env::var(format!("CARGO_CFG_TARGET_{what}")).unwrap_or_default();
    let is_known = target("OS") == "linux" && target("ENV") == "gnu" && target("ARCH") == "x86_64";
    let features = std::env::var("CARGO_CFG_TARGET_FEATURE").unwrap_or_default();
    let is_static = features.split(',').any(|feature| feature == "crt-static");
    if is_known && !is_static && std::env::var_os("FLOW_PIE").is_none() {
        println!("cargo::rustc-link-arg-bins=-no-pie");
    }
}

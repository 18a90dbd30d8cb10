//! The machine that this process runs on, for run records. No result depends on it.

use std::io::{BufRead, BufReader};

use flow_engine::base::machine;
use flow_stages::numeric::simd::SimdLevel;

use crate::record::Host;

/// This machine.
pub fn host() -> Host {
    let kernel = |name: &str| value_of(&format!("/proc/sys/kernel/{name}"), "");
    let system = kernel("ostype").zip(kernel("osrelease"));
    let system = system.map(|(name, release)| format!("{name} {release}"));
    let memory = machine::memory();
    Host {
        name: kernel("hostname"),
        os: match (value_of("/etc/os-release", "PRETTY_NAME="), system) {
            (Some(os), Some(system)) => Some(format!("{} ({system})", os.trim_matches('"'))),
            (_, system) => system,
        },
        cpu: value_of("/proc/cpuinfo", "model name")
            .map(|model| model.trim_start_matches(':').trim().to_owned()),
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        memory: (memory != u64::MAX).then_some(memory),
        simd: Some(SimdLevel::active().to_string()),
    }
}

/// What follows `name` in the first line of a file that begins with it.
fn value_of(path: &str, name: &str) -> Option<String> {
    let lines = BufReader::new(std::fs::File::open(path).ok()?).lines();
    let mut lines = lines.map_while(Result::ok);
    lines.find_map(|line| line.strip_prefix(name).map(|rest| rest.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_described() {
        let host = host();
        assert!(host.cores >= 1);
        let simd = host.simd.as_deref().expect("a level");
        assert!(["scalar", "avx2", "avx512"].contains(&simd), "{simd}");
        assert!(host.line().contains(&format!("{} cores", host.cores)));
    }

    #[test]
    fn values_are_found_by_the_start_of_their_line() {
        let dir = flow_testkit::files::folder();
        let path = dir.path().join("facts");
        flow_testkit::files::write(&path, "one: 1\ntwo: 2 \ntwo: 3\n");
        let path = path.display().to_string();
        assert_eq!(value_of(&path, "two:").as_deref(), Some("2"));
        assert_eq!(value_of(&path, "").as_deref(), Some("one: 1"));
        assert_eq!(value_of(&path, "three"), None);
        assert_eq!(value_of("/nowhere", "one"), None);
    }
}

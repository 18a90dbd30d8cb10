//! What the machine has for stages to claim.

/// Returns the memory of the machine in bytes, or the largest number if the system does not say.
pub fn memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.map_or(u64::MAX, |kib| kib * 1024)
}

/// Returns the number of NVIDIA devices.
pub fn gpus() -> usize {
    let Ok(devices) = std::fs::read_dir("/dev") else {
        return 0;
    };
    let names = devices.flatten().map(|entry| entry.file_name());
    names
        .filter(|name| {
            let number = name.to_str().and_then(|name| name.strip_prefix("nvidia"));
            number.is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        })
        .count()
}

//! Names that no other process has, and whether the maker of a name can still be alive.

use std::fs::File;
use std::path::Path;

use super::stat::now_nanos;

/// A name that no other process chooses, on any machine and in any container. It is made of the
/// time and a random number.
pub fn unique_name() -> String {
    use std::hash::{BuildHasher, RandomState};
    let nanos = now_nanos();
    let random = RandomState::new().hash_one(nanos);
    format!("{nanos:016x}-{random:016x}")
}

/// Returns true for a [`unique_name`] followed by the name of a machine. Earlier versions put a
/// process id between the time and the random number. flow has not made files with other names.
pub(crate) fn is_unique_name(name: &str) -> bool {
    let is_hex = |part: &&str| {
        let digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        !part.is_empty() && part.bytes().all(digit)
    };
    let parts: Vec<&str> = name.split('-').collect();
    let Some((machine, parts)) = parts.split_last() else {
        return false;
    };
    (2..=3).contains(&parts.len())
        && parts[0].len() == 16
        && parts.iter().all(is_hex)
        && (*machine == "unknown" || machine.len() == 16 && is_hex(machine))
}

/// The processes that the locks in a directory are sure to keep out.
///
/// These are all processes if the file system is known to be local. On other file systems a lock
/// may reach no further than the machine, so they are the processes of this machine since it
/// started; names of files tell which machine made them. Containers on one kernel are one machine.
pub(crate) struct Reach {
    everyone: bool,
    machine: Option<String>,
}

impl Reach {
    pub(crate) fn of(dir: &Path) -> Self {
        let boot = std::fs::read("/proc/sys/kernel/random/boot_id").ok();
        Self {
            everyone: is_local(dir),
            machine: boot.map(|id| blake3::hash(&id).to_hex()[..16].to_owned()),
        }
    }

    /// Makes a new name for a file or directory that a lock guards.
    pub(crate) fn name(&self) -> String {
        let machine = self.machine.as_deref().unwrap_or("unknown");
        format!("{}-{machine}", unique_name())
    }

    /// Returns true if locks keep out the processes that may work on this file or directory.
    pub(crate) fn covers(&self, path: &Path) -> bool {
        let made_by = |machine: &String| {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            stem.ends_with(&format!("-{machine}"))
        };
        self.everyone || self.machine.as_ref().is_some_and(made_by)
    }
}

/// Returns true if only one machine can see the file system of a directory.
#[cfg(target_os = "linux")]
pub(crate) fn is_local(dir: &Path) -> bool {
    use std::os::fd::AsRawFd;
    const LOCAL: [i64; 9] = [
        0xef53,      // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs
        0x794c_7630, // overlayfs
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0x8584_58f6, // ramfs
    ];
    let Ok(file) = File::open(dir) else {
        return false;
    };
    // SAFETY: `statfs` is plain data for which zeros are valid.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open and `found` outlives the call.
    let known = unsafe { libc::fstatfs(file.as_raw_fd(), &raw mut found) } == 0;
    known && LOCAL.contains(&(found.f_type as i64))
}

/// It is not known on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn is_local(_dir: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_must_wait_for_a_lock_is_taken_for_dead() {
        let reach = |everyone, machine: Option<&str>| Reach {
            everyone,
            machine: machine.map(str::to_owned),
        };
        let here = reach(false, Some("a1"));
        let named = |reach: &Reach| std::path::PathBuf::from(format!("{}.seg", reach.name()));
        assert!(here.covers(&named(&here)));
        assert!(!here.covers(&named(&reach(false, Some("ba1")))));
        assert!(reach(true, None).covers(Path::new("old.seg")));
        // Two machines that do not know their names are not the same one.
        let nameless = reach(false, None);
        assert!(!nameless.covers(&named(&nameless)));
    }

    #[test]
    fn only_what_flow_makes_has_such_a_name() {
        for ours in [
            Reach::of(Path::new("/")).name(),
            "18ec0408a6eea78a-c37ada8489f6586b-unknown".to_owned(),
            "18ec0408a6eea78a-78b-c37ada8489f6586b-28af18a42e9c9629".to_owned(),
        ] {
            assert!(is_unique_name(&ours), "{ours}");
        }
        for other in [
            "",
            "lock",
            "thesis",
            "2026-11-28-notes",
            "18ec0408a6eea78a-x-unknown",
        ] {
            assert!(!is_unique_name(other), "{other}");
        }
    }
}

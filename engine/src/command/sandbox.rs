//! Where a program may look: everywhere but in the project and the store, of which it sees what was
//! declared. Enforced by Landlock where the kernel has it (Linux 5.13).
//!
//! Landlock can only allow, and what it allows holds for all below. So the way down from `/` to each
//! closed folder is walked, and all that lies beside the way is allowed. Two things follow: the
//! folders on the way cannot be listed, and what is made in them later is closed as well.

use std::io;
use std::path::{Path, PathBuf};

/// What lies open within closed folders.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    /// The project's root, closed.
    pub root: PathBuf,
    /// The store's artifacts, to read; the store itself is closed.
    pub artifacts: PathBuf,
    /// The action's folder, to read and write; those of others are closed.
    pub scratch: PathBuf,
    /// The programs that are files of the project.
    pub programs: Vec<PathBuf>,
}

impl Places {
    /// Folders that are closed but for what lies open in them.
    #[cfg(target_os = "linux")]
    fn closed(&self) -> Vec<PathBuf> {
        let store = self.artifacts.parent().unwrap_or(&self.artifacts);
        [&self.root, store]
            .into_iter()
            .map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
            .collect()
    }
}

#[cfg(target_os = "linux")]
mod landlocked {
    use super::*;

    use landlock::{
        ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
        RulesetAttr, RulesetCreated, RulesetCreatedAttr,
    };

    /// Rights that are known here; a kernel that knows fewer enforces those.
    const KNOWN: ABI = ABI::V5;

    /// Rules that a thread can take upon itself.
    pub struct Sandbox(RulesetCreated);

    /// The kernel's version of Landlock, 0 without it.
    pub fn version() -> u32 {
        const VERSION: u32 = 1;
        // SAFETY: asks for the version only, for which the other two arguments must be null.
        let version = unsafe {
            libc::syscall(
                libc::SYS_landlock_create_ruleset,
                std::ptr::null::<u8>(),
                0,
                VERSION,
            )
        };
        u32::try_from(version).unwrap_or(0)
    }

    impl Sandbox {
        /// The rules for some places; none where the kernel cannot enforce them, or where the
        /// project is the whole file system.
        pub fn new(places: &Places) -> io::Result<Option<Self>> {
            let closed = places.closed();
            if version() < 1 || closed.iter().any(|path| path == Path::new("/")) {
                return Ok(None);
            }
            let all = AccessFs::from_all(KNOWN);
            let read = AccessFs::from_read(KNOWN);
            let rules = Ruleset::default()
                .set_compatibility(CompatLevel::BestEffort)
                .handle_access(all)
                .and_then(Ruleset::create)
                .map_err(io::Error::other)?;
            let mut rules = Self(rules);
            rules.allow_beside(&closed, all)?;
            rules.allow(&places.root.join(".venv"), read)?;
            rules.allow(&places.scratch, all)?;
            rules.allow(&places.artifacts, read & !AccessFs::Execute)?;
            for program in &places.programs {
                rules.allow(program, read)?;
            }
            Ok(Some(rules))
        }

        /// Allows all that lies beside the way to the closed folders.
        fn allow_beside(&mut self, closed: &[PathBuf], all: BitFlags<AccessFs>) -> io::Result<()> {
            let mut ways = vec![PathBuf::from("/")];
            while let Some(way) = ways.pop() {
                // A folder that may not be listed may not be looked through either.
                for entry in std::fs::read_dir(&way).into_iter().flatten().flatten() {
                    let path = entry.path();
                    // A link is followed at each use, and what it leads to has a rule of its own.
                    if entry.file_type().is_ok_and(|ty| ty.is_symlink()) || closed.contains(&path) {
                        continue;
                    }
                    if closed.iter().any(|closed| closed.starts_with(&path)) {
                        ways.push(path);
                    } else {
                        self.allow(&path, all)?;
                    }
                }
            }
            Ok(())
        }

        /// Allows something to a path and all below; what is not there needs no rule.
        fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
            if let Ok(fd) = PathFd::new(path) {
                let rule = PathBeneath::new(fd, access);
                (&mut self.0).add_rule(rule).map_err(io::Error::other)?;
            }
            Ok(())
        }

        /// Shuts this thread in for good, and all that it starts.
        pub fn enter(self) -> io::Result<()> {
            self.0.restrict_self().map_err(io::Error::other)?;
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
pub use landlocked::{Sandbox, version};

#[cfg(not(target_os = "linux"))]
mod open {
    use super::*;

    /// There is none here.
    pub enum Sandbox {}

    /// There is no Landlock here.
    pub fn version() -> u32 {
        0
    }

    impl Sandbox {
        /// None.
        pub fn new(_places: &Places) -> io::Result<Option<Self>> {
            Ok(None)
        }

        /// Cannot be called.
        pub fn enter(self) -> io::Result<()> {
            match self {}
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub use open::{Sandbox, version};

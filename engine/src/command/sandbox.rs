//! Where a program may look: everywhere except in the project and the store, of which it sees only what was
//! declared. Landlock enforces this if the kernel has it (Linux 5.13).
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
    /// Returns the folders that are closed, except for what lies open in them. The run's folder of
    /// unfinished work may lie outside of the project.
    #[cfg(target_os = "linux")]
    fn closed(&self) -> Vec<PathBuf> {
        let store = self.artifacts.parent().unwrap_or(&self.artifacts);
        let run = self.scratch.parent().unwrap_or(&self.scratch);
        let mut closed: Vec<PathBuf> = [&self.root, store, run]
            .into_iter()
            .map(|path| path.canonicalize().unwrap_or_else(|_| path.to_owned()))
            .collect();
        let mounts = std::fs::read("/proc/self/mountinfo").unwrap_or_default();
        let elsewhere = closed.iter().flat_map(|path| aliases(&mounts, path));
        let elsewhere: Vec<PathBuf> = elsewhere.collect();
        closed.extend(elsewhere);
        closed
    }
}

/// The virtual environment of a project: a folder of its own, by whatever name it goes. A link to one of
/// the project's other folders opens nothing.
#[cfg(target_os = "linux")]
fn environment(root: &Path) -> Option<PathBuf> {
    let folder = root.join(".venv").canonicalize().ok()?;
    let root = root.canonicalize().ok()?;
    let marks = ["pyvenv.cfg", "conda-meta"];
    let marked = marks.iter().any(|mark| folder.join(mark).exists());
    (marked && !root.starts_with(&folder)).then_some(folder)
}

/// Returns where else a folder, or a part of it, can be found: other mounts of its file system.
#[cfg(target_os = "linux")]
fn aliases(mounts: &[u8], folder: &Path) -> Vec<PathBuf> {
    let mounts: Vec<Mount> = mounts
        .split(|&b| b == b'\n')
        .filter_map(Mount::read)
        .collect();
    // If several are mounted at one place, the last one is visible.
    let within = mounts.iter().filter(|mount| folder.starts_with(&mount.at));
    let Some(own) = within.max_by_key(|mount| mount.at.as_os_str().len()) else {
        return Vec::new();
    };
    let Ok(below) = folder.strip_prefix(&own.at) else {
        return Vec::new();
    };
    let inside = own.root.join(below);
    let others = mounts.iter().filter(|mount| mount.device == own.device);
    let places = others.filter_map(|mount| match inside.strip_prefix(&mount.root) {
        Ok(below) => Some(mount.at.join(below)),
        Err(_) => mount.root.starts_with(&inside).then(|| mount.at.clone()),
    });
    // A path that ends with a slash is another one to nobody else.
    let places = places.map(|place| place.components().collect::<PathBuf>());
    let elsewhere = |place: &PathBuf| !place.starts_with(folder) && place != Path::new("/");
    places.filter(elsewhere).collect()
}

/// A line of `/proc/self/mountinfo`.
#[cfg(target_os = "linux")]
struct Mount<'a> {
    device: &'a [u8],
    /// The folder of the file system that is mounted.
    root: PathBuf,
    /// Where it is mounted.
    at: PathBuf,
}

#[cfg(target_os = "linux")]
impl<'a> Mount<'a> {
    fn read(line: &'a [u8]) -> Option<Self> {
        let mut words = line.split(|&b| b == b' ').skip(2);
        let (device, root, at) = (words.next()?, words.next()?, words.next()?);
        let (root, at) = (unescaped(root), unescaped(at));
        Some(Self { device, root, at })
    }
}

/// A path in which blanks and the like stand as `\040`.
#[cfg(target_os = "linux")]
fn unescaped(text: &[u8]) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let mut path = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *byte == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        match octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(code) => {
                path.push(code);
                rest = &after[3..];
            }
            None => {
                path.push(*byte);
                rest = after;
            }
        }
    }
    std::ffi::OsString::from_vec(path).into()
}

#[cfg(target_os = "linux")]
mod landlocked {
    use super::*;

    use std::os::fd::{AsRawFd, OwnedFd, RawFd};

    use landlock::{
        ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
        RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
    };

    /// Rights that are known here; a kernel that knows fewer enforces those.
    const KNOWN: ABI = ABI::V6;

    /// Rules that a process can impose on itself.
    pub struct Sandbox(OwnedFd);

    /// Rules on their way.
    struct Rules(RulesetCreated);

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
        /// Makes the rules for some places. Returns none if the kernel cannot enforce them, or if the
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
                // Signals reach only what the program itself started.
                .and_then(|rules| rules.scope(Scope::from_all(KNOWN)))
                .and_then(Ruleset::create)
                .map_err(io::Error::other)?;
            let mut rules = Rules(rules);
            rules.allow_beside(&closed, all)?;
            if let Some(environment) = environment(&places.root) {
                rules.allow(&environment, read)?;
            }
            rules.allow(&places.scratch, all)?;
            rules.allow(&places.artifacts, read & !AccessFs::Execute)?;
            for program in &places.programs {
                rules.allow(program, read)?;
            }
            Ok(Option::from(rules.0).map(Self))
        }
    }

    impl AsRawFd for Sandbox {
        fn as_raw_fd(&self) -> RawFd {
            self.0.as_raw_fd()
        }
    }

    /// Restricts this process and all that it starts for good. It consists of system calls alone, since it
    /// runs between fork and exec.
    pub fn enter(rules: RawFd) -> io::Result<()> {
        // To root, a kernel may show the memory of any process in spite of the rules, unless it lacks these.
        const PERFMON: libc::c_int = 38;
        const SYS_ADMIN: libc::c_int = 21;
        // SAFETY: plain system calls with numbers alone.
        unsafe {
            // A process that is not root does not have them, and may not drop them.
            libc::prctl(libc::PR_CAPBSET_DROP, PERFMON);
            libc::prctl(libc::PR_CAPBSET_DROP, SYS_ADMIN);
            if libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
                || libc::syscall(libc::SYS_landlock_restrict_self, rules, 0) != 0
            {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    impl Rules {
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

        /// Allows something for a path and all below it. A path that does not exist needs no rule.
        fn allow(&mut self, path: &Path, access: BitFlags<AccessFs>) -> io::Result<()> {
            if let Ok(fd) = PathFd::new(path) {
                let rule = PathBeneath::new(fd, access);
                (&mut self.0).add_rule(rule).map_err(io::Error::other)?;
            }
            Ok(())
        }
    }
}

#[cfg(target_os = "linux")]
pub use landlocked::{Sandbox, enter, version};

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
    }

    impl std::os::fd::AsRawFd for Sandbox {
        fn as_raw_fd(&self) -> std::os::fd::RawFd {
            match *self {}
        }
    }

    /// There is nothing to enter.
    pub fn enter(_rules: std::os::fd::RawFd) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
pub use open::{Sandbox, enter, version};

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn other_mounts_of_a_folder_are_found() {
        let mounts = b"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n\
            30 22 8:2 / /home rw - ext4 /dev/sda2 rw\n\
            31 22 8:2 /me /mnt/my\\040home rw - ext4 /dev/sda2 rw\n\
            32 22 8:2 /me/project/data /srv/data rw - ext4 /dev/sda2 rw\n\
            33 22 8:2 /other /srv/other rw - ext4 /dev/sda2 rw\n\
            34 22 8:1 /me /srv/else rw - ext4 /dev/sda1 rw\n\
            odd\n";
        let found = aliases(mounts, Path::new("/home/me/project"));
        let expected = ["/mnt/my home/project", "/srv/data"];
        assert_eq!(found, expected.map(PathBuf::from));
        // Seen from one of those places, it is elsewhere too.
        let found = aliases(mounts, Path::new("/mnt/my home/project"));
        assert_eq!(found, ["/home/me/project", "/srv/data"].map(PathBuf::from));
        assert_eq!(aliases(b"", Path::new("/a")), Vec::<PathBuf>::new());
    }

    #[test]
    fn only_an_environment_is_one() {
        let temp = flow_testkit::files::folder();
        let root = temp.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("data")).unwrap();
        let link = |to: &str| {
            let _ = std::fs::remove_file(root.join(".venv"));
            std::os::unix::fs::symlink(to, root.join(".venv")).unwrap();
            environment(&root)
        };
        assert_eq!(link("data"), None);
        assert_eq!(link("none"), None);
        assert_eq!(link("."), None);
        std::fs::create_dir(root.join("env")).unwrap();
        std::fs::write(root.join("env/pyvenv.cfg"), "").unwrap();
        assert_eq!(link("env"), Some(root.join("env")));
        std::fs::write(root.join("pyvenv.cfg"), "").unwrap();
        assert_eq!(link("."), None);
    }
}

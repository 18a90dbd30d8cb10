//! What git says of a project, for run records. No result depends on it.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

/// The longest that a run waits for git at its end.
const PATIENCE: Duration = Duration::from_secs(2);

/// The commit that is checked out where `root` is. It is read from git's own files, which costs
/// nothing.
pub fn commit(root: &Path) -> Option<String> {
    let git = root
        .ancestors()
        .map(|dir| dir.join(".git"))
        .find(|git| git.exists())?;
    let git = match git.is_dir() {
        true => git,
        // This is a second work tree, or a submodule.
        false => git
            .parent()?
            .join(line(&git)?.strip_prefix("gitdir:")?.trim()),
    };
    let common = match line(&git.join("commondir")) {
        Some(common) => git.join(common),
        None => git.clone(),
    };
    let head = line(&git.join("HEAD"))?;
    let Some(name) = head.strip_prefix("ref:").map(str::trim) else {
        return Some(head).filter(|head| is_commit(head));
    };
    let loose = [&git, &common]
        .into_iter()
        .find_map(|dir| line(&dir.join(name)));
    let found = loose.or_else(|| packed(&common, name))?;
    Some(found).filter(|found| is_commit(found))
}

fn packed(common: &Path, name: &str) -> Option<String> {
    let packed = std::fs::read_to_string(common.join("packed-refs")).ok()?;
    let mut refs = packed.lines().filter_map(|line| line.split_once(' '));
    refs.find_map(|(commit, known)| (known == name).then(|| commit.to_owned()))
}

fn line(path: &Path) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    text.lines().next().map(|line| line.trim().to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether files that git tracks differ from the commit. It is asked while a run goes on.
pub struct Dirty(Receiver<Option<bool>>);

impl Dirty {
    /// Asks git in a thread of its own.
    pub fn ask(root: &Path) -> Self {
        let (answer, answers) = mpsc::channel();
        let root = root.to_owned();
        // Nobody listens any more if the run was faster than git.
        std::thread::spawn(move || answer.send(dirty(root)));
        Self(answers)
    }

    /// The answer, if git is there and has one.
    pub fn answer(&self) -> Option<bool> {
        self.0.recv_timeout(PATIENCE).ok().flatten()
    }
}

fn dirty(root: PathBuf) -> Option<bool> {
    let mut git = Command::new("git");
    git.args(["status", "--porcelain", "--untracked-files=no"]);
    // Looking must not write to the repository.
    git.env("GIT_OPTIONAL_LOCKS", "0").current_dir(root);
    git.stdin(Stdio::null()).stderr(Stdio::null());
    let told = git.output().ok().filter(|told| told.status.success())?;
    Some(!told.stdout.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow_testkit::files::{folder, write};

    #[test]
    fn the_commit_is_read_from_every_place_where_git_keeps_it() {
        let dir = folder();
        let (git, project) = (dir.path().join(".git"), dir.path().join("a/b"));
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        write(&git.join("HEAD"), "ref: refs/heads/main\n");
        std::fs::create_dir_all(&project).unwrap();
        // There is no commit yet.
        assert_eq!(commit(&project), None);
        write(
            &git.join("packed-refs"),
            format!("# pack-refs\n{two} refs/heads/main\n"),
        );
        assert_eq!(commit(&project), Some(two.clone()));
        write(&git.join("refs/heads/main"), format!("{one}\n"));
        assert_eq!(commit(&project), Some(one.clone()));
        write(&git.join("HEAD"), format!("{two}\n"));
        assert_eq!(commit(&project), Some(two));
        // This is a second work tree, whose branch lies with the first one.
        let other = git.join("worktrees/w");
        write(&other.join("HEAD"), "ref: refs/heads/main\n");
        write(&other.join("commondir"), "../..\n");
        write(
            &project.join(".git"),
            format!("gitdir: {}\n", other.display()),
        );
        assert_eq!(commit(&project), Some(one));
        write(&other.join("HEAD"), "garbage\n");
        assert_eq!(commit(&project), None);
    }
}

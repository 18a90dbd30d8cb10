//! The process that starts programs and ends what they leave behind. Each worker has one.
//!
//! It is small and has one thread, so forking it is cheap, and a program's restrictions are put in place
//! between fork and exec. It adopts processes that lose their parent (as a child subreaper, if the system
//! has that), so that whatever a program starts stays below it, in spite of sessions, process groups and
//! double forks. When a program has ended, all that is left is killed before the guard reports the end.
//! When the socket to flow closes, because flow has ended in whatever way, the guard does the same at once.
//!
//! Orders and requests to end come over the socket, which is its standard input. Its replies go back over
//! it as lines. Programs print to its standard output.

use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use super::sandbox::{Places, Sandbox};

/// The first argument of a process that is to be a guard.
const ASKED: &str = "guard-of-programs";

/// Ends a program politely: its process group gets SIGTERM.
pub const TERM: u8 = b'T';
/// Ends a program and all that it started.
pub const KILL: u8 = b'K';
/// An order follows: its length in four bytes, and the order.
const ORDER: u8 = b'O';

/// Returns a command that calls [`serve_if_asked`] first of all: this executable itself.
pub fn of_this_program() -> Vec<OsString> {
    // The link leads to this very file, even if another one has taken its name.
    let link = Path::new("/proc/self/exe");
    let path = match link.exists() {
        true => Ok(link.to_owned()),
        false => std::env::current_exe(),
    };
    path.into_iter().map(PathBuf::into_os_string).collect()
}

/// The arguments of a guard.
pub fn arguments(places: &Places) -> [&OsStr; 4] {
    [
        OsStr::new(ASKED),
        places.root.as_os_str(),
        places.artifacts.as_os_str(),
        places.scratch.as_os_str(),
    ]
}

/// Serves as the guard of a worker until flow has ended, if the arguments of this process say so. It must
/// be called before anything else, while the process has one thread.
pub fn serve_if_asked() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ASKED {
        return None;
    }
    let mut path = || arguments.next().map(PathBuf::from);
    let places = Places {
        root: path()?,
        artifacts: path()?,
        scratch: path()?,
        programs: Vec::new(),
    };
    let served = serve(places);
    Some(if served.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// A program to start.
#[derive(Debug, Default)]
pub struct Program {
    /// Its absolute path.
    pub path: PathBuf,
    /// The program and others that are files of the project. The sandbox is open to them.
    pub opened: Vec<PathBuf>,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The folder to start it in.
    pub dir: PathBuf,
    /// All of its environment.
    pub env: Vec<(OsString, OsString)>,
}

impl Program {
    /// Encodes the order for it: texts with a zero byte after each, since no path, argument or variable can
    /// hold one.
    pub fn order(&self) -> io::Result<Vec<u8>> {
        let counts = [self.opened.len(), self.args.len()].map(|count| count.to_string());
        let mut texts = vec![self.path.as_os_str(), self.dir.as_os_str()];
        texts.extend(counts.iter().map(OsStr::new));
        texts.extend(self.opened.iter().map(|path| path.as_os_str()));
        texts.extend(self.args.iter().map(OsString::as_os_str));
        texts.extend(
            self.env
                .iter()
                .flat_map(|(name, value)| [&**name, &**value]),
        );
        let mut order = vec![ORDER, 0, 0, 0, 0];
        for text in texts {
            if text.as_bytes().contains(&0) {
                let message = "an argument or a variable has a zero byte in it";
                return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
            }
            order.extend_from_slice(text.as_bytes());
            order.push(0);
        }
        let length = u32::try_from(order.len() - 5)
            .map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
        order[1..5].copy_from_slice(&length.to_le_bytes());
        Ok(order)
    }

    fn parse(order: &[u8]) -> Option<Self> {
        let mut texts = order.split(|byte| *byte == 0);
        let mut text = || texts.next().map(|text| OsString::from_vec(text.to_vec()));
        let path = text()?.into();
        let dir = text()?.into();
        let mut count = || text()?.to_str()?.parse::<usize>().ok();
        let (opened, args) = (count()?, count()?);
        let opened = (0..opened).map(|_| text().map(PathBuf::from));
        let opened = opened.collect::<Option<_>>()?;
        let args = (0..args).map(|_| text()).collect::<Option<_>>()?;
        let mut env = Vec::new();
        // After the last zero there is nothing, and so no name.
        while let Some(name) = text().filter(|name| !name.is_empty()) {
            env.push((name, text()?));
        }
        Some(Self {
            path,
            opened,
            args,
            dir,
            env,
        })
    }
}

/// What flow says.
enum GuardMessage {
    Order(Program),
    End(u8),
    /// The socket is closed.
    Gone,
}

struct Server {
    socket: UnixStream,
    places: Places,
    /// Sandboxes by the programs that they are open to.
    sandboxes: Vec<(Vec<PathBuf>, Option<Sandbox>)>,
}

fn serve(places: Places) -> io::Result<()> {
    settle_in();
    use std::os::fd::FromRawFd;
    // SAFETY: who started this process made its standard input a socket, and nobody else here uses it.
    let socket = unsafe { UnixStream::from_raw_fd(libc::STDIN_FILENO) };
    let mut server = Server {
        socket,
        places,
        sandboxes: Vec::new(),
    };
    loop {
        match server.hear()? {
            GuardMessage::Order(program) => {
                if !server.run(&program)? {
                    return Ok(());
                }
            }
            // The request came when the program had just ended by itself.
            GuardMessage::End(_) => {}
            GuardMessage::Gone => return Ok(()),
        }
    }
}

/// Makes this process ignore signals, except those about its children, and makes it the parent of orphans.
fn settle_in() {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: plain system calls on values that outlive them; the handler does nothing.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as *const () as usize;
        libc::sigaction(libc::SIGCHLD, &raw const action, std::ptr::null_mut());
        #[cfg(target_os = "linux")]
        {
            libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1);
            // A user who kills flow by its name does not mean this process.
            libc::prctl(libc::PR_SET_NAME, c"program-guard".as_ptr());
        }
    }
}

impl Server {
    fn hear(&mut self) -> io::Result<GuardMessage> {
        let mut tag = [0];
        match self.socket.read(&mut tag) {
            Ok(0) => return Ok(GuardMessage::Gone),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Ok(GuardMessage::Gone);
            }
            read => read?,
        };
        if tag[0] != ORDER {
            return Ok(GuardMessage::End(tag[0]));
        }
        let mut length = [0; 4];
        self.socket.read_exact(&mut length)?;
        let mut order = vec![0; u32::from_le_bytes(length) as usize];
        self.socket.read_exact(&mut order)?;
        let program = Program::parse(&order).ok_or(io::ErrorKind::InvalidData)?;
        Ok(GuardMessage::Order(program))
    }

    fn say(&mut self, line: &str) -> bool {
        self.socket.write_all(line.as_bytes()).is_ok()
    }

    /// Runs a program and ends what it leaves. Returns false once flow is gone.
    fn run(&mut self, program: &Program) -> io::Result<bool> {
        let pid = match self.start(program) {
            Ok(pid) => pid,
            Err(error) => {
                let code = error.raw_os_error().unwrap_or(0);
                let text = error.to_string().replace('\n', " ");
                return Ok(self.say(&format!("failed {code} {text}\n")));
            }
        };
        let mut there = self.say("started\n");
        if !there {
            signal_group(pid, libc::SIGKILL);
        }
        while !ended(pid)? {
            if !wait(there.then_some(&self.socket))? {
                continue;
            }
            match self.hear()? {
                GuardMessage::End(TERM) => signal_group(pid, libc::SIGTERM),
                message => {
                    there &= !matches!(message, GuardMessage::Gone);
                    signal_group(pid, libc::SIGKILL);
                    kill_children();
                }
            }
        }
        // No other process gets its number before it is reaped.
        signal_group(pid, libc::SIGKILL);
        let (status, usage) = reap(pid)?;
        end_children();
        let unit = if cfg!(target_os = "linux") { 1024 } else { 1 };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
        let cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        let peak_rss = u64::try_from(usage.ru_maxrss).unwrap_or(0) * unit;
        Ok(there && self.say(&format!("ended {status} {cpu_s} {peak_rss}\n")))
    }

    fn start(&mut self, program: &Program) -> io::Result<libc::pid_t> {
        let mut command = Command::new(&program.path);
        command
            .args(&program.args)
            .current_dir(&program.dir)
            .env_clear()
            .envs(program.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0);
        let sandbox = self.sandbox(program)?.map(AsRawFd::as_raw_fd);
        // SAFETY: between fork and exec, system calls that touch no memory but their own.
        unsafe { command.pre_exec(move || prepare(sandbox)) };
        let child = command.spawn()?;
        Ok(child.id().cast_signed())
    }

    fn sandbox(&mut self, program: &Program) -> io::Result<Option<&Sandbox>> {
        let mut known = self.sandboxes.iter();
        let known = known.position(|(opened, _)| *opened == program.opened);
        let index = match known {
            Some(index) => index,
            None => {
                let places = Places {
                    programs: program.opened.clone(),
                    ..self.places.clone()
                };
                let sandbox = Sandbox::new(&places)
                    .map_err(|error| io::Error::other(format!("Landlock failed: {error}")))?;
                self.sandboxes.push((program.opened.clone(), sandbox));
                self.sandboxes.len() - 1
            }
        };
        Ok(self.sandboxes[index].1.as_ref())
    }
}

/// Prepares a child between fork and exec.
fn prepare(sandbox: Option<libc::c_int>) -> io::Result<()> {
    // SAFETY: as the caller says.
    unsafe {
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, std::ptr::null_mut());
        #[cfg(target_os = "linux")]
        {
            // If the guard is killed, at least this process ends with it.
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        }
    }
    match sandbox {
        Some(rules) => super::sandbox::enter(rules),
        None => Ok(()),
    }
}

/// Waits for a child to change or for the socket. Returns true if there is something to read.
fn wait(socket: Option<&UnixStream>) -> io::Result<bool> {
    // SAFETY: plain system calls on values that outlive them; the descriptor is open and below the size of a set.
    unsafe {
        let mut mask: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut mask);
        libc::sigdelset(&raw mut mask, libc::SIGCHLD);
        let mut readable: libc::fd_set = std::mem::zeroed();
        let mut count = 0;
        if let Some(socket) = socket {
            libc::FD_SET(socket.as_raw_fd(), &raw mut readable);
            count = socket.as_raw_fd() + 1;
        }
        let ready = libc::pselect(
            count,
            &raw mut readable,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            std::ptr::null(),
            &raw const mask,
        );
        if ready >= 0 {
            return Ok(ready > 0);
        }
    }
    match io::Error::last_os_error() {
        error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
        error => Err(error),
    }
}

/// Returns whether a child has ended, without collecting it. Others that have ended are collected, since a
/// program that runs for long may leave many.
fn ended(pid: libc::pid_t) -> io::Result<bool> {
    loop {
        // SAFETY: all-zero is a valid `siginfo_t`, and the pointer is to a value that outlives the call.
        let (result, other) = unsafe {
            let mut info: libc::siginfo_t = std::mem::zeroed();
            let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
            let result = libc::waitid(libc::P_ALL, 0, &raw mut info, options);
            (result, info.si_pid())
        };
        match (result, other) {
            (0, 0) => return Ok(false),
            (0, other) if other == pid => return Ok(true),
            (0, other) => drop(reap(other)?),
            _ => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
        }
    }
}

/// Collects an ended child.
fn reap(pid: libc::pid_t) -> io::Result<(libc::c_int, libc::rusage)> {
    let mut status = 0;
    // SAFETY: all-zero is a valid `rusage`.
    let mut used: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to values that live longer than the call.
        if unsafe { libc::wait4(pid, &raw mut status, 0, &raw mut used) } == pid {
            return Ok((status, used));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

fn signal_group(pid: libc::pid_t, signal: libc::c_int) {
    // SAFETY: a plain system call on the process group that the child was made the leader of.
    unsafe { libc::kill(-pid, signal) };
}

/// Kills and collects children until there are none. The children of a killed one become ours.
fn end_children() {
    loop {
        // SAFETY: plain system calls; no status is asked for.
        match unsafe { libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) } {
            0 => {
                if kill_children() == 0 {
                    // Without a /proc there is no way to find them.
                    return;
                }
                std::thread::sleep(Duration::from_micros(200));
            }
            -1 if io::Error::last_os_error().kind() != io::ErrorKind::Interrupted => return,
            _ => {}
        }
    }
}

/// Kills all children, and returns how many there were.
fn kill_children() -> usize {
    let children = children();
    for pid in &children {
        // SAFETY: a plain system call. A child keeps its number until it is collected, by this thread alone.
        unsafe { libc::kill(*pid, libc::SIGKILL) };
    }
    children.len()
}

/// Returns the children of this process, as the kernel lists them, or else by looking at all processes.
fn children() -> Vec<libc::pid_t> {
    if let Ok(list) = std::fs::read_to_string("/proc/thread-self/children") {
        return list.split_whitespace().flat_map(str::parse).collect();
    }
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|pid: &libc::pid_t| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            // After the name, which may hold anything: the state, the parent.
            let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
            rest.split_whitespace().nth(1) == Some(&own)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn orders_come_through_whole() {
        let text = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let program = Program {
            path: "/bin/x y".into(),
            opened: vec!["/bin/x y".into(), "/bin/z".into()],
            args: vec!["".into(), text(b"\xff\n"), "last".into()],
            dir: "/tmp".into(),
            env: vec![("A".into(), "".into()), ("B".into(), "x=y".into())],
        };
        let order = program.order().unwrap();
        let parsed = Program::parse(&order[5..]).unwrap();
        assert_eq!(format!("{parsed:?}"), format!("{program:?}"));
        let zero = Program {
            args: vec!["a\0b".into()],
            ..Program::default()
        };
        assert!(zero.order().is_err());
    }
}

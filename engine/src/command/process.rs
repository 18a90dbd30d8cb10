//! Has programs started by a guard, waits for them and ends them.

use std::ffi::OsString;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use super::guard::{self, KILL, Program, TERM};
use super::log::Log;
use super::sandbox::Places;
use crate::kind::action::Usage;

/// How often to check whether the run is to stop or the time is up.
const SLICE: Duration = Duration::from_millis(50);
/// The time between the polite request to end and the kill.
const GRACE: Duration = Duration::from_secs(1);
/// How long killed processes may take to be gone. Those that hang in the kernel are not waited for.
const PATIENCE: Duration = Duration::from_millis(700);

/// Why a program is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It ended.
    Exited(ExitStatus),
    /// It was ended because its time was up.
    TimedOut,
    /// It was ended because the run is to stop.
    Stopped,
}

/// A program that is over, with all that it started.
pub struct ProgramRan {
    pub end: End,
    pub usage: Usage,
    /// What it printed.
    pub log: Vec<u8>,
}

/// A guard, as flow sees it.
pub struct Guard {
    process: Child,
    socket: UnixStream,
    /// What programs print.
    output: PipeReader,
    /// What it said that has not been read yet.
    said: Vec<u8>,
    /// It can be given the next program.
    idle: bool,
}

/// What a guard says.
enum Reply {
    Started,
    Failed(io::Error),
    Ended(ExitStatus, Usage),
}

impl Guard {
    /// Starts one by its command.
    pub fn start(command: &[OsString], places: &Places) -> io::Result<Self> {
        let (program, args) = command
            .split_first()
            .ok_or_else(|| io::Error::other("no program is named that starts others"))?;
        let (socket, theirs) = UnixStream::pair()?;
        let (output, input) = io::pipe()?;
        let mut command = Command::new(program);
        command
            .args(args)
            .args(guard::arguments(places))
            // A program cannot reach anything of flow's environment.
            .env_clear()
            .current_dir("/")
            .stdin(OwnedFd::from(theirs))
            .stdout(input.try_clone()?)
            .stderr(input)
            // Signals that a terminal sends to flow must not reach the guard.
            .process_group(0)
            .arg0("program-guard");
        // Without it flow itself may not have started.
        if let Some(libraries) = std::env::var_os("LD_LIBRARY_PATH") {
            command.env("LD_LIBRARY_PATH", libraries);
        }
        let process = command.spawn()?;
        Ok(Self {
            process,
            socket,
            output,
            said: Vec::new(),
            idle: true,
        })
    }

    /// Whether it can be given another program.
    pub fn is_idle(&self) -> bool {
        self.idle
    }

    /// Runs a program to its end, or ends it. `stop` is told how much it has printed. Whatever happens,
    /// nothing that it started is left.
    pub fn run(
        &mut self,
        program: &Program,
        limit: Option<Duration>,
        stop: impl Fn(usize) -> bool,
    ) -> Result<ProgramRan, NotRun> {
        let order = program.order().map_err(NotRun::Refused)?;
        self.idle = false;
        self.send(&order)?;
        let mut log = Log::default();
        let mut started = None;
        let mut ending: Option<(End, Instant)> = None;
        let mut killed = false;
        let (end, usage) = loop {
            self.listen_for(SLICE, &mut log)?;
            match self.reply()? {
                Some(Reply::Started) => started = Some(Instant::now()),
                Some(Reply::Failed(error)) => {
                    self.idle = true;
                    return Err(NotRun::Refused(error));
                }
                Some(Reply::Ended(status, usage)) => {
                    self.idle = true;
                    let end = ending.map_or(End::Exited(status), |(end, _)| end);
                    break (end, usage);
                }
                None => {}
            }
            match ending {
                None => {
                    let over = |limit| started.is_some_and(|at: Instant| at.elapsed() >= limit);
                    let end = match limit {
                        _ if stop(log.len()) => End::Stopped,
                        Some(limit) if over(limit) => End::TimedOut,
                        _ => continue,
                    };
                    self.send(&[TERM])?;
                    ending = Some((end, Instant::now()));
                }
                Some((_, at)) if !killed && at.elapsed() >= GRACE => {
                    self.send(&[KILL])?;
                    killed = true;
                }
                // The guard goes on without us, and takes no other program.
                Some((end, at)) if at.elapsed() >= GRACE + PATIENCE => {
                    break (end, Usage::default());
                }
                Some(_) => {}
            }
        };
        // All processes that could print are gone, so nothing more will come.
        while self.listen_for(Duration::ZERO, &mut log)? {}
        Ok(ProgramRan {
            end,
            usage,
            log: log.finish(),
        })
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NotRun> {
        self.socket.write_all(bytes).map_err(|_| NotRun::Unguarded)
    }

    /// Reads what programs print and what the guard says, if something comes within a time. Returns true if
    /// something was printed.
    fn listen_for(&mut self, time: Duration, log: &mut Log) -> Result<bool, NotRun> {
        let readable = |descriptor: libc::c_int| libc::pollfd {
            fd: descriptor,
            events: libc::POLLIN,
            revents: 0,
        };
        let mut polled = [
            readable(self.output.as_raw_fd()),
            readable(self.socket.as_raw_fd()),
        ];
        // SAFETY: the pointer is to two `pollfd`, as the count says.
        let ready = unsafe { libc::poll(polled.as_mut_ptr(), 2, time.as_millis() as libc::c_int) };
        if ready < 0 {
            return match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => Ok(false),
                error => Err(NotRun::Failed(error)),
            };
        }
        let [printed, told] = polled.map(|poll| poll.revents != 0);
        let mut block = [0; 16 << 10];
        let mut taken = 0;
        if printed {
            taken = self.output.read(&mut block).map_err(NotRun::Failed)?;
            log.put(&block[..taken]);
        }
        if told {
            match self.socket.read(&mut block) {
                Ok(0) | Err(_) => return Err(NotRun::Unguarded),
                Ok(n) => self.said.extend_from_slice(&block[..n]),
            }
        }
        Ok(taken > 0)
    }

    /// The next line that the guard said.
    fn reply(&mut self) -> Result<Option<Reply>, NotRun> {
        let Some(end) = self.said.iter().position(|byte| *byte == b'\n') else {
            return Ok(None);
        };
        let line: Vec<u8> = self.said.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line);
        let reply = Reply::parse(line.trim_end()).ok_or(NotRun::Unguarded)?;
        Ok(Some(reply))
    }
}

impl Reply {
    fn parse(line: &str) -> Option<Self> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        Some(match word {
            "started" => Self::Started,
            "failed" => {
                let (code, text) = rest.split_once(' ')?;
                Self::Failed(match code.parse().ok()? {
                    0 => io::Error::other(text.to_owned()),
                    code => io::Error::from_raw_os_error(code),
                })
            }
            "ended" => {
                let mut numbers = rest.split(' ');
                let status = ExitStatus::from_raw(numbers.next()?.parse().ok()?);
                let usage = Usage {
                    cpu_s: numbers.next()?.parse().ok()?,
                    peak_rss: numbers.next()?.parse().ok()?,
                };
                Self::Ended(status, usage)
            }
            _ => return None,
        })
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        // The guard only waits for the end of the socket.
        let _ = self.socket.shutdown(std::net::Shutdown::Both);
        if self.idle {
            let _ = self.process.wait();
        }
    }
}

/// Why a program did not run.
#[derive(Debug)]
pub enum NotRun {
    /// It could not be started.
    Refused(io::Error),
    /// Its guard is gone.
    Unguarded,
    /// The system failed.
    Failed(io::Error),
}

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::InfraError;
use crate::error::Context;
use crate::keeper::Keeper;

const READY_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(20);
const TAIL_LINES: usize = 30;

/// How to start a server and how to tell that it is ready.
pub(crate) struct Launch {
    pub(crate) name: &'static str,
    pub(crate) program: &'static str,
    pub(crate) args: Vec<OsString>,
    pub(crate) port: u16,
    /// Part of the line that the server prints once it takes requests.
    pub(crate) ready: &'static str,
}

/// One server process with a folder of its own.
pub(crate) struct Server {
    launch: Launch,
    process: Mutex<Process>,
    // After the process, so that nobody writes there any more when it is removed.
    data: TempDir,
}

struct Process {
    child: Child,
    keeper: Keeper,
}

impl Server {
    /// Starts the server with its log in `data` and waits until it answers.
    pub(crate) fn start(launch: Launch, data: TempDir) -> Result<Server, InfraError> {
        let watch = Keeper::watch(data.path());
        let mut keeper = watch.context(launch.name, "start its keeper", "see that `sh` runs")?;
        let log = Log::of(data.path());
        let child = launch.spawn(&log, &mut keeper)?;
        let process = Mutex::new(Process { child, keeper });
        let server = Server { launch, process, data };
        server.launch.wait(&mut server.lock().child, &log)?;
        Ok(server)
    }

    pub(crate) fn port(&self) -> u16 {
        self.launch.port
    }

    pub(crate) fn pid(&self) -> u32 {
        self.lock().child.id()
    }

    pub(crate) fn data(&self) -> &Path {
        self.data.path()
    }

    pub(crate) fn kill(&self) -> Result<(), InfraError> {
        let mut process = self.lock();
        process.kill().context(self.launch.name, "kill it", "look at the process by hand")
    }

    pub(crate) fn pause(&self) -> Result<(), InfraError> {
        self.signal(Signal::STOP, "pause it")
    }

    pub(crate) fn resume(&self) -> Result<(), InfraError> {
        self.signal(Signal::CONT, "resume it")
    }

    /// Stops the server if it runs and starts it again on the same data and port.
    pub(crate) fn restart(&self) -> Result<(), InfraError> {
        let mut process = self.lock();
        let stopped = process.stop();
        stopped.context(self.launch.name, "stop it", "look at the process by hand")?;
        let log = Log::of(self.data());
        process.child = self.launch.spawn(&log, &mut process.keeper)?;
        self.launch.wait(&mut process.child, &log)
    }

    fn signal(&self, signal: Signal, action: &str) -> Result<(), InfraError> {
        let mut process = self.lock();
        process.signal(signal).context(self.launch.name, action, "restart it first")
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Nobody can be told here; what is left is for the keeper.
        let _ = self.lock().stop();
    }
}

impl Process {
    fn signal(&mut self, signal: Signal) -> io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Err(io::Error::other("it is not running"));
        }
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }

    fn kill(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        self.keeper.release()
    }

    fn stop(&mut self) -> io::Result<()> {
        if self.child.try_wait()?.is_none() {
            self.signal(Signal::TERM)?;
            // A paused process obeys only after this one; it fails if the process has ended by now.
            let _ = self.signal(Signal::CONT);
        }
        let stopped = poll(STOP_LIMIT, || self.child.try_wait())?;
        if stopped.is_some() { self.keeper.release() } else { self.kill() }
    }
}

impl Launch {
    fn spawn(&self, log: &Log, keeper: &mut Keeper) -> Result<Child, InfraError> {
        let next = "see that the program is on the PATH and the folder for temporary files can be written";
        self.try_spawn(log, keeper).context(self.name, &format!("start {}", self.program), next)
    }

    fn try_spawn(&self, log: &Log, keeper: &mut Keeper) -> io::Result<Child> {
        let output = log.open()?;
        let child = Command::new(self.program)
            .args(&self.args)
            // A Ctrl-C on the terminal is for the starter, which then stops the server in order.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()?;
        keeper.guard(child.id())?;
        Ok(child)
    }

    fn wait(&self, child: &mut Child, log: &Log) -> Result<(), InfraError> {
        let outcome = poll(READY_LIMIT, || self.outcome(child, log));
        match outcome.context(self.name, "wait for it", "see that the folder for temporary files can be read")? {
            Some(Outcome::Ready) => Ok(()),
            Some(Outcome::Ended(status)) => Err(self.ended(status, log)),
            None => Err(self.not_ready(log)),
        }
    }

    fn outcome(&self, child: &mut Child, log: &Log) -> io::Result<Option<Outcome>> {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(Outcome::Ended(status)));
        }
        let ready = log.read()?.contains(self.ready) && TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
        Ok(ready.then_some(Outcome::Ready))
    }

    fn ended(&self, status: ExitStatus, log: &Log) -> InfraError {
        let (server, log) = (self.name, log.tail());
        InfraError::Ended { server, status, log }
    }

    fn not_ready(&self, log: &Log) -> InfraError {
        let (server, limit, log) = (self.name, READY_LIMIT, log.tail());
        InfraError::NotReady { server, limit, log }
    }
}

enum Outcome {
    Ready,
    Ended(ExitStatus),
}

/// What the server prints from one start on; earlier lives stay above it in the same file.
struct Log {
    path: PathBuf,
    start: usize,
}

impl Log {
    fn of(data: &Path) -> Log {
        let path = data.join("server.log");
        let start = fs::metadata(&path).map_or(0, |file| file.len() as usize);
        Log { path, start }
    }

    fn open(&self) -> io::Result<File> {
        File::options().create(true).append(true).open(&self.path)
    }

    fn read(&self) -> io::Result<String> {
        let bytes = fs::read(&self.path)?;
        Ok(String::from_utf8_lossy(&bytes[self.start..]).into_owned())
    }

    fn tail(&self) -> String {
        last_lines(&self.read().unwrap_or_default())
    }
}

pub(crate) fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// Asks again until there is an answer or the time is up.
fn poll<T>(limit: Duration, mut ask: impl FnMut() -> io::Result<Option<T>>) -> io::Result<Option<T>> {
    let start = Instant::now();
    loop {
        let answer = ask()?;
        if answer.is_some() || start.elapsed() > limit {
            return Ok(answer);
        }
        sleep(POLL);
    }
}

use std::ffi::OsString;
use std::path::Path;

use tempfile::TempDir;

use crate::error::Context;
use crate::server::{Launch, Server};
use crate::{InfraError, install, port};

const NAME: &str = "redis";
/// The way a store must run that may not evict and forgets no more than what can be folded again: a crash may cost it
/// the last seconds, which the speed layer notices.
const SETTINGS: [(&str, &str); 5] = [
    ("bind", "127.0.0.1"),
    ("save", ""),
    ("appendonly", "yes"),
    ("appendfsync", "everysec"),
    ("maxmemory-policy", "noeviction"),
];

/// One Redis server. Dropping it stops it and removes its data; so does the end of this process.
pub struct Redis {
    server: Server,
}

impl Redis {
    /// Returns once the server answers.
    pub fn start() -> Result<Redis, InfraError> {
        Redis::start_with(&[])
    }

    /// Like [`Redis::start`], with settings of `redis.conf` that go before the usual ones.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Redis, InfraError> {
        install::redis_server()?;
        port::retry_when_taken(|| {
            let server = start(settings)?;
            Ok(Redis { server })
        })
    }

    /// `redis://127.0.0.1:PORT`
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port())
    }

    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Of the running process, or of the last one.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Where the server keeps its log and data while it lives.
    pub fn data(&self) -> &Path {
        self.server.data()
    }

    /// SIGKILL; returns when the process is gone. The data stays for [`Redis::restart`].
    pub fn kill(&self) -> Result<(), InfraError> {
        self.server.kill()
    }

    /// On the same port and data; stops the server first if it runs.
    pub fn restart(&self) -> Result<(), InfraError> {
        self.server.restart()
    }

    /// SIGSTOP: connections stay open and nothing answers.
    pub fn pause(&self) -> Result<(), InfraError> {
        self.server.pause()
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<(), InfraError> {
        self.server.resume()
    }
}

fn start(settings: &[(&str, &str)]) -> Result<Server, InfraError> {
    let next = "see that the folder for temporary files can be written";
    let data = TempDir::with_prefix("anabranch-redis-").context(NAME, "make its data folder", next)?;
    let port = port::free();
    Server::start(launch(data.path(), port, settings), data)
}

fn launch(data: &Path, port: u16, settings: &[(&str, &str)]) -> Launch {
    let mut args: Vec<OsString> = vec!["--port".into(), port.to_string().into(), "--dir".into(), data.into()];
    // A later setting overrides an earlier one.
    for (key, value) in SETTINGS.iter().chain(settings) {
        args.push(format!("--{key}").into());
        args.push(value.into());
    }
    Launch { name: NAME, program: "redis-server", args, port, ready: "Ready to accept connections" }
}

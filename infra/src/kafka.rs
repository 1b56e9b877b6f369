use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::error::Context;
use crate::server::{Launch, Server, last_lines};
use crate::{InfraError, install, port};

const NAME: &str = "kafka";
const SETTINGS: &str = include_str!("../kafka/server.properties");
const LOGGING: &str = include_str!("../kafka/log4j2.properties");
/// Name of the file with [`LOGGING`], beside the settings.
const LOGGING_FILE: &str = "log4j2.properties";
/// Any will do: every broker is a cluster of its own.
const CLUSTER_ID: &str = "4L6g3nShT-eMCtK--X86sw";
/// Small and quick to start; the broker's life is too short for the second compiler to pay.
const JVM: [&str; 6] = [
    "-Xms256m",
    "-Xmx256m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xshare:auto",
    "-XX:+ExitOnOutOfMemoryError",
];

/// One Kafka broker (KRaft, single node). Dropping it stops it and removes its data; so does the end of this process.
pub struct Kafka {
    server: Server,
}

impl Kafka {
    /// Returns once the broker takes requests: about two seconds on an idle machine. Topics are never made by themselves.
    pub fn start() -> Result<Kafka, InfraError> {
        Kafka::start_with(&[])
    }

    /// Like [`Kafka::start`], with broker settings that go before the ones in `infra/kafka/server.properties`.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Kafka, InfraError> {
        let jars = install::kafka_jars()?;
        port::retry_when_taken(|| {
            let server = start(&jars, settings)?;
            Ok(Kafka { server })
        })
    }

    /// For `bootstrap.servers`: `127.0.0.1:PORT`.
    pub fn brokers(&self) -> String {
        format!("127.0.0.1:{}", self.server.port())
    }

    /// Of the running process, or of the last one.
    pub fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Where the broker keeps its log and data while it lives.
    pub fn data(&self) -> &Path {
        self.server.data()
    }

    /// SIGKILL; returns when the process is gone. The data stays for [`Kafka::restart`].
    pub fn kill(&self) -> Result<(), InfraError> {
        self.server.kill()
    }

    /// On the same port and data; stops the broker first if it runs.
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

fn start(jars: &Path, settings: &[(&str, &str)]) -> Result<Server, InfraError> {
    let next = "see that the folder for temporary files can be written";
    let data = TempDir::with_prefix("anabranch-kafka-").context(NAME, "make its data folder", next)?;
    let port = port::free();
    let file = write_settings(data.path(), port, settings).context(NAME, "write its settings", next)?;
    format_storage(jars, &file)?;
    Server::start(launch(jars, &file, port), data)
}

fn write_settings(data: &Path, port: u16, settings: &[(&str, &str)]) -> std::io::Result<PathBuf> {
    let controller = port::free();
    let own = format!(
        "listeners=CLIENT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         controller.quorum.voters=1@127.0.0.1:{controller}\n\
         log.dirs={}\n",
        data.join("log").display()
    );
    let extra: String = settings.iter().map(|(key, value)| format!("{key}={value}\n")).collect();
    let file = data.join("server.properties");
    fs::write(&file, [SETTINGS, &own, &extra].concat())?;
    fs::write(data.join(LOGGING_FILE), LOGGING)?;
    Ok(file)
}

fn format_storage(jars: &Path, settings: &Path) -> Result<(), InfraError> {
    let mut command = Command::new("java");
    command.args(java(jars, settings, "kafka.tools.StorageTool"));
    command.args(["format", "-t", CLUSTER_ID, "-c"]).arg(settings);
    let output = command.output().context(NAME, "run java", "run infra/install")?;
    if output.status.success() {
        return Ok(());
    }
    let (status, text) = (output.status, [output.stdout, output.stderr].concat());
    let log = last_lines(&String::from_utf8_lossy(&text));
    Err(InfraError::Ended { server: NAME, status, log })
}

fn launch(jars: &Path, settings: &Path, port: u16) -> Launch {
    let mut args = java(jars, settings, "kafka.Kafka");
    args.push(settings.into());
    Launch { name: NAME, program: "java", args, port, ready: "Kafka Server started" }
}

fn java(jars: &Path, settings: &Path, main_class: &str) -> Vec<OsString> {
    let logging = settings.with_file_name(LOGGING_FILE);
    let mut args: Vec<OsString> = JVM.map(OsString::from).to_vec();
    args.push(format!("-Dlog4j2.configurationFile={}", logging.display()).into());
    args.push("-cp".into());
    args.push(jars.join("*").into());
    args.push(main_class.into());
    args
}

//! The servers answer, come back with their data after a crash, and leave nothing behind.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anabranch_infra::{InfraError, Kafka, Redis};
use rustix::process::{Pid, Signal, kill_process};

const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn kafka_answers_and_comes_back_after_a_kill() {
    let kafka = Kafka::start().unwrap();
    ask_kafka(&kafka.brokers()).unwrap();
    let (brokers, first) = (kafka.brokers(), kafka.pid());
    kafka.kill().unwrap();
    assert!(!runs(first));
    assert!(ask_kafka(&brokers).is_err());
    kafka.restart().unwrap();
    assert_eq!(kafka.brokers(), brokers);
    assert_ne!(kafka.pid(), first);
    ask_kafka(&brokers).unwrap();
}

#[test]
fn a_paused_kafka_answers_later() {
    let kafka = Kafka::start().unwrap();
    kafka.pause().unwrap();
    assert!(ask_kafka(&kafka.brokers()).is_err());
    kafka.resume().unwrap();
    ask_kafka(&kafka.brokers()).unwrap();
}

#[test]
fn a_wrong_setting_is_an_error_that_shows_the_log() {
    let error = Kafka::start_with(&[("num.io.threads", "many")]).err().unwrap();
    assert!(matches!(error, InfraError::Ended { .. }), "{error}");
    assert!(error.to_string().contains("num.io.threads"), "{error}");
}

#[test]
fn kafka_leaves_nothing_behind() {
    let kafka = Kafka::start().unwrap();
    let (pid, data) = (kafka.pid(), kafka.data().to_owned());
    assert!(runs(pid) && data.is_dir());
    drop(kafka);
    assert!(!runs(pid) && !data.exists());
}

#[test]
fn redis_keeps_its_data_over_a_kill() {
    // With `everysec` what was acknowledged waits in the memory of the server while the disk is slow.
    let redis = Redis::start_with(&[("appendfsync", "always")]).unwrap();
    assert_eq!(ask_redis(redis.port(), "PING").unwrap(), "+PONG");
    assert_eq!(ask_redis(redis.port(), "SET river Anabranch").unwrap(), "+OK");
    redis.kill().unwrap();
    assert!(ask_redis(redis.port(), "PING").is_err());
    assert!(redis.pause().is_err());
    redis.restart().unwrap();
    assert_eq!(ask_redis(redis.port(), "STRLEN river").unwrap(), ":9");
}

#[test]
fn redis_takes_other_settings() {
    let redis = Redis::start_with(&[("maxmemory-policy", "allkeys-lru")]).unwrap();
    let policy = ask_redis(redis.port(), "CONFIG GET maxmemory-policy").unwrap();
    assert!(policy.ends_with("allkeys-lru"), "{policy}");
}

#[test]
fn redis_leaves_nothing_behind_even_when_paused() {
    let redis = Redis::start().unwrap();
    let (pid, data) = (redis.pid(), redis.data().to_owned());
    redis.pause().unwrap();
    assert!(ask_redis(redis.port(), "PING").is_err());
    drop(redis);
    assert!(!runs(pid) && !data.exists());
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let redis = std::thread::spawn(|| Redis::start().unwrap()).join().unwrap();
    sleep(Duration::from_millis(200));
    assert_eq!(ask_redis(redis.port(), "PING").unwrap(), "+PONG");
}

#[test]
fn infra_up_stops_both_when_told() {
    let up = Up::start();
    kill_process(Pid::from_child(&up.process), Signal::TERM).unwrap();
    up.assert_nothing_left(true);
}

#[test]
fn infra_up_leaves_nothing_behind_when_killed() {
    let mut up = Up::start();
    up.process.kill().unwrap();
    up.assert_nothing_left(false);
}

/// `infra up --json` in a folder of its own for temporary files.
struct Up {
    process: Child,
    folder: tempfile::TempDir,
    brokers: String,
    redis: u16,
}

impl Up {
    fn start() -> Up {
        let folder = tempfile::tempdir().unwrap();
        let mut process = Command::new(env!("CARGO_BIN_EXE_infra"))
            .args(["up", "--json"])
            .env("TMPDIR", folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let fields: Vec<&str> = line.split('"').collect();
        let redis = fields[7].strip_prefix("redis://127.0.0.1:").unwrap().parse().unwrap();
        let up = Up { process, folder, brokers: fields[3].to_owned(), redis };
        ask_kafka(&up.brokers).unwrap();
        ask_redis(up.redis, "PING").unwrap();
        assert_eq!(entries(up.folder.path()).len(), 2);
        up
    }

    fn assert_nothing_left(mut self, success: bool) {
        assert_eq!(self.process.wait().unwrap().success(), success);
        // A killed process may take a moment to give its port back.
        let start = Instant::now();
        while (self.answers() || !entries(self.folder.path()).is_empty()) && start.elapsed() < PATIENCE {
            sleep(Duration::from_millis(20));
        }
        assert_eq!(entries(self.folder.path()), Vec::<PathBuf>::new());
        assert!(!self.answers());
    }

    fn answers(&self) -> bool {
        TcpStream::connect(&self.brokers).is_ok() || ask_redis(self.redis, "PING").is_ok()
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let all = folder.read_dir().unwrap();
    all.map(|entry| entry.unwrap().path()).collect()
}

fn runs(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// The answer to an inline command, short enough to come in one piece.
fn ask_redis(port: u16, command: &str) -> io::Result<String> {
    let mut stream = connect(&format!("127.0.0.1:{port}"))?;
    stream.write_all(format!("{command}\r\n").as_bytes())?;
    let mut answer = [0; 512];
    let length = stream.read(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer[..length]).trim_end().to_owned())
}

/// An ApiVersions request, version 0: length, API key 18, version, correlation id, no client id. The answer begins with
/// its length and the same correlation id.
fn ask_kafka(brokers: &str) -> io::Result<()> {
    let mut stream = connect(brokers)?;
    stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 7, 0xff, 0xff])?;
    let mut answer = [0; 8];
    stream.read_exact(&mut answer)?;
    assert_eq!(answer[4..], [0, 0, 0, 7]);
    Ok(())
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    Ok(stream)
}

//! Running the binary as a user does.
#![allow(dead_code)] // Each test binary uses a part of it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A command line of the binary under test.
pub fn anabranch(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_anabranch"));
    command.args(args).env_remove("ANABRANCH_API_KEY").stdin(Stdio::null());
    command
}

/// Runs to the end.
pub fn output(args: &[&str]) -> Output {
    anabranch(args).output().expect("the binary runs")
}

/// What a successful run printed, a JSON value per line.
pub fn json_lines(output: &Output) -> Vec<serde_json::Value> {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}\n{text}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    text.lines().map(|line| serde_json::from_str(line).expect("--json prints JSON")).collect()
}

/// A process that is killed when the test ends, whatever becomes of the test.
pub struct Running(pub Child);

impl Running {
    /// Starts a long-running command; its stderr goes to a file in `dir`.
    pub fn start(dir: &Path, args: &[&str]) -> Self {
        let log = File::create(dir.join(format!("{}.log", args[0]))).expect("the folder is there");
        let child = anabranch(args).env("ANABRANCH_LOG", "info").stdout(Stdio::null()).stderr(log).spawn();
        Self(child.expect("the binary runs"))
    }

    /// Sends STOP, CONT or another signal by its name.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("kill").args(["-s", name, &self.0.id().to_string()]).status();
        assert!(sent.expect("`kill` is everywhere").success());
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.0.kill().expect("the process is ours");
        self.0.wait().expect("the process is ours");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A project folder with the given files.
pub fn project(dir: &Path, toml: &str, views: &[(&str, &str)]) {
    fs::create_dir_all(dir.join("views")).unwrap();
    fs::write(dir.join("anabranch.toml"), toml).unwrap();
    for (view, sql) in views {
        fs::write(dir.join("views").join(format!("{view}.sql")), sql).unwrap();
    }
}

/// A project that counts clicks by key, in a topic of one partition.
pub fn clicks(name: &str) -> String {
    format!(
        r#"
[project]
name = "{name}"
[sources.clicks]
topic = "clicks"
format = "json"
event_time = "ts"
lateness = "30 seconds"
partitions = 1
[sources.clicks.columns]
k = "VARCHAR"
ts = "TIMESTAMP NOT NULL"
[views.v]
"#
    )
}

/// The views of [`clicks`].
pub const CLICKS_VIEWS: [(&str, &str); 1] = [("v", "SELECT k, count(*) AS c FROM clicks GROUP BY k")];

/// Root of the checkout.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("cli lies in the workspace").to_owned()
}

/// Waits until `condition` gives something.
pub fn eventually<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until a process has the embedded parts of the project in `dir` and serves their API, and returns its
/// address. A command that comes before would take the parts itself.
pub fn api_of(dir: &Path) -> String {
    eventually("the API of the process that holds the embedded parts", || {
        let holder = fs::read(dir.join("data/embedded.lock")).ok()?;
        serde_json::from_slice::<serde_json::Value>(&holder).ok()?["api"].as_str().map(str::to_owned)
    })
}

/// A small deterministic generator, so that a failing run can be repeated from its seed.
pub struct Seeded(pub u64);

impl Seeded {
    /// A seed from the clock, printed.
    #[expect(clippy::disallowed_methods, reason = "each run tries other moments")]
    pub fn new() -> Self {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
        Self(seed)
    }

    /// A number below `n` (splitmix64).
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

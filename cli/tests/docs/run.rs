//! Running a page as its reader does.
//!
//! Each command is run by `sh`, with the binary under test first in the PATH, and has to end with 0. `cd
//! DIR` alone on its line moves the commands and files that follow. A command that ends in ` &` runs until
//! `kill %1`, or until the page ends; its output is not compared. Port 8080 is a free one instead.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::output::agrees;
use crate::page::{Page, Step};
use crate::support::Running;

const PORT: &str = "8080";

/// Runs all of the page, and says what was not as the page shows it.
pub fn page(page: &Page) -> Vec<String> {
    let (dir, port) = (tempfile::tempdir().unwrap(), free_port());
    let mut reader = Reader { folder: dir.path().to_owned(), background: Vec::new() };
    let mut wrong = Vec::new();
    for step in &page.steps {
        match on_port(step, &port) {
            Step::Command { line, expected } => {
                let found = reader.command(&line, &expected).err();
                wrong.extend(found.map(|cause| format!("{}: $ {line}\n{cause}", page.path.display())));
            }
            file => file.write(&reader.folder),
        }
    }
    wrong
}

/// A port that nobody listens on now.
fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
    listener.local_addr().unwrap().port().to_string()
}

fn on_port(step: &Step, port: &str) -> Step {
    let on = |text: &String| text.replace(PORT, port);
    match step {
        Step::File { name, text, append } => Step::File { name: name.clone(), text: on(text), append: *append },
        Step::Command { line, expected } => {
            Step::Command { line: on(line), expected: expected.iter().map(on).collect() }
        }
    }
}

struct Reader {
    /// Where the commands run.
    folder: PathBuf,
    background: Vec<Running>,
}

impl Reader {
    fn command(&mut self, line: &str, expected: &[String]) -> Result<(), String> {
        if let Some(folder) = line.strip_prefix("cd ") {
            self.folder.push(folder);
            return Ok(());
        }
        if line == "kill %1" {
            return self.stop();
        }
        match line.strip_suffix(" &") {
            Some(line) => self.start(line),
            None => self.run(line, expected),
        }
    }

    fn start(&mut self, line: &str) -> Result<(), String> {
        let mut command = shell(&self.folder, &format!("exec {line}"));
        let child = command.stdout(Stdio::null()).stderr(Stdio::inherit()).spawn();
        self.background.push(Running(child.map_err(|error| error.to_string())?));
        Ok(())
    }

    /// Ends what was started last, as Ctrl-C would, and waits for it.
    fn stop(&mut self) -> Result<(), String> {
        let mut running = self.background.pop().ok_or("nothing runs in the background")?;
        running.signal("TERM");
        running.0.wait().map(drop).map_err(|error| error.to_string())
    }

    fn run(&self, line: &str, expected: &[String]) -> Result<(), String> {
        // A subshell, so that stdout and stderr come in the order in which they were written.
        let output = shell(&self.folder, &format!("( {line}\n) 2>&1")).output().map_err(|error| error.to_string())?;
        let printed = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<String> = printed.lines().map(str::to_owned).collect();
        if !output.status.success() {
            return Err(format!("{}\n{printed}", output.status));
        }
        let is_shown = expected.is_empty() || agrees(expected, &lines);
        if is_shown { Ok(()) } else { Err(format!("shown:\n{}\nprinted:\n{printed}", expected.join("\n"))) }
    }
}

fn shell(folder: &Path, line: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", line]).current_dir(folder).env("PATH", path()).stdin(Stdio::null());
    for variable in ["ANABRANCH_API_KEY", "ANABRANCH_BROKERS", "ANABRANCH_REDIS", "ANABRANCH_PROJECT"] {
        command.env_remove(variable);
    }
    command
}

/// The PATH with the folder of the binary under test in front.
fn path() -> std::ffi::OsString {
    let binary = Path::new(env!("CARGO_BIN_EXE_anabranch"));
    let own = binary.parent().expect("a binary lies in a folder").to_owned();
    let others = std::env::var_os("PATH").unwrap_or_default();
    std::env::join_paths([own].into_iter().chain(std::env::split_paths(&others))).expect("a PATH that was one")
}

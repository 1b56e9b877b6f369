use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

/// Reads the pid of the server, or nothing while there is none, and acts when its input ends.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
pid=
while read -r line; do pid=$line; done
[ -z "$pid" ] || kill -KILL "$pid"
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"#;

/// A small process that outlives this one, however this one ends, and then removes the server and its data.
///
/// It waits on a pipe, which the kernel closes with the process. A parent-death signal would not do: it is sent when the
/// *thread* that started the server ends, and a test's thread ends before the server that it shares with others. A
/// server in a `static`, which is never dropped, ends this way too.
pub(crate) struct Keeper {
    shell: Child,
    orders: Option<ChildStdin>,
}

impl Keeper {
    pub(crate) fn watch(data: &Path) -> io::Result<Keeper> {
        let mut shell = Command::new("sh")
            .args(["-c", SCRIPT, "keeper"])
            .arg(data)
            // Out of reach of signals to the group of this process.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let orders = shell.stdin.take();
        Ok(Keeper { shell, orders })
    }

    pub(crate) fn guard(&mut self, pid: u32) -> io::Result<()> {
        self.tell(&pid.to_string())
    }

    /// The pid is free for other processes from here on.
    pub(crate) fn release(&mut self) -> io::Result<()> {
        self.tell("")
    }

    fn tell(&mut self, line: &str) -> io::Result<()> {
        let orders = self.orders.as_mut().expect("open until drop");
        writeln!(orders, "{line}")
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        let _ = self.shell.wait();
    }
}

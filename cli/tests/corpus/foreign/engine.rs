//! DuckDB behind a pipe, started once and asked many times.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, ensure};
use serde::Deserialize;

/// The rows of an answer, each value as DuckDB prints it.
pub type Rows = Vec<Vec<Option<String>>>;

pub struct Engine {
    child: Child,
    statements: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// Where events are handed over.
    folder: tempfile::TempDir,
    tables: usize,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Answer {
    Rows { rows: Rows },
    Error { error: String },
}

impl Engine {
    pub fn start() -> anyhow::Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus/foreign/run");
        let mut child = Command::new(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let statements = child.stdin.take();
        let answers = BufReader::new(child.stdout.take().context("the pipe is there")?);
        let mut engine = Self { child, statements, answers, folder: tempfile::tempdir()?, tables: 0 };
        engine.run("SELECT 1").context("DuckDB does not start; cli/tests/corpus/foreign/run installs it with pip")?;
        Ok(engine)
    }

    /// Answers in the order of the statements; an error is one of DuckDB's.
    pub fn answers(&mut self, statements: &[String]) -> anyhow::Result<Vec<Result<Rows, String>>> {
        let pipe = self.statements.as_mut().context("the pipe is open")?;
        writeln!(pipe, "{}", serde_json::to_string(statements)?)?;
        pipe.flush()?;
        let mut line = String::new();
        ensure!(self.answers.read_line(&mut line)? > 0, "DuckDB has ended; it was asked {statements:?}");
        let answers: Vec<Answer> = serde_json::from_str(&line)?;
        let result = |answer| match answer {
            Answer::Rows { rows } => Ok(rows),
            Answer::Error { error } => Err(error),
        };
        Ok(answers.into_iter().map(result).collect())
    }

    /// Runs a statement that must succeed.
    pub fn run(&mut self, statement: &str) -> anyhow::Result<Rows> {
        let answer = self.answers(&[statement.to_owned()])?.remove(0);
        answer.map_err(|error| anyhow::anyhow!("{error}: {statement}"))
    }

    /// A new table with these columns, of a name and a type, and rows of text; its name.
    pub fn table(&mut self, columns: &[(String, String)], rows: &[Vec<Option<String>>]) -> anyhow::Result<String> {
        self.tables += 1;
        let name = format!("t{}", self.tables);
        let list = |each: &dyn Fn(usize, &(String, String)) -> String| {
            columns.iter().enumerate().map(|(i, column)| each(i, column)).collect::<Vec<_>>().join(", ")
        };
        self.run(&format!("CREATE TABLE {name} ({})", list(&|_, (name, kind)| format!("\"{name}\" {kind}"))))?;
        if rows.is_empty() {
            return Ok(name);
        }
        let file = self.folder.path().join(&name);
        let line = |row: &Vec<Option<String>>| {
            let cells = row.iter().enumerate().map(|(i, cell)| (format!("c{i}"), serde_json::json!(cell)));
            serde_json::Value::Object(cells.collect()).to_string()
        };
        std::fs::write(&file, rows.iter().map(line).collect::<Vec<_>>().join("\n"))?;
        self.run(&format!(
            "INSERT INTO {name} SELECT {} FROM read_json('{}', format = 'newline_delimited', columns = {{{}}})",
            list(&|i, (_, kind)| format!("CAST(c{i} AS {kind})")),
            file.display(),
            list(&|i, _| format!("c{i}: 'VARCHAR'")),
        ))?;
        std::fs::remove_file(file)?;
        Ok(name)
    }

    pub fn drop_table(&mut self, name: &str) -> anyhow::Result<()> {
        self.run(&format!("DROP TABLE {name}")).map(drop)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.statements.take());
        let _ = self.child.wait();
    }
}

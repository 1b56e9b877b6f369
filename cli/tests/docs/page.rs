//! A page taken apart.
//!
//! - `<!-- run -->` on the first line: the page is run.
//! - `<!-- file: NAME -->` before a fenced block: the block is this file, relative to the folder that the
//!   commands before it have gone to. `<!-- append: NAME -->` adds the block to the file.
//! - a block fenced as `console`: a line beginning with `$ ` is a command; what stands below is what it
//!   prints, stdout and stderr together ([`crate::output`]). Nothing below means that the output does not matter.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

pub struct Page {
    pub path: PathBuf,
    pub text: String,
    pub is_run: bool,
    pub steps: Vec<Step>,
}

#[derive(Debug, PartialEq)]
pub enum Step {
    File { name: String, text: String, append: bool },
    Command { line: String, expected: Vec<String> },
}

impl Page {
    pub fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let is_run = text.lines().next() == Some("<!-- run -->");
        let steps = steps(&text).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()));
        Self { path: path.to_owned(), text, is_run, steps }
    }

    /// The file's name, without its folder.
    pub fn name(&self) -> String {
        self.path.file_name().expect("a page is a file").to_string_lossy().into_owned()
    }

    /// The lines that do not stand in a fenced block.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut fenced = false;
        self.text.lines().filter(move |line| {
            let is_fence = line.starts_with("```");
            fenced ^= is_fence;
            !fenced && !is_fence
        })
    }
}

impl Step {
    /// Writes the file into `dir`; a command is nothing to write.
    pub fn write(&self, dir: &Path) {
        let Step::File { name, text, append } = self else { return };
        let path = dir.join(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).unwrap();
        let mut open = OpenOptions::new();
        let opened = open.create(true).write(true).append(*append).truncate(!*append).open(&path);
        opened.and_then(|mut file| file.write_all(text.as_bytes())).unwrap();
    }
}

/// A file that a comment names, and whether the block is added to it.
fn named(line: &str) -> Option<(String, bool)> {
    let comment = line.strip_prefix("<!-- ")?.strip_suffix(" -->")?;
    let file = |mark| comment.strip_prefix(mark).map(str::to_owned);
    file("file: ").map(|name| (name, false)).or_else(|| file("append: ").map(|name| (name, true)))
}

fn steps(text: &str) -> Result<Vec<Step>, String> {
    let (mut steps, mut pending) = (Vec::new(), None);
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
            match pending.take() {
                Some((name, append)) => steps.push(Step::File { name, text: block.join("\n") + "\n", append }),
                None if language == "console" => steps.extend(commands(&block)?),
                None => {}
            }
        } else if let Some(file) = named(line) {
            pending = Some(file);
        } else if let Some((name, _)) = &pending {
            return Err(format!("the comment that names {name} has to stand directly before a fenced block"));
        }
    }
    Ok(steps)
}

fn commands(block: &[&str]) -> Result<Vec<Step>, String> {
    let mut commands: Vec<Step> = Vec::new();
    for line in block {
        if let Some(line) = line.strip_prefix("$ ") {
            commands.push(Step::Command { line: line.to_owned(), expected: Vec::new() });
        } else if let Some(Step::Command { expected, .. }) = commands.last_mut() {
            expected.push((*line).to_owned());
        } else {
            return Err(format!("a block of commands begins with '{line}', not with '$ '"));
        }
    }
    Ok(commands)
}

#[test]
fn a_page_is_taken_apart() {
    let text = "# A\n\n<!-- file: a/b.csv -->\n```csv\nx\n1\n```\n\n```console\n$ cat a/b.csv\nx\n...\n$ true\n```\n```sh\nno\n```\n";
    let file = Step::File { name: "a/b.csv".to_owned(), text: "x\n1\n".to_owned(), append: false };
    let cat = Step::Command { line: "cat a/b.csv".to_owned(), expected: vec!["x".to_owned(), "...".to_owned()] };
    let last = Step::Command { line: "true".to_owned(), expected: Vec::new() };
    assert_eq!(steps(text), Ok(vec![file, cat, last]));
    assert!(steps("<!-- file: a -->\nprose\n").is_err());
    assert!(steps("```console\noutput\n```\n").is_err());
}

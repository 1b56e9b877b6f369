//! One JSON event a line, taken as it is.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};

use anabranch_model::project::Source;
use anyhow::{Context, ensure};

use super::input::Input;
use super::names;
use super::row::{BYTE_ORDER_MARK, Row, field_names};

const BUFFER_BYTES: usize = 256 << 10;

/// A longer line is taken for a file of another format, rather than read into memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// Distinct names of fields that are looked at: a file whose names are data has any number of them.
const MAX_NAMES: usize = 1000;

/// How many lines the file has. A declared column that no line has is refused or warned of, as one that a header has
/// not.
pub fn check(source: &Source, input: &Input) -> anyhow::Result<u64> {
    let mut lines = Lines::open(input)?;
    let (mut line, mut names) = (Vec::new(), Names::of(source));
    while lines.read(&mut line)? {
        names.see(&line);
    }
    let seen: Vec<&str> = names.seen.iter().map(String::as_str).collect();
    if !seen.is_empty() {
        names::check_near(source, &input.name, &seen)?;
        names::warn_of_absent(source, &input.name, &seen);
    }
    Ok(lines.number)
}

/// The names of the fields of all lines, until every declared column has been seen.
struct Names<'a> {
    absent: BTreeSet<&'a str>,
    /// In the order in which they come first.
    seen: Vec<String>,
}

impl<'a> Names<'a> {
    fn of(source: &'a Source) -> Self {
        Self { absent: source.payload_columns().map(|column| column.name.as_str()).collect(), seen: Vec::new() }
    }

    fn see(&mut self, line: &[u8]) {
        if self.absent.is_empty() {
            return;
        }
        for name in field_names(line).unwrap_or_default() {
            let declared = self.absent.remove(name.as_str());
            if declared || (self.seen.len() < MAX_NAMES && !self.seen.contains(&name)) {
                self.seen.push(name);
            }
        }
    }
}

/// The lines as events. Blank lines are none, but they count when lines are numbered.
pub fn rows<'a>(
    source: &'a Source,
    input: &Input,
) -> anyhow::Result<impl Iterator<Item = anyhow::Result<Row>> + use<'a>> {
    let lines = Lines::open(input)?;
    Ok(lines.filter_map(|line| match line {
        Ok((_, line)) if line.trim_ascii().is_empty() => None,
        Ok((number, line)) => Some(Ok(Row::new(source, number, line))),
        Err(error) => Some(Err(error)),
    }))
}

struct Lines {
    name: String,
    text: BufReader<Box<dyn Read>>,
    /// Of the next line, from 0.
    number: u64,
}

impl Lines {
    fn open(input: &Input) -> anyhow::Result<Self> {
        let text = BufReader::with_capacity(BUFFER_BYTES, input.open()?);
        Ok(Self { name: input.name.clone(), text, number: 0 })
    }

    /// Reads the next line without its end; false at the end of the file.
    fn read(&mut self, line: &mut Vec<u8>) -> anyhow::Result<bool> {
        line.clear();
        let place = || format!("{}:{}", self.name, self.number + 1);
        let mut limited = self.text.by_ref().take(MAX_LINE_BYTES);
        let read = limited.read_until(b'\n', line).with_context(place)?;
        ensure!((read as u64) < MAX_LINE_BYTES, "{}: the line is longer than {MAX_LINE_BYTES} bytes", place());
        if line.pop_if(|byte| *byte == b'\n').is_some() {
            line.pop_if(|byte| *byte == b'\r');
        }
        if self.number == 0 && line.starts_with(BYTE_ORDER_MARK) {
            line.drain(..BYTE_ORDER_MARK.len());
        }
        self.number += u64::from(read > 0);
        Ok(read > 0)
    }
}

impl Iterator for Lines {
    type Item = anyhow::Result<(u64, Vec<u8>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let (number, mut line) = (self.number, Vec::new());
        match self.read(&mut line) {
            Ok(true) => Some(Ok((number, line))),
            Ok(false) => None,
            Err(error) => Some(Err(error)),
        }
    }
}

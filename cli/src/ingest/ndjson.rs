//! One JSON event a line, taken as it is.

use std::io::{BufRead, BufReader, Read};

use anabranch_shared::project::Source;
use anyhow::{Context, ensure};

use super::input::Input;
use super::row::Row;

const BUFFER_BYTES: usize = 256 << 10;

/// A longer line is taken for a file of another format, rather than read into memory.
const MAX_LINE_BYTES: u64 = 16 << 20;

/// What some programs write before UTF-8 text; it is no part of it (RFC 8259, 8.1).
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// How many lines the file has.
pub fn check(input: &Input) -> anyhow::Result<u64> {
    let mut lines = Lines::open(input)?;
    let mut line = Vec::new();
    while lines.read(&mut line)? {}
    Ok(lines.number)
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

//! Where the next page begins, as text: the generation in decimal, a dot, the last row in hexadecimal.

use std::fmt::Write;

use anabranch_model::position::Generation;
use anabranch_view::ViewPlan;

use crate::failure::Failure;
use crate::group_id::RowId;

/// A cursor as it came from the caller; the row is checked against the generation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub generation: Generation,
    row: Vec<u8>,
}

impl Cursor {
    pub fn new(generation: Generation, last: &RowId) -> Self {
        Self { generation, row: last.bytes() }
    }

    pub fn parse(text: &str) -> Result<Self, Failure> {
        let read = || {
            let (generation, row) = text.split_once('.')?;
            Some(Self { generation: Generation(generation.parse().ok()?), row: from_hex(row)? })
        };
        read().ok_or_else(invalid)
    }

    /// The row after which the page begins.
    pub fn row(&self, plan: &ViewPlan) -> Result<RowId, Failure> {
        RowId::parse(&self.row, plan).map_err(|_| invalid())
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.generation, to_hex(&self.row))
    }
}

fn invalid() -> Failure {
    Failure::bad("'cursor' is not one that this view gave out", "pass the cursor of the page before, or none")
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string cannot fail");
        text
    })
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text.chars().map(|c| c.to_digit(16).map(|digit| digit as u8)).collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    pairs.remainder().is_empty().then(|| pairs.map(|pair| pair[0] << 4 | pair[1]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_others_are_refused() {
        let cursor = Cursor::new(Generation(7), &RowId::new(b"\x01ada\0\0", (60_000_000, 120_000_000)));
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        for text in ["", "7", "7.", ".00", "7.0", "7.zz", "seven.00", "7.00\u{e9}"] {
            let parsed = Cursor::parse(text);
            assert!(parsed.is_err() || text == "7.", "{text}: {parsed:?}");
        }
    }
}

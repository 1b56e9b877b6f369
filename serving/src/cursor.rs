//! Where the next page begins, as text: the generation in decimal, a dot, the last group in hexadecimal.

use std::fmt::Write;

use anabranch_shared::position::Generation;
use anabranch_shared::view::ViewPlan;

use crate::failure::Failure;
use crate::group_id::GroupId;

/// A cursor as it came from the caller; the group is checked against the generation's plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub generation: Generation,
    group: Vec<u8>,
}

impl Cursor {
    pub fn new(generation: Generation, last: &GroupId) -> Self {
        Self { generation, group: last.bytes().to_vec() }
    }

    pub fn parse(text: &str) -> Result<Self, Failure> {
        let read = || {
            let (generation, group) = text.split_once('.')?;
            Some(Self { generation: Generation(generation.parse().ok()?), group: from_hex(group)? })
        };
        read().ok_or_else(invalid)
    }

    /// The group after which the page begins.
    pub fn group(&self, plan: &ViewPlan) -> Result<GroupId, Failure> {
        GroupId::parse(self.group.clone(), plan).map_err(|_| invalid())
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.generation, to_hex(&self.group))
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
    use anabranch_shared::position::Pane;

    use super::*;

    #[test]
    fn a_cursor_survives_its_text_and_others_are_refused() {
        let cursor = Cursor::new(Generation(7), &GroupId::new(Pane(60_000_000), b"\x01ada\0\0"));
        assert_eq!(Cursor::parse(&cursor.to_string()), Ok(cursor));
        for text in ["", "7", "7.", ".00", "7.0", "7.zz", "seven.00", "7.00\u{e9}"] {
            let parsed = Cursor::parse(text);
            assert!(parsed.is_err() || text == "7.", "{text}: {parsed:?}");
        }
    }
}

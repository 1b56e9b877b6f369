//! One JSON object, read once from its bytes: which columns it names and what is written there.
//!
//! The grammar is RFC 8259 to the letter. Of two equal names the first counts, as in the JSON functions
//! of views, which read with the same parser.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use jiter::{Jiter, JiterError, Peek};

/// What is written for a column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'e> {
    Null,
    Boolean(bool),
    /// A number, as it is written.
    Number(&'e str),
    /// A string, without its escapes.
    Text(&'e str),
    Array,
    Object,
    /// Not in the event: when the log took it, in milliseconds since 1970.
    LogTime(i64),
}

/// The names that an event may hold, with the columns that they stand for.
#[derive(Clone, Debug)]
pub(super) struct Names {
    /// In the order of declaration, in which events often hold them.
    ordered: Vec<(String, usize)>,
    positions: HashMap<String, usize, FixedState>,
}

impl Names {
    pub fn new(ordered: Vec<(String, usize)>) -> Self {
        let positions = ordered.iter().enumerate().map(|(position, (name, _))| (name.clone(), position)).collect();
        Self { ordered, positions }
    }

    /// The position of `name` in the order of declaration; the guess is tried first.
    fn position(&self, name: &str, guess: usize) -> Option<usize> {
        match self.ordered.get(guess) {
            Some((guessed, _)) if guessed == name => Some(guess),
            _ => self.positions.get(name).copied(),
        }
    }
}

/// Takes the values of the columns that an event names, one by one.
pub(super) trait Row {
    /// Whether the event has named this column before.
    fn is_named(&self, column: usize) -> bool;
    fn take(&mut self, column: usize, value: Value<'_>);
}

/// Reads an event into `row`; errors with the reason if it is not exactly one JSON object.
pub(super) fn read(payload: &[u8], names: &Names, row: &mut impl Row) -> Result<(), String> {
    // The parser does not look at what it passes over.
    let text = std::str::from_utf8(payload).map_err(|error| format!("the event is not UTF-8: {error}"))?;
    let mut json = Jiter::new(text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text).as_bytes());
    match json.peek() {
        Ok(Peek::Object) => read_object(&mut json, names, row).map_err(|error| reason(&error)),
        Ok(_) => Err(NOT_ONE_OBJECT.to_owned()),
        Err(_) => Err("the event is empty".to_owned()),
    }?;
    json.finish().map_err(|_| NOT_ONE_OBJECT.to_owned())
}

/// Some producers write it in front of each text; RFC 8259 (8.1) lets a reader ignore it.
const BYTE_ORDER_MARK: char = '\u{feff}';
const NOT_ONE_OBJECT: &str = "the event is not exactly one JSON object";

fn reason(error: &JiterError) -> String {
    format!("the event is not JSON: {} at byte {}", error.error_type, error.index + 1)
}

fn read_object(json: &mut Jiter<'_>, names: &Names, row: &mut impl Row) -> Result<(), JiterError> {
    let mut guess = 0;
    let mut name = json.known_object()?.map(|name| names.position(name, guess));
    while let Some(position) = name {
        let value = json.peek()?;
        match position.map(|position| names.ordered[position].1) {
            Some(column) if !row.is_named(column) => read_value(json, value, column, row)?,
            _ => json.known_skip(value)?,
        }
        guess = position.map_or(guess, |position| position + 1);
        name = json.next_key()?.map(|name| names.position(name, guess));
    }
    Ok(())
}

fn read_value(json: &mut Jiter<'_>, value: Peek, column: usize, row: &mut impl Row) -> Result<(), JiterError> {
    match value {
        Peek::String => row.take(column, Value::Text(json.known_str()?)),
        Peek::Null => {
            json.known_null()?;
            row.take(column, Value::Null);
        }
        Peek::True | Peek::False => row.take(column, Value::Boolean(json.known_bool(value)?)),
        Peek::Array | Peek::Object => {
            json.known_skip(value)?;
            row.take(column, if value == Peek::Array { Value::Array } else { Value::Object });
        }
        _ => {
            let number = std::str::from_utf8(json.known_number_bytes(value)?).expect("digits are ASCII");
            row.take(column, Value::Number(number));
        }
    }
    Ok(())
}

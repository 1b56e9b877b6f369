use std::fmt;

use anabranch_shared::partitioner::key_bytes;
use anabranch_shared::project::Source;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// A row of a file as the event that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in the file, from 0.
    pub number: u64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// The payload is not a JSON object.
    pub malformed: bool,
}

/// Rows in the order of the file.
pub type Rows<'a> = Box<dyn Iterator<Item = anyhow::Result<Row>> + 'a>;

impl Row {
    /// The event `payload`. The key is read from the payload itself, whatever the file's format, so
    /// that it is the one that every other way into the log gives this event.
    pub fn new(source: &Source, number: u64, payload: Vec<u8>) -> Self {
        match key_columns(source, &payload) {
            Some(columns) => Self { number, key: key_bytes(source, &columns), payload, malformed: false },
            None => Self { number, key: Vec::new(), payload, malformed: true },
        }
    }
}

/// The key columns of the JSON object `payload`, if it is one.
fn key_columns(source: &Source, payload: &[u8]) -> Option<Map<String, Value>> {
    // The parser does not look for invalid UTF-8 in what it passes over.
    let text = std::str::from_utf8(payload).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let columns = KeyColumns(&source.key).deserialize(&mut json).ok()?;
    json.end().ok().map(|()| columns)
}

/// Keeps the key columns and passes over the rest.
struct KeyColumns<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for KeyColumns<'_> {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for KeyColumns<'_> {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut columns = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            if self.0.contains(&name) {
                columns.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(columns)
    }
}

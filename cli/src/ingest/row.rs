use std::fmt;

use anabranch_model::partitioner::key_bytes;
use anabranch_model::project::Source;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{Map, Value};

/// What some programs write before UTF-8 text; it is no part of it (RFC 8259, 8.1).
pub const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A row of a file as the event that it becomes.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Position in the file, from 0.
    pub number: u64,
    pub key: Vec<u8>,
    pub payload: Vec<u8>,
    /// The payload is not a JSON object.
    pub malformed: bool,
    /// Why the source rejects the event; known once the row has been decoded.
    pub rejection: Option<String>,
}

/// Rows in the order of the file.
pub type Rows<'a> = Box<dyn Iterator<Item = anyhow::Result<Row>> + 'a>;

impl Row {
    /// The event `payload`. The key is read from the payload itself, whatever the file's format, so
    /// that it is the one that every other way into the log gives this event.
    pub fn new(source: &Source, number: u64, payload: Vec<u8>) -> Self {
        let columns = key_columns(source, &payload);
        let malformed = columns.is_none();
        let key = columns.map(|columns| key_bytes(source, &columns)).unwrap_or_default();
        Self { number, key, payload, malformed, rejection: None }
    }
}

/// The key columns of the JSON object `payload`, if it is one. Of two equal names the first counts.
fn key_columns(source: &Source, payload: &[u8]) -> Option<Map<String, Value>> {
    fields(payload, |name| source.key.iter().any(|key| key == name)).map(|fields| fields.kept)
}

/// The names of the fields of the JSON object `payload`, if it is one.
pub fn field_names(payload: &[u8]) -> Option<Vec<String>> {
    fields(payload, |_| false).map(|fields| fields.others)
}

fn fields(payload: &[u8], is_kept: impl Fn(&str) -> bool) -> Option<Fields> {
    // The parser does not look for invalid UTF-8 in what it passes over.
    let text = std::str::from_utf8(payload.strip_prefix(BYTE_ORDER_MARK).unwrap_or(payload)).ok()?;
    let mut json = serde_json::Deserializer::from_str(text);
    let fields = Kept(is_kept).deserialize(&mut json).ok()?;
    json.end().ok().map(|()| fields)
}

/// The fields of an object.
#[derive(Default)]
struct Fields {
    kept: Map<String, Value>,
    /// Names of the fields whose values were passed over.
    others: Vec<String>,
}

/// Keeps the values of some fields and passes over the rest.
struct Kept<F>(F);

impl<'de, F: Fn(&str) -> bool> DeserializeSeed<'de> for Kept<F> {
    type Value = Fields;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, F: Fn(&str) -> bool> Visitor<'de> for Kept<F> {
    type Value = Fields;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Fields::default();
        while let Some(name) = map.next_key::<String>()? {
            if self.0(&name) && !fields.kept.contains_key(&name) {
                fields.kept.insert(name, map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
                fields.others.push(name);
            }
        }
        Ok(fields)
    }
}

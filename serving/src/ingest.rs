//! Events that arrive by HTTP, on their way into the log.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_model::log::NewEvent;
use anabranch_model::partitioner::{key_bytes, partition_of};
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::Source;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::state::Serving;

/// How a body holds its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BodyFormat {
    /// One JSON object a line.
    NdJson,
    /// One JSON object, or an array of them.
    Json,
}

/// Events that are durable in the log.
#[derive(Debug, Default)]
pub(crate) struct Acknowledged {
    pub events: usize,
    /// Next offset of each partition that received events.
    pub offsets: BTreeMap<Partition, Offset>,
}

impl Acknowledged {
    /// The offsets as a read takes them.
    pub fn at_least(&self) -> String {
        let pairs: Vec<String> = self.offsets.iter().map(|(partition, next)| format!("{partition}:{next}")).collect();
        pairs.join(",")
    }
}

impl Serving {
    /// Appends all events of a body, or none if one of them is not a JSON object.
    pub(crate) async fn ingest(
        &self,
        source: &Source,
        format: BodyFormat,
        body: &[u8],
    ) -> Result<Acknowledged, Failure> {
        let events = events(source, format, body)?;
        if events.is_empty() {
            return Ok(Acknowledged::default());
        }
        let partitions = self.parts.log.ensure_topic(&source.topic, source.partitions).await?;
        let events: Vec<NewEvent> = events.into_iter().map(|event| event.placed(partitions, &self.turn)).collect();
        let mut acknowledged = Acknowledged { events: events.len(), ..Acknowledged::default() };
        for (partition, offset) in self.parts.log.append(&source.topic, events).await? {
            let next = acknowledged.offsets.entry(partition).or_default();
            *next = (*next).max(Offset(offset.0 + 1));
        }
        Ok(acknowledged)
    }
}

/// An event with its key, byte for byte as it came: an amount is not rounded on its way in.
struct Event {
    key: Vec<u8>,
    payload: Vec<u8>,
}

impl Event {
    fn parse(source: &Source, text: &str) -> Result<Self, String> {
        let text = text.trim();
        let FirstOfEach(event) = serde_json::from_str(text).map_err(|error| error.to_string())?;
        Ok(Self { key: key_bytes(source, &event), payload: text.as_bytes().to_vec() })
    }

    /// Events without a key are spread over the partitions in turn.
    fn placed(self, partitions: u32, turn: &AtomicU64) -> NewEvent {
        let Self { key, payload } = self;
        let partition = if key.is_empty() {
            Partition((turn.fetch_add(1, Ordering::Relaxed) % u64::from(partitions)) as u32)
        } else {
            partition_of(&key, partitions)
        };
        NewEvent { partition, key, payload, origin: None }
    }
}

/// The fields of an object, the first of each name: the one that counts as the column's value, too.
struct FirstOfEach(Map<String, Value>);

impl<'de> Deserialize<'de> for FirstOfEach {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FirstOfEach(Map::new()))
    }
}

impl<'de> Visitor<'de> for FirstOfEach {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<Self, A::Error> {
        while let Some((name, value)) = fields.next_entry::<String, Value>()? {
            self.0.entry(name).or_insert(value);
        }
        Ok(self)
    }
}

fn events(source: &Source, format: BodyFormat, body: &[u8]) -> Result<Vec<Event>, Failure> {
    let text = std::str::from_utf8(body).map_err(|error| {
        Failure::bad(format!("the body is not UTF-8 at byte {}", error.valid_up_to()), "send JSON in UTF-8")
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match format {
        BodyFormat::NdJson => lines(source, text),
        BodyFormat::Json => elements(source, text),
    }
}

fn lines(source: &Source, text: &str) -> Result<Vec<Event>, Failure> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| Event::parse(source, line).map_err(|cause| refused("line", number + 1, &cause)))
        .collect()
}

fn elements(source: &Source, text: &str) -> Result<Vec<Event>, Failure> {
    if !text.trim_start().starts_with('[') {
        return Ok(vec![Event::parse(source, text).map_err(|cause| refused("element", 1, &cause))?]);
    }
    let elements: Vec<&RawValue> = serde_json::from_str(text)
        .map_err(|error| Failure::bad(format!("the body is not a JSON array: {error}"), "nothing was appended"))?;
    let parse = |(index, element): (usize, &RawValue)| {
        Event::parse(source, element.get()).map_err(|cause| refused("element", index + 1, &cause))
    };
    elements.into_iter().enumerate().map(parse).collect()
}

fn refused(what: &str, number: usize, cause: &str) -> Failure {
    let help = "nothing was appended; correct it and send the whole body again";
    Failure::bad(format!("{what} {number} is not one JSON object: {cause}"), help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_equal_names_is_kept_as_for_columns() {
        let FirstOfEach(fields) = serde_json::from_str(r#"{"a":1,"b":2,"\u0061":3,"b":null}"#).unwrap();
        assert_eq!(Value::Object(fields), serde_json::json!({"a": 1, "b": 2}));
        for text in ["[]", "1", r#"{"a":1,"a":}"#, r#"{"a":"\ud83d"}"#] {
            assert!(serde_json::from_str::<FirstOfEach>(text).is_err(), "{text}");
        }
    }
}

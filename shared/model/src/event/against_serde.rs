//! The decoder against serde_json, which shares no code with it.

use arrow::array::{Array, AsArray};
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;
use crate::log::Chunk;
use crate::position::{Offset, Partition};
use crate::project::{Column, INGESTION_TIME, Source};

/// Two texts and the log's time, so that every object is an event.
fn source() -> Source {
    let columns = ["a", "b"].map(|name| Column::parse(name, "VARCHAR").unwrap());
    Source {
        name: "s".into(),
        topic: "s".into(),
        partitions: 1,
        event_time: INGESTION_TIME.into(),
        lateness_us: 0,
        max_future_us: 0,
        key: vec![],
        columns: columns.into_iter().chain([Column::ingestion_time()]).collect(),
    }
}

type Texts = [Option<String>; 2];

fn decoded(payloads: &[&[u8]]) -> Vec<Option<Texts>> {
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    (0..).zip(payloads).for_each(|(offset, payload)| chunk.push(offset, 0, payload));
    let decoded = JsonDecoder::new(&source()).decode(&chunk).unwrap();
    let text = |column: usize, row: usize| {
        let texts = decoded.events.column(column).as_string::<i32>();
        texts.is_valid(row).then(|| texts.value(row).to_owned())
    };
    let row = |row: usize| decoded.event_times[row].map(|_| [text(0, row), text(1, row)]);
    (0..payloads.len()).map(row).collect()
}

/// An object's members in order, names unescaped and values as they are written.
struct Members<'p>(Vec<(String, &'p RawValue)>);

impl<'p> serde::Deserialize<'p> for Members<'p> {
    fn deserialize<D: serde::Deserializer<'p>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'p> serde::de::Visitor<'p> for Visitor {
            type Value = Members<'p>;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }

            fn visit_map<A: serde::de::MapAccess<'p>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// The same by serde_json: strings unescaped, other values as they are written, the first of equal names.
fn expected(payload: &[u8]) -> Option<Texts> {
    let text = std::str::from_utf8(payload).ok()?;
    let members = serde_json::from_str::<Members>(text.strip_prefix('\u{feff}').unwrap_or(text)).ok()?.0;
    if !members.iter().all(|(_, raw)| is_readable(raw)) {
        return None;
    }
    let first = |name: &str| members.iter().find(|(found, _)| found == name).map(|(_, raw)| raw.get());
    let mut texts = [None, None];
    for (text, raw) in texts.iter_mut().zip(["a", "b"].map(first)) {
        *text = match raw {
            None | Some("null") => None,
            Some(raw) if raw.starts_with(['[', '{']) => return None,
            Some(raw) if raw.starts_with('"') => Some(serde_json::from_str(raw).ok()?),
            Some(raw) => Some(raw.to_owned()),
        };
    }
    Some(texts)
}

/// Whether all strings of a well-formed value are text: serde_json looks at a surrogate only when it reads one.
fn is_readable(raw: &RawValue) -> bool {
    match raw.get().as_bytes()[0] {
        b'[' => {
            serde_json::from_str::<Vec<&RawValue>>(raw.get()).is_ok_and(|values| values.into_iter().all(is_readable))
        }
        b'{' => serde_json::from_str::<Members>(raw.get())
            .is_ok_and(|members| members.0.iter().all(|(_, raw)| is_readable(raw))),
        b'"' => serde_json::from_str::<String>(raw.get()).is_ok(),
        _ => true,
    }
}

/// `text` with the characters that `escaped` picks as escapes.
fn written(text: &str, escaped: &[bool]) -> String {
    let write = |(index, char): (usize, char)| {
        let must = char < ' ' || matches!(char, '"' | '\\');
        match must || escaped.get(index).copied().unwrap_or(false) {
            true => char.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect(),
            false => char.to_string(),
        }
    };
    format!("\"{}\"", text.chars().enumerate().map(write).collect::<String>())
}

#[test]
fn every_character_is_the_same_escaped_and_in_utf8() {
    let chars: Vec<char> = ('\0'..=char::MAX).collect();
    for chars in chars.chunks(4096) {
        let text: String = chars.iter().collect();
        let event = |escaped: bool| format!(r#"{{"a":{}}}"#, written(&text, &vec![escaped; chars.len()]));
        let found = decoded(&[event(true).as_bytes(), event(false).as_bytes()]);
        assert_eq!(found, vec![Some([Some(text), None]); 2]);
    }
}

#[test]
fn an_undeclared_field_however_deep_is_passed_over_or_rejected() {
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let event = |depth: usize| format!(r#"{{"x":{}1{},"a":1}}"#, open.repeat(depth), close.repeat(depth));
        let found = decoded(&[event(100).as_bytes(), event(1_000_000).as_bytes()]);
        assert_eq!(found, [Some([Some("1".to_owned()), None]), None]);
        let unclosed = open.repeat(1_000_000);
        assert_eq!(decoded(&[unclosed.as_bytes(), format!(r#"{{"x":{unclosed}"#).as_bytes()]), [None, None]);
    }
}

fn any_value() -> impl Strategy<Value = String> {
    let text = (any::<String>(), prop::collection::vec(any::<bool>(), 0..20))
        .prop_map(|(text, escaped)| written(&text, &escaped));
    let scalar = prop_oneof![
        3 => text,
        1 => r#""(\\u[dD][89a-fA-F][0-9a-f]{2}|\\[bfnrt"/\\]|\\u[0-9a-fA-F]{4}|x){0,4}""#,
        2 => "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,12})?([eE][-+]?[0-9]{1,3})?",
        1 => "[-+0-9.eE]{1,6}",
        1 => prop_oneof![Just("null"), Just("true"), Just("false"), Just("nul"), Just("NaN")].prop_map(str::to_owned),
    ];
    scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(|values| format!("[{}]", values.join(", "))),
            prop::collection::vec(inner, 0..3).prop_map(|values| {
                let members: Vec<String> = values.iter().map(|value| format!("\"a\" :{value}")).collect();
                format!("{{{}}}", members.join(" ,"))
            }),
        ]
    })
}

fn any_event() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just("\"a\""),
        Just("\"b\""),
        Just("\"\\u0061\""),
        Just("\"c\""),
        Just("\"\""),
        Just("\"\u{20bb7}\"")
    ];
    prop::collection::vec((name, any_value()), 0..5).prop_map(|members| {
        let members: Vec<String> = members.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

/// What objects are written with.
const WRITTEN: &[u8] = b"{}[]\":,\\ud8 0-.e\t\n\xef\xbb\xbf\xff";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn an_event_is_what_serde_json_reads(payload in any_event()) {
        prop_assert_eq!(&decoded(&[payload.as_bytes()])[0], &expected(payload.as_bytes()), "{}", payload);
    }

    #[test]
    fn damaged_bytes_are_what_serde_json_reads_or_rejected_as_it_does(
        payload in any_event(), damages in prop::collection::vec((any::<prop::sample::Index>(), 0..WRITTEN.len(), 0..3u8), 1..4),
    ) {
        let mut bytes = payload.into_bytes();
        for (at, pick, how) in damages {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.insert(at, WRITTEN[pick]),
                1 if at < bytes.len() => bytes[at] = WRITTEN[pick],
                _ => bytes.truncate(at.max(1)),
            }
        }
        prop_assert_eq!(&decoded(&[&bytes])[0], &expected(&bytes), "{}", String::from_utf8_lossy(&bytes));
    }
}

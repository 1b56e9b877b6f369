//! Decoding of times in all formats.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Date32Type, TimestampMicrosecondType};
use proptest::prelude::*;

use super::*;
use crate::cut::CutPoint;
use crate::log::Chunk;
use crate::position::{Offset, Partition};
use crate::project::{Column, ColumnType, INGESTION_TIME, Source};

/// One column of every format, the event time last.
const COLUMNS: [(&str, &str); 7] = [
    ("s", "TIMESTAMP FORMAT 'epoch_seconds'"),
    ("ms", "TIMESTAMP FORMAT 'epoch_millis'"),
    ("us", "TIMESTAMP(3) FORMAT 'epoch_micros'"),
    ("ns", "TIMESTAMP(6) FORMAT 'epoch_nanos'"),
    ("iso", "TIMESTAMP(0) FORMAT 'iso8601'"),
    ("day", "DATE"),
    ("at", "TIMESTAMP FORMAT 'epoch_millis' NOT NULL"),
];

fn source() -> Source {
    Source {
        name: "clicks".into(),
        topic: "clicks".into(),
        partitions: 1,
        event_time: "at".into(),
        lateness_us: 0,
        max_future_us: 0,
        key: vec![],
        columns: COLUMNS.iter().map(|(name, declaration)| Column::parse(name, declaration).unwrap()).collect(),
    }
}

/// Event `i` was taken by the log at `1000 + i` milliseconds.
fn chunk(from: u64, events: &[String]) -> Chunk {
    let mut chunk = Chunk::empty(Partition(0), Offset(from));
    (from..).zip(events).for_each(|(offset, event)| chunk.push(offset, 1000 + offset as i64, event.as_bytes()));
    chunk
}

fn decode(source: &Source, events: &[String]) -> Decoded {
    JsonDecoder::new(source).decode(&chunk(0, events)).unwrap()
}

fn micros(events: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    events.column_by_name(column).unwrap().as_primitive::<TimestampMicrosecondType>().iter().collect()
}

#[test]
fn numbers_and_strings_keep_all_their_digits() {
    for quote in ["", "\""] {
        let times = [
            ("s", "253402300799.999999"),
            ("ms", "-62135596800000.000"),
            ("us", "1317918000123999.9"),
            // Beyond the range of a 64-bit integer, and finer than a double.
            ("ns", "-62135596799999999999"),
            ("at", "1317918000000.001"),
        ];
        let fields = times.map(|(name, number)| format!("\"{name}\":{quote}{number}{quote}"));
        let decoded = decode(&source(), &[format!("{{{}}}", fields.join(","))]);
        let found = times.map(|(name, _)| micros(&decoded.events, name)[0].expect(name));
        let expected =
            [MAX_TIMESTAMP_US, MIN_TIMESTAMP_US, 1_317_918_000_123_000, MIN_TIMESTAMP_US, 1_317_918_000_000_001];
        assert_eq!(found, expected, "{:?}", decoded.reasons);
        assert_eq!(decoded.event_times, [Some(1_317_918_000_000_001)]);
    }
}

#[test]
fn a_time_that_is_missing_is_null_or_rejects_the_event_as_declared() {
    let events = [r#"{"at":1}"#, r#"{"s":null,"at":"1"}"#, r#"{"s":1}"#, r#"{"s":1,"at":null}"#].map(str::to_owned);
    let decoded = decode(&source(), &events);
    assert_eq!(decoded.event_times, [Some(1000), Some(1000), None, None]);
    assert_eq!(micros(&decoded.events, "s"), [None; 4]);
    let reasons: Vec<&str> = decoded.reasons.iter().map(|(_, reason)| reason.as_str()).collect();
    assert_eq!(reasons, ["column 'at': is missing"; 2]);
}

#[test]
fn a_reason_names_the_column_and_what_is_wrong() {
    for (event, reason) in [
        (r#"{"at":1.0001}"#, "column 'at': '1.0001' is more precise than the microseconds of a TIMESTAMP"),
        (r#"{"at":1,"s":1e3}"#, "column 's': '1e3' has an exponent; write the seconds since 1970"),
        (r#"{"at":1,"s":253402300800}"#, "column 's': '253402300800' is outside the range of a TIMESTAMP"),
        (r#"{"at":"2011-10-06T16:20:00Z"}"#, "is not a number of milliseconds since 1970, such as 1317918000000"),
        (r#"{"at":true}"#, "column 'at': 'true' is not a number of milliseconds"),
        (r#"{"at":1,"iso":1317918000}"#, "column 'iso': '1317918000' is not an ISO 8601 TIMESTAMP"),
        (r#"{"at":1,"day":"0000-12-31"}"#, "column 'day': '0000-12-31' is outside the range of a DATE"),
    ] {
        let decoded = decode(&source(), &[event.to_owned()]);
        assert_eq!((decoded.event_times[0], decoded.reasons.len()), (None, 1), "{event}");
        assert!(decoded.reasons[0].1.contains(reason), "{event}: {}", decoded.reasons[0].1);
    }
}

/// A source with the log's time as its event time.
fn by_ingestion() -> Source {
    let columns = vec![Column::parse("n", "INT").unwrap(), Column::ingestion_time()];
    Source { event_time: INGESTION_TIME.into(), columns, ..source() }
}

#[test]
fn the_ingestion_time_is_the_log_s_and_never_the_event_s() {
    let (source, events) = (by_ingestion(), [r#"{"n":1,"ingestion_time":"2011-10-06"}"#, r#"{"n":"x"}"#, "{}"]);
    let events = events.map(str::to_owned);
    let judged =
        JudgedEvents::of_chunk(&source, &JsonDecoder::new(&source), &chunk(0, &events), CutPoint::default()).unwrap();
    assert_eq!(micros(&judged.events, INGESTION_TIME), [Some(1_000_000), None, Some(1_002_000)]);
    assert_eq!(judged.verdicts, [Verdict::Applied, Verdict::Rejected, Verdict::Applied]);
    assert_eq!(judged.point.max_event_time.map(|time| time.0), Some(1_002_000));
    assert_eq!(micros(&judged.applied().unwrap(), INGESTION_TIME), [Some(1_000_000), Some(1_002_000)]);
}

#[test]
fn a_log_whose_times_go_backwards_has_late_events() {
    let mut source = by_ingestion();
    source.lateness_us = 5000;
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    let times_ms = [20, 15, 14, i64::MAX, i64::MIN, 21];
    (0..).zip(times_ms).for_each(|(offset, timestamp_ms)| chunk.push(offset, timestamp_ms, b"{}"));
    let judged = JudgedEvents::of_chunk(&source, &JsonDecoder::new(&source), &chunk, CutPoint::default()).unwrap();
    use Verdict::*;
    assert_eq!(judged.verdicts, [Applied, Applied, Late, Rejected, Rejected, Applied]);
    assert!(judged.reasons.iter().all(|(_, reason)| reason.contains("the log's time")), "{:?}", judged.reasons);
}

/// A JSON value, with the text that a column which is parsed from text gets to see.
type Field = (String, Option<String>);

fn quoted(text: String) -> Field {
    (format!("\"{text}\""), Some(text))
}

fn bare(text: String) -> Field {
    (text.clone(), Some(text))
}

/// What may be a value of some column or of none.
fn any_field() -> impl Strategy<Value = Field> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        "-?(0|[1-9][0-9]{0,19})(\\.[0-9]{1,12})?",
        "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?[eE][-+]?[0-9]{1,3}",
    ];
    let padded = "-?[0-9]{1,20}(\\.[0-9]{1,12})?";
    let time = "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9](T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,10})?Z?)?";
    prop_oneof![
        number.clone().prop_map(bare),
        prop_oneof![
            number,
            padded.prop_map(String::from),
            time.prop_map(String::from),
            "[-+.0-9eTZ: ]{0,12}".prop_map(String::from)
        ]
        .prop_map(quoted),
        any::<bool>().prop_map(|value| bare(value.to_string())),
        Just(("null".to_owned(), None)),
    ]
}

/// What is a value of this column.
fn valid_field(column: &str) -> BoxedStrategy<Field> {
    match column {
        "iso" => (MIN_TIMESTAMP_US..=MAX_TIMESTAMP_US)
            .prop_map(|us| quoted(chrono::DateTime::from_timestamp_micros(us).unwrap().to_rfc3339()))
            .boxed(),
        "day" => "[0-9]{2}[1-9][0-9]-0[1-9]-[12][0-9]".prop_map(quoted).boxed(),
        _ => prop_oneof![
            "-?(0|[1-9][0-9]{0,9})(\\.[0-9]{1,3})?".prop_map(bare),
            "-?[0-9]{1,10}(\\.[0-9]{1,3})?".prop_map(quoted),
        ]
        .boxed(),
    }
}

fn fields() -> impl Strategy<Value = Vec<Field>> {
    let field = |(name, _)| prop_oneof![15 => valid_field(name), 1 => any_field()];
    COLUMNS.map(field).to_vec()
}

/// The value of a column by its own parser, NOT NULL included.
fn parsed(column: &Column, text: Option<&str>) -> Result<Option<i64>, String> {
    let utc = "UTC".parse().unwrap();
    match (text, column.kind) {
        (None, _) if !column.nullable => Err("is missing".to_owned()),
        (None, _) => Ok(None),
        (Some(text), ColumnType::Date) => parse_event_date(text).map(|days| Some(days.into())),
        (Some(text), _) => parse_event_timestamp(text, column.format, column.digits, &utc).map(Some),
    }
}

fn stored(array: &ArrayRef, row: usize) -> Option<i64> {
    let days = || array.as_primitive::<Date32Type>().value(row).into();
    let us = || array.as_primitive::<TimestampMicrosecondType>().value(row);
    array.is_valid(row).then(|| if *array.data_type() == DataType::Date32 { days() } else { us() })
}

fn payload(fields: &[Field]) -> String {
    let fields: Vec<String> =
        COLUMNS.iter().zip(fields).map(|((name, _), (json, _))| format!("\"{name}\":{json}")).collect();
    format!("{{{}}}", fields.join(","))
}

proptest! {
    #[test]
    fn an_event_is_what_its_columns_parse_to_or_rejected(
        events in prop::collection::vec(fields(), 1..12), split in 0usize..12,
    ) {
        let source = source();
        let payloads: Vec<String> = events.iter().map(|fields| payload(fields)).collect();
        let decoded = decode(&source, &payloads);
        for (row, fields) in events.iter().enumerate() {
            let values = source.columns.iter().zip(fields).map(|(column, (_, text))| parsed(column, text.as_deref()));
            let expected: Result<Vec<Option<i64>>, String> = values.collect();
            let rejected = decoded.reasons.iter().any(|(rejected, _)| *rejected == row);
            prop_assert_eq!(rejected, expected.is_err(), "{}", &payloads[row]);
            let found: Vec<Option<i64>> = decoded.events.columns().iter().map(|array| stored(array, row)).collect();
            prop_assert_eq!(found, expected.unwrap_or(vec![None; COLUMNS.len()]), "{}", &payloads[row]);
        }
        let (a, b) = payloads.split_at(split.min(payloads.len()));
        let parts = [decode(&source, a), decode(&source, b)];
        let joined = concat_batches(&decoded.events.schema(), parts.iter().map(|part| &part.events)).unwrap();
        prop_assert_eq!(&decoded.events, &joined);
    }

    #[test]
    fn the_chunking_changes_no_ingestion_time(
        payloads in prop::collection::vec(prop_oneof!["\\{\"n\":[0-9]{1,11}\\}", "[{}n\":0]{0,6}"], 1..20), split in 0usize..20,
    ) {
        let (source, split) = (by_ingestion(), split.min(payloads.len()));
        let decoder = JsonDecoder::new(&source);
        let judge = |chunk, from| JudgedEvents::of_chunk(&source, &decoder, &chunk, from).unwrap();
        let whole = judge(chunk(0, &payloads), CutPoint::default());
        let first = judge(chunk(0, &payloads[..split]), CutPoint::default());
        let second = judge(chunk(split as u64, &payloads[split..]), first.point);
        prop_assert_eq!(&whole.events, &concat_batches(&whole.events.schema(), [&first.events, &second.events]).unwrap());
        prop_assert_eq!(&whole.verdicts, &[first.verdicts, second.verdicts].concat());
        prop_assert_eq!(whole.point.max_event_time, second.point.max_event_time);
        for (row, verdict) in whole.verdicts.iter().enumerate() {
            let time = (*verdict == Verdict::Applied).then_some((1000 + row as i64) * 1000);
            prop_assert_eq!(micros(&whole.events, INGESTION_TIME)[row], time);
        }
    }
}

use std::str::FromStr;
use std::sync::Arc;

use arrow::array::timezone::Tz;
use arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, Date32Array, Decimal128Array, PrimitiveArray, RecordBatch,
    StringArray, TimestampMicrosecondArray, UInt32Array,
};
use arrow::compute::take_record_batch;
use arrow::datatypes::{
    DataType, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, Schema, SchemaRef,
    TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use arrow::json::ReaderBuilder;
use arrow::json::reader::Decoder as JsonDecoder;

use super::{
    Decoded, is_timestamp, parse_decimal, parse_event_date, parse_event_timestamp, parse_float, parse_integer,
};
use crate::log::Chunk;
use crate::project::{Column, ColumnType, Source};
use crate::view::event_schema;

/// Turns JSON events into columns.
///
/// Numbers, dates and timestamps are read as text first and parsed here, so that an amount is exact,
/// nothing of a number is cut off, and a bare number is taken for a time only where the column is declared
/// as one. Whether an event decodes depends on the event
/// alone and not on its neighbours: a chunk with a bad event is halved until the bad one is alone.
#[derive(Clone, Debug)]
pub struct Decoder {
    source: Source,
    schema: SchemaRef,
    /// What arrow-json is asked for: text where the value is parsed here.
    text_schema: SchemaRef,
    utc: Tz,
}

type Rejections = Vec<(usize, String)>;

impl Decoder {
    pub fn new(source: &Source) -> Self {
        let text = source.payload_columns().map(|column| Field::new(&column.name, text_type(column.kind), true));
        Self {
            schema: event_schema(source),
            text_schema: Arc::new(Schema::new(text.collect::<Vec<_>>())),
            source: source.clone(),
            utc: "UTC".parse().expect("UTC is a time zone"),
        }
    }

    /// Decodes every event of the chunk; errors only on a bug in the conversion itself.
    pub fn decode(&self, chunk: &Chunk) -> Result<Decoded, ArrowError> {
        let (mut batches, mut rejections) = (Vec::new(), Vec::new());
        self.decode_range(chunk, 0, chunk.len(), &mut batches, &mut rejections)?;
        let raw = self.aligned(&batches, &rejections, chunk.len())?;
        self.typed(raw, &chunk.timestamps_ms, rejections)
    }

    /// Decodes events `from..to` into `batches`, leaving out those that are not what was declared.
    fn decode_range(
        &self,
        chunk: &Chunk,
        from: usize,
        to: usize,
        batches: &mut Vec<RecordBatch>,
        rejections: &mut Rejections,
    ) -> Result<(), ArrowError> {
        if from == to {
            return Ok(());
        }
        match self.decode_all(chunk, from, to)? {
            Ok(batch) => batches.push(batch),
            Err(reason) if to - from == 1 => rejections.push((from, reason)),
            Err(_) => {
                let middle = from + (to - from) / 2;
                self.decode_range(chunk, from, middle, batches, rejections)?;
                self.decode_range(chunk, middle, to, batches, rejections)?;
            }
        }
        Ok(())
    }

    /// Decodes events `from..to` at once; the inner error says what is wrong with one of them.
    fn decode_all(&self, chunk: &Chunk, from: usize, to: usize) -> Result<Result<RecordBatch, String>, ArrowError> {
        let mut json = self.json_decoder(to - from)?;
        for index in from..to {
            if let Err(reason) = feed(&mut json, chunk.payload(index), index - from + 1) {
                return Ok(Err(reason));
            }
        }
        Ok(match json.flush() {
            Ok(Some(batch)) => Ok(batch),
            Ok(None) => Err("the event is empty".to_owned()),
            Err(error) => Err(reason(&error)),
        })
    }

    fn json_decoder(&self, events: usize) -> Result<JsonDecoder, ArrowError> {
        ReaderBuilder::new(self.text_schema.clone())
            .with_batch_size(events + 1)
            .with_coerce_primitive(true)
            .build_decoder()
    }

    /// One row per event again: NULLs where an event was rejected.
    fn aligned(
        &self,
        batches: &[RecordBatch],
        rejections: &Rejections,
        rows: usize,
    ) -> Result<RecordBatch, ArrowError> {
        if let ([whole], true) = (batches, rejections.is_empty()) {
            return Ok(whole.clone());
        }
        let decoded = arrow::compute::concat_batches(&self.text_schema, batches)?;
        let mut rejected = rejections.iter().map(|(row, _)| *row).peekable();
        let mut next = 0;
        let indices: UInt32Array = (0..rows)
            .map(|row| {
                if rejected.next_if_eq(&row).is_some() {
                    return None;
                }
                next += 1;
                Some(next - 1)
            })
            .collect();
        take_record_batch(&decoded, &indices)
    }

    /// Parses the text columns, adds the log's time and applies NOT NULL.
    fn typed(
        &self,
        raw: RecordBatch,
        timestamps_ms: &[i64],
        mut rejections: Rejections,
    ) -> Result<Decoded, ArrowError> {
        let mut rejected = vec![false; raw.num_rows()];
        rejections.iter().for_each(|(row, _)| rejected[*row] = true);
        let (mut payload, mut columns) = (raw.columns().iter(), Vec::with_capacity(self.source.columns.len()));
        for column in &self.source.columns {
            let mut reject = |row: usize, reason: String| {
                if !std::mem::replace(&mut rejected[row], true) {
                    rejections.push((row, format!("column '{}': {reason}", column.name)));
                }
            };
            let typed = match column.from_log {
                true => ingestion_times(timestamps_ms, &mut reject),
                false => self.parse(column, payload.next().expect("one for each column"), &mut reject)?,
            };
            if !column.nullable {
                let missing = (0..typed.len()).filter(|row| typed.is_null(*row));
                missing.for_each(|row| reject(row, "is missing".to_owned()));
            }
            columns.push(typed);
        }
        rejections.sort_by_key(|(row, _)| *row);
        let events = self.without(RecordBatch::try_new(self.schema.clone(), columns)?, &rejected)?;
        Ok(Decoded { event_times: self.event_times(&events), events, reasons: rejections })
    }

    /// NULLs the rejected rows, so that nothing of them is taken for a value.
    fn without(&self, events: RecordBatch, rejected: &[bool]) -> Result<RecordBatch, ArrowError> {
        if !rejected.contains(&true) {
            return Ok(events);
        }
        let keep = rejected.iter().enumerate().map(|(row, rejected)| (!rejected).then_some(row as u32));
        take_record_batch(&events, &keep.collect::<UInt32Array>())
    }

    fn event_times(&self, events: &RecordBatch) -> Vec<Option<i64>> {
        let column = events.column_by_name(&self.source.event_time).expect("the project was checked for it");
        column.as_primitive::<TimestampMicrosecondType>().iter().collect()
    }

    fn parse(
        &self,
        column: &Column,
        array: &ArrayRef,
        reject: &mut dyn FnMut(usize, String),
    ) -> Result<ArrayRef, ArrowError> {
        let (texts, name) = (array.as_string_opt(), column.kind.name());
        let Some(texts) = texts else { return Ok(array.clone()) };
        Ok(match column.kind {
            ColumnType::TinyInt => integers::<Int8Type>(texts, name, reject),
            ColumnType::SmallInt => integers::<Int16Type>(texts, name, reject),
            ColumnType::Int => integers::<Int32Type>(texts, name, reject),
            ColumnType::BigInt => integers::<Int64Type>(texts, name, reject),
            ColumnType::Float => floats::<Float32Type>(texts, name, reject),
            ColumnType::Double => floats::<Float64Type>(texts, name, reject),
            ColumnType::Decimal { precision, scale } => {
                let parsed = each(texts, reject, |text| parse_decimal(text, precision, scale));
                Arc::new(parsed.into_iter().collect::<Decimal128Array>().with_precision_and_scale(precision, scale)?)
            }
            ColumnType::Timestamp => {
                let parse = |text: &str| parse_event_timestamp(text, column.format, column.digits, &self.utc);
                let parsed = each(texts, reject, parse);
                Arc::new(parsed.into_iter().collect::<TimestampMicrosecondArray>())
            }
            ColumnType::Date => Arc::new(each(texts, reject, parse_event_date).into_iter().collect::<Date32Array>()),
            ColumnType::Boolean | ColumnType::Varchar => array.clone(),
        })
    }
}

fn integers<T: ArrowPrimitiveType>(texts: &StringArray, name: &str, reject: &mut dyn FnMut(usize, String)) -> ArrayRef
where
    T::Native: TryFrom<i128> + FromStr,
{
    let parsed = each(texts, reject, |text| parse_integer::<T::Native>(text, name));
    Arc::new(parsed.into_iter().collect::<PrimitiveArray<T>>())
}

fn floats<T: ArrowPrimitiveType>(texts: &StringArray, name: &str, reject: &mut dyn FnMut(usize, String)) -> ArrayRef
where
    T::Native: Into<f64> + FromStr,
{
    let parsed = each(texts, reject, |text| parse_float::<T::Native>(text, name));
    Arc::new(parsed.into_iter().collect::<PrimitiveArray<T>>())
}

/// The log's times in microseconds. A log that carries its producers' clocks may carry anything.
fn ingestion_times(timestamps_ms: &[i64], reject: &mut dyn FnMut(usize, String)) -> ArrayRef {
    let in_range = |(row, timestamp_ms): (usize, &i64)| {
        let us = timestamp_ms.checked_mul(1000).filter(|us| is_timestamp(*us));
        if us.is_none() {
            reject(row, format!("the log's time, {timestamp_ms} ms since 1970, is outside the range of a TIMESTAMP"));
        }
        us
    };
    Arc::new(timestamps_ms.iter().enumerate().map(in_range).collect::<TimestampMicrosecondArray>())
}

fn text_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Boolean => DataType::Boolean,
        _ => DataType::Utf8,
    }
}

/// Feeds one event and makes sure that it was exactly one whole JSON object: otherwise half an
/// object would be completed by the next event.
fn feed(json: &mut JsonDecoder, payload: &[u8], events: usize) -> Result<(), String> {
    let read = json.decode(payload).map_err(|error| reason(&error))?;
    let whole = read == payload.len() && !json.has_partial_record() && json.len() == events;
    if whole { Ok(()) } else { Err("the event is not exactly one JSON object".to_owned()) }
}

fn reason(error: &ArrowError) -> String {
    match error {
        ArrowError::JsonError(message) | ArrowError::ParseError(message) => message.clone(),
        other => other.to_string(),
    }
}

fn each<T>(
    texts: &StringArray,
    reject: &mut dyn FnMut(usize, String),
    parse: impl Fn(&str) -> Result<T, String>,
) -> Vec<Option<T>> {
    let parse = |(row, text): (usize, Option<&str>)| match parse(text?) {
        Ok(value) => Some(value),
        Err(reason) => {
            reject(row, reason);
            None
        }
    };
    texts.iter().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::{Offset, Partition};
    use proptest::prelude::*;

    fn source() -> Source {
        let columns =
            [("user", "VARCHAR NOT NULL"), ("n", "INT"), ("price", "DECIMAL(10,2)"), ("ts", "TIMESTAMP NOT NULL")];
        Source {
            name: "orders".into(),
            topic: "orders".into(),
            partitions: 1,
            event_time: "ts".into(),
            lateness_us: 0,
            max_future_us: 0,
            key: vec![],
            columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
        }
    }

    fn chunk(events: &[&str]) -> Chunk {
        let mut chunk = Chunk::empty(Partition(0), Offset(0));
        events.iter().enumerate().for_each(|(i, event)| chunk.push(i as u64, 0, event.as_bytes()));
        chunk
    }

    const GOOD: &str = r#"{"user":"a","n":2,"price":4.15,"ts":"2011-10-06T16:20:00Z","more":[1]}"#;

    #[test]
    fn values_are_exact() {
        let decoded = Decoder::new(&source()).decode(&chunk(&[GOOD])).unwrap();
        assert_eq!(decoded.events.column(2).as_primitive::<arrow::datatypes::Decimal128Type>().value(0), 415);
        assert_eq!(decoded.event_times, [Some(1_317_918_000_000_000)]);
    }

    const BAD: [&str; 17] = [
        "",
        "{",
        "}",
        "null",
        "[]",
        "12",
        "\u{0}",
        r#"{"user":"a","ts":"2011-10-06"}{"user":"b","ts":"2011-10-06"}"#,
        r#"{"user":"a"}"#,
        r#"{"ts":"2011-10-06T16:20:00Z"}"#,
        r#"{"user":"a","ts":1317918000}"#,
        r#"{"user":"a","ts":"2011-10-06","n":3000000000}"#,
        r#"{"user":"a","ts":"2011-10-06","n":1.5}"#,
        r#"{"user":"a","ts":"2011-10-06","n":true}"#,
        r#"{"user":"a","ts":"2011-10-06","n":""}"#,
        r#"{"user":"a","ts":"2011-10-06","price":1.005}"#,
        r#"{"user":{"x":1},"ts":"2011-10-06"}"#,
    ];

    #[test]
    fn bad_events_are_rejected_one_by_one_and_their_neighbours_kept() {
        for bad in BAD {
            let decoded = Decoder::new(&source()).decode(&chunk(&[GOOD, bad, GOOD])).unwrap();
            let times: Vec<bool> = decoded.event_times.iter().map(Option::is_some).collect();
            assert_eq!(times, [true, false, true], "{bad}");
            assert_eq!((decoded.reasons.len(), decoded.reasons[0].0), (1, 1), "{bad}");
        }
    }

    const OF_EVERY_TYPE: &str = r#"{"c0":"a\u00e4","c1":true,"c2":-128,"c3":32767,"c4":1e3,"c5":-9223372036854775808,"c6":0.5,"c7":1.5e-300,"c8":"-12345678.90","c9":"2024-02-29","c10":1719822896789.5,"ts":"2011-10-06T16:20:00.123456Z"}"#;
    /// What numbers, times and objects are written with.
    const WRITTEN: &[u8] = b"0123456789.eE+-\":,{}[]tfnTZ \\u";

    proptest! {
        #[test]
        fn the_chunking_changes_nothing(
            picks in prop::collection::vec(0..BAD.len() + 6, 1..40), split in 0usize..40,
        ) {
            let events: Vec<&str> = picks.iter().map(|pick| *BAD.get(*pick).unwrap_or(&GOOD)).collect();
            let (a, b) = events.split_at(split.min(events.len()));
            let decoder = Decoder::new(&source());
            let whole = decoder.decode(&chunk(&events)).unwrap();
            let parts = [decoder.decode(&chunk(a)).unwrap(), decoder.decode(&chunk(b)).unwrap()];
            let joined = arrow::compute::concat_batches(&whole.events.schema(), parts.iter().map(|p| &p.events)).unwrap();
            prop_assert_eq!(&whole.events, &joined);
            prop_assert_eq!(whole.reasons.len(), parts[0].reasons.len() + parts[1].reasons.len());
        }

        /// Near enough to an event that its values are reached.
        #[test]
        fn a_damaged_event_is_an_event_or_a_rejection(
            damages in prop::collection::vec((any::<prop::sample::Index>(), 0..WRITTEN.len() + 1, any::<u8>()), 0..6),
        ) {
            let mut payload = OF_EVERY_TYPE.as_bytes().to_vec();
            for (at, pick, byte) in damages {
                let at = at.index(payload.len());
                payload[at] = WRITTEN.get(pick).copied().unwrap_or(byte);
            }
            let types = [
                "VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(10,2)", "DATE",
                "TIMESTAMP FORMAT 'epoch_millis'",
            ];
            let mut source = source();
            let columns = types.iter().enumerate().map(|(i, kind)| Column::parse(&format!("c{i}"), kind).unwrap());
            source.columns = columns.chain([Column::parse("ts", "TIMESTAMP NOT NULL").unwrap()]).collect();
            let mut chunk = Chunk::empty(Partition(0), Offset(0));
            [&payload, OF_EVERY_TYPE.as_bytes()].iter().for_each(|payload| chunk.push(0, 0, payload));
            let decoded = Decoder::new(&source).decode(&chunk).unwrap();
            prop_assert!(decoded.event_times[1].is_some() && decoded.reasons.iter().all(|(row, _)| *row == 0));
            prop_assert_eq!(decoded.event_times[0].is_none(), decoded.reasons.len() == 1);
        }

        #[test]
        fn any_bytes_are_an_event_or_a_rejection(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut chunk = Chunk::empty(Partition(0), Offset(0));
            chunk.push(0, 0, &payload);
            chunk.push(1, 0, GOOD.as_bytes());
            let decoded = Decoder::new(&source()).decode(&chunk).unwrap();
            prop_assert!(decoded.event_times[1].is_some());
        }
    }
}

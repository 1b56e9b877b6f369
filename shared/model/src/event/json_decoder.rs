use arrow::array::timezone::Tz;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{SchemaRef, TimestampMicrosecondType};
use arrow::error::ArrowError;

use super::column::{self, Reader};
use super::decoded::Decoded;
use super::decoder::Decoder;
use super::json::{self, Names, Row, Value};
use crate::archive::event_schema;
use crate::log::Chunk;
use crate::project::{Column, Source};

/// Turns JSON events into columns.
///
/// Numbers, dates and timestamps are parsed from their text, so that an amount is exact, ingest never
/// rounds or truncates a number, and a bare number is taken for a time only where the column is declared
/// as one. Whether an event decodes depends on the event alone and not on its neighbours: each is read by
/// itself.
#[derive(Clone, Debug)]
pub struct JsonDecoder {
    source: Source,
    schema: SchemaRef,
    names: Names,
    utc: Tz,
}

impl JsonDecoder {
    pub fn new(source: &Source) -> Self {
        let columns = source.columns.iter().enumerate();
        let named = columns.filter(|(_, column)| !column.from_log).map(|(index, column)| (column.name.clone(), index));
        Self {
            schema: event_schema(source),
            names: Names::new(named.collect()),
            source: source.clone(),
            utc: "UTC".parse().expect("UTC is a time zone"),
        }
    }

    fn columns(&self, rows: usize) -> Columns<'_> {
        let declared = &self.source.columns;
        Columns {
            declared,
            readers: declared.iter().map(|column| column::reader(column, self.utc, rows)).collect(),
            named: vec![false; declared.len()],
            failure: None,
        }
    }

    fn event_times(&self, events: &RecordBatch) -> Vec<Option<i64>> {
        let column = events.column_by_name(&self.source.event_time).expect("the project was checked for it");
        column.as_primitive::<TimestampMicrosecondType>().iter().collect()
    }
}

impl Decoder for JsonDecoder {
    fn decode(&self, chunk: &Chunk) -> Result<Decoded, ArrowError> {
        if i32::try_from(chunk.payloads.len()).is_err() {
            return Err(ArrowError::InvalidArgumentError(format!(
                "a chunk of {} bytes is too large to be decoded at once",
                chunk.payloads.len()
            )));
        }
        let (mut columns, mut reasons) = (self.columns(chunk.len()), Vec::new());
        for (index, timestamp_ms) in chunk.timestamps_ms.iter().enumerate() {
            if let Err(reason) = columns.read(chunk.payload(index), &self.names, *timestamp_ms) {
                reasons.push((index, reason));
            }
        }
        let arrays = columns.readers.iter_mut().map(|reader| reader.finish()).collect();
        let events = RecordBatch::try_new(self.schema.clone(), arrays)?;
        Ok(Decoded { event_times: self.event_times(&events), events, reasons })
    }
}

/// The columns of a chunk while it is read, event by event.
struct Columns<'d> {
    declared: &'d [Column],
    readers: Vec<Box<dyn Reader>>,
    /// Which columns the current event has named.
    named: Vec<bool>,
    /// The first declared column that the current event fails, and why.
    failure: Option<(usize, String)>,
}

impl Columns<'_> {
    /// Reads one event into a row; a rejected one leaves a row of NULLs, and the reason.
    fn read(&mut self, payload: &[u8], names: &Names, timestamp_ms: i64) -> Result<(), String> {
        self.named.fill(false);
        self.failure = None;
        let read = json::read(payload, names, self).and_then(|()| self.complete(timestamp_ms));
        self.readers.iter_mut().for_each(|reader| reader.end_row(read.is_ok()));
        read
    }

    /// Adds the log's time, applies NOT NULL and says what is wrong with the first column that fails.
    fn complete(&mut self, timestamp_ms: i64) -> Result<(), String> {
        for (index, column) in self.declared.iter().enumerate() {
            if column.from_log {
                self.take(index, Value::LogTime(timestamp_ms));
            }
            if !column.nullable && self.readers[index].is_null() {
                self.fail(index, "is missing".to_owned());
            }
        }
        match self.failure.take() {
            None => Ok(()),
            Some((index, reason)) => Err(format!("column '{}': {reason}", self.declared[index].name)),
        }
    }

    /// Remembers a failure unless there is one of this column or of one declared before it.
    fn fail(&mut self, index: usize, reason: String) {
        if self.failure.as_ref().is_none_or(|(first, _)| index < *first) {
            self.failure = Some((index, reason));
        }
    }
}

impl Row for Columns<'_> {
    fn is_named(&self, column: usize) -> bool {
        self.named[column]
    }

    fn take(&mut self, column: usize, value: Value<'_>) {
        self.named[column] = true;
        if let Err(reason) = self.readers[column].take(value) {
            self.fail(column, reason);
        }
    }
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
        let decoded = JsonDecoder::new(&source()).decode(&chunk(&[GOOD])).unwrap();
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
            let decoded = JsonDecoder::new(&source()).decode(&chunk(&[GOOD, bad, GOOD])).unwrap();
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
            let decoder = JsonDecoder::new(&source());
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
            let decoded = JsonDecoder::new(&source).decode(&chunk).unwrap();
            prop_assert!(decoded.event_times[1].is_some() && decoded.reasons.iter().all(|(row, _)| *row == 0));
            prop_assert_eq!(decoded.event_times[0].is_none(), decoded.reasons.len() == 1);
        }

        #[test]
        fn any_bytes_are_an_event_or_a_rejection(payload in prop::collection::vec(any::<u8>(), 0..60)) {
            let mut chunk = Chunk::empty(Partition(0), Offset(0));
            chunk.push(0, 0, &payload);
            chunk.push(1, 0, GOOD.as_bytes());
            let decoded = JsonDecoder::new(&source()).decode(&chunk).unwrap();
            prop_assert!(decoded.event_times[1].is_some());
        }
    }
}

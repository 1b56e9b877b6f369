//! What the rows of each format become, byte for byte, and what is refused.

use std::fs::File;
use std::sync::Arc;

use anabranch_model::event::{Decoder, JsonDecoder};
use anabranch_model::log::Chunk;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Column, Source};
use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, Date32Array, Decimal128Array, Float32Array, Float64Array, Int32Array,
    RecordBatch, StringArray, TimestampMicrosecondArray, UInt64Array,
};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Decimal128Type, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::{Bed, gz, source};
use crate::ingest::row::Row;
use crate::ingest::{IngestOptions, ingest_csv_bytes};

const HEADER: &str = "id,n,price,paid,ts,note\n";
const TIME: &str = "2011-10-06T16:20:00Z";

#[tokio::test]
async fn csv_values_are_exact() {
    let bed = Bed::new(1, &["id"]);
    let csv = format!("{HEADER}a,2,4.10,TRUE,{TIME},7\n\"b,\"\"1\"\"\n\",,,,{TIME},\nc,1e400,4\u{a3}, no,{TIME},\n");
    let expected = [
        format!(r#"{{"id":"a","n":2,"price":4.10,"paid":true,"ts":"{TIME}","note":"7"}}"#),
        format!(r#"{{"id":"b,\"1\"\n","ts":"{TIME}"}}"#),
        format!(r#"{{"id":"c","n":"1e400","price":"4£","paid":" no","ts":"{TIME}"}}"#),
    ];
    assert_eq!(bed.events_of("orders.csv", csv).await, expected);
}

#[tokio::test]
async fn values_of_another_type_are_kept_and_rejected_when_decoded() {
    let bed = Bed::new(1, &[]);
    let csv = format!("{HEADER}a,two,,,{TIME},\na,,4.155,,{TIME},\na,,,1,{TIME},\na,3,4.1,,{TIME},\n");
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    for (offset, event) in bed.events_of("orders.csv", csv).await.iter().enumerate() {
        chunk.push(offset as u64, 0, event.as_bytes());
    }
    let decoded = JsonDecoder::new(&bed.source).decode(&chunk).unwrap();
    let rejected: Vec<usize> = decoded.reasons.iter().map(|(row, _)| *row).collect();
    assert_eq!(rejected, [0, 1, 2], "{:?}", decoded.reasons);
    assert_eq!(decoded.events.column(2).as_primitive::<Decimal128Type>().value(3), 410);
}

#[tokio::test]
async fn malformed_csv_is_refused_whole_with_its_place() {
    let bed = Bed::new(1, &[]);
    let good = format!("a,,,,{TIME},\n");
    for (bad, message) in [
        ("a,b\n", "orders.csv:3: the line has 2 fields, the header has 6"),
        ("\"a,,,,,\n", "orders.csv:3: the quote that opens here is never closed"),
        ("\"a\"b,,,,,\n", "orders.csv:3: text after a closing quote"),
    ] {
        let refusal = bed.refusal_of("orders.csv", format!("{HEADER}{good}{bad}{good}")).await;
        assert!(refusal.contains(message), "{refusal}");
    }
    let refusal = bed.refusal_of("orders.csv", [HEADER.as_bytes(), good.as_bytes(), b"\xff,,,,,\n"].concat()).await;
    assert!(refusal.contains("orders.csv:3: field 1 is not UTF-8"), "{refusal}");
    assert_eq!(bed.events_of("orders.csv", format!("{HEADER}{good}")).await.len(), 1, "nothing was appended before");
}

#[tokio::test]
async fn a_header_that_cannot_be_used_is_refused() {
    let bed = Bed::new(1, &[]);
    for (header, message) in [
        ("", "is empty"),
        ("id,ts,id\n", "two columns are named 'id'"),
        ("id,n\n", "no column 'ts', which source 'orders' declares NOT NULL; the file's columns are id, n"),
    ] {
        let refusal = bed.refusal_of("orders.csv", header).await;
        assert!(refusal.contains(message), "{refusal}");
    }
}

#[tokio::test]
async fn ndjson_lines_are_taken_as_they_are() {
    let bed = Bed::new(1, &["id"]);
    let lines = ["{ \"id\":1, \"price\": 4.10, \"ts\": \"2026-01-01\" }", "[1]", "{\"id\":", "not json", "{} {}"];
    let text = format!("{}\r\n\n  \n{}", lines[0], lines[1..].join("\n"));
    let file = bed.file("orders.jsonl", text);
    let report = bed.ingest(&file, &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.malformed, report.rejected), (5, 4, 4));
    assert!(report.first_rejected.unwrap().starts_with("orders.jsonl row 4: "));
    assert_eq!(report.bytes, lines.iter().map(|line| line.len() as u64).sum::<u64>());
    assert_eq!(bed.payloads(Partition(0)).await, lines);
}

/// A column with a blank or in other case would be NULL in every event, without a word.
#[tokio::test]
async fn a_header_that_nearly_names_a_column_is_refused() {
    let bed = Bed::new(1, &[]);
    for (header, near) in [("id,ts, price", " price"), ("id,ts,PRICE", "PRICE"), ("ID,ts,price", "ID")] {
        let refusal = bed.refusal_of("orders.csv", format!("{header}\na,{TIME},5\n")).await;
        assert!(refusal.contains(&format!("orders.csv:1: the file has a column '{near}'")), "{refusal}");
    }
    let events = bed.events_of("orders.csv", format!("id,ts,more\na,{TIME},5\n")).await;
    assert_eq!(events, [format!(r#"{{"id":"a","ts":"{TIME}","more":"5"}}"#)], "a nullable column may be absent");
}

/// In a format without a header the names are those of all lines.
#[tokio::test]
async fn ndjson_that_nearly_names_a_column_is_refused() {
    let bed = Bed::new(1, &[]);
    let event = |name: &str| format!("{{\"id\":\"a\",\"ts\":\"{TIME}\",\"{name}\":5}}\n");
    for near in ["PRICE", "price ", "\\u0050rice"] {
        let refusal = bed.refusal_of("orders.ndjson", event(near)).await;
        assert!(refusal.starts_with("orders.ndjson: the file has a column '"), "{refusal}");
        assert!(refusal.contains("declares 'price', which would have no value in any event"), "{refusal}");
    }
    let mixed = format!("{}not JSON\n{}", event("PRICE"), event("price"));
    assert_eq!(bed.events_of("orders.ndjson", mixed).await.len(), 3, "some line has the column");
    assert_eq!(Bed::new(1, &[]).events_of("orders.ndjson", event("more")).await.len(), 1, "it may be absent");
    let bed = Bed::new(1, &[]);
    assert_eq!(bed.ingest(&bed.file("none.ndjson", ""), &IngestOptions::default()).await.unwrap().rows, 0);
}

#[tokio::test]
async fn names_that_are_data_do_not_pile_up() {
    let bed = Bed::new(1, &[]);
    let line = |i: u32| format!("{{\"id\":\"a\",\"ts\":\"{TIME}\",\"name{i}\":1}}\n");
    let late = format!(
        "{}{{\"id\":\"a\",\"ts\":\"{TIME}\",\"price\":1,\"Price\":2}}\n",
        (0..3000).map(line).collect::<String>()
    );
    assert_eq!(bed.events_of("orders.ndjson", late).await.len(), 3001, "a column that comes late is there");
}

#[tokio::test]
async fn rows_that_the_source_rejects_are_counted_with_the_first_reason() {
    let bed = Bed::new(2, &["id"]);
    let rows = (0..9000).map(|row| format!("user{row},{},{TIME}\n", if row < 5000 { "1" } else { "many" }));
    let file = bed.file("orders.csv", format!("id,n,ts\n{}", rows.collect::<String>()));
    let report = bed.ingest(&file, &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.malformed, report.rejected), (9000, 0, 4000));
    assert_eq!(
        report.first_rejected.unwrap(),
        "orders.csv row 5001: column 'n': 'many' is not a whole number in the range of INT"
    );
    let again = bed.ingest(&file, &IngestOptions { resume: true, ..Default::default() }).await.unwrap();
    assert_eq!((again.rows, again.rejected, again.first_rejected), (0, 0, None), "it counts what it appends");
}

#[tokio::test]
async fn the_key_is_the_first_of_two_equal_names_as_the_column_is() {
    let bed = Bed::new(8, &["id"]);
    let line = |id: &str| format!("{{{id},\"ts\":\"{TIME}\"}}\n");
    for (twice, once) in [
        (r#""id":"a","id":"b""#, r#""id":"a""#),
        (r#""\u0069d":"c","id":"d""#, r#""id":"c""#),
        (r#""id":null,"id":"e""#, r#""id":null"#),
    ] {
        let [twice, once] = [twice, once].map(|id| Row::new(&bed.source, 0, line(id).into_bytes()).key);
        assert_eq!(twice, once);
    }
}

#[tokio::test]
async fn a_byte_order_mark_is_no_part_of_the_first_event() {
    let event = format!(r#"{{"id":"a","ts":"{TIME}"}}"#);
    let text = format!("\u{feff}{event}\r\n{event}");
    let expected = [event.clone(), event.clone()];
    assert_eq!(Bed::new(1, &[]).events_of("orders.ndjson", &text).await, expected);
    assert_eq!(Bed::new(1, &[]).events_of("orders.ndjson.gz", gz(&text)).await, expected);
    let csv = format!("\u{feff}id,ts\r\na,{TIME}");
    assert_eq!(Bed::new(1, &[]).events_of("orders.csv", csv).await, expected[..1]);
}

#[tokio::test]
async fn a_file_of_another_source_is_refused_before_anything_is_written() {
    let bed = Bed::new(1, &[]);
    let refusal = bed.refusal_of("orders.ndjson", "{\"id\":\"a\",\"time\":1}\n{\"id\":\"b\"}\n").await;
    assert!(refusal.contains("none of the first 2 rows is an event") && refusal.contains("'ts'"), "{refusal}");
    let good = format!("{{\"id\":\"a\",\"ts\":\"{TIME}\"}}");
    assert_eq!(bed.events_of("orders.ndjson", &good).await, std::slice::from_ref(&good), "nothing was there before");
}

#[tokio::test]
async fn gzipped_files_hold_the_same_events() {
    let csv = format!("{HEADER}a,2,4.10,,{TIME},\n");
    let expected = [format!(r#"{{"id":"a","n":2,"price":4.10,"ts":"{TIME}"}}"#)];
    assert_eq!(Bed::new(1, &[]).events_of("orders.csv.gz", gz(&csv)).await, expected);
    assert_eq!(Bed::new(1, &[]).events_of("orders.ndjson.gz", gz(&expected[0])).await, expected);
    let members = [gz(HEADER), gz(&csv[HEADER.len()..])].concat();
    assert_eq!(Bed::new(1, &[]).events_of("ORDERS.CSV.GZ", members).await, expected);

    let bed = Bed::new(1, &[]);
    ingest_csv_bytes(&bed.log, &bed.source, "orders.csv.gz", &gz(&csv), &IngestOptions::default()).await.unwrap();
    assert_eq!(bed.payloads(Partition(0)).await, expected);
    let cut_off = &gz(&csv)[..30];
    assert!(bed.refusal_of("orders.csv.gz", cut_off).await.contains("orders.csv.gz"));
}

#[tokio::test]
async fn parquet_values_are_exact() {
    let bed = Bed::new(1, &["id"]);
    let prices = Decimal128Array::from(vec![Some(410), Some(-1), None]).with_precision_and_scale(10, 2).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", Arc::new(StringArray::from(vec!["a", "b\n\"", "c"]))),
        ("n", Arc::new(Int32Array::from(vec![Some(2), None, Some(3)]))),
        ("price", Arc::new(prices)),
        ("ts", Arc::new(TimestampMicrosecondArray::from(vec![1_317_918_000_000_001; 3]).with_timezone("UTC"))),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, c)| (name, c, true))).unwrap();
    let path = bed.folder.path().join("orders.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let report = bed.ingest(&path, &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.malformed), (3, 0));
    let time = "2011-10-06T16:20:00.000001Z";
    let expected = [
        format!(r#"{{"id":"a","n":2,"price":4.10,"ts":"{time}"}}"#),
        format!(r#"{{"id":"b\n\"","price":-0.01,"ts":"{time}"}}"#),
        format!(r#"{{"id":"c","n":3,"ts":"{time}"}}"#),
    ];
    assert_eq!(bed.payloads(Partition(0)).await, expected);
}

fn parquet(bed: &Bed, name: &str, columns: Vec<(&str, ArrayRef)>) -> std::path::PathBuf {
    let fields = columns.iter().map(|(name, column)| Field::new(*name, column.data_type().clone(), true));
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let batch = RecordBatch::try_new(schema, columns.into_iter().map(|(_, column)| column).collect()).unwrap();
    let path = bed.folder.path().join(name);
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(100)).build();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

fn times(rows: usize) -> ArrayRef {
    Arc::new(TimestampMicrosecondArray::from(vec![1_317_918_000_000_001; rows]).with_timezone("UTC"))
}

fn names(rows: usize) -> ArrayRef {
    Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("user{row}"))))
}

#[tokio::test]
async fn parquet_doubles_that_json_has_no_number_for_are_written_as_events_write_them() {
    let bed = Bed::new(1, &[]);
    let doubles = vec![Some(f64::NAN), Some(f64::INFINITY), Some(f64::NEG_INFINITY), None, Some(0.1), Some(-0.0)];
    let floats: Float32Array = doubles.iter().map(|double| double.map(|double| double as f32)).collect();
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("id", names(6)),
        ("x", Arc::new(Float64Array::from(doubles))),
        ("f", Arc::new(floats)),
        ("u", Arc::new(UInt64Array::from(vec![u64::MAX; 6]))),
        ("ts", times(6)),
    ];
    bed.ingest(&parquet(&bed, "orders.parquet", columns), &IngestOptions::default()).await.unwrap();
    let events = bed.payloads(Partition(0)).await;
    let values = ["\"NaN\"", "\"Infinity\"", "\"-Infinity\"", "", "0.1", "-0.0"];
    for (event, value) in events.iter().zip(values) {
        let expected = if value.is_empty() { "\"u\"".to_owned() } else { format!("\"x\":{value},\"f\":{value},\"u\"") };
        assert!(event.contains(&expected) && event.contains("18446744073709551615"), "{event}");
    }
}

#[tokio::test]
async fn parquet_doubles_of_16_bits_and_in_dictionaries_keep_nan_too() {
    let bed = Bed::new(1, &[]);
    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![f64::NAN, 0.1]));
    let halves = cast(&doubles, &DataType::Float16).unwrap();
    let kinds = DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Float64));
    let columns = vec![("id", names(2)), ("h", halves), ("x", cast(&doubles, &kinds).unwrap()), ("ts", times(2))];
    bed.ingest(&parquet(&bed, "orders.parquet", columns), &IngestOptions::default()).await.unwrap();
    let events = bed.payloads(Partition(0)).await;
    for (event, values) in events.iter().zip([r#""h":"NaN","x":"NaN""#, r#""h":0.099975586,"x":0.1"#]) {
        assert!(event.contains(values), "{event}");
    }
}

/// What databases export for `infinity`, and what they hold beyond the years of a calendar.
#[tokio::test]
async fn parquet_times_beyond_the_calendar_are_no_values() {
    let columns = [("id", "VARCHAR"), ("day", "DATE"), ("ts", "TIMESTAMP NOT NULL")];
    let columns = columns.map(|(name, kind)| Column::parse(name, kind).unwrap()).to_vec();
    let bed = Bed::of(Source { columns, ..source(1, &[]) });
    let file = parquet(
        &bed,
        "orders.parquet",
        vec![
            ("id", names(3)),
            ("day", Arc::new(Date32Array::from(vec![0, i32::MAX, 0])) as ArrayRef),
            ("until", Arc::new(TimestampMicrosecondArray::from(vec![i64::MAX; 3]))),
            ("ts", Arc::new(TimestampMicrosecondArray::from(vec![0, 0, i64::MIN + 1]))),
        ],
    );
    let report = bed.ingest(&file, &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.rejected), (3, 2));
    let first = report.first_rejected.unwrap();
    assert!(first.starts_with("orders.parquet row 2: column 'day': 'days 2147483647' is not"), "{first}");
    let first = &bed.payloads(Partition(0)).await[0];
    assert!(first.contains(r#""day":"1970-01-01","until":"µs 9223372036854775807","ts":"1970"#), "{first}");
}

#[tokio::test]
async fn parquet_columns_that_are_not_those_declared_are_refused() {
    let bed = Bed::new(1, &[]);
    let n = |n| -> ArrayRef { Arc::new(Int32Array::from(vec![n])) };
    let bytes: ArrayRef = Arc::new(BinaryArray::from_vec(vec![b"\xff"]));
    for (columns, message) in [
        (vec![("id", names(1)), ("n", n(1)), ("n", n(2)), ("ts", times(1))], "two columns are named 'n'"),
        (vec![("ID", names(1)), ("ts", times(1))], "the file has a column 'ID'"),
        (vec![("id", names(1))], "no column 'ts'"),
        (vec![("id", bytes), ("ts", times(1))], "column 'id' of type Binary cannot be written"),
    ] {
        let refused = bed.ingest(&parquet(&bed, "orders.parquet", columns), &IngestOptions::default()).await;
        let refused = format!("{:#}", refused.unwrap_err());
        assert!(refused.contains(message), "{refused}");
    }
}

#[tokio::test]
async fn a_damaged_row_group_in_the_middle_leaves_nothing_behind() {
    let bed = Bed::new(1, &[]);
    let path = parquet(&bed, "orders.parquet", vec![("id", names(1000)), ("ts", times(1000))]);
    let whole = std::fs::read(&path).unwrap();
    let middle = whole.len() / 2;
    let damaged = [&whole[..middle - 60], &[0xff; 120], &whole[middle + 60..]].concat();
    let refusal = bed.refusal_of("orders.parquet", &damaged).await;
    assert!(refusal.contains("orders.parquet: damaged behind row"), "{refusal}");
    let (mended, options) = (bed.file("orders.parquet", &whole), IngestOptions { resume: true, ..Default::default() });
    assert_eq!(bed.ingest(&mended, &options).await.unwrap().rows, 1000, "the mended file is taken whole");
}

#[tokio::test]
async fn what_is_no_file_of_a_known_format_is_refused() {
    let bed = Bed::new(1, &[]);
    assert!(bed.refusal_of("orders.xlsx", "").await.contains("name it .csv"));
    assert!(bed.refusal_of("orders.parquet", "no").await.contains("cannot be read as Parquet"));
    let folder = bed.ingest(&bed.folder.path().to_owned(), &IngestOptions::default()).await;
    assert!(folder.unwrap_err().to_string().contains("is not a file"));
    let nowhere = bed.ingest(&bed.folder.path().join("none.csv"), &IngestOptions::default()).await;
    assert!(nowhere.unwrap_err().to_string().contains("cannot read"));
}

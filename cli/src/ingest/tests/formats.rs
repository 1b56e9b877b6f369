//! What the rows of each format become, byte for byte, and what is refused.

use std::fs::File;
use std::sync::Arc;

use anabranch_shared::event::Decoder;
use anabranch_shared::log::Chunk;
use anabranch_shared::position::{Offset, Partition};
use arrow::array::{
    ArrayRef, AsArray, Decimal128Array, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use arrow::datatypes::Decimal128Type;
use parquet::arrow::ArrowWriter;

use super::{Bed, gz};
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
    let decoded = Decoder::new(&bed.source).decode(&chunk).unwrap();
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
    let lines = ["{ \"id\":1, \"price\": 4.10 }", "[1]", "{\"id\":", "not json", "{} {}"];
    let text = format!("{}\r\n\n  \n{}", lines[0], lines[1..].join("\n"));
    let file = bed.file("orders.jsonl", text);
    let report = bed.ingest(&file, &IngestOptions::default()).await.unwrap();
    assert_eq!((report.rows, report.malformed), (5, 4));
    assert_eq!(report.bytes, lines.iter().map(|line| line.len() as u64).sum::<u64>());
    assert_eq!(bed.payloads(Partition(0)).await, lines);
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

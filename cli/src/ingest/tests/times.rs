//! Columns with a declared format of their times, and the built-in ingestion time.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use anabranch_model::event::{Decoder, JsonDecoder};
use anabranch_model::position::Partition;
use anabranch_model::project::{Column, INGESTION_TIME, Source};
use arrow::array::{
    ArrayRef, AsArray, Date32Array, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
    TimestampMillisecondArray, TimestampNanosecondArray, TimestampSecondArray,
};
use arrow::datatypes::TimestampMicrosecondType;
use parquet::arrow::ArrowWriter;

use super::{Bed, source};
use crate::ingest::IngestOptions;

const FORMATS: [&str; 4] = ["epoch_seconds", "epoch_millis", "epoch_micros", "epoch_nanos"];
const TIME_US: i64 = 1_317_918_000_123_456;

fn bed(declaration: &str) -> Bed {
    let columns = vec![Column::parse("at", declaration).unwrap()];
    Bed::of(Source { event_time: "at".into(), columns, ..source(1, &[]) })
}

fn parquet(bed: &Bed, column: ArrayRef) -> PathBuf {
    let batch = RecordBatch::try_from_iter_with_nullable([("at", column, true)]).unwrap();
    let path = bed.folder.path().join("clicks.parquet");
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    path
}

/// Column `at` of the ingested events as the decoder reads it.
async fn decoded(bed: &Bed) -> Vec<Option<i64>> {
    let chunks = bed.chunks(Partition(0)).await;
    let decoder = JsonDecoder::new(&bed.source);
    let times = chunks.iter().flat_map(|chunk| {
        let decoded = decoder.decode(chunk).unwrap();
        assert!(decoded.reasons.is_empty(), "{:?}", decoded.reasons);
        decoded.events.column(0).as_primitive::<TimestampMicrosecondType>().iter().collect::<Vec<_>>()
    });
    times.collect()
}

#[tokio::test]
async fn parquet_times_are_written_in_the_declared_format() {
    let second = TIME_US - TIME_US.rem_euclid(1_000_000);
    for format in FORMATS {
        let times: [(ArrayRef, i64); 5] = [
            (Arc::new(TimestampMicrosecondArray::from(vec![Some(TIME_US), None]).with_timezone("UTC")), TIME_US),
            (Arc::new(TimestampNanosecondArray::from(vec![Some(TIME_US * 1000), None])), TIME_US),
            (Arc::new(TimestampMillisecondArray::from(vec![Some(-1), None])), -1000),
            (Arc::new(TimestampSecondArray::from(vec![Some(second / 1_000_000), None])), second),
            (Arc::new(Date32Array::from(vec![Some(-1), None])), -86_400_000_000),
        ];
        for (column, expected) in times {
            let bed = bed(&format!("TIMESTAMP FORMAT '{format}'"));
            let file = parquet(&bed, column);
            bed.ingest(&file, &IngestOptions::default()).await.unwrap();
            assert_eq!(decoded(&bed).await, [Some(expected), None], "{format}: {:?}", bed.payloads(Partition(0)).await);
        }
    }
}

#[tokio::test]
async fn parquet_times_become_exact_numbers() {
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_317_918_000_123_456_789, -1]));
    for (format, expected) in [
        ("epoch_seconds", [r#"{"at":1317918000.123456789}"#, r#"{"at":-0.000000001}"#]),
        ("epoch_nanos", [r#"{"at":1317918000123456789}"#, r#"{"at":-1}"#]),
        ("iso8601", [r#"{"at":"2011-10-06T16:20:00.123456789"}"#, r#"{"at":"1969-12-31T23:59:59.999999999"}"#]),
    ] {
        let bed = bed(&format!("TIMESTAMP(6) FORMAT '{format}' NOT NULL"));
        let file = parquet(&bed, nanos.clone());
        bed.ingest(&file, &IngestOptions::default()).await.unwrap();
        assert_eq!(bed.payloads(Partition(0)).await, expected);
        assert_eq!(decoded(&bed).await, [Some(TIME_US), Some(-1)]);
    }
}

#[tokio::test]
async fn parquet_integers_and_texts_are_counts_already_and_doubles_are_refused() {
    let bed = bed("TIMESTAMP FORMAT 'epoch_micros'");
    let counts: ArrayRef = Arc::new(Int64Array::from(vec![TIME_US]));
    bed.ingest(&parquet(&bed, counts), &IngestOptions::default()).await.unwrap();
    let texts: ArrayRef = Arc::new(StringArray::from(vec!["-1"]));
    bed.ingest(&parquet(&bed, texts), &IngestOptions::default()).await.unwrap();
    assert_eq!(decoded(&bed).await, [Some(TIME_US), Some(-1)]);

    let doubles: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
    let refused = bed.ingest(&parquet(&bed, doubles), &IngestOptions::default()).await.unwrap_err().to_string();
    let words = ["clicks.parquet: column 'at' is floating point", "epoch_micros", "write it as TIMESTAMP"];
    assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
    assert_eq!(bed.payloads(Partition(0)).await.len(), 2, "nothing was appended");
}

#[tokio::test]
async fn csv_passes_the_text_through() {
    for (format, text) in
        FORMATS.into_iter().zip(["1317918000.123456", "1317918000123.456", "1317918000123456", "1317918000123456000"])
    {
        let bed = bed(&format!("TIMESTAMP FORMAT '{format}' NOT NULL"));
        assert_eq!(bed.events_of("clicks.csv", format!("at\n{text}\n")).await, [format!(r#"{{"at":"{text}"}}"#)]);
        assert_eq!(decoded(&bed).await, [Some(TIME_US)]);
    }
}

#[tokio::test]
async fn no_file_needs_a_column_for_the_ingestion_time() {
    let columns = vec![Column::parse("id", "VARCHAR NOT NULL").unwrap(), Column::ingestion_time()];
    let bed = Bed::of(Source { event_time: INGESTION_TIME.into(), columns, ..source(1, &[]) });
    assert_eq!(bed.events_of("clicks.csv", "id\na\n").await, [r#"{"id":"a"}"#]);
    let chunk = &bed.chunks(Partition(0)).await[0];
    let decoded = JsonDecoder::new(&bed.source).decode(chunk).unwrap();
    assert_eq!(decoded.event_times, [Some(chunk.timestamps_ms[0] * 1000)]);
}

//! The user's files become tables, and pinned rows stay what they were.

use std::fs::{self, File};
use std::path::Path;
use std::sync::Arc;

use anabranch_model::project::{Column, Reference, ReferenceFormat};
use anabranch_model::reference::{ReferenceError, ReferenceStore, ReferenceTable};
use anabranch_stores::ReferenceFiles;
use anabranch_stores::reference::{csv_table, read_reference};
use parquet::arrow::ArrowWriter;

const CSV: &str =
    "name,code,rate,since,open\nDenmark,DK,25.00,1967-07-03,true\n\"Line\nbreak\",FR,20.5,,FALSE\n,XX,,,\n";

fn reference(format: ReferenceFormat) -> Reference {
    let columns = [
        ("code", "VARCHAR NOT NULL"),
        ("rate", "DECIMAL(5,2)"),
        ("since", "DATE"),
        ("open", "BOOLEAN"),
        ("name", "VARCHAR"),
    ];
    Reference {
        name: "countries".into(),
        file: "countries.csv".into(),
        format,
        key: vec!["code".into()],
        columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    }
}

fn table(text: &str) -> Arc<ReferenceTable> {
    Arc::new(csv_table("countries.csv", &reference(ReferenceFormat::Csv), text.as_bytes()).unwrap())
}

#[test]
fn csv_values_are_exact_and_empty_ones_null() {
    let table = table(CSV);
    let text = arrow::util::pretty::pretty_format_batches(&[table.rows().clone()]).unwrap().to_string();
    assert_eq!(table.pin().rows, 3);
    assert!(text.contains("| DK   | 25.00 | 1967-07-03 | true  | Denmark |"), "{text}");
    assert!(text.contains("| XX   |       |            |       |"), "{text}");
}

#[test]
fn what_is_not_declared_so_is_refused_with_its_place() {
    for (from, to, line, words) in [
        ("25.00", "25.001", 2, "rate"),
        ("25.00", "dear", 2, "rate"),
        ("1967-07-03", "03.07.1967", 2, "since"),
        ("true", "yes", 2, "open"),
        (",XX,", ",,", 4, "code"),
        ("code", "cod", 1, "no column 'code'"),
        ("since", "rate", 1, "two columns"),
        ("XX", "DK", 1, "code = DK"),
        (",XX,", ",XX,,,,", 1, "line"),
    ] {
        let text = CSV.replacen(from, to, 1);
        let error = csv_table("countries.csv", &reference(ReferenceFormat::Csv), text.as_bytes()).unwrap_err();
        assert!(error.to_string().contains(words) && error.place.line == line, "{to}: {error}");
    }
}

#[test]
fn parquet_has_the_same_rows_and_hash() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("countries.parquet");
    let rows = table(CSV).rows().clone();
    let mut writer = ArrowWriter::try_new(File::create(&path).unwrap(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    writer.close().unwrap();
    let read = read_reference(&path, &reference(ReferenceFormat::Parquet)).unwrap();
    assert_eq!(read.pin(), table(CSV).pin());
    let mut other = reference(ReferenceFormat::Parquet);
    other.columns.push(Column::parse("area", "DOUBLE").unwrap());
    assert!(read_reference(&path, &other).unwrap_err().to_string().contains("no column 'area'"));
    assert!(read_reference(&folder.path().join("gone.parquet"), &other).is_err());
}

fn only_file(root: &Path) -> std::path::PathBuf {
    let mut files = fs::read_dir(root.join("references/countries")).unwrap().map(|entry| entry.unwrap().path());
    let file = files.next().unwrap();
    assert_eq!(files.next(), None);
    file
}

#[test]
fn pinned_rows_are_kept_once_and_checked_when_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let (kept, other) = (table(CSV), table(&CSV.replace("25.00", "26.00")));
    let files = ReferenceFiles::new(folder.path());
    files.keep(&kept).unwrap();
    files.keep(&kept).unwrap();
    let file = only_file(folder.path());
    let again = ReferenceFiles::new(folder.path());
    let loaded = again.table(kept.pin()).unwrap();
    assert_eq!((loaded.pin(), loaded.rows()), (kept.pin(), kept.rows()));
    assert!(matches!(again.table(other.pin()), Err(ReferenceError::Unavailable { .. })));

    again.keep(&other).unwrap();
    let others = folder.path().join(format!("references/countries/{}.parquet", other.pin().hash));
    fs::copy(&others, &file).unwrap();
    fs::write(&others, "no rows").unwrap();
    let afresh = ReferenceFiles::new(folder.path());
    assert!(matches!(afresh.table(kept.pin()), Err(ReferenceError::Damaged { .. })), "other rows");
    assert!(matches!(afresh.table(other.pin()), Err(ReferenceError::Damaged { .. })), "no rows");
    afresh.keep(&kept).unwrap();
    assert_eq!(ReferenceFiles::new(folder.path()).table(kept.pin()).unwrap().rows(), kept.rows());
}

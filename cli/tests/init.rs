//! `anabranch init DIR --from FILE`: a project that is ready for the file, whatever its format.

mod support;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Float64Array, Int64Array, StringArray, TimestampMillisecondArray,
};
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use support::{anabranch, json_lines, repository};

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn init(dir: &Path, file: &Path, more: &[&str]) -> Output {
    let (dir, file) = (dir.to_str().unwrap(), file.to_str().unwrap());
    anabranch(&["init", dir, "--from", file]).args(more).output().unwrap()
}

/// The project that was made of the file.
struct Made {
    dir: PathBuf,
    report: serde_json::Value,
}

impl Made {
    fn of(dir: &Path, file: &Path) -> Self {
        let report = json_lines(&init(dir, file, &["--json"])).remove(0);
        Self { dir: dir.to_owned(), report }
    }

    fn run(&self, args: &[&str]) -> Output {
        let done = anabranch(args).args(["--project", self.dir.to_str().unwrap()]).output().unwrap();
        assert!(done.status.success(), "{args:?}: {}\n{}", text(&done.stderr), self.toml());
        done
    }

    fn toml(&self) -> String {
        fs::read_to_string(self.dir.join("anabranch.toml")).unwrap()
    }

    fn text(&self, field: &str) -> &str {
        self.report[field].as_str().unwrap_or_else(|| panic!("{field} in {}", self.report))
    }

    /// The declared type of a column.
    fn kind(&self, column: &str) -> &str {
        let columns = self.report["columns"].as_array().unwrap();
        let found = columns.iter().find(|found| found["column"] == column);
        found.unwrap_or_else(|| panic!("{column} in {}", self.report))["type"].as_str().unwrap()
    }

    /// Checks, ingests and computes; every event counts, in both views.
    fn runs(&self, file: &Path, rows: u64) {
        self.run(&["check"]);
        let ingested =
            json_lines(&self.run(&["ingest", self.text("source"), file.to_str().unwrap(), "--json"])).remove(0);
        assert_eq!((&ingested["rows"], &ingested["rejected"]), (&rows.into(), &0.into()), "{}", self.toml());
        self.run(&["batch"]);
        for view in self.report["views"].as_array().unwrap() {
            let view = view.as_str().unwrap();
            assert!(!text(&self.run(&["query", view, "--format", "csv"]).stdout).is_empty());
            let counted = self.run(&["sql", &format!("SELECT sum(events) AS n FROM {view}"), "--format", "csv"]);
            assert_eq!(text(&counted.stdout), format!("n\n{rows}\n"), "{view}\n{}", self.toml());
        }
    }
}

#[test]
fn the_bundled_orders_become_a_project_that_counts_every_line() {
    let dir = tempfile::tempdir().unwrap();
    let file = repository().join("examples/retail/online-retail.csv.gz");
    let made = Made::of(&dir.path().join("shop"), &file);
    assert_eq!(made.text("source"), "online_retail");
    assert_eq!((made.text("event_time"), made.text("key")), ("invoice_date", "invoice_no"));
    assert_eq!(made.kind("unit_price"), "DECIMAL(18,2)");
    assert_eq!((made.kind("quantity"), made.kind("invoice_date")), ("BIGINT", "TIMESTAMP"));
    assert_eq!(made.report["views"], serde_json::json!(["online_retail_by_country", "online_retail_by_day"]));
    made.runs(&file, 30_000);
    let sales = text(&made.run(&["query", "online_retail_by_country", "--where", "country=Norway"]).stdout);
    assert!(sales.contains("sum_unit_price") && sales.contains("Norway"), "{sales}");
}

#[test]
fn ndjson_with_counts_of_milliseconds_and_awkward_names_becomes_a_project() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("page visits.ndjson");
    let line = |i: u64| {
        let (at, page) = (1_740_816_000_000 + i * 60_000, ["/", "/cart"][i as usize % 2]);
        format!(
            "{{\"Page Name\":\"{page}\",\"order\":{i},\"at\":{at},\"agent\":{{\"os\":\"x\"}},\"_id\":{i},\"events\":1.5}}\n"
        )
    };
    fs::write(&file, (0..200).rev().map(line).collect::<String>()).unwrap();
    let made = Made::of(&dir.path().join("a project"), &file);
    assert_eq!(made.kind("at"), "TIMESTAMP FORMAT 'epoch_millis'");
    assert_eq!(made.text("lateness"), "4 hours", "the file is in reverse");
    let left_out: Vec<&str> =
        made.report["left_out"].as_array().unwrap().iter().map(|left| left["column"].as_str().unwrap()).collect();
    assert_eq!(left_out, ["agent", "_id"]);
    made.runs(&file, 200);
    let next = made.report["next"][0].as_str().unwrap();
    assert!(next.contains("page visits.ndjson'") && next.contains("a project'"), "{next}");
}

#[test]
fn parquet_keeps_the_types_that_it_states() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("readings.parquet");
    let (rows, start) = (60, 1_740_816_000_000);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("device", Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("d{}", i % 3))))),
        ("celsius", Arc::new(Float64Array::from_iter((0..rows).map(|i| (i % 7 != 0).then_some(i as f64 / 8.0))))),
        ("count", Arc::new(Int64Array::from_iter_values(0..rows))),
        ("ok", Arc::new(BooleanArray::from_iter((0..rows).map(|i| Some(i % 2 == 0))))),
        ("raw", Arc::new(BinaryArray::from_iter_values((0..rows).map(|_| b"x")))),
        ("measured", Arc::new(TimestampMillisecondArray::from_iter_values((0..rows).map(|i| start + i * 86_400_000)))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(File::create(&file).unwrap(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let made = Made::of(&dir.path().join("plant"), &file);
    let kinds = ["device", "celsius", "count", "ok", "measured"].map(|column| made.kind(column));
    assert_eq!(kinds, ["VARCHAR", "DOUBLE", "BIGINT", "BOOLEAN", "TIMESTAMP"]);
    assert_eq!(made.report["left_out"][0]["column"], "raw");
    made.runs(&file, rows as u64);
}

#[test]
fn a_file_without_a_time_goes_by_the_time_at_which_the_log_takes_its_rows() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("stock.csv");
    fs::write(&file, "sku,place,n\na,x,1\nb,x,2\nc,y,3\nd,y,4\n").unwrap();
    let told = init(&dir.path().join("told"), &file, &[]);
    let words = text(&told.stdout);
    assert!(words.contains("read all 4 rows") && words.contains("it is ingestion_time"), "{words}");
    assert_eq!(words.lines().filter(|line| line.starts_with("  anabranch ")).count(), 3, "{words}");
    let made = Made::of(&dir.path().join("stock"), &file);
    assert!(made.toml().contains("event_time = \"ingestion_time\""), "{}", made.toml());
    made.runs(&file, 4);
}

#[test]
fn nothing_is_overwritten_and_a_file_that_cannot_be_read_makes_no_project() {
    let dir = tempfile::tempdir().unwrap();
    let csv = dir.path().join("a.csv");
    fs::write(&csv, "k,ts\na,2026-01-01T00:00:00Z\n").unwrap();
    let (taken, free) = (dir.path().join("taken"), dir.path().join("free"));
    fs::create_dir_all(taken.join("views")).unwrap();
    fs::write(taken.join("views/a_total.sql"), "mine").unwrap();
    let refused = init(&taken, &csv, &[]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused.stderr));
    assert!(
        text(&refused.stderr).contains("exists already\n  help: choose another folder"),
        "{}",
        text(&refused.stderr)
    );
    assert_eq!(fs::read_to_string(taken.join("views/a_total.sql")).unwrap(), "mine");
    assert!(!taken.join("anabranch.toml").exists());
    for (name, content, words) in [
        ("empty.csv", "", "is empty"),
        ("header.csv", "a,b\n", "has no rows"),
        ("torn.csv", "a,b\n1,2\n\"3,4\n", "torn.csv:3"),
        ("twice.csv", "a,a\n1,2\n", "two columns are named 'a'"),
        ("x.xlsx", "", "of no known format"),
        ("lists.ndjson", "[1]\n[2]\n", "has no rows"),
    ] {
        let file = dir.path().join(name);
        fs::write(&file, content).unwrap();
        let refused = init(&free, &file, &[]);
        let error = text(&refused.stderr);
        assert!(refused.status.code() == Some(2) && error.contains(words), "{name}: {error}");
        assert!(!free.exists(), "{name}");
    }
}

//! `anabranch sql`: a SELECT over merged views on the terminal, alone and beside a process that serves them.

mod support;

use std::path::Path;
use std::process::Output;

use support::{Running, anabranch, api_of, clicks, json_lines, output, project};

const VIEW: &str = "SELECT k, count(*) AS c, sum(n) AS total FROM clicks GROUP BY k";

/// A project with three clicks on `a` and one on `b`, computed.
fn computed(dir: &Path) -> String {
    let toml = clicks("shop").replace("k = \"VARCHAR\"", "k = \"VARCHAR\"\nn = \"BIGINT\"");
    project(dir, &toml, &[("v", VIEW)]);
    let file = dir.join("clicks.csv");
    let time = "2026-01-01T00:00:00Z";
    std::fs::write(&file, format!("k,n,ts\na,1,{time}\na,2,{time}\na,,{time}\nb,9007199254740993,{time}\n")).unwrap();
    let folder = dir.to_str().unwrap().to_owned();
    for args in [vec!["ingest", "clicks", file.to_str().unwrap()], vec!["batch"]] {
        let done = anabranch(&args).args(["--project", &folder]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }
    folder
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn sql(folder: &str, select: &str, more: &[&str]) -> Output {
    anabranch(&["sql", select, "--project", folder]).args(more).output().unwrap()
}

#[test]
fn a_select_is_answered_in_every_form() {
    let dir = tempfile::tempdir().unwrap();
    let folder = computed(dir.path());
    let select = "SELECT k, total, CAST(NULL AS VARCHAR) AS nothing FROM v ORDER BY k DESC";
    let table = sql(&folder, select, &[]);
    let expected = "k  total             nothing\nb  9007199254740993  NULL\na  3                 NULL\n";
    assert_eq!(text(&table.stdout), expected, "{}", text(&table.stderr));
    assert!(text(&table.stderr).starts_with("v: generation 1, lambda mode"), "{}", text(&table.stderr));
    let csv = sql(&folder, select, &["--format", "csv"]);
    assert_eq!(text(&csv.stdout), "k,total,nothing\nb,9007199254740993,\na,3,\n");
    let lines = sql(&folder, select, &["--format", "ndjson"]);
    let first = "{\"k\":\"b\",\"total\":9007199254740993,\"nothing\":null}\n";
    assert!(text(&lines.stdout).starts_with(first), "{}", text(&lines.stdout));
    let whole = &json_lines(&sql(&folder, select, &["--json"]))[0];
    assert_eq!(whole["columns"][1]["type"], "BIGINT");
    assert!(whole["views"]["v"]["generation"].is_number() && whole["rows"].as_array().unwrap().len() == 2, "{whole}");
    let none = sql(&folder, "SELECT k FROM v WHERE c > 100", &[]);
    assert_eq!(text(&none.stdout), "k\n", "the names of the columns are known without rows");
}

#[test]
fn a_select_that_cannot_be_answered_is_bad_input_with_the_next_step() {
    let dir = tempfile::tempdir().unwrap();
    let folder = computed(dir.path());
    for (select, words) in [
        ("SELECT * FROM w", "unknown view 'w'\n  help: the views are v"),
        ("SELECT totl FROM v", "Did you mean 'v.total'?"),
        ("SELEC 1", "SELEC"),
        ("DROP TABLE v", "only SELECT is allowed here"),
        ("SELECT 1; SELECT 2", "send exactly one SELECT"),
        ("SELECT repeat('x', 9) AS x FROM v", "repeat"),
        ("", "no statement"),
    ] {
        let refused = sql(&folder, select, &[]);
        let error = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{select}: {error}");
        assert!(error.contains(words) && error.contains("help:") && refused.stdout.is_empty(), "{select}: {error}");
    }
}

#[test]
fn a_mistyped_view_is_guessed_and_one_without_an_answer_is_no_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let toml = clicks("shop").replace("[views.v]", "[views.country_sales]");
    project(dir.path(), &toml, &[("country_sales", "SELECT k, count(*) AS c FROM clicks GROUP BY k")]);
    let folder = dir.path().to_str().unwrap();
    let mistyped = sql(folder, "SELECT * FROM contry_sales", &[]);
    assert!(text(&mistyped.stderr).contains("did you mean 'country_sales'?"), "{}", text(&mistyped.stderr));
    let early = sql(folder, "SELECT * FROM country_sales", &[]);
    assert_eq!(early.status.code(), Some(1), "{}", text(&early.stderr));
    assert!(text(&early.stderr).contains("has no generation to answer from yet"), "{}", text(&early.stderr));
}

#[test]
fn beside_a_running_process_its_api_is_asked() {
    let dir = tempfile::tempdir().unwrap();
    let folder = computed(dir.path());
    let _dev = Running::start(dir.path(), &["dev", "--bind", "127.0.0.1:0", "--project", &folder]);
    api_of(dir.path());
    let answer = output(&["sql", "SELECT sum(c) AS clicks FROM v", "--project", &folder]);
    assert_eq!(text(&answer.stdout), "clicks\n4\n", "{}", text(&answer.stderr));
}

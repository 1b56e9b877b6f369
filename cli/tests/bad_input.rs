//! Bad input: an error with file, line, column and what to do, exit code 2, nothing written; and
//! one clear line for parts that are missing or wrong.

mod support;

use std::net::TcpListener;

use anabranch_infra::Redis;
use support::{Running, api_of, output, project};

const PROJECT: &str = r#"[project]
name = "shop"
[sources.orders]
topic = "orders"
format = "json"
event_time = "ts"
lateness = "10 minutes"
[sources.orders.columns]
uid = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2)"
ts = "TIMESTAMP NOT NULL"
[views.spend]
"#;
const VIEW: &str = "SELECT uid, sum(amount) AS spent\nFROM orders\nGROUP BY uid, tumble(ts, INTERVAL '1 minute')\n";

/// Runs `check` on the project with one thing changed; returns the error.
fn refused(toml: (&str, &str), view: (&str, &str)) -> String {
    let dir = tempfile::tempdir().unwrap();
    assert!(PROJECT.contains(toml.0) && VIEW.contains(view.0));
    project(dir.path(), &PROJECT.replacen(toml.0, toml.1, 1), &[("spend", &VIEW.replacen(view.0, view.1, 1))]);
    let folder = dir.path().to_str().unwrap();
    for command in ["check", "speed", "batch"] {
        let output = output(&[command, "--project", folder]);
        assert_eq!(output.status.code(), Some(2), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    }
    assert!(!dir.path().join("data").exists(), "nothing is written");
    String::from_utf8(output(&["check", "--project", folder]).stderr).unwrap()
}

const SAME: (&str, &str) = ("", "");

#[test]
fn mistakes_in_the_project_file_have_a_place() {
    let error = refused(("lateness = \"10 minutes\"\n", ""), SAME);
    assert!(error.contains("anabranch.toml:3:") && error.contains("lateness") && error.contains("help:"), "{error}");
    let error = refused(("topic", "topc"), SAME);
    assert!(error.contains("anabranch.toml:4:1") && error.contains("topc"), "{error}");
    let error = refused(("VARCHAR", "VARCHR"), SAME);
    assert!(error.contains("anabranch.toml:9:7"), "{error}");
}

#[test]
fn check_tells_the_mistakes_of_all_views() {
    let dir = tempfile::tempdir().unwrap();
    let toml = format!("{PROJECT}[views.orders_late]\n[views.gone]\n");
    let late = VIEW.replace("amount", "amont");
    project(dir.path(), &toml, &[("spend", &VIEW.replace("uid", "uids")), ("orders_late", &late)]);
    let checked = output(&["check", "--project", dir.path().to_str().unwrap()]);
    let told = String::from_utf8(checked.stderr).unwrap();
    assert_eq!(checked.status.code(), Some(2), "{told}");
    for mistake in
        ["gone.sql:1:1", "orders_late.sql:1:17: unknown column 'amont'", "spend.sql:1:8: unknown column 'uids'"]
    {
        assert_eq!(told.matches(mistake).count(), 1, "{mistake} in {told}");
    }
    assert_eq!(told.matches("error: ").count(), 3, "{told}");
}

#[test]
fn check_tells_the_mistakes_of_all_files_and_what_it_did_not_look_at() {
    let dir = tempfile::tempdir().unwrap();
    let toml = PROJECT.replace("topic", "topc").replace("VARCHAR", "VARCHR")
        + "[views.clicks_by_page]\n[sources.clicks]\ntopic = \"clicks\"\nformat = \"json\"\nevent_time = \"ts\"\n\
           lateness = \"1 day\"\ncolumns = { page = \"VARCHAR\", ts = \"TIMESTAMP NOT NULL\" }\n";
    let clicks = "SELECT page, count(*) AS n, max(tss) AS last, sum(pages) AS m FROM clicks GROUP BY page";
    project(dir.path(), &toml, &[("spend", VIEW), ("clicks_by_page", clicks)]);
    let checked = output(&["check", "--project", dir.path().to_str().unwrap()]);
    let told = String::from_utf8(checked.stderr).unwrap();
    for mistake in [
        "anabranch.toml:4:1: unknown key 'topc'",
        "did you mean 'topic'?",
        "anabranch.toml:9:7: 'VARCHR NOT NULL' is not a column type",
        "clicks_by_page.sql:1:33: unknown column 'tss'",
        "clicks_by_page.sql:1:51: unknown column 'pages'",
        "not checked yet, because of mistakes in what they are over: spend",
    ] {
        assert_eq!(told.matches(mistake).count(), 1, "{mistake} in {told}");
    }
    assert_eq!(told.matches("error: ").count(), 4, "{told}");
}

#[test]
fn check_tells_windows_in_words_and_names_that_were_meant() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("spend", VIEW)]);
    let folder = dir.path().to_str().unwrap();
    let table = String::from_utf8(output(&["check", "--project", folder]).stdout).unwrap();
    assert!(table.contains("tumble of 1 minute") && !table.contains('{'), "{table}");
    for command in ["verify", "query", "generations", "rollback"] {
        let mistyped = output(&[command, "spent", "--project", folder]);
        let meant = String::from_utf8(mistyped.stderr).unwrap();
        assert!(meant.contains("unknown view 'spent'") && meant.contains("did you mean 'spend'?"), "{meant}");
        assert_eq!(mistyped.status.code(), Some(2), "{meant}");
    }
    let file = String::from_utf8(output(&["ingest", "order", "x.csv", "--project", folder]).stderr).unwrap();
    assert!(file.contains("did you mean 'orders'?"), "{file}");
}

#[test]
fn a_batch_run_that_fails_says_so_once() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("spend", VIEW), ("again", VIEW)]);
    let folder = dir.path().to_str().unwrap();
    let events = dir.path().join("orders.csv");
    std::fs::write(&events, "uid,amount,ts\nu1,2.50,2026-01-01T00:00:00Z\n").unwrap();
    let ingested = output(&["ingest", "orders", events.to_str().unwrap(), "--project", folder]);
    assert!(ingested.status.success(), "{}", String::from_utf8_lossy(&ingested.stderr));
    // A file where the folder of the batch views must go.
    let views = dir.path().join("data/views");
    std::fs::create_dir_all(views.parent().unwrap()).unwrap();
    std::fs::write(&views, "").unwrap();
    let failed = output(&["batch", "--project", folder]);
    let told = String::from_utf8(failed.stderr).unwrap();
    assert_eq!(failed.status.code(), Some(1), "{told}");
    assert_eq!(told.matches("view 'spend'").count(), 1, "{told}");
    assert_eq!(told.matches("error: ").count(), 1, "{told}");
    // And each of several.
    project(dir.path(), &format!("{PROJECT}[views.again]\n"), &[]);
    let told = String::from_utf8(output(&["batch", "--project", folder]).stderr).unwrap();
    assert!(told.starts_with("error: 2 views failed\n"), "{told}");
    assert_eq!((told.matches("view 'spend'").count(), told.matches("view 'again'").count()), (1, 1), "{told}");
}

#[test]
fn version_and_completions_are_told() {
    let version = String::from_utf8(output(&["--version"]).stdout).unwrap();
    assert!(version.starts_with(concat!("anabranch ", env!("CARGO_PKG_VERSION"))), "{version}");
    for (shell, names) in [("bash", "complete -F"), ("zsh", "#compdef anabranch"), ("fish", "complete -c anabranch")] {
        let script = String::from_utf8(output(&["completions", shell]).stdout).unwrap();
        assert!(script.contains(names) && script.contains("rollback"), "{shell}");
    }
}

#[test]
fn mistakes_in_a_view_have_a_place() {
    for (from, to, place, words) in [
        ("sum(amount)", "sum(amont)", "spend.sql:1:17", "amont"),
        ("SELECT", "SELEC", "spend.sql:1:1", "SELEC"),
        ("FROM orders", "FROM oders", "spend.sql:2:6", "oders"),
        ("GROUP BY uid", "GROUP BY uid,,", "spend.sql:3:", ""),
        ("'1 minute')", "'1 minute') EMIT CHANGES", "spend.sql:3:47", "leave it out"),
        (
            "FROM orders",
            "FROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE))",
            "spend.sql:2:6",
            "tumble(ts,",
        ),
        ("sum(amount)", "sum(amuont)", "spend.sql:1:17", "did you mean 'amount'?"),
        ("sum(amount) AS spent", "sum(amount)", "spend.sql:1:13", "AS name"),
        ("sum(amount) AS spent", "now() AS spent", "spend.sql:1:13", "now"),
        ("FROM orders", "FROM orders JOIN orders o ON true", "spend.sql:2:6", "joins"),
        ("GROUP BY uid,", "WHERE random() < 1 GROUP BY uid,", "spend.sql:3:7", "random"),
        ("tumble(ts,", "tumble(other,", "spend.sql:3:22", "other"),
        ("sum(amount)", "sum(DISTINCT amount)", "spend.sql:1:13", "DISTINCT"),
        ("sum(amount)", "median(amount)", "spend.sql:1:13", "median"),
    ] {
        let error = refused(SAME, (from, to));
        assert!(error.contains(place) && error.contains(words) && error.contains("help:"), "{to}: {error}");
    }
}

#[test]
fn a_view_without_a_declaration_is_told_and_a_project_without_views_runs() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), &PROJECT.replace("[views.spend]", ""), &[("spend", VIEW)]);
    let folder = dir.path().to_str().unwrap();
    let checked = output(&["check", "--project", folder]);
    let words = String::from_utf8(checked.stderr).unwrap();
    assert!(checked.status.success() && words.contains("add [views.spend] to anabranch.toml"), "{words}");
    let _dev = Running::start(dir.path(), &["dev", "--bind", "127.0.0.1:0", "--project", folder]);
    let api = api_of(dir.path());
    let found = String::from_utf8(output(&["doctor", "--project", folder]).stdout).unwrap();
    assert!(found.contains(&api), "{found}");
}

#[test]
fn missing_parts_are_one_clear_line() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("spend", VIEW)]);
    let folder = dir.path().to_str().unwrap();
    let fails = |args: &[&str], words: &[&str]| {
        let output = output(args);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(words.iter().all(|word| error.contains(word)) && error.trim().lines().count() <= 2, "{error}");
    };
    fails(&["speed", "--project", folder, "--brokers", "127.0.0.1:1"], &["127.0.0.1:1", "no broker answered"]);
    fails(&["speed", "--project", folder, "--redis", "redis://127.0.0.1:1"], &["127.0.0.1:1", "not available"]);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    fails(&["serve", "--project", folder, "--bind", &address], &[&address, "in use"]);
    fails(&["serve", "--project", folder, "--bind", "0.0.0.0:0"], &["ANABRANCH_API_KEY"]);
    let evicting = Redis::start_with(&[("maxmemory-policy", "allkeys-lru")]).unwrap();
    fails(&["speed", "--project", folder, "--redis", &evicting.url()], &["allkeys-lru", "noeviction"]);
}

#[test]
fn ingest_tells_of_columns_without_values_and_of_rows_that_are_rejected() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("spend", VIEW)]);
    let folder = dir.path().to_str().unwrap();
    let ingest = |name: &str, text: &str| {
        let file = dir.path().join(name);
        std::fs::write(&file, text).unwrap();
        output(&["ingest", "orders", file.to_str().unwrap(), "--project", folder])
    };
    let event = |field: &str| format!("{{\"uid\":\"a\",\"ts\":\"2026-01-01T00:00:00Z\"{field}}}\n");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();

    let refused = ingest("case.ndjson", &event(",\"AMOUNT\":5"));
    let error = text(refused.stderr);
    assert!(!refused.status.success() && error.contains("'AMOUNT'") && error.contains("'amount'"), "{error}");

    let absent = ingest("absent.ndjson", &event(",\"total\":5"));
    let warning = text(absent.stderr);
    assert!(absent.status.success() && warning.contains("NULL in every event"), "{warning}");
    assert_eq!(warning.matches("WARN").count(), 1, "{warning}");

    let rows = format!("{}{}", event(",\"amount\":5").repeat(1500), event(",\"amount\":\"five\"").repeat(3));
    let rejected = ingest("late.ndjson", &rows);
    let report = text(rejected.stdout);
    assert!(report.starts_with("1503 rows into 'orders'"), "{report}");
    let reason = "the source rejects 3 of them, first late.ndjson row 1501: column 'amount': 'five' is not";
    assert!(report.contains(reason), "{report}");
}

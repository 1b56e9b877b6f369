//! Reference tables: a generation answers from the rows that it was built with, whatever becomes of
//! the user's file; the next batch run publishes a generation with the new rows.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use anabranch_batch::load_view;
use anabranch_model::catalog::{CatalogStore, GenerationRecord};
use anabranch_model::position::Generation;
use anabranch_stores::{ObjectCatalog, ReferenceFiles};
use anabranch_view::ViewPlan;
use anabranch_view::merge::Merge;
use arrow::util::display::array_value_to_string;
use serde_json::Value;
use support::{Running, api_of, eventually, json_lines, output, project};

const PROJECT: &str = r#"[project]
name = "shop"
[serving]
bind = "127.0.0.1:0"
[sources.orders]
topic = "orders"
format = "json"
event_time = "ts"
lateness = "10 minutes"
[sources.orders.columns]
country = "VARCHAR"
amount = "DECIMAL(18,2)"
ts = "TIMESTAMP NOT NULL"
[references.countries]
file = "countries.csv"
key = ["code"]
[references.countries.columns]
code = "VARCHAR NOT NULL"
name = "VARCHAR"
[views.spend]
"#;
const VIEW: &str =
    "SELECT c.name, sum(o.amount) AS spent FROM orders AS o JOIN countries AS c ON o.country = c.code GROUP BY c.name";
const EVENTS: &str = r#"{"country":"DK","amount":"10.00","ts":"2024-03-01T10:00:00Z"}
{"country":"FR","amount":"5.50","ts":"2024-03-01T10:00:01Z"}
{"country":"DK","amount":"1.25","ts":"2024-03-01T10:00:02Z"}
{"country":"XX","amount":"9.99","ts":"2024-03-01T10:00:03Z"}
"#;
const OLD: &str = "code,name\nDK,Denmark\nFR,France\n";
const NEW: &str = "code,name\nDK,Danmark\nXX,Nowhere\n";
const OLD_ROWS: [&str; 2] = ["Denmark|11.25", "France|5.50"];
const NEW_ROWS: [&str; 2] = ["Danmark|11.25", "Nowhere|9.99"];

struct Shop(tempfile::TempDir);

impl Shop {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        project(dir.path(), PROJECT, &[("spend", VIEW)]);
        fs::write(dir.path().join("countries.csv"), OLD).unwrap();
        fs::write(dir.path().join("events.ndjson"), EVENTS).unwrap();
        let shop = Self(dir);
        let events = shop.dir().join("events.ndjson");
        shop.run(&["ingest", "orders", events.to_str().unwrap()]);
        shop
    }

    fn dir(&self) -> &Path {
        self.0.path()
    }

    fn run(&self, args: &[&str]) -> Value {
        let args = [args, &["--json", "--project", self.dir().to_str().unwrap()]].concat();
        json_lines(&output(&args)).pop().unwrap()
    }

    /// Everything runs. Commands wait for it, as otherwise they would take the embedded parts first.
    fn start(&self) -> Running {
        fs::remove_file(self.dir().join("data/embedded.lock")).unwrap();
        let running = Running::start(self.dir(), &["dev", "--project", self.dir().to_str().unwrap()]);
        api_of(self.dir());
        running
    }

    /// What the API answers while everything runs.
    fn answers(&self) -> Vec<String> {
        let folder = self.dir().to_str().unwrap();
        eventually("an answer", || {
            let output = output(&["query", "spend", "--json", "--project", folder]);
            let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
            let text = |row: &Value| format!("{}|{}", row["name"].as_str().unwrap(), row["spent"].as_str().unwrap());
            Some(answer["rows"].as_array()?.iter().map(text).collect())
        })
    }

    async fn generation(&self, generation: u64) -> GenerationRecord {
        let root = self.dir().join("data");
        let catalog = ObjectCatalog::in_folder(&root).unwrap();
        catalog.load().await.unwrap().view("spend").generations[&Generation(generation)].clone()
    }

    /// The rows of a generation's batch view, read by the definition that is stored with it.
    async fn rows(&self, generation: u64) -> Vec<String> {
        let (root, record) = (self.dir().join("data"), self.generation(generation).await);
        let plan = ViewPlan::of_definition("spend.sql", &record.definition, &ReferenceFiles::new(&root)).unwrap();
        assert_eq!(plan.fingerprint, record.fingerprint);
        let (plan, path) = (Arc::new(plan), record.batch_view.unwrap());
        let mut merge = Merge::new(plan.clone());
        merge.add_rows(&load_view(&root, &plan, &path).await.unwrap().rows()).unwrap();
        let rows = merge.finish().unwrap().rows;
        let cell = |row, column| array_value_to_string(rows.column(column), row).unwrap();
        (0..rows.num_rows()).map(|row| format!("{}|{}", cell(row, 0), cell(row, 1))).collect()
    }
}

fn pin(value: &Value) -> BTreeMap<String, Value> {
    value["references"][0].as_object().unwrap().clone().into_iter().collect()
}

#[tokio::test]
async fn a_generation_keeps_the_rows_that_it_was_built_with() {
    let shop = Shop::new();
    assert_eq!(shop.run(&["batch"])["views"][0]["generation"], 1);
    let before = pin(&shop.run(&["check"])["views"][0]);
    assert_eq!(
        (&before["name"], &before["rows"], &before["key"]),
        (&"countries".into(), &2.into(), &serde_json::json!(["code"]))
    );

    fs::write(shop.dir().join("countries.csv"), NEW).unwrap();
    assert_ne!(pin(&shop.run(&["check"])["views"][0])["hash"], before["hash"]);
    assert_eq!(shop.rows(1).await, OLD_ROWS);
    let running = shop.start();
    assert_eq!(shop.answers(), OLD_ROWS);
    running.kill();

    let run = shop.run(&["batch"])["views"][0].clone();
    assert_eq!((&run["generation"], &run["road"], &run["promoted"]), (&2.into(), &"batch".into(), &true.into()));
    assert_eq!(
        (shop.rows(1).await, shop.rows(2).await),
        (OLD_ROWS.map(str::to_owned).into(), NEW_ROWS.map(str::to_owned).into())
    );
    let verified = shop.run(&["verify"])["verified"][0].clone();
    assert!(
        verified["difference"].is_null() && verified["roads"].as_array().unwrap().contains(&"Polars".into()),
        "{verified}"
    );

    let _running = shop.start();
    assert_eq!(shop.answers(), NEW_ROWS);
    shop.run(&["rollback", "spend"]);
    eventually("the old rows", || (shop.answers() == OLD_ROWS).then_some(()));
}

#[tokio::test]
async fn replay_and_the_live_stream_join_as_batch_does() {
    let shop = Shop::new();
    shop.run(&["replay", "spend"]);
    assert_eq!(shop.rows(1).await, OLD_ROWS);
    let _running = shop.start();
    assert_eq!(shop.answers(), OLD_ROWS);
    let events = EVENTS.replace("2024-03-01", "2024-03-02");
    let record = shop.generation(1).await;
    assert_eq!(record.definition.references[0].rows, 2);
    let url = api_of(shop.dir());
    let client = reqwest::Client::new();
    let posted = client
        .post(format!("{url}/v1/sources/orders/events"))
        .header("content-type", "application/x-ndjson")
        .body(events)
        .send()
        .await
        .unwrap();
    assert!(posted.status().is_success(), "{}", posted.text().await.unwrap());
    let view: Value = client.get(format!("{url}/v1/views/spend")).send().await.unwrap().json().await.unwrap();
    assert_eq!(pin(&view), pin(&view["generations"][0]));
    assert_eq!(pin(&view)["hash"], record.definition.references[0].hash.as_str());
    eventually("the new events", || (shop.answers() == ["Denmark|22.50", "France|11.00"]).then_some(()));
}

#[test]
fn a_broken_reference_is_refused_with_its_place() {
    let shop = Shop::new();
    let folder = shop.dir().to_str().unwrap();
    for (text, place, words) in [
        ("code,name\nDK,a\nDK,b\n", "countries.csv:1:1", "code = DK"),
        ("code,name\n,a\n", "countries.csv:2:1", "code"),
        ("code\nDK\n", "countries.csv:1:1", "no column 'name'"),
    ] {
        fs::write(shop.dir().join("countries.csv"), text).unwrap();
        let output = output(&["check", "--project", folder]);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(error.contains(place) && error.contains(words) && error.contains("help:"), "{error}");
    }
    fs::remove_file(shop.dir().join("countries.csv")).unwrap();
    let output = output(&["batch", "--project", folder]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn what_answers_goes_on_without_the_file_and_what_computes_does_not() {
    let shop = Shop::new();
    let folder = shop.dir().to_str().unwrap();
    let countries = shop.dir().join("countries.csv");
    fs::remove_file(&countries).unwrap();
    fs::remove_dir_all(shop.dir().join("data/references")).unwrap();
    let first = output(&["query", "spend", "--project", folder]);
    assert_eq!(first.status.code(), Some(2), "nothing was kept");
    fs::write(&countries, OLD).unwrap();
    assert_eq!(shop.run(&["batch"])["views"][0]["generation"], 1);
    for damage in [None, Some("code,name\nDK,a\nDK,b\n")] {
        match damage {
            None => fs::remove_file(&countries).unwrap(),
            Some(text) => fs::write(&countries, text).unwrap(),
        }
        let running = shop.start();
        assert_eq!(shop.answers(), OLD_ROWS);
        running.kill();
        for computes in [&["batch"][..], &["replay", "spend"], &["verify"], &["check"]] {
            let output = output(&[computes, &["--project", folder]].concat());
            assert_eq!(output.status.code(), Some(2), "{computes:?}: {}", String::from_utf8_lossy(&output.stderr));
        }
        assert_eq!(shop.run(&["query", "spend"])["generation"], 1);
    }
}

/// Words that other readers of CSV take for missing values, numbers or booleans.
#[test]
fn the_country_code_of_namibia_is_text_in_events_and_references() {
    let dir = tempfile::tempdir().unwrap();
    let view = "SELECT o.country AS code, c.name AS name, count(*) AS n FROM orders AS o LEFT JOIN countries AS c \
                ON o.country = c.code GROUP BY o.country, c.name";
    project(dir.path(), PROJECT, &[("spend", view)]);
    fs::write(dir.path().join("countries.csv"), "code,name\nNA,Namibia\n007,bond\nNO,Norway\n").unwrap();
    let words = ["NA", "NULL", "NaN", "None", "\\N", "true", "007", "", "na", "7"];
    let row = |word: &&str| format!("{word},1.00,2026-01-01T00:00:00Z\n");
    let events = "country,amount,ts\n".to_owned() + &words.iter().map(row).collect::<String>();
    fs::write(dir.path().join("events.csv"), events).unwrap();
    let run = |args: &[&str]| output(&[args, &["--json", "--project", dir.path().to_str().unwrap()]].concat());
    json_lines(&run(&["ingest", "orders", dir.path().join("events.csv").to_str().unwrap()]));
    json_lines(&run(&["batch"]));
    let answer = json_lines(&run(&["query", "spend"])).remove(0);
    let found: BTreeMap<Option<&str>, (Option<&str>, u64)> = answer["rows"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["code"].as_str(), (row["name"].as_str(), row["n"].as_u64().unwrap())))
        .collect();
    let name =
        |word: &str| [("NA", "Namibia"), ("007", "bond")].iter().find(|(code, _)| *code == word).map(|(_, name)| *name);
    let expected = words.map(|word| (Some(word).filter(|word| !word.is_empty()), (name(word), 1)));
    assert_eq!(found, BTreeMap::from(expected));
}

//! Events as views see them: characters of all planes, dates, and one name twice in an object, of which
//! columns and JSON functions read the same one.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::cut::CutPoint;
use anabranch_model::event::{JsonDecoder, JudgedEvents};
use anabranch_model::log::Chunk;
use anabranch_model::position::{Offset, Partition};
use anabranch_model::project::{Column, Source};
use arrow::util::display::array_value_to_string;

use crate::ViewPlan;
use crate::groups::Groups;
use crate::merge::Merge;

fn source() -> Source {
    let columns = [
        ("doc", "VARCHAR"),
        ("n", "BIGINT"),
        ("f", "DOUBLE"),
        ("s", "VARCHAR"),
        ("b", "BOOLEAN"),
        ("day", "DATE"),
        ("ts", "TIMESTAMP FORMAT 'epoch_millis' NOT NULL"),
    ];
    Source {
        name: "s".into(),
        topic: "s".into(),
        partitions: 1,
        event_time: "ts".into(),
        lateness_us: 0,
        max_future_us: 1 << 40,
        key: vec![],
        columns: columns.iter().map(|(name, declaration)| Column::parse(name, declaration).unwrap()).collect(),
    }
}

/// The rows of the view `sql` over the events `payloads`, all of which count.
fn rows(sql: &str, payloads: &[&str]) -> Vec<String> {
    let source = source();
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    (0..).zip(payloads).for_each(|(offset, payload)| chunk.push(offset, 0, payload.as_bytes()));
    let judged = JudgedEvents::of_chunk(&source, &JsonDecoder::new(&source), &chunk, CutPoint::default()).unwrap();
    assert_eq!(judged.reasons, [], "{payloads:?}");
    let plan = Arc::new(ViewPlan::parse("v.sql", sql, &BTreeMap::from([("s".to_owned(), source)])).unwrap());
    let mut groups = Groups::new(&plan);
    groups.lift_events(&plan, &judged.applied().unwrap()).unwrap();
    let mut merge = Merge::new(plan);
    merge.add_rows(&groups.rows()).unwrap();
    let answer = merge.finish().unwrap().rows;
    let row = |row: usize| {
        answer.columns().iter().map(|column| array_value_to_string(column, row).unwrap()).collect::<Vec<_>>().join("|")
    };
    (0..answer.num_rows()).map(row).collect()
}

/// What a view gives for `expression` over the one event `payload`.
fn value(expression: &str, payload: &str) -> String {
    rows(&format!("SELECT min({expression}) AS v FROM s"), &[payload]).remove(0)
}

#[test]
fn a_name_written_with_escapes_and_in_utf8_is_one_group() {
    for (name, escaped) in [
        ("\u{20bb7}\u{91ce}\u{5bb6}", r"\ud842\udfb7\u91ce\u5bb6"),
        ("\u{1f600}", r"\uD83D\uDE00"),
        ("\u{f0000}", r"\udb80\udc00"),
        ("\u{10ffff}", r"\udbff\udfff"),
    ] {
        let events = [name, escaped].map(|name| format!(r#"{{"ts":1,"s":"{name}"}}"#));
        let found = rows("SELECT s, count(*) AS n FROM s GROUP BY s", &events.each_ref().map(String::as_str));
        assert_eq!(found, [format!("{name}|2")]);
    }
}

#[test]
fn a_birthday_at_midnight_east_of_utc_stays_the_day_that_was_written() {
    let events = ["1990-05-17", "1990-05-17T00:00:00+02:00", "1990-05-17T00:00:00-05:00"]
        .map(|day| format!(r#"{{"ts":1,"day":"{day}"}}"#));
    let found = rows("SELECT day, count(*) AS n FROM s GROUP BY day", &events.each_ref().map(String::as_str));
    assert_eq!(found, ["1990-05-17|3"]);
}

/// Each name twice; the first value in the text is the one that counts.
const TWICE: &str =
    r#""n":1,"f":0.5,"s":"first","b":false,"o":{"n":3,"n":4},"n":2,"\u0066":1.5,"s":"last","b":true,"o":{"n":5,"m":6}"#;

fn event() -> String {
    let document = format!("{{{TWICE}}}").replace('\\', "\\\\").replace('"', "\\\"");
    format!(r#"{{"ts":1,"doc":"{document}",{TWICE}}}"#)
}

#[test]
fn the_first_of_two_equal_names_counts_in_columns_and_json_functions() {
    for (column, function, first) in [
        ("n", "json_get_int(doc, 'n')", "1"),
        ("f", "json_get_float(doc, 'f')", "0.5"),
        ("s", "json_get_str(doc, 's')", "first"),
        ("b", "json_get_bool(doc, 'b')", "false"),
        ("CAST(n AS VARCHAR)", "json_as_text(doc, 'n')", "1"),
    ] {
        assert_eq!(value(column, &event()), first, "{column}");
        assert_eq!(value(function, &event()), first, "{function}");
    }
}

#[test]
fn the_first_of_two_equal_names_counts_within_a_document_too() {
    for (function, first) in [
        ("json_get_int(doc, 'o', 'n')", "3"),
        ("json_get_int(json_get_json(doc, 'o'), 'n')", "3"),
        ("json_as_text(doc, 'o')", r#"{"n":3,"n":4}"#),
        ("json_get_json(doc, 'o')", r#"{"n":3,"n":4}"#),
        ("json_get_int(doc, 'o', 'm')", ""),
        ("json_contains(doc, 'o', 'm')", "false"),
        ("json_contains(doc, 'o', 'n')", "true"),
        ("CAST(json_get(doc, 'n') AS BIGINT)", "1"),
        ("CAST(json_get(doc, 'o', 'n') AS BIGINT)", "3"),
    ] {
        assert_eq!(value(function, &event()), first, "{function}");
    }
    // Every member counts, whatever its name.
    assert_eq!(value("json_length(doc, 'o')", &event()), "2");
}

#[test]
fn a_null_that_comes_first_is_the_value() {
    let event = r#"{"ts":1,"n":null,"n":2,"doc":"{\"n\":null,\"n\":2}"}"#;
    assert_eq!([value("n", event), value("json_get_int(doc, 'n')", event)], ["", ""]);
}

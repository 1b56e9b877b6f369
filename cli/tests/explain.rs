//! `anabranch explain`: what a view does, from its compiled plan and without a server.

mod support;

use support::{json_lines, output, project};

const PROJECT: &str = r#"[project]
name = "shop"
[sources.orders]
topic = "orders"
format = "json"
event_time = "ts"
lateness = "10 minutes"
partitions = 3
key = ["uid"]
[sources.orders.columns]
uid = "VARCHAR NOT NULL"
kind = "VARCHAR"
amount = "DECIMAL(18,2)"
ts = "TIMESTAMP NOT NULL"
[views.spend]
[views.visits]
mode = "kappa"
[views.hundreds]
[views.total]
"#;
const SPEND: &str = "SELECT upper(uid) AS who, window_start, sum(amount) / count(*) AS mean,\n\
                     count(*) FILTER (WHERE kind = 'gift') AS gifts, first_value(kind) AS kind\n\
                     FROM orders WHERE amount > 0 AND (kind <> 'test' OR kind IS NULL)\n\
                     GROUP BY upper(uid), hop(ts, INTERVAL '5 minutes', INTERVAL '15 minutes')\n\
                     HAVING count(*) > 1\n";
const VISITS: &str =
    "SELECT uid, window_start, window_end, count(*) AS n FROM orders GROUP BY uid, session(ts, INTERVAL '30 minutes')";
const HUNDREDS: &str = "SELECT uid, max(amount) AS top FROM orders GROUP BY uid, every(100)";
const TOTAL: &str = "SELECT count(*) AS n FROM orders";

fn explained(view: &str) -> (String, serde_json::Value) {
    let dir = tempfile::tempdir().unwrap();
    let views = [("spend", SPEND), ("visits", VISITS), ("hundreds", HUNDREDS), ("total", TOTAL)];
    project(dir.path(), PROJECT, &views);
    let folder = dir.path().to_str().unwrap();
    let text = output(&["explain", view, "--project", folder]);
    assert!(text.status.success(), "{}", String::from_utf8_lossy(&text.stderr));
    let json = json_lines(&output(&["explain", view, "--json", "--project", folder])).remove(0);
    assert!(!dir.path().join("data").exists(), "nothing is opened or written");
    (String::from_utf8(text.stdout).unwrap(), json)
}

/// Whether a line of the text begins with `what` and goes on with `words`.
fn says(text: &str, what: &str, words: &str) -> bool {
    text.lines().any(|line| line.trim().strip_prefix(what).is_some_and(|rest| rest.trim() == words))
}

#[test]
fn a_view_is_told_part_by_part() {
    let (text, json) = explained("spend");
    for (what, words) in [
        ("mode", "lambda: batch builds it, speed continues it"),
        ("source", "orders, topic 'orders'"),
        ("partitions", "3, chosen by uid"),
        ("lateness", "10 minutes below the largest event time of the partition; later events do not count"),
        ("filter", "CAST(amount AS DECIMAL(22,2)) > 0.00 AND (kind != 'test' OR kind IS NULL)"),
        ("group key", "who = upper(uid)  VARCHAR"),
        ("window", "hop of 15 minutes every 5 minutes on ts; an event touches one pane of 5 minutes"),
        ("lifts into", "count(*) FILTER (WHERE kind = 'gift')"),
        ("group", "who VARCHAR, pane TIMESTAMP"),
        ("first_value(kind)", "the value, with its event time and offset; two are merged: the earlier one"),
        ("sum(amount)", "the total, wider than its type; two are merged: added"),
        ("windows", "a window is merged from its panes, at most 3"),
        ("HAVING", "count(*) > 1"),
    ] {
        assert!(says(&text, what, words), "{what}: {words}\nin\n{text}");
    }
    assert!(text.contains("= sum(amount) / CAST(count(*) AS "), "{text}");
    assert_eq!(json["per_event"]["pane"]["panes_of_a_window"], 3);
    assert_eq!(json["source"]["partitions"], 3);
    assert_eq!(
        json["stored"]["states"].as_array().unwrap().len(),
        json["per_event"]["aggregates"].as_array().unwrap().len()
    );
    assert_eq!(json["at_read"]["columns"][0]["expression"], "who", "{json}");
}

#[test]
fn sessions_triggers_and_views_without_groups_say_what_they_keep() {
    let (visits, _) = explained("visits");
    assert!(
        visits.contains("fragments of sessions") && visits.contains("session with a gap of 30 minutes"),
        "{visits}"
    );
    assert!(visits.contains("kappa: replay builds it"), "{visits}");
    let (hundreds, json) = explained("hundreds");
    assert!(says(&hundreds, "trigger", "moves with every 100 events of a group"), "{hundreds}");
    assert_eq!(json["trigger"]["every"], 100);
    let (total, _) = explained("total");
    assert!(says(&total, "group", "one for all events") && says(&total, "window", "none: all of time"), "{total}");
}

#[test]
fn a_view_that_there_is_not_is_guessed() {
    let dir = tempfile::tempdir().unwrap();
    project(dir.path(), PROJECT, &[("spend", SPEND), ("visits", VISITS), ("hundreds", HUNDREDS), ("total", TOTAL)]);
    let refused = output(&["explain", "spent", "--project", dir.path().to_str().unwrap()]);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{error}");
    assert!(error.contains("did you mean 'spend'?"), "{error}");
}

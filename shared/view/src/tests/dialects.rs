//! The first lines of users of Flink SQL and ksqlDB: the help is a view that works.

use super::parse;

/// What was written, where it stands, and the help.
const FORMS: [(&str, (usize, usize), &str); 9] = [
    (
        "SELECT count(*) AS n\nFROM TABLE(TUMBLE(TABLE orders, DESCRIPTOR(ts), INTERVAL '1' MINUTE)) GROUP BY window_start",
        (2, 6),
        "write FROM orders ... GROUP BY tumble(ts, INTERVAL '1' MINUTE)",
    ),
    (
        "SELECT count(*) AS n FROM\ntable( hop( TABLE orders , DESCRIPTOR( ts ), INTERVAL '5' MINUTES, INTERVAL '10' MINUTES))",
        (2, 1),
        "write FROM orders ... GROUP BY hop(ts, INTERVAL '5' MINUTES, INTERVAL '10' MINUTES)",
    ),
    (
        "SELECT count(*) AS n FROM TABLE(SESSION(TABLE orders PARTITION BY k, DESCRIPTOR(ts), INTERVAL '5' MINUTE))",
        (1, 27),
        "write FROM orders ... GROUP BY k, session(ts, INTERVAL '5' MINUTE)",
    ),
    (
        "SELECT count(*) AS n FROM TABLE(TUMBLE(orders))",
        (1, 27),
        "write FROM source ... GROUP BY tumble(time, INTERVAL '1 minute')",
    ),
    (
        "SELECT k, count(*) AS n FROM orders\nWINDOW TUMBLING (SIZE 1 HOUR) GROUP BY k EMIT CHANGES",
        (2, 1),
        "write it behind the keys: GROUP BY key, tumble(time, INTERVAL '1 hour')",
    ),
    (
        "SELECT k, count(*) AS n FROM orders WINDOW HOPPING (SIZE 30 SECONDS, ADVANCE BY 10 SECONDS) GROUP BY k",
        (1, 37),
        "write it behind the keys: GROUP BY key, hop(time, INTERVAL '10 seconds', INTERVAL '30 seconds')",
    ),
    (
        "SELECT k, count(*) AS n FROM orders WINDOW SESSION (5 MINUTES) GROUP BY k",
        (1, 37),
        "write it behind the keys: GROUP BY key, session(time, INTERVAL '5 minutes')",
    ),
    (
        "SELECT k, count(*) AS n FROM orders GROUP BY k\nEMIT CHANGES;",
        (2, 1),
        "leave it out: a view is kept up to date, and `anabranch query` or the API reads its rows at any time",
    ),
    ("SELECT TUMBLE_START(ts, INTERVAL '1' MINUTE) AS s FROM orders", (1, 8), "write window_start"),
];

#[test]
fn forms_of_other_engines_are_answered_with_ours() {
    for (sql, place, help) in FORMS {
        let error = parse(sql).unwrap_err();
        assert_eq!((error.help.as_str(), (error.place.line, error.place.column)), (help, place), "{sql}");
    }
}

#[test]
fn what_the_help_says_is_a_view() {
    for (sql, _, help) in FORMS {
        let Some((_, groups)) = help.split_once("GROUP BY ") else { continue };
        let groups = groups.replace("key, ", "").replace("time", "ts");
        let view = format!("SELECT count(*) AS n FROM orders GROUP BY {groups}");
        assert!(parse(&view).is_ok(), "{sql}: {view}: {:?}", parse(&view).err());
    }
}

#[test]
fn the_same_words_as_names_and_texts_are_no_forms() {
    let sql = "SELECT k AS emit, count(*) FILTER (WHERE k = 'EMIT CHANGES') AS changes FROM orders GROUP BY k";
    assert!(parse(sql).is_ok(), "{:?}", parse(sql).err());
}

#[test]
fn a_column_that_is_nearly_right_is_guessed() {
    for (sql, words) in [
        ("SELECT sum(prise) AS s FROM orders", "did you mean 'price'? the columns are k, n, price, ts"),
        (
            "SELECT WINDOWSTART AS s, count(*) AS n FROM orders GROUP BY tumble(ts, INTERVAL '1 minute')",
            "did you mean 'window_start'?",
        ),
        ("SELECT sum(zzzz) AS s FROM orders", "the columns are k, n, price, ts"),
    ] {
        let error = parse(sql).unwrap_err();
        assert!(error.cause.contains("unknown column") && error.help.starts_with(words), "{sql}: {error}");
    }
}

#[test]
fn all_columns_without_a_name_are_listed_at_once() {
    let error = parse("SELECT k, sum(n), count(*), upper(k) AS u FROM orders GROUP BY k").unwrap_err();
    assert_eq!((error.place.line, error.place.column), (1, 11));
    assert_eq!(error.cause, "sum(n), count(*) have no names");
    assert_eq!(error.help, "write sum(n) AS name, count(*) AS name");
    assert_eq!(parse("SELECT k, sum(n) FROM orders GROUP BY k").unwrap_err().cause, "sum(n) has no name");
}

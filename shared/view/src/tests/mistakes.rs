//! All mistakes of a view that can be told apart.

use std::collections::BTreeMap;

use super::{ViewPlan, source};

fn told(sql: &str) -> Vec<String> {
    let checked = ViewPlan::check("v.sql", sql, &BTreeMap::from([("orders".to_owned(), source())]), &BTreeMap::new());
    let mistakes = checked.err().unwrap_or_default();
    mistakes
        .iter()
        .map(|mistake| format!("{}:{} {}", mistake.place.line, mistake.place.column, mistake.cause))
        .collect()
}

#[test]
fn no_column_where_or_having_hides_another() {
    let told = told(
        "SELECT k,\n  sum(amont) AS a,\n  median(n) AS b,\n  count(*) AS c,\n  sum(n) OVER () AS d,\n  n + 1 AS e\n\
         FROM orders\nWHERE prize > 3\nGROUP BY k\nHAVING sum(nn) > 1",
    );
    let mut lines: Vec<&str> = told.iter().map(|told| told.split(':').next().unwrap()).collect();
    lines.sort_unstable_by_key(|line| line.parse::<u32>().unwrap());
    assert_eq!(lines, ["2", "3", "5", "6", "8", "10"], "{told:#?}");
}

#[test]
fn columns_without_a_name_are_told_once_and_looked_at() {
    let told = told("SELECT k, sum(n), max(amont), sum(price) FROM orders GROUP BY k");
    assert_eq!(told.len(), 2, "{told:#?}");
    assert!(told[0].contains("sum(n), max(amont), sum(price) have no names"), "{told:#?}");
    assert!(told[1].contains("unknown column 'amont'"), "{told:#?}");
}

#[test]
fn what_others_depend_on_ends_the_search_and_nothing_is_told_that_follows_from_it() {
    assert_eq!(told("SELECT upper(kk) AS u, count(*) AS n FROM orders GROUP BY u HAVING u > 'a'").len(), 1);
    assert_eq!(told("SELECT sum(n) AS a, sum(m) AS b FROM order GROUP BY k").len(), 1);
    assert_eq!(told("SELECT sum(m) AS a FROM orders GROUP BY k").len(), 1);
    assert_eq!(
        told("SELECT sum(n) AS a, kk FROM orders GROUP BY kk").len(),
        1,
        "the place is in the SELECT list, not in GROUP BY"
    );
    assert_eq!(
        told("SELECT count(*) AS c, sum(m) AS a, max(m) AS b FROM orders GROUP BY k").len(),
        2,
        "each in its place"
    );
    assert_eq!(told("SELECT sum(n AS a FROM orders GROUP BY k").len(), 1);
    assert!(told("SELECT sum(n) AS a FROM orders GROUP BY k").is_empty());
}

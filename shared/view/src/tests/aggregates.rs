//! How SQL names the aggregates that take parameters or positions.

use std::sync::Arc;

use arrow::array::{RecordBatch, StringArray};
use arrow::util::display::array_value_to_string;

use super::{events, parse};
use crate::groups::Groups;
use crate::merge::Merge;

fn select(calls: &str) -> Result<(), String> {
    parse(&format!("SELECT {calls} FROM orders")).map(drop).map_err(|error| error.to_string())
}

/// The one row of a view without groups, by way of encoded states.
fn answer(calls: &str) -> Vec<String> {
    let plan = Arc::new(parse(&format!("SELECT {calls} FROM orders")).unwrap());
    let mut columns = events(&plan).columns().to_vec();
    columns[0] = Arc::new(StringArray::from(vec!["a", "a", "c", "b"]));
    let events = RecordBatch::try_new(plan.event_schema.clone(), columns).unwrap();
    let mut groups = Groups::new(&plan);
    groups.lift_events(&plan, &events).unwrap();
    let mut merge = Merge::new(plan);
    merge.add_rows(&groups.rows()).unwrap();
    let rows = merge.finish().unwrap().rows;
    rows.columns().iter().map(|column| array_value_to_string(column, 0).unwrap()).collect()
}

#[test]
fn sql_names_them() {
    assert_eq!(
        answer(
            "count_distinct(k, 10) AS a, top_k(k, 1, 1 + 9) AS b, histogram(price, -1, 2.2, 10) AS c, \
             array_agg(n, 2) AS d, first_value(k) AS e, last_value(price) FILTER (WHERE n IS NOT NULL) AS f"
        ),
        ["3", "[{value: a, count: 2}]", "[0, 1, 2, 0]", "[-4, 1]", "b", "1.10"],
    );
    assert_eq!(answer("arg_max(k, n) AS a, max_by(k, price) AS b, min_by(n, ts) AS c"), ["c", "b", "-4"]);
    assert_eq!(
        answer("top_k(n, 1, 2) AS a, array_length(array_agg(k, 9)) AS b, top_k(k, 2, 9)[1]['value'] AS c")[0],
        ""
    );
}

#[test]
fn sql_that_misses_its_parameters_is_refused() {
    for (calls, expected) in [
        ("count_distinct(k) AS a", "count_distinct(x, cap) takes two arguments"),
        ("count_distinct(k, 0) AS a", "cap must be a whole number from 1 to 1000000, not 0"),
        ("count_distinct(k, n) AS a", "must be a literal"),
        ("array_agg(k, 2.5) AS a", "cap must be a whole number, not DECIMAL(2,1)"),
        ("histogram(price, 2, 1) AS a", "edges must ascend, but 1 is not above 2"),
        ("top_k(k, 3, 2) AS a", "cap must be a whole number from 3 to 1000000, not 2"),
    ] {
        let error = select(calls).unwrap_err();
        assert!(error.contains(expected), "{calls}: {error}");
    }
}

//! What `explain` writes of an expression is SQL that compiles to the same.

use super::parse;

fn filter(condition: &str) -> String {
    let plan = parse(&format!("SELECT count(*) AS n FROM orders WHERE {condition}")).unwrap();
    plan.explain().per_event.filter.unwrap()
}

#[test]
fn conditions_are_written_as_they_are_meant() {
    for (written, told) in [
        ("n > 1 AND (k = 'a' OR k IS NULL)", "CAST(n AS BIGINT) > 1 AND (k = 'a' OR k IS NULL)"),
        ("NOT (n > 1 OR n < 0)", "NOT (CAST(n AS BIGINT) > 1 OR CAST(n AS BIGINT) < 0)"),
        ("k LIKE 'a%' AND k NOT IN ('it''s', 'b')", "k LIKE 'a%' AND k NOT IN ('it''s', 'b')"),
        ("k = upper(k)", "k = upper(k)"),
    ] {
        assert_eq!(filter(written), told);
        assert_eq!(filter(told), told, "what is told is read again as the same");
    }
}

#[test]
fn finished_columns_have_the_names_of_the_view() {
    let plan = parse("SELECT k AS who, sum(n) AS s, window_end FROM orders GROUP BY k, tumble(ts, INTERVAL '1 hour')")
        .unwrap();
    let explanation = plan.explain();
    let columns: Vec<(&str, &str)> =
        explanation.at_read.columns.iter().map(|column| (column.name.as_str(), column.expression.as_str())).collect();
    assert_eq!(columns, [("who", "who"), ("s", "sum(CAST(n AS BIGINT))"), ("window_end", "window_end")]);
    assert_eq!(explanation.stored.states.len(), 1);
}

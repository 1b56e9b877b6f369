//! What a view cannot have is refused with its place, the reason and the next step.

use super::parse;

/// Each with where it stands and words of the error.
const REFUSED: &[(&str, (usize, usize), &str)] = &[
    ("SELECT k AS k FROM orders", (1, 1), "aggregates"),
    ("SELECT DISTINCT k, count(*) AS n FROM orders GROUP BY k", (1, 8), "DISTINCT"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY k ORDER BY k", (1, 57), "ORDER BY"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY k\nLIMIT 1", (2, 1), "LIMIT"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY k\nOFFSET 1", (2, 1), "OFFSET"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY k\nFETCH FIRST ROW ONLY", (2, 1), "FETCH"),
    ("SELECT count(*) AS n FROM (SELECT 1) AS x", (1, 28), "subquery"),
    ("WITH x AS (SELECT 1) SELECT count(*) AS n FROM orders", (1, 1), "WITH"),
    ("SELECT count(*) AS n FROM orders UNION SELECT 1 AS n", (1, 1), "UNION"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY\nROLLUP (k)", (2, 1), "ROLLUP"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY k\nWITH TOTALS", (2, 6), "TOTALS"),
    ("SELECT k, count(*) AS n FROM orders GROUP BY\nALL", (2, 1), "ALL"),
    // The planner would pass over these.
    ("SELECT count(*) AS n FROM orders\nTABLESAMPLE (10)", (2, 1), "TABLESAMPLE"),
    ("SELECT count(*) AS n FROM orders\nPREWHERE n > 0", (2, 1), "PREWHERE"),
    ("SELECT count(*) AS n FROM orders\nPARTITION (p0)", (2, 1), "PARTITION"),
    ("SELECT count(*) AS n FROM orders\nWITH (NOLOCK)", (2, 1), "WITH"),
    ("SELECT count(*) AS n FROM orders\nFOR UPDATE", (2, 1), "FOR"),
    ("SELECT count(*) AS n FROM orders\nSETTINGS a = 1", (2, 1), "SETTINGS"),
    ("SELECT count(*) AS n FROM orders\nFORMAT JSON", (2, 1), "FORMAT"),
    ("SELECT\nTOP 5 count(*) AS n FROM orders", (2, 1), "TOP"),
    ("SELECT count(*) AS n\nINTO x FROM orders", (2, 1), "INTO"),
    ("SELECT count(*) AS n FROM orders\nSORT BY n", (2, 1), "SORT"),
    ("SELECT count(*) AS n FROM orders AS o(a, b, c, d)", (1, 37), "keep their names"),
    ("SELECT count(*) AS n FROM orders(1)", (1, 27), "table function"),
    ("SELECT count(*) AS n,\nupper(k) FILTER (WHERE false) AS u FROM orders GROUP BY k", (2, 1), "only an aggregate"),
    ("SELECT count(*) AS n,\nupper(DISTINCT k) AS u FROM orders GROUP BY k", (2, 1), "only an aggregate"),
    ("SELECT\nsum(5)(n) AS n FROM orders", (2, 1), "one list of arguments"),
    ("SELECT count(*) AS n,\nsum(n ORDER BY ts) AS s FROM orders", (2, 1), "order is that of event time"),
    ("SELECT count(*) AS n,\nsum(n LIMIT 3) AS s FROM orders", (2, 1), "LIMIT"),
    ("SELECT count(*) AS n,\nsum(n) IGNORE NULLS AS s FROM orders", (2, 1), "NULLs are never aggregated"),
    (
        "SELECT count(*) AS n,\npercentile_cont(0.5) WITHIN GROUP (ORDER BY n) AS s FROM orders",
        (2, 1),
        "approx_quantile",
    ),
    ("SELECT count(*) AS n FROM orders\nWHERE n", (2, 1), "non-boolean"),
    ("SELECT count(*) AS n FROM orders\nWHERE count(*) > 1", (2, 1), "HAVING"),
    // These would need a state.
    ("SELECT count(*) AS n FROM orders WHERE\nn IN (SELECT 1)", (2, 1), "JOIN"),
    ("SELECT count(*) AS n FROM orders WHERE n =\n(SELECT 1)", (2, 2), "subquery"),
    ("SELECT count(*) AS n FROM orders WHERE EXISTS\n(SELECT 1)", (2, 2), "subquery"),
    ("SELECT count(*) AS n FROM orders WHERE n >\nALL (SELECT 1)", (2, 6), "subquery"),
    ("SELECT count(*) AS n, (SELECT\n1) AS m FROM orders", (1, 24), "subquery"),
    ("SELECT count(*) AS n FROM orders HAVING count(*) > (SELECT 1)", (1, 53), "subquery"),
    ("SELECT count(DISTINCT k) AS n FROM orders", (1, 8), "DISTINCT"),
    ("SELECT count(*) OVER () AS n FROM orders", (1, 8), "window functions"),
    ("SELECT count(*) AS n FROM orders\nQUALIFY row_number() OVER () = 1", (2, 1), "window functions"),
    // Windows.
    ("SELECT window_start, count(*) AS n FROM orders", (1, 8), "window"),
    ("SELECT count(*) AS n FROM orders GROUP BY hop(ts, INTERVAL '1 day', INTERVAL '1 month')", (1, 43), "months"),
    ("SELECT count(*) AS n FROM orders GROUP BY tumble(ts, INTERVAL '1 day', 'Mars/Olympus')", (1, 43), "time zone"),
    ("SELECT count(*) AS n FROM orders GROUP BY tumble(n, INTERVAL '1 day')", (1, 43), "takes a TIMESTAMP"),
    ("SELECT count(*) AS n FROM orders GROUP BY session(ts)", (1, 43), "arguments"),
    ("SELECT count(*) AS n FROM orders GROUP BY tumble(ts, INTERVAL '0 minutes')", (1, 43), "positive"),
    // Keys and arguments.
    ("SELECT count(*) AS n FROM orders GROUP BY k, CAST(n AS DOUBLE)", (1, 51), "cannot be a key"),
    ("SELECT count(*) AS n,\nsum(k) AS s FROM orders", (2, 1), ": sum takes a number, not Utf8\n  help: write sum(x)"),
    ("SELECT count(*) AS n,\narray_agg(k) AS s FROM orders", (2, 1), "help: write array_agg(x, cap)"),
    ("SELECT count(*) AS n,\ntop_k(k, 3) AS s FROM orders", (2, 1), "help: write top_k(x, k, cap)"),
    ("SELECT count(*) AS n,\nsubstr(n, 1) AS b FROM orders GROUP BY n", (2, 1), "requires String, but received Int"),
    ("SELECT count(*) AS n,\nto_char(n, 'x') AS b FROM orders GROUP BY n", (2, 1), "to_char does not take Int32"),
    ("SELECT count(*) AS n,\ncnt(k) AS b FROM orders", (2, 1), "there is no function 'cnt'"),
    ("SELECT count(*) AS n, count(k) AS n FROM orders", (1, 23), "two columns"),
    ("DROP TABLE orders", (1, 1), "one SELECT"),
    ("SELECT count(*) AS n FROM orders; SELECT 1", (1, 1), "2 statements"),
    // Functions whose value depends on when they are asked.
    ("SELECT count(*) FILTER (WHERE random() < 1) AS n FROM orders", (1, 31), "random"),
    ("SELECT count(*) AS n FROM orders WHERE ts < now()", (1, 45), "now"),
];

#[test]
fn what_a_view_cannot_have_is_refused_with_the_next_step() {
    let mut wrong = Vec::new();
    for (sql, place, words) in REFUSED {
        match parse(sql) {
            Err(error) => {
                let found = (error.place.line, error.place.column);
                if !error.to_string().contains(words) || error.help.is_empty() || found != *place {
                    wrong.push(format!("{sql}: {error}"));
                }
            }
            Ok(_) => wrong.push(format!("{sql}: accepted")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

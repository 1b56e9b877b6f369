use anabranch_batch::Oracle;
use anabranch_model::realtime::StateRow;
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;

use crate::views::{ALL, GLOBAL, WINDOWED};
use crate::world::{World, limits, plan};

fn groups(plan: &ViewPlan, rows: &[StateRow]) -> Groups {
    let mut groups = Groups::new(plan);
    for row in rows {
        groups.merge(row.pane, &row.key, &row.states).unwrap();
    }
    groups
}

#[tokio::test]
async fn the_second_engine_agrees() {
    let world = World::with_events(0..4000).await;
    world.archive().await;
    for sql in ALL {
        let plan = plan(sql);
        let found = groups(&plan, &world.fold(&plan, 1000).await);
        let archived = Oracle::of_archive(&plan, &world.snapshot().await, &limits()).await.unwrap();
        let streamed = Oracle::of_events(&plan, world.applied(70).await, &limits()).await.unwrap();
        for oracle in [archived, streamed] {
            assert!(oracle.skipped().is_empty());
            // Sessions are compared as such, and not by the panes that they are stored in; a group of
            // which nothing has fired is stored, and in no answer.
            assert!(oracle.len() == found.len() || plan.sessions().is_some() || plan.trigger.is_some());
            assert_eq!(oracle.compare(&plan, &found).unwrap(), None, "{sql}");
        }
    }
}

#[tokio::test]
async fn it_names_the_first_difference() {
    let world = World::with_events(0..400).await;
    let plan = plan(WINDOWED);
    let rows = world.fold(&plan, 1000).await;
    let oracle = Oracle::of_events(&plan, world.applied(70).await, &limits()).await.unwrap();
    let difference = |rows: &[StateRow]| oracle.compare(&plan, &groups(&plan, rows)).unwrap();
    assert_eq!(difference(&rows), None);

    // The count is the first state: its length and version, then the number.
    let mut tampered = rows.clone();
    tampered[3].states[2] += 1;
    let found = difference(&tampered).unwrap();
    assert_eq!(found.column.as_deref(), Some("c"), "{found}");
    assert!(found.to_string().contains("window from 2011-10-06T00:0"), "{found}");

    let missing = difference(&rows[1..]).unwrap();
    assert_eq!((missing.column, missing.found.as_str()), (None, "missing"));

    let mut doubled = rows.clone();
    doubled.push(rows[5].clone());
    assert_eq!(difference(&doubled).unwrap().column.as_deref(), Some("c"));

    let other = World::with_events(1..400).await;
    let less = other.fold(&plan, 1000).await;
    assert!(difference(&less).is_some());
}

#[tokio::test]
async fn doubles_that_were_summed_are_compared_by_what_was_summed() {
    let world = World::new().await;
    let values = ["1e16", "1", "-1e16", "0.1", "1e-9"];
    world.append_payloads(values.map(|x| (0, format!(r#"{{"x":{x},"ts":"2011-10-06"}}"#)))).await;
    let plan = plan("SELECT sum(x) AS s, avg(x) AS a, min(x) AS lo, max(x) AS hi FROM events");
    let found = groups(&plan, &world.fold(&plan, 2).await);
    let oracle = Oracle::of_events(&plan, world.applied(2).await, &limits()).await.unwrap();
    assert_eq!(oracle.compare(&plan, &found).unwrap(), None);
}

#[tokio::test]
async fn no_events_no_groups() {
    let world = World::new().await;
    let plan = plan(GLOBAL);
    let oracle = Oracle::of_archive(&plan, &world.snapshot().await, &limits()).await.unwrap();
    assert!(oracle.is_empty());
    assert_eq!(oracle.compare(&plan, &Groups::new(&plan)).unwrap(), None);
}

/// Every aggregate that the oracle has, over a column of each type.
const EVERY: &str = "count(n) AS a0, sum(n) AS a1, avg(n) AS a2, min(n) AS a3, max(k) AS a4, first_value(k) AS a5, \
    last_value(n) AS a6, arg_min(k, n) AS a7, arg_max(n, day) AS a8, bool_and(flag) AS a9, bool_or(flag) AS a10, \
    count_distinct(k, 10) AS a11, var_samp(n) AS a12, stddev_pop(amount) AS a13, sum(amount) AS a14, avg(amount) AS a15, \
    sum(x) AS a16, avg(x) AS a17, min(x) AS a18, max(x) AS a19, min(day) AS a20, max(ts) AS a21";

async fn agrees(world: &World, sql: &str) -> Oracle {
    let plan = plan(sql);
    let found = groups(&plan, &world.fold(&plan, 2).await);
    let oracle = Oracle::of_events(&plan, world.applied(2).await, &limits()).await.unwrap();
    assert_eq!(oracle.compare(&plan, &found).unwrap(), None, "{sql}");
    oracle
}

#[tokio::test]
async fn groups_of_nothing_but_nulls_are_compared_like_any_other() {
    let world = World::new().await;
    let events = [
        r#"{"g":1,"ts":"2011-10-06"}"#,
        r#"{"g":1,"k":null,"n":null,"ts":"2011-10-06"}"#,
        r#"{"g":2,"k":"a","n":5,"amount":"1.50","x":"NaN","flag":true,"day":"2011-10-06","ts":"2011-10-06"}"#,
        r#"{"g":2,"n":7,"x":"-Infinity","ts":"2011-10-06"}"#,
    ];
    world.append_payloads(events.map(|event| (0, event.to_owned()))).await;
    for sql in [
        format!("SELECT g, {EVERY} FROM events GROUP BY g"),
        format!("SELECT {EVERY} FROM events"),
        format!("SELECT {EVERY} FROM events WHERE g = 1"),
        format!("SELECT {EVERY} FROM events WHERE g = 3"),
        format!("SELECT g, {} FROM events GROUP BY g", EVERY.replace(" AS", " FILTER (WHERE n > 100) AS")),
    ] {
        agrees(&world, &sql).await;
    }
}

#[tokio::test]
async fn expressions_are_polars_own_where_it_has_them() {
    let world = World::with_events(0..400).await;
    let sql = "SELECT CASE WHEN n > 500 THEN 'high' WHEN n BETWEEN 0 AND 500 THEN 'low' END AS level, g IS NULL AS none, \
        count(*) AS c, sum(n * 3 - g) AS s, sum(amount * 1.5) FILTER (WHERE NOT (flag AND k <> 'key3')) AS a, \
        sum(x * 2e0) AS x, sum(n / 7) AS q, sum(n % 7) AS r, max(coalesce(k, 'nobody')) AS k, \
        count(nullif(g, 1)) AS z, bool_or(day IN (DATE '2011-10-07', NULL)) AS b, max(-amount) AS m FROM events \
        WHERE n NOT IN (1, 2) AND (ts >= TIMESTAMP '2011-10-06T00:00:30' OR k IS NULL) \
        GROUP BY CASE WHEN n > 500 THEN 'high' WHEN n BETWEEN 0 AND 500 THEN 'low' END, g IS NULL";
    let oracle = agrees(&world, sql).await;
    assert!(oracle.shared().is_empty(), "{:?}", oracle.shared());
    assert!(oracle.by_itself().contains(&"WHERE".to_owned()) && oracle.len() > 2);
}

#[tokio::test]
async fn what_the_shared_expressions_evaluate_is_named() {
    let world = World::with_events(0..400).await;
    let oracle =
        agrees(&world, "SELECT lpad(k, 9) AS p, sum(n) AS s FROM events WHERE g > 0 GROUP BY lpad(k, 9)").await;
    assert_eq!(oracle.by_itself(), ["WHERE", "sum(n)"]);
    assert_eq!(oracle.shared(), ["key p, because of lpad(...)"]);
}

#[tokio::test]
async fn integers_that_leave_their_type_are_null_to_polars_too() {
    let world = World::new().await;
    let n = [i64::MAX, i64::MIN, -1, 0, 7];
    world.append_payloads(n.map(|n| (0, format!(r#"{{"n":{n},"ts":"2011-10-06"}}"#)))).await;
    let sql = "SELECT count(n + 1) AS a, count(n - 1) AS b, count(n * 2) AS c, count(n / n) AS d, max(n / -1) AS e, \
        min(n % -1) AS f, count(-n) AS g FROM events";
    assert!(agrees(&world, sql).await.shared().is_empty());
}

use anabranch_batch::Oracle;
use anabranch_shared::groups::Groups;
use anabranch_shared::realtime::StateRow;
use anabranch_shared::view::ViewPlan;

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

//! From a view and events that show a fault to the smallest ones that still do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::events;
use super::trial::{self, Class, Fault, Outcome};
use super::view::View;
use crate::foreign::Foreign;
use crate::foreign::engine::Engine;
use crate::roads::{Random, Story, Walk};

type Partitions = Vec<Vec<(i64, String)>>;

/// A fault with what shows it.
#[derive(Debug)]
pub struct Case {
    pub view: View,
    pub partitions: Partitions,
    pub fault: Fault,
}

/// Takes away events and parts of the view while the fault is of the same class.
pub async fn shrink(engine: &mut Engine, mut case: Case, time: Duration) -> Case {
    let deadline = Instant::now() + time;
    loop {
        let before = (case.view.nodes(), events_of(&case.partitions));
        fewer_events(engine, &mut case, deadline).await;
        smaller_view(engine, &mut case, deadline).await;
        if (case.view.nodes(), events_of(&case.partitions)) == before || Instant::now() > deadline {
            return case;
        }
    }
}

fn events_of(partitions: &Partitions) -> usize {
    partitions.iter().map(Vec::len).sum()
}

/// Halves, quarters, ... of the events, as long as the rest shows the fault.
async fn fewer_events(engine: &mut Engine, case: &mut Case, deadline: Instant) {
    let mut size = events_of(&case.partitions).div_ceil(2);
    while size > 0 && Instant::now() < deadline {
        let mut from = 0;
        while from < events_of(&case.partitions) && Instant::now() < deadline {
            let fewer = without(&case.partitions, from, size);
            match fault(engine, &case.view, &fewer, case.fault.class).await {
                Some(fault) => (case.partitions, case.fault) = (fewer, fault),
                None => from += size,
            }
        }
        size = if size == 1 { 0 } else { size.div_ceil(2) };
    }
}

fn without(partitions: &Partitions, from: usize, size: usize) -> Partitions {
    let mut place = 0;
    let mut keep = |_: &(i64, String)| {
        place += 1;
        !(from..from + size).contains(&(place - 1))
    };
    partitions.iter().map(|events| events.iter().filter(|event| keep(event)).cloned().collect()).collect()
}

/// The first smaller view that shows the fault, again and again.
async fn smaller_view(engine: &mut Engine, case: &mut Case, deadline: Instant) {
    let mut went_on = true;
    while went_on {
        went_on = false;
        for view in case.view.smaller() {
            if Instant::now() > deadline {
                return;
            }
            if let Some(fault) = fault(engine, &view, &case.partitions, case.fault.class).await {
                (case.view, case.fault, went_on) = (view, fault, true);
                break;
            }
        }
    }
}

/// What is wrong with the view over these events, if it is of this class.
async fn fault(engine: &mut Engine, view: &View, partitions: &Partitions, class: Class) -> Option<Fault> {
    let story = Arc::new(events::story(partitions.clone()));
    let outcome = match class {
        Class::Values => {
            let mut foreign = Foreign::load(engine, &story).ok()?;
            trial::run(&story, &view.sql(), Walk::batch_alone(), Some(&mut foreign)).await
        }
        Class::Oracle => trial::run(&story, &view.sql(), Walk::batch_alone(), None).await,
        _ => trial::run(&story, &view.sql(), walk(&story), None).await,
    };
    match outcome {
        Outcome::Fault(fault) if fault.class == class => Some(fault),
        _ => None,
    }
}

fn walk(story: &Story) -> Walk {
    let mut walk = trial::walk(&mut Random(1), story);
    walk.chunks = vec![1, 3];
    walk.cuts = vec![0, 1];
    walk
}

impl Case {
    /// In the format of the corpus, to be pasted into a file of it.
    pub fn text(&self) -> String {
        let sql = self.view.sql();
        let (source, partitions) = events::used(&sql, &self.partitions);
        let mut text = format!("--- source {}\n{source}\n--- events\n", events::NAME);
        for (partition, events) in partitions.iter().enumerate() {
            events.iter().for_each(|event| text.push_str(&format!("{partition} {event}\n")));
        }
        text.push_str(&format!("--- view generated\n{sql}\n--- rows\n"));
        text
    }
}

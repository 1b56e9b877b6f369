//! One view over one story: on every road, and by DuckDB.

use std::sync::Arc;

use anabranch_batch::{Limits, Oracle};
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;

use crate::foreign::{Foreign, Verdict};
use crate::roads::{self, Case, Expected, Random, Story, Walk};

/// What came of a view.
#[derive(Debug)]
pub enum Outcome {
    Same,
    /// `check` refuses it: why.
    Refused(String),
    /// The roads agree and DuckDB was not asked or had no answer: why.
    NotCompared(String),
    Fault(Fault),
}

#[derive(Clone, Debug)]
pub struct Fault {
    pub class: Class,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// The roads give other bytes, or one of them fails.
    Roads,
    /// A library has panicked.
    Panic,
    /// DuckDB has other rows.
    Values,
    /// The oracle of `verify` finds a difference, or fails.
    Oracle,
}

/// Runs a view on the roads of `walk`, and compares with DuckDB if that is asked.
pub async fn run(story: &Arc<Story>, sql: &str, walk: Walk, foreign: Option<&mut Foreign<'_>>) -> Outcome {
    let case = Case { name: "generated".to_owned(), sql: sql.to_owned(), expected: Expected::Rows(vec![]) };
    let plan = match plan(story, case).await {
        Ok(plan) => plan,
        Err(outcome) => return outcome,
    };
    let (of_story, of_plan) = (story.clone(), plan.clone());
    let walked = tokio::spawn(async move {
        let states = roads::agree(&of_story, &of_plan, &walk).await?;
        let verified = verified(&of_story, &of_plan, &states).await;
        Ok::<_, anyhow::Error>((roads::finished(&of_plan, &states)?.rows, verified))
    });
    let (rows, verified) = match walked.await {
        Ok(Ok(walked)) => walked,
        Ok(Err(cause)) => return fault(Class::Roads, format!("{cause:#}")),
        Err(panic) => return fault(Class::Panic, panic.to_string()),
    };
    if let Err(cause) = verified {
        return fault(Class::Oracle, format!("{cause:#}"));
    }
    let Some(foreign) = foreign else { return Outcome::Same };
    match foreign.compare(&plan, &rows) {
        Ok(Verdict::Same) => Outcome::Same,
        Ok(Verdict::NotCompared(reason)) => Outcome::NotCompared(shape(&reason)),
        Ok(Verdict::Differs(text)) => fault(Class::Values, text),
        Err(error) => panic!("DuckDB cannot be asked: {error:#}"),
    }
}

/// What `verify` compares the roads with.
async fn verified(story: &Story, plan: &ViewPlan, states: &roads::Rows) -> anyhow::Result<()> {
    let oracle = match Oracle::of_events(plan, story.applied()?, &Limits::default()).await {
        Ok(oracle) => oracle,
        Err(anabranch_batch::Error::Inexpressible(_)) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let mut groups = Groups::new(plan);
    states.iter().try_for_each(|row| groups.merge(row.pane, &row.key, &row.states).map(drop))?;
    match oracle.compare(plan, &groups)? {
        Some(difference) => anyhow::bail!("{difference}"),
        None => Ok(()),
    }
}

/// Planning can panic, too.
async fn plan(story: &Arc<Story>, case: Case) -> Result<Arc<ViewPlan>, Outcome> {
    let of_story = story.clone();
    match tokio::spawn(async move { of_story.plan(&case) }).await {
        Ok(Ok(plan)) => Ok(Arc::new(plan)),
        Ok(Err(refusal)) => Err(Outcome::Refused(shape(&refusal.to_string()))),
        Err(panic) => Err(fault(Class::Panic, panic.to_string())),
    }
}

fn fault(class: Class, text: String) -> Outcome {
    Outcome::Fault(Fault { class, text })
}

/// A message without what is particular to one view: quotes, numbers and the rest of the line.
fn shape(message: &str) -> String {
    let message: String = message.lines().next().unwrap_or_default().chars().filter(|c| !c.is_ascii_digit()).collect();
    let message = message.trim_start_matches("generated.sql:").trim_start_matches(':').trim();
    message.chars().take(90).collect()
}

/// Chunks and cuts of one view of a story, by its seed.
pub fn walk(random: &mut Random, story: &Story) -> Walk {
    let longest = story.end().into_iter().max().unwrap_or(0);
    Walk {
        chunks: vec![random.below(40) + 1],
        random_chunks: (longest / 2 + 1, vec![random.below(1 << 32)]),
        cuts: vec![random.below(longest + 1)],
    }
}

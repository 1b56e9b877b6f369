//! `anabranch check`: the project, understood or refused with every place.

use anabranch_model::project::Mode;
use anabranch_view::ViewPlan;
use anyhow::anyhow;
use serde_json::{Value, json};

use super::explain::trigger_in_words;
use crate::args::Global;
use crate::output::{Output, table};
use crate::project::{LoadedProject, Mistakes};

pub fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::check(global).map_err(all)?;
    let told = |tell: fn(&str, &ViewPlan, Mode) -> Value| -> Vec<Value> {
        loaded.views.iter().map(|(name, plan)| tell(name, plan, loaded.project.views[name].mode)).collect()
    };
    let columns = ["view", "source", "mode", "keys", "window", "class", "fingerprint"].map(str::to_owned);
    output
        .print(&json!({ "project": loaded.project.name, "views": told(describe) }), || table(&columns, &told(in_words)))
}

/// The last of the mistakes, after the others are told.
fn all(Mistakes { mut told, unchecked }: Mistakes) -> anyhow::Error {
    let last = told.pop();
    told.iter().for_each(|mistake| eprintln!("error: {mistake}\n"));
    if !unchecked.is_empty() {
        eprintln!("not checked yet, because of mistakes in what they are over: {}\n", unchecked.join(", "));
    }
    last.map_or_else(|| anyhow!("the project is refused"), anyhow::Error::from)
}

/// The view as a row of the table: its window is told in words.
fn in_words(name: &str, plan: &ViewPlan, mode: Mode) -> Value {
    let mut row = describe(name, plan, mode);
    let window =
        plan.window.as_ref().map_or_else(|| "none: all of time".to_owned(), |window| window.window.to_string());
    let trigger = trigger_in_words(plan).map(|trigger| format!(", {trigger}")).unwrap_or_default();
    row["window"] = json!(format!("{window}{trigger}"));
    row
}

fn describe(name: &str, plan: &ViewPlan, mode: Mode) -> Value {
    let keys: Vec<&str> = plan.keys.iter().map(|key| key.name.as_str()).collect();
    let aggregates: Vec<Value> = plan
        .aggregates
        .iter()
        .map(|a| json!({ "function": a.bound.name(), "type": a.bound.return_type().to_string(), "class": a.bound.class() }))
        .collect();
    json!({
        "view": name,
        "source": plan.definition.source.name,
        "references": plan.definition.references,
        "mode": mode,
        "keys": keys.join(", "),
        "window": plan.window.as_ref().map(|window| &window.window),
        "trigger": plan.trigger.map(|every| json!({ "every": every })),
        "class": plan.class(),
        "aggregates": aggregates,
        "fingerprint": plan.fingerprint,
    })
}

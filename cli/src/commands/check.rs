//! `anabranch check`: the project, understood or refused with the place.

use anabranch_shared::view::ViewPlan;
use serde_json::{Value, json};

use crate::args::Global;
use crate::output::{Output, table};
use crate::project::LoadedProject;

pub fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    let views: Vec<Value> =
        loaded.views.iter().map(|(name, plan)| describe(name, plan, loaded.project.views[name].mode)).collect();
    let columns = ["view", "source", "mode", "keys", "window", "class", "fingerprint"].map(str::to_owned);
    output.print(&json!({ "project": loaded.project.name, "views": views }), || table(&columns, &views))
}

fn describe(name: &str, plan: &ViewPlan, mode: anabranch_shared::catalog::Mode) -> Value {
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

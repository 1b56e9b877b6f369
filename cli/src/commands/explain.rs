//! `anabranch explain VIEW`: what a view does, from its compiled plan.

use anabranch_model::project::Mode;
use anabranch_model::project::Source;
use anabranch_view::{AtReadPart, Explanation, PaneOf, PerEventPart, StoredPart, ViewPlan, span_in_words};
use serde_json::{Value, json};

use crate::args::Global;
use crate::output::Output;
use crate::project::LoadedProject;

/// A line of the text: what it is about, and what there is to say.
type Line = (String, String);

pub fn run(global: &Global, view: &str, output: Output) -> anyhow::Result<()> {
    let loaded = LoadedProject::load(global)?;
    super::known_view(&loaded.project, view)?;
    let (plan, mode) = (&loaded.views[view], loaded.project.views[view].mode);
    let explanation = plan.explain();
    output.print(&as_json(view, plan, mode, &explanation)?, || as_text(view, plan, mode, &explanation))
}

fn as_json(view: &str, plan: &ViewPlan, mode: Mode, explanation: &Explanation) -> anyhow::Result<Value> {
    let source = &plan.definition.source;
    let mut told = json!({
        "view": view,
        "mode": mode,
        "class": plan.class(),
        "fingerprint": plan.fingerprint,
        "trigger": plan.trigger.map(|every| json!({ "every": every })),
        "source": {
            "name": source.name,
            "topic": source.topic,
            "partitions": source.partitions,
            "key": source.key,
            "event_time": source.event_time,
            "lateness": span_in_words(source.lateness_us),
            "max_future": span_in_words(source.max_future_us),
        },
    });
    if let (Some(told), Value::Object(parts)) = (told.as_object_mut(), serde_json::to_value(explanation)?) {
        told.extend(parts);
    }
    Ok(told)
}

fn as_text(view: &str, plan: &ViewPlan, mode: Mode, explanation: &Explanation) -> String {
    let Explanation { per_event, stored, at_read } = explanation;
    let sections = [
        (format!("View {view}"), about(plan, mode)),
        ("For each event".to_owned(), events(per_event)),
        ("Stored for each group".to_owned(), states(stored)),
        ("Finished when it is read".to_owned(), reads(at_read)),
    ];
    let width = sections.iter().flat_map(|(_, lines)| lines).map(|(what, _)| what.chars().count()).max().unwrap_or(0);
    let line = |(what, text): &Line| format!("  {what:<width$}  {text}").trim_end().to_owned();
    let section = |(title, lines): &(String, Vec<Line>)| {
        let lines: Vec<String> = lines.iter().map(line).collect();
        format!("{title}\n{}", lines.join("\n"))
    };
    sections.iter().map(section).collect::<Vec<_>>().join("\n\n")
}

/// When an answer moves, if not with each event.
pub fn trigger_in_words(plan: &ViewPlan) -> Option<String> {
    plan.trigger.map(|every| format!("moves with every {every} events of a group"))
}

fn about(plan: &ViewPlan, mode: Mode) -> Vec<Line> {
    let source = &plan.definition.source;
    let trigger = trigger_in_words(plan).map(|trigger| ("trigger".to_owned(), trigger));
    let built = match mode {
        Mode::Lambda => "lambda: batch builds it, speed continues it",
        Mode::Kappa => "kappa: replay builds it with the streaming fold, speed continues it",
    };
    let lines = [("mode".to_owned(), built.to_owned()), ("class".to_owned(), plan.class().to_string())];
    lines.into_iter().chain(trigger).chain(of_source(source)).collect()
}

fn of_source(source: &Source) -> Vec<Line> {
    let key = if source.key.is_empty() { "none".to_owned() } else { source.key.join(", ") };
    let (late, future) = (span_in_words(source.lateness_us), span_in_words(source.max_future_us));
    [
        ("source", format!("{}, topic '{}'", source.name, source.topic)),
        ("partitions", format!("{}, chosen by {key}", source.partitions)),
        ("event time", source.event_time.clone()),
        ("lateness", format!("{late} below the largest event time of the partition; later events do not count")),
        ("max_future", format!("{future} above the time at which the log took the event; those do not count")),
    ]
    .map(|(what, text)| (what.to_owned(), text))
    .to_vec()
}

fn events(part: &PerEventPart) -> Vec<Line> {
    let columns: Vec<String> =
        part.columns.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
    let mut lines =
        vec![("reads".to_owned(), if columns.is_empty() { "no column".to_owned() } else { columns.join(", ") })];
    lines.extend(part.references.iter().map(|name| ("looks up".to_owned(), name.clone())));
    lines
        .push(("filter".to_owned(), part.filter.clone().unwrap_or_else(|| "none: every event that counts".to_owned())));
    lines.extend(part.keys.iter().map(|key| {
        let computed = if key.expression == key.name { String::new() } else { format!(" = {}", key.expression) };
        ("group key".to_owned(), format!("{}{computed}  {}", key.name, key.data_type))
    }));
    lines.push(("window".to_owned(), part.pane.as_ref().map_or_else(|| "none: all of time".to_owned(), pane)));
    lines.extend(part.aggregates.iter().map(|call| ("lifts into".to_owned(), call.call.clone())));
    lines
}

fn pane(pane: &PaneOf) -> String {
    let size = match (&pane.size, pane.panes_of_a_window) {
        (Some(size), Some(_)) => format!("; an event touches one pane of {size}"),
        _ => String::new(),
    };
    format!("{} on {}{size}", pane.window, pane.column)
}

fn states(part: &StoredPart) -> Vec<Line> {
    let group: Vec<String> = part.group.iter().map(|column| format!("{} {}", column.name, column.data_type)).collect();
    let mut lines =
        vec![("group".to_owned(), if group.is_empty() { "one for all events".to_owned() } else { group.join(", ") })];
    lines.extend(
        part.states.iter().map(|state| {
            (state.of.clone(), format!("{}; two are merged: {}", state.storage.state, state.storage.merge))
        }),
    );
    lines
}

fn reads(part: &AtReadPart) -> Vec<Line> {
    let windows = part.windows.iter().map(|windows| ("windows".to_owned(), windows.clone()));
    let having = part.having.iter().map(|having| ("HAVING".to_owned(), having.clone()));
    let columns = part.columns.iter().map(|column| {
        let computed =
            if column.expression == column.name { String::new() } else { format!("  = {}", column.expression) };
        (column.name.clone(), format!("{}{computed}", column.data_type))
    });
    windows.chain(having).chain(columns).collect()
}

//! Where the views stand.

use serde_json::{Value, json};

use super::Examination;
use crate::api::Api;
use crate::project::LoadedProject;
use crate::stalls;

/// Every view as the API tells of it, or its name and the `error`.
pub async fn details(loaded: &LoadedProject, api: &Api) -> Vec<Value> {
    let mut details = Vec::new();
    for view in loaded.views.keys() {
        let detail = api.get(&format!("/v1/views/{view}"), &[]).await;
        details.push(detail.unwrap_or_else(|error| json!({ "view": view, "error": format!("{error:#}") })));
    }
    details
}

pub fn examine(loaded: &LoadedProject, detail: &Value, examination: &mut Examination) {
    let view = detail["view"].as_str().unwrap_or_default();
    let what = format!("view '{view}'");
    if let Some(error) = detail["error"].as_str() {
        return examination.note(&what, Err(error.to_owned()));
    }
    let fingerprint = loaded.views.get(view).map(|plan| plan.fingerprint.as_str());
    let finding = match (detail["serving"].is_null(), detail["fingerprint"].as_str() == fingerprint) {
        (true, _) => Err("no generation answers; run `anabranch speed`, `batch` or `replay`".to_owned()),
        (false, false) => {
            Err("the SQL or the source has changed since; run `anabranch batch` or `anabranch replay`".to_owned())
        }
        (false, true) => Ok(standing(detail)),
    };
    examination.note(&what, finding);
    match stalls::of(detail) {
        // What keeps all views of the source is told of the source.
        Ok(stalls) => stalls
            .iter()
            .filter(|stall| stall.stall.view.is_some())
            .for_each(|stall| examination.note(&what, Err(stalls::told(stall)))),
        Err(error) => examination.note(&what, Err(format!("{error:#}"))),
    }
}

/// Where the generation that answers stands.
fn standing(detail: &Value) -> String {
    let answers = format!("generation {} answers, {}", detail["serving"], detail["mode"].as_str().unwrap_or_default());
    let behind: Vec<String> = detail["lag_events"]
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(_, events)| events.as_u64() > Some(0))
        .map(|(partition, events)| {
            format!("{events} events behind in partition {partition}, at offset {}", detail["applied"][partition])
        })
        .collect();
    if behind.is_empty() { answers } else { format!("{answers}; {}", behind.join("; ")) }
}

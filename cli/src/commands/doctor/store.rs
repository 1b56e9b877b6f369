//! The real-time store, and whether the parts answer at all.

use anabranch_serving::{Found, Health};

use super::Examination;
use crate::api::Api;

/// What the parts say of themselves; `None` if nobody answers.
pub async fn examine(api: &Api, examination: &mut Examination) -> Option<Health> {
    let what = "log, real-time store and catalog";
    let answer = api.get("/v1/health", &[]).await;
    let health: Health = match answer.and_then(|answer| Ok(serde_json::from_value(answer)?)) {
        Ok(health) => health,
        Err(error) => {
            examination.note(what, Err(format!("{error:#}")));
            return None;
        }
    };
    examination.note(what, Ok("asked".to_owned()));
    match &health.realtime_store.complaint {
        Found::Found(None) => {}
        Found::Found(Some(complaint)) | Found::Error(complaint) => {
            examination.note("real-time store", Err(complaint.clone()));
        }
    }
    match &health.realtime_store.strangers {
        Found::Found(strangers) if strangers.is_empty() => {}
        Found::Found(strangers) => examination.note("other storage roots", Ok(left_behind(strangers))),
        Found::Error(error) => examination.note("other storage roots", Err(error.clone())),
    }
    Some(health)
}

/// States that no answer of this project is made of.
fn left_behind(prefixes: &[String]) -> String {
    format!(
        "the real-time store has states of other storage roots of this project's name, which this one never reads: {}. If \
         such a root is gone, remove them: redis-cli --scan --pattern 'PREFIX*' | xargs redis-cli unlink",
        prefixes.join(", ")
    )
}

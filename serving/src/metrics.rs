//! What Prometheus reads at `GET /metrics`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Mutex, PoisonError};

use anabranch_model::stall::Stall;
use axum::http::StatusCode;
use futures::future::join_all;

use crate::coverage::now_ms;
use crate::failure::Failure;
use crate::pin::not_served;
use crate::standing::Standing;
use crate::state::Serving;

/// Counts requests by route and status.
#[derive(Default)]
pub(crate) struct Metrics(Mutex<BTreeMap<(&'static str, u16), u64>>);

impl Metrics {
    pub fn count(&self, route: &'static str, status: StatusCode) {
        let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route, status.as_u16())).or_default() += 1;
    }

    fn write(&self, out: &mut String) {
        header(out, "anabranch_requests_total", "counter", "Answered requests.");
        for ((route, status), count) in self.0.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            line(out, "anabranch_requests_total", &[("route", route), ("status", &status.to_string())], *count);
        }
    }
}

struct ViewGauges {
    view: String,
    generation: u64,
    standing: Standing,
}

impl Serving {
    /// All metrics in Prometheus' text format; a view that cannot be read is left out.
    pub(crate) async fn metrics_text(&self) -> String {
        let mut out = String::new();
        self.metrics.write(&mut out);
        let views = join_all(self.parts.views.keys().map(|view| self.gauges(view))).await;
        let views: Vec<ViewGauges> = views.into_iter().filter_map(Result::ok).collect();
        write_gauges(&mut out, &views);
        out
    }

    async fn gauges(&self, view: &str) -> Result<ViewGauges, Failure> {
        let generations = self.parts.catalog.load().await?.view(view);
        let record = generations.serving().ok_or_else(|| not_served(view))?;
        let standing = self.standing(record).await?;
        Ok(ViewGauges { view: view.to_owned(), generation: record.generation.0, standing })
    }
}

fn write_gauges(out: &mut String, views: &[ViewGauges]) {
    header(out, "anabranch_view_generation", "gauge", "The generation that answers.");
    for view in views {
        line(out, "anabranch_view_generation", &[("view", &view.view)], view.generation);
    }
    header(out, "anabranch_view_applied_offset", "gauge", "Next offset of the answer.");
    for view in views {
        for (partition, offset) in view.standing.applied() {
            let labels = [("view", view.view.as_str()), ("partition", &partition.to_string())];
            line(out, "anabranch_view_applied_offset", &labels, offset.0);
        }
    }
    header(out, "anabranch_view_lag_events", "gauge", "Events in the log that are not in the answer yet.");
    for view in views {
        for (partition, lag) in view.standing.lag() {
            let labels = [("view", view.view.as_str()), ("partition", &partition.to_string())];
            line(out, "anabranch_view_lag_events", &labels, lag);
        }
    }
    write_stalls(out, views);
}

fn write_stalls(out: &mut String, views: &[ViewGauges]) {
    header(
        out,
        "anabranch_view_stalled_seconds",
        "gauge",
        "How long the view has not been brought forward; 0 if it is.",
    );
    for view in views {
        line(out, "anabranch_view_stalled_seconds", &[("view", &view.view)], stalled_seconds(&view.standing.stalls));
    }
}

/// Since the first stall began; at least 1 for those of which nobody knows.
fn stalled_seconds(stalls: &[Stall]) -> u64 {
    let seconds = |stall: &Stall| {
        let ms = stall.since_ms.map_or(0, |since| now_ms().saturating_sub(since));
        u64::try_from(ms / 1000).unwrap_or_default().max(1)
    };
    stalls.iter().map(seconds).max().unwrap_or_default()
}

fn header(out: &mut String, name: &str, kind: &str, help: &str) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("writing to a string cannot fail");
}

/// Labels are routes, statuses, partitions and views' names, none of which needs escaping.
fn line(out: &mut String, name: &str, labels: &[(&str, &str)], value: u64) {
    let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
    writeln!(out, "{name}{{{}}} {value}", labels.join(",")).expect("writing to a string cannot fail");
}

//! `anabranch doctor`: what is wrong and how to mend it.
//!
//! Log and real-time store are asked through the API, that of the process that holds the embedded parts or
//! one of our own; archive and project are files that lie beside it.

mod losses;
mod sources;
mod store;
mod views;

use anabranch_batch::Archive;
use anyhow::bail;
use serde_json::{Value, json};

use crate::api::Api;
use crate::args::Global;
use crate::hold::{Holder, holder};
use crate::output::{Output, table};
use crate::project::LoadedProject;

/// Findings in the order in which one would look.
struct Examination(Vec<Value>);

impl Examination {
    fn note(&mut self, what: &str, outcome: Result<String, String>) {
        let (ok, text) = match outcome {
            Ok(text) => (true, text),
            Err(text) => (false, text),
        };
        self.0.push(json!({ "check": what, "ok": ok, "finding": text }));
    }

    fn healthy(&self) -> bool {
        self.0.iter().all(|finding| finding["ok"] == true)
    }
}

pub async fn run(global: &Global, output: Output) -> anyhow::Result<()> {
    let mut examination = Examination(Vec::new());
    examine(global, &mut examination).await;
    let columns = ["check", "ok", "finding"].map(str::to_owned);
    output.print(&json!({ "healthy": examination.healthy(), "checks": examination.0 }), || {
        table(&columns, &examination.0)
    })?;
    if !examination.healthy() {
        bail!("something is wrong; see the findings");
    }
    Ok(())
}

async fn examine(global: &Global, examination: &mut Examination) {
    let loaded = match LoadedProject::load(global) {
        Ok(loaded) => loaded,
        Err(error) => return examination.note("project", Err(error.to_string())),
    };
    examination
        .note("project", Ok(format!("{} views over {} sources", loaded.views.len(), loaded.project.sources.len())));
    let holder = holder(&loaded.root());
    if let Some(holder) = &holder {
        examination.note("embedded parts", Ok(held(holder)));
    }
    let api = match holder.is_some_and(|holder| holder.api.is_none()) {
        true => None,
        false => ask(global, examination).await,
    };
    examine_all(&loaded, api.as_ref(), examination).await;
}

fn held(holder: &Holder) -> String {
    let Holder { pid, command, api } = holder;
    match api {
        Some(api) => format!("held by process {pid} (anabranch {command}), whose API at {api} answers for them"),
        None => format!(
            "held by process {pid} (anabranch {command}), which has no API: what lies in files is examined; stop it and \
             run this again for the rest"
        ),
    }
}

async fn ask(global: &Global, examination: &mut Examination) -> Option<Api> {
    match Api::of(global, "doctor").await {
        Ok(api) => Some(api),
        Err(error) => {
            examination.note("log, real-time store and catalog", Err(format!("{error:#}")));
            None
        }
    }
}

async fn examine_all(loaded: &LoadedProject, api: Option<&Api>, examination: &mut Examination) {
    let health = match api {
        Some(api) => store::examine(api, examination).await,
        None => None,
    };
    let views = match api {
        Some(api) => views::details(loaded, api).await,
        None => Vec::new(),
    };
    for source in loaded.project.sources.values() {
        let what = format!("source '{}'", source.name);
        let archive = match Archive::open(&loaded.root(), source).await {
            Ok(archive) => archive,
            Err(error) => {
                examination.note(&what, Err(error.to_string()));
                continue;
            }
        };
        if let Some(health) = health.as_ref().and_then(|health| health.sources.get(&source.name)) {
            sources::examine(archive.as_ref(), health, &what, examination);
        }
        let findings = losses::of(archive.as_ref(), source, &views).await;
        let findings = findings.unwrap_or_else(|error| vec![format!("{error:#}")]);
        findings.into_iter().for_each(|finding| examination.note(&what, Err(finding)));
    }
    views.iter().for_each(|view| views::examine(loaded, view, examination));
}

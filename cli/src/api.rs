//! Asking the API: that of the process that holds the embedded parts, or one of our own.

use std::fmt;

use anabranch_serving::{Serving, ServingParts, router};
use anyhow::Context;
use serde_json::Value;
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::args::Global;
use crate::hold::{Hold, holder};
use crate::parts::Parts;
use crate::project::LoadedProject;

/// Name of the environment variable with the API's key.
pub const KEY_VARIABLE: &str = "ANABRANCH_API_KEY";

/// The key that callers have to show, if one is configured.
pub fn key() -> Option<String> {
    std::env::var(KEY_VARIABLE).ok().filter(|key| !key.is_empty())
}

/// The serving state over these parts.
pub fn serving(parts: &Parts) -> Serving {
    let project = &parts.loaded.project;
    Serving::new(ServingParts {
        root: parts.root.clone(),
        catalog: parts.catalog.clone(),
        store: parts.store.clone(),
        log: parts.log.clone(),
        references: parts.references.clone(),
        reports: parts.reports.clone(),
        sources: project.sources.clone(),
        views: project.views.clone(),
        api_key: key(),
    })
}

/// An error that the API has answered with.
#[derive(Debug)]
pub struct Refused {
    pub kind: String,
    pub cause: String,
    pub help: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n  help: {}", self.cause, self.help)
    }
}

impl std::error::Error for Refused {}

/// A client of the API.
pub struct Api {
    base: String,
    client: reqwest::Client,
    /// Keeps an API of our own running.
    _own: Option<(watch::Sender<bool>, Option<Hold>)>,
}

impl Api {
    /// The API at `base`, for example `http://127.0.0.1:8080`.
    pub fn at(base: String) -> Self {
        Self { base, client: reqwest::Client::new(), _own: None }
    }

    /// The API of the process that holds this project's embedded parts, or else one of our own on
    /// a free loopback port for as long as this value lives.
    pub async fn of(global: &Global, command: &str) -> anyhow::Result<Self> {
        let loaded = LoadedProject::load_to_go_on(global)?;
        if let Some(api) = holder(&loaded.root()).and_then(|holder| holder.api) {
            return Ok(Self::at(api));
        }
        let mut parts = Parts::open(loaded, command).await?;
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no free loopback port")?;
        let base = format!("http://{}", listener.local_addr()?);
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(anabranch_serving::serve(listener, router(serving(&parts)), stopped));
        Ok(Self { _own: Some((stop, parts.hold.take())), ..Self::at(base) })
    }

    pub async fn get(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.get_text(path, query).await?)?)
    }

    /// The answer as the API wrote it: numbers that are not taken apart keep all their digits.
    pub async fn get_text(&self, path: &str, query: &[(&str, String)]) -> anyhow::Result<String> {
        let mut url = reqwest::Url::parse(&format!("{}{path}", self.base))?;
        for (name, value) in query {
            url.query_pairs_mut().append_pair(name, value);
        }
        self.send(self.client.get(url)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> anyhow::Result<Value> {
        Ok(serde_json::from_str(&self.post_text(path, body).await?)?)
    }

    /// The answer as the API wrote it.
    pub async fn post_text(&self, path: &str, body: &Value) -> anyhow::Result<String> {
        self.send(self.client.post(format!("{}{path}", self.base)).json(body)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<String> {
        let request = match key() {
            Some(key) => request.bearer_auth(key),
            None => request,
        };
        let response = request.send().await.with_context(|| format!("cannot reach the API at {}", self.base))?;
        let status = response.status();
        let text = response.text().await.with_context(|| format!("{status}: the answer ended early"))?;
        let answer: Box<RawValue> =
            serde_json::from_str(&text).with_context(|| format!("{status}: not a JSON answer"))?;
        if status.is_success() {
            return Ok(text);
        }
        let answer: Value = serde_json::from_str(answer.get())?;
        let text = |field: &str| answer["error"][field].as_str().unwrap_or_default().to_owned();
        Err(Refused { kind: text("kind"), cause: text("cause"), help: text("help") }.into())
    }
}

//! `GET /v1/health`: what the parts say of themselves, for `anabranch doctor`.

use std::collections::BTreeMap;

use anabranch_model::log::{Bounds, LogError};
use anabranch_model::position::Partition;
use anabranch_model::project::Source;
use anabranch_model::stall::Stall;
use futures::future::join_all;
use serde::{Deserialize, Serialize};

use crate::coverage::now_ms;
use crate::stalls::PrintedStall;
use crate::state::Serving;

/// The real-time store, and the log of every source by the source's name.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Health {
    pub realtime_store: StoreHealth,
    pub sources: BTreeMap<String, Found<SourceHealth>>,
}

/// An answer of a part, or why it gave none.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Found<T> {
    Found(T),
    Error(String),
}

impl<T, E: ToString> From<Result<T, E>> for Found<T> {
    fn from(found: Result<T, E>) -> Self {
        match found {
            Ok(found) => Self::Found(found),
            Err(error) => Self::Error(error.to_string()),
        }
    }
}

/// See [`RealtimeStore`](anabranch_model::realtime::RealtimeStore).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoreHealth {
    /// Why the store takes no commits, if so.
    pub complaint: Found<Option<String>>,
    /// What the keys of other storage roots begin with.
    pub strangers: Found<Vec<String>>,
}

/// The log of one source.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SourceHealth {
    pub topic: String,
    pub partitions: BTreeMap<Partition, Bounds>,
    /// What is wrong with the way in which the topic is set up.
    pub cautions: Vec<String>,
    /// What keeps all views over the source from being brought forward.
    pub stalls: Vec<PrintedStall>,
}

impl Serving {
    /// Asks every part; one that does not answer does not keep the others from it.
    pub(crate) async fn health(&self) -> Health {
        let (store, sources) = (&self.parts.store, self.parts.sources.values());
        let of_source = async |source: &Source| (source.name.clone(), self.source_health(source).await.into());
        Health {
            realtime_store: StoreHealth {
                complaint: store.complaint().await.into(),
                strangers: store.strangers().await.into(),
            },
            sources: join_all(sources.map(of_source)).await.into_iter().collect(),
        }
    }

    /// The error is the log's own: other answers say only that the log is not available.
    async fn source_health(&self, source: &Source) -> Result<SourceHealth, LogError> {
        let (bounds, status) = (self.parts.log.bounds(&source.topic).await?, self.statuses.of(source).await?);
        let of_source = status.report.iter().flat_map(|report| &report.stalls).filter(|stall| stall.view.is_none());
        let stalls: Vec<Stall> = of_source.cloned().chain(status.open_transactions(now_ms())).collect();
        Ok(SourceHealth {
            topic: source.topic.clone(),
            partitions: bounds,
            cautions: self.parts.log.cautions(&source.topic).await?,
            stalls: stalls.iter().map(PrintedStall::from).collect(),
        })
    }
}

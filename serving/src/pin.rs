//! One generation, ready to be read: its plan and its batch view, both immutable, opened once.
//!
//! A reader takes one generation and stays on it. It asks the catalog once, at the beginning, which generation answers. What it reads
//! then belongs to that one alone: the batch view is a table that nobody changes, and the slots of the real-time view have the
//! generation in their names.
//!
//! ```text
//! catalog       generation 7 answers      │ promoted │      generation 8 answers
//! reader A          pin 7 ── batch of 7 ──┼──────────┼── slots of 7 ──▶ answer of 7
//! reader B                                │          │   pin 8 ── batch of 8 ── slots of 8 ──▶ answer of 8
//! ```
//!
//! So a swap in the middle of a read, or between two pages, mixes nothing. A cursor names its generation for the same reason. The one
//! before is kept until it is retired. A reader whose generation was retired in the meantime finds its slots gone, sees in the catalog
//! why, and says so instead of taking nothing for an empty answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use anabranch_model::catalog::{GenerationRecord, ViewGenerations};
use anabranch_model::position::Generation;
use anabranch_model::project::Definition;
use anabranch_view::{ViewPlan, Window};
use tokio::sync::OnceCell;

use crate::batch_view::BatchView;
use crate::failure::{Failure, Kind};
use crate::state::Serving;

/// A generation that reads answer from.
#[derive(Debug)]
pub(crate) struct Pinned {
    pub record: GenerationRecord,
    pub plan: Arc<ViewPlan>,
    /// None where the real-time view starts at the beginning.
    pub batch: Option<BatchView>,
}

impl Pinned {
    /// The view's window, if it has to be put together from panes.
    pub fn assembled(&self) -> Option<&Window> {
        self.plan.window.as_ref().map(|column| &column.window).filter(|window| !window.is_pane())
    }
}

type PinCell = Arc<OnceCell<Arc<Pinned>>>;

/// Opened generations.
#[derive(Default)]
pub(crate) struct Pins(Mutex<HashMap<(String, Generation), PinCell>>);

impl Pins {
    /// The cell of this generation; forgets those of its view that are no longer in the catalog.
    fn cell(&self, record: &GenerationRecord, generations: &ViewGenerations) -> PinCell {
        let mut pins = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        pins.retain(|(view, generation), _| *view != record.view || generations.generations.contains_key(generation));
        pins.entry((record.view.clone(), record.generation)).or_default().clone()
    }
}

impl Serving {
    /// Pins the generation that answers now, or the one that a cursor names.
    pub(crate) async fn pin(&self, view: &str, wanted: Option<Generation>) -> Result<Arc<Pinned>, Failure> {
        self.view(view)?;
        let generations = self.parts.catalog.load().await?.view(view);
        let record = match wanted {
            Some(generation) => generations.generations.get(&generation).ok_or_else(|| gone(view, generation))?,
            None => generations.serving().ok_or_else(|| not_served(view))?,
        };
        let cell = self.pins.cell(record, &generations);
        cell.get_or_try_init(|| self.open(record)).await.cloned()
    }

    /// Whether the generation has not been retired.
    pub(crate) async fn is_published(&self, record: &GenerationRecord) -> Result<bool, Failure> {
        let catalog = self.parts.catalog.load().await?;
        Ok(catalog.view(&record.view).generations.contains_key(&record.generation))
    }

    /// Parses the definition on a thread that may block: the rows that it pins are read from files.
    async fn plan(&self, file: String, definition: Definition) -> Result<Arc<ViewPlan>, Failure> {
        let references = self.parts.references.clone();
        let parse = move || ViewPlan::of_definition(&file, &definition, references.as_ref());
        let parsed = tokio::task::spawn_blocking(parse).await.map_err(Failure::internal)?;
        parsed.map(Arc::new).map_err(|error| Failure::damaged("the generation's definition", error))
    }

    async fn open(&self, record: &GenerationRecord) -> Result<Arc<Pinned>, Failure> {
        let file = format!("views/{}.sql", record.view);
        let plan = self.plan(file, record.definition.clone()).await?;
        let batch = match &record.batch_view {
            Some(place) => Some(BatchView::open(&self.batch_views, &self.parts.root.join(place)).await?),
            None => None,
        };
        Ok(Arc::new(Pinned { record: record.clone(), plan, batch }))
    }
}

pub(crate) fn gone(view: &str, generation: Generation) -> Failure {
    let cause = format!("generation {generation} of view '{view}' was retired; this cursor reads only that one");
    Failure::new(Kind::Gone, cause, "start again without a cursor")
}

pub(crate) fn not_served(view: &str) -> Failure {
    let help = "run `anabranch speed` or `anabranch dev`, which publish the first one";
    Failure::new(Kind::Unavailable, format!("view '{view}' has no generation to answer from yet"), help)
}

//! Moving answers from one generation to another.

use anabranch_model::catalog::{Catalog, GenerationRecord, Record, ViewGenerations, append_with};
use anabranch_model::generation::{self, Reached, caught_up};
use anabranch_model::position::Generation;

use crate::failure::{Failure, Kind};
use crate::pin::not_served;
use crate::state::Serving;

/// What became of a request to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moved {
    /// It answers now.
    Promoted,
    /// It answered already.
    Already,
    /// It answers as soon as it has caught up.
    Requested,
}

impl Serving {
    /// The generation that answered before the present one.
    pub(crate) async fn previous(&self, view: &str) -> Result<Generation, Failure> {
        self.view(view)?;
        let generations = self.parts.catalog.load().await?.view(view);
        generations.previous.ok_or_else(|| {
            let cause = format!("view '{view}' has no earlier generation to go back to");
            Failure::new(Kind::Conflict, cause, "promote one of its generations by number")
        })
    }

    /// Lets `generation` answer: at once if it covers what the present one covers, else as soon as it does.
    pub(crate) async fn promote(&self, view: &str, number: Generation) -> Result<Moved, Failure> {
        self.view(view)?;
        let generations = self.parts.catalog.load().await?.view(view);
        if generations.serving == Some(number) {
            return Ok(Moved::Already);
        }
        let target = generations.generations.get(&number).ok_or_else(|| unknown(view, number, &generations))?;
        let name = view.to_owned();
        if self.has_caught_up(target, generations.serving()).await? {
            // Only over the generation that it was compared with.
            let promoted = self
                .append(|catalog| generation::promote(&catalog.view(&name), &name, number, generations.serving))
                .await?;
            if promoted {
                return Ok(Moved::Promoted);
            }
        }
        self.append(|catalog| generation::request(&catalog.view(&name), &name, number)).await?;
        Ok(Moved::Requested)
    }

    async fn append(&self, decide: impl FnMut(&Catalog) -> Option<Record> + Send) -> Result<bool, Failure> {
        Ok(append_with(self.parts.catalog.as_ref(), decide).await?.is_some())
    }

    async fn has_caught_up(
        &self,
        target: &GenerationRecord,
        serving: Option<&GenerationRecord>,
    ) -> Result<bool, Failure> {
        let standing = self.standing(target).await?;
        let offsets = standing.applied();
        let before = match serving {
            Some(record) => Some((record, self.standing(record).await?.applied())),
            None => None,
        };
        let before = before.as_ref().map(|(record, offsets)| Reached { record, offsets });
        let ends = standing.bounds.iter().map(|(partition, bounds)| (*partition, bounds.end)).collect();
        Ok(caught_up(Reached { record: target, offsets: &offsets }, before, Some(&ends)))
    }
}

fn unknown(view: &str, generation: Generation, generations: &ViewGenerations) -> Failure {
    if generations.generations.is_empty() {
        return not_served(view);
    }
    let help = format!(
        "its generations are {}",
        crate::state::names(generations.generations.keys().map(Generation::to_string))
    );
    Failure::new(Kind::NotFound, format!("view '{view}' has no generation {generation}"), help)
}

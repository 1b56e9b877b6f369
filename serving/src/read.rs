//! Reading one generation, and reading again when it was retired meanwhile.

use std::sync::Arc;

use anabranch_model::position::Generation;

use crate::failure::{Failure, Kind};
use crate::pin::Pinned;
use crate::state::Serving;

/// Retirements that one read outlives.
const MAX_ATTEMPTS: usize = 5;

impl Serving {
    /// Runs `read` on one pinned generation. If that generation was retired while it was read, its
    /// files and slots may have been missing, so `read` runs again on the one that answers now.
    pub(crate) async fn pinned<T, F, R>(&self, view: &str, wanted: Option<Generation>, read: F) -> Result<T, Failure>
    where
        F: Fn(Arc<Pinned>) -> R,
        R: Future<Output = Result<T, Failure>>,
    {
        for _ in 0..MAX_ATTEMPTS {
            let pinned = self.pin(view, wanted).await?;
            match read(pinned.clone()).await {
                Err(failure) if self.is_published(&pinned.record).await? => return Err(failure),
                Err(_) => {}
                Ok(answer) => return Ok(answer),
            }
        }
        Err(moving(view))
    }
}

pub(crate) fn moving(view: &str) -> Failure {
    let cause = format!("the generations of view '{view}' were retired faster than they could be read");
    Failure::new(Kind::Unavailable, cause, "try again")
}

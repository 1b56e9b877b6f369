//! What the second engine says of a view, where the binary was built with it.

use anabranch_batch::ArchiveSnapshot;
use anabranch_view::ViewPlan;
use anabranch_view::merge::Merge;

#[cfg(feature = "oracle")]
use anabranch_batch::{Error, Limits, Oracle};

/// Its answer, and how it came to it.
#[derive(Debug, Default)]
pub struct Asked {
    #[cfg(feature = "oracle")]
    answer: Option<Oracle>,
    /// What it evaluated for each event by its own expressions.
    pub by_polars: Vec<String>,
    /// What it took from the shared ones, and why.
    pub by_shared_expressions: Vec<String>,
    /// What it has no recipe for, or why there is no answer at all.
    pub not_compared: Vec<String>,
}

#[cfg(feature = "oracle")]
pub async fn ask(plan: &ViewPlan, snapshot: &ArchiveSnapshot) -> anyhow::Result<Asked> {
    match Oracle::of_archive(plan, snapshot, &Limits::default()).await {
        Ok(oracle) => Ok(Asked {
            by_polars: oracle.by_itself().to_vec(),
            by_shared_expressions: oracle.shared().to_vec(),
            not_compared: oracle.skipped().iter().map(|what| format!("Polars: {what}")).collect(),
            answer: Some(oracle),
        }),
        Err(Error::Inexpressible(what)) => {
            Ok(Asked { not_compared: vec![format!("Polars: {what}")], ..Asked::default() })
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(feature = "oracle"))]
pub async fn ask(_: &ViewPlan, _: &ArchiveSnapshot) -> anyhow::Result<Asked> {
    let why = "Polars: this binary was built without it; build it with the feature `oracle`, which is on by default";
    Ok(Asked { not_compared: vec![why.to_owned()], ..Asked::default() })
}

#[cfg(feature = "oracle")]
impl Asked {
    pub fn answered(&self) -> bool {
        self.answer.is_some()
    }

    /// The first group that the roads have otherwise.
    pub fn difference(&self, plan: &ViewPlan, merged: &Merge) -> anyhow::Result<Option<String>> {
        let Some(oracle) = &self.answer else { return Ok(None) };
        Ok(oracle.compare(plan, merged.groups())?.map(|difference| difference.to_string()))
    }
}

#[cfg(not(feature = "oracle"))]
impl Asked {
    pub fn answered(&self) -> bool {
        false
    }

    pub fn difference(&self, _: &ViewPlan, _: &Merge) -> anyhow::Result<Option<String>> {
        Ok(None)
    }
}

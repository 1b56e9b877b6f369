//! What an answer says about itself.

use std::collections::BTreeMap;

use anabranch_model::catalog::Road;
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::project::Mode;
use serde::Serialize;

use crate::json::iso_time;
use crate::pin::Pinned;
use crate::stalls::PrintedStall;
use crate::standing::Standing;

/// Which prefix of the log an answer covers, and how it was computed.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Coverage {
    pub view: String,
    pub generation: Generation,
    pub mode: Mode,
    pub road: Road,
    /// The batch view covers everything below.
    pub cut: BTreeMap<Partition, Offset>,
    /// The answer covers everything below.
    pub applied: BTreeMap<Partition, Offset>,
    pub watermark: Option<String>,
    pub freshness_ms: Option<i64>,
    /// Why the answer does not get fresher, if it does not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stalls: Vec<PrintedStall>,
}

impl Coverage {
    pub fn new(pinned: &Pinned, standing: &Standing) -> Self {
        let record = &pinned.record;
        let watermark = standing.watermark(record.definition.source.lateness_us);
        Self {
            view: record.view.clone(),
            generation: record.generation,
            mode: record.road.mode(),
            road: record.road,
            cut: record.cut.offsets(),
            applied: standing.applied(),
            watermark: watermark.map(|time| iso_time(time.0)),
            freshness_ms: standing.freshness_ms(now_ms()),
            stalls: standing.stalls.iter().map(PrintedStall::from).collect(),
        }
    }
}

/// The wall clock in milliseconds since 1970, which only says how old an answer is and never decides one.
#[expect(clippy::disallowed_methods, reason = "an answer says how old it is")]
pub(crate) fn now_ms() -> i64 {
    chrono::Utc::now().timestamp_millis()
}

//! DataFusion sessions that stay within a memory limit and spill to disk beyond it.

use std::path::PathBuf;
use std::sync::Arc;

use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::prelude::{SessionConfig, SessionContext};

use crate::Result;

/// What a computation may use.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Memory of the operators that can spill, in bytes.
    pub memory_bytes: usize,
    /// Folder for spilled data; the system's temporary folder if none is given.
    pub spill_folder: Option<PathBuf>,
    /// Threads that compute at once.
    pub parallelism: usize,
    /// Most rows in a batch between operators.
    pub batch_rows: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let parallelism = std::thread::available_parallelism().map_or(1, |n| n.get());
        Self { memory_bytes: 1 << 30, spill_folder: None, parallelism, batch_rows: 8192 }
    }
}

/// A session that knows Anabranch's functions and keeps to `limits`.
pub fn session(limits: &Limits) -> Result<SessionContext> {
    let spill = match &limits.spill_folder {
        Some(folder) => DiskManagerMode::Directories(vec![folder.clone()]),
        None => DiskManagerMode::OsTmpDirectory,
    };
    let runtime = RuntimeEnvBuilder::new()
        .with_memory_pool(Arc::new(FairSpillPool::new(limits.memory_bytes)))
        .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(spill))
        .build_arc()?;
    let state = SessionStateBuilder::new_from_existing(anabranch_view::session())
        .with_config(config(limits))
        .with_runtime_env(runtime)
        .build();
    Ok(SessionContext::new_with_state(state))
}

fn config(limits: &Limits) -> SessionConfig {
    const USUAL_RESERVATION_BYTES: usize = 10 << 20;
    // Merging spilled runs takes a batch of each of them, so batches are small beside the whole.
    const MEMORY_PER_BATCH_ROW: usize = 4096;
    let batch_rows = limits.batch_rows.min(limits.memory_bytes / MEMORY_PER_BATCH_ROW).max(64);
    // Every sort sets this aside for merging its spilled runs, so it has to fit several times.
    let reservation = (limits.memory_bytes / (4 * limits.parallelism.max(1))).min(USUAL_RESERVATION_BYTES);
    SessionConfig::new()
        .with_target_partitions(limits.parallelism.max(1))
        .with_batch_size(batch_rows)
        .with_sort_spill_reservation_bytes(reservation)
        // Views would have to be cast back to the declared types.
        .set_bool("datafusion.execution.parquet.schema_force_view_types", false)
        .set_bool("datafusion.execution.parquet.pushdown_filters", true)
}

/// Bytes that the plan, once executed, has written to spill files.
pub fn spilled_bytes(plan: &dyn ExecutionPlan) -> usize {
    let own = plan.metrics().and_then(|metrics| metrics.spilled_bytes()).unwrap_or(0);
    own + plan.children().into_iter().map(|child| spilled_bytes(child.as_ref())).sum::<usize>()
}

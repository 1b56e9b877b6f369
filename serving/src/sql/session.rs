//! The session of one query, which reaches nothing outside of it.

use std::sync::Arc;

use anabranch_view::expression::{self, OnFailure, WriteOut};
use datafusion::execution::FunctionRegistry;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::prelude::{SessionConfig, SessionContext};

use super::MAX_MEMORY_BYTES;
use super::sum::checked_sum;
use crate::failure::Failure;

/// Functions whose result can be as large as a number in their arguments says, before anything is
/// counted against the memory limit.
const AMPLIFIERS: [&str; 10] = [
    "repeat",
    "lpad",
    "rpad",
    "space",
    "range",
    "gen_series",
    "generate_series",
    "array_repeat",
    "array_resize",
    "list_resize",
];

/// A fresh session: no files to write, no object stores to read, no tables but those registered.
pub(super) fn context() -> Result<SessionContext, Failure> {
    let disk = DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled);
    let runtime = RuntimeEnvBuilder::new()
        .with_disk_manager_builder(disk)
        .with_memory_pool(Arc::new(GreedyMemoryPool::new(MAX_MEMORY_BYTES)))
        .build_arc()?;
    // The default registry opens local files.
    runtime.deregister_object_store(ObjectStoreUrl::local_filesystem().as_ref())?;
    let mut config = SessionConfig::new().with_information_schema(false).with_target_partitions(2);
    config.options_mut().execution.enable_recursive_ctes = false;
    // A number with a point is exact, as in views.
    config.options_mut().sql_parser.parse_float_as_decimal = true;
    let mut state = SessionStateBuilder::new()
        .with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_table_functions(Default::default())
        .with_optimizer_rules(optimizer_rules())
        .build();
    state.register_udaf(Arc::new(checked_sum()))?;
    expression::install(&mut state, OnFailure::Error)?;
    let context = SessionContext::new_with_state(state);
    AMPLIFIERS.iter().for_each(|function| context.deregister_udf(function));
    Ok(context)
}

/// DataFusion's, less its simplifications of expressions, some of which change values: a NULL in a list
/// is lost, a cast is taken away from a comparison. Of them only what is notation is written out.
fn optimizer_rules() -> Vec<Arc<dyn OptimizerRule + Send + Sync>> {
    let kept = |rule: Arc<dyn OptimizerRule + Send + Sync>| match rule.name() {
        "simplify_expressions" => Arc::new(WriteOut),
        _ => rule,
    };
    Optimizer::new().rules.into_iter().map(kept).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_session_has_no_store_no_table_function_and_no_amplifier() {
        let context = context().unwrap();
        let state = context.state();
        assert!(context.runtime_env().object_store(ObjectStoreUrl::local_filesystem()).is_err());
        assert!(state.table_functions().is_empty(), "{:?}", state.table_functions());
        for function in AMPLIFIERS {
            assert!(!state.scalar_functions().contains_key(function), "{function}");
        }
    }
}

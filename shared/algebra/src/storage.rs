//! What the states of aggregates hold and how two of them become one, in words.

use serde::Serialize;

/// A kind of state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Storage {
    /// What a state holds.
    pub state: &'static str,
    /// What becomes of two states.
    pub merge: &'static str,
}

const fn of(state: &'static str, merge: &'static str) -> Storage {
    Storage { state, merge }
}

const MOMENTS: Storage = of("number of rows, and reproducible sums of values and products", "added");

/// The state of the aggregate, or of what holds all aggregates of a group, with this name.
pub fn storage(name: &str) -> Storage {
    match name {
        "count" => of("a count", "added"),
        "sum" => of("the total, wider than its type", "added"),
        "avg" => of("the total, and the number of values", "added"),
        "min" => of("the smallest value", "the smaller one"),
        "max" => of("the largest value", "the larger one"),
        "count_distinct" => of("the different values, up to the cap", "their union"),
        "top_k" => of("a count of each value, up to the cap", "added by value"),
        "histogram" => of("a count of each bucket", "added by bucket"),
        "array_agg" => of("the first values by event time, up to the cap", "joined in order, cut at the cap"),
        "first_value" => of("the value, with its event time and offset", "the earlier one"),
        "last_value" => of("the value, with its event time and offset", "the later one"),
        "arg_min" => of("the row's two values", "the one with the smaller y"),
        "arg_max" => of("the row's two values", "the one with the larger y"),
        "bool_and" => of("whether all are true", "AND"),
        "bool_or" => of("whether any is true", "OR"),
        "bit_and" => of("the bits", "bitwise AND"),
        "bit_or" => of("the bits", "bitwise OR"),
        "bit_xor" => of("the bits", "bitwise XOR"),
        "approx_distinct" => of("HyperLogLog registers", "the larger of each register"),
        "approx_quantile" | "approx_median" => of("DDSketch: a count of each bucket", "added by bucket"),
        "var_pop" | "var_samp" | "stddev_pop" | "stddev_samp" => MOMENTS,
        "covar_pop" | "covar_samp" | "corr" | "regr_slope" | "regr_intercept" => MOMENTS,
        "session" => of(
            "fragments of sessions: first and last time, and the aggregates' states",
            "coalesced where they are within the gap",
        ),
        "count trigger" => of(
            "by partition: a count, the aggregates' states up to the last step, and the events after it one by one",
            "joined by partition and offset",
        ),
        _ => UNKNOWN,
    }
}

const UNKNOWN: Storage = of("an encoded state", "merged");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::registry;

    #[test]
    fn every_aggregate_says_what_it_stores() {
        for aggregate in registry() {
            assert_ne!(storage(aggregate.name()), UNKNOWN, "{}", aggregate.name());
        }
    }
}

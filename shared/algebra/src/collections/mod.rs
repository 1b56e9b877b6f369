//! Values that are kept, up to a stated cap.

pub mod array_agg;
mod capped;
pub mod count_distinct;
pub mod top_k;

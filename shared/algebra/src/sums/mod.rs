//! Counts, sums and means, exact or reproducible.

pub mod avg;
pub mod count;
pub mod double;
pub mod double_double;
pub mod integer_sums;
pub mod sum;
pub mod total;
pub mod wide;

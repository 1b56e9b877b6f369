//! Least and greatest values, and the values that stand beside them or come first and last.

pub mod arg_extreme;
mod chosen;
mod extreme_column;
pub mod first_last;
mod held;
pub mod min_max;
mod side;

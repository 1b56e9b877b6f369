//! How the expressions of SQL are evaluated: in views, on every road, and in queries over views.
//!
//! DataFusion parses and types them. What it does with values is decided here, in this one place:
//!
//! - [`literal`]: a text literal takes the type of what it is compared with, or is refused;
//! - [`arithmetic`]: numbers never wrap; integers are computed in 64 bits, DECIMALs exactly;
//! - [`guarded`]: a function that fails, panics or grows beyond all bounds has no value for that row;
//! - [`date`]: a text's date as it is written;
//! - [`date_trunc`], [`timestamp`]: the whole range of TIMESTAMP, where DataFusion goes through nanoseconds;
//! - [`rewrite`]: what an expression is turned into before it is compiled, and nothing else: none of
//!   the optimiser's simplifications is applied to a view's expressions, because some of them change
//!   values (a cast moved to the other side of a comparison, NULL in a list);
//! - [`compile()`]: the expression as it runs, row by row total in a view.
//!
//! What must stay out: anything about views, windows or aggregates.

mod arithmetic;
mod compile;
mod date;
mod date_trunc;
mod failure;
mod guarded;
mod install;
mod kleene;
mod literal;
mod nan;
mod rewrite;
mod size;
mod timestamp;
mod values;

pub use compile::compile;
pub use failure::{Failures, OnFailure, TooLarge, contained, quiet_contained_panics};
pub use install::install;
pub use rewrite::{WriteOut, constant, total};

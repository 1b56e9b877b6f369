//! From a view's SQL to its plan: DataFusion parses, resolves and types it; here it is taken apart, and refused with a place.

mod clauses;
mod dialects;
mod grouping;
mod ident;
mod join;
mod literals;
mod mistakes;
mod names;
mod nearest;
mod parse;
mod refusal;
mod text;
mod view;

pub use clauses::check_clauses;
pub use literals::rewrite_literals;
pub use refusal::Refusal;
pub use text::mentions;

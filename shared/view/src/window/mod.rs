//! Windows, their panes, and the functions that name them in SQL.
//!
//! State is kept per *pane*, a half-open slice of event time that every window either holds whole
//! or not at all. An event touches one pane, however many windows overlap there; windows are put
//! together from panes when they are read ([`crate::windows`]). A hop of ten minutes every five has panes of five minutes:
//!
//! ```text
//! event time   10:00     10:05     10:10     10:15     10:20
//! panes          │── a ────│── b ────│── c ────│── d ────│
//! windows        │─────── a + b ─────│
//!                          │─────── b + c ─────│
//!                                    │─────── c + d ─────│
//! ```
//!
//! An event at 10:07 is folded into pane b once, and counts in both windows that hold b. Bounds are half-open: 10:05 belongs to b.

mod bounds;
mod calendar;
mod function;
mod kind;
mod words;

pub use bounds::{Bounds, WINDOW_TYPE};
pub use calendar::{Calendar, Span, Zone};
pub use function::{WINDOW_END, marker_functions, pane_function};
pub use kind::Window;
pub use words::span as span_in_words;

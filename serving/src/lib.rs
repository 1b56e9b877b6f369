//! The serving layer: answers from both sides, merged at read time.
//!
//! Every read pins one generation, reads its batch view and its real-time view, merges the states
//! and finishes them, and says what the answer covers. Serving keeps no state of its own beyond
//! caches of what is immutable, so any number of servers can run side by side.
//!
//! - [`Serving`] holds the stores and the caches; [`router`] is the API over it, [`listen()`] and
//!   [`serve`] put it on a socket;
//! - `pin` and `read`: one generation per answer, again from the catalog when it was retired;
//! - `batch_view` and `realtime_view`: the two sides; `page`, `merged` and `top`: their merge, where
//!   a pane is a window; `runs`: the same where windows are put together from panes;
//! - `stalls` and `health`: what does not go on, and what the parts say of themselves;
//! - `sql`: one read-only SELECT over merged views;
//! - `routes`: what HTTP adds; [`Failure`] is the one place that turns errors into responses.
//!
//! What must stay out: folding events (the speed layer's), writing batch views (the batch
//! layer's), the arithmetic (that of `anabranch-view`), and any function that opens a file or a
//! URL named by a caller.

mod admin;
mod applied;
mod auth;
mod batch_files;
mod batch_view;
mod condition;
mod coverage;
mod cursor;
mod failure;
mod finished;
mod group_id;
mod health;
mod ingest;
mod json;
mod key_value;
mod listen;
mod merged;
mod metrics;
mod overflow;
mod page;
mod parts;
mod pin;
mod read;
mod realtime_view;
mod routes;
mod runs;
mod sides;
mod sorted_files;
mod sql;
mod stalls;
mod standing;
mod state;
mod top;

pub use auth::{BindRefused, check_bind};
pub use failure::{Failure, Kind};
pub use health::{Found, Health, SourceHealth, StoreHealth};
pub use listen::{ListenError, listen, serve};
pub use routes::router;
pub use stalls::PrintedStall;
pub use state::{Serving, ServingParts};

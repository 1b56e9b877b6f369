//! The speed layer: keeps the real-time view of every generation that answers, or is about to, at
//! the end of the log; and replays history with the same fold.
//!
//! - [`run`]: the continuous job. Each partition is folded by itself; a commit is one atomic,
//!   fenced write per slot that holds changed states and the next offset, so a crash, a restart and
//!   a zombie are the same case: go on from what the store says.
//! - [`replay()`]: Kappa. The fold from the beginning, archive first, then the log from exactly the
//!   archive's end.
//!
//! What must stay out: reading or writing batch views, finishing values, HTTP.

mod commit;
mod error;
mod generations;
mod job;
mod lane;
mod parts;
mod replay;
mod report;
mod slot;
mod source;

pub use error::SpeedError;
pub use job::run;
pub use parts::{SpeedOptions, SpeedParts};
pub use replay::{Replayed, replay};

//! The project: what the user writes in `anabranch.toml` and `views/*.sql`.

mod column;
mod declared;
mod definition;
mod duration;
mod error;
mod file;
mod mode;
mod reference;
mod source;
mod table;
mod timestamp;

pub use column::{Column, ColumnError, ColumnType, INGESTION_TIME};
pub use definition::Definition;
pub use duration::parse_duration_us;
pub use error::{Place, ProjectError};
pub use file::{Checked, Project, ViewConfig};
pub use mode::Mode;
pub use reference::{Reference, ReferenceFormat, ReferencePin};
pub use source::Source;
pub use timestamp::{MICROSECOND_DIGITS, TimestampFormat};

//! Reference tables: the user's files, and the pinned rows in the storage root.

mod csv;
mod file;
mod pinned;

pub use csv::csv_table;
pub use file::read_reference;
pub use pinned::ReferenceFiles;

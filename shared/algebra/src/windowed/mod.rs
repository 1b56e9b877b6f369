//! All aggregates of a view as one state, where a window is known only at read: sessions and count triggers.

pub mod count_trigger;
pub mod parts;
pub mod session;

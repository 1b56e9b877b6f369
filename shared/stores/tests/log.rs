//! One contract for both logs, and what each has for itself.

mod log {
    pub mod contract;
    mod embedded;
    mod kafka;
}

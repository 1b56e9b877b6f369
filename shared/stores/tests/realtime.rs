//! One contract for both real-time stores, and what each has for itself.

mod realtime {
    pub mod contract;
    mod embedded;
    mod redis;
}

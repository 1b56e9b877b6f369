//! anabranch-bench

//! anabranch-batch

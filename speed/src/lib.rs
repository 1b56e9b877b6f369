//! anabranch-speed

use crate::project::MICROSECOND_DIGITS;

/// A time as it is written, which may be finer than microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Microseconds since 1970, rounded down; an end of the type's range where they do not fit.
    pub us: i64,
    /// Whether something other than zeros was cut off.
    pub finer: bool,
}

impl Moment {
    /// In whole microseconds.
    pub fn exact(self, text: &str) -> Result<i64, String> {
        if self.finer {
            return Err(format!("'{text}' is more precise than the microseconds of a TIMESTAMP"));
        }
        Ok(self.us)
    }

    /// With `digits` digits of the second, rounded down.
    pub fn rounded_down(self, digits: u8) -> i64 {
        let unit_us = 10i64.pow(u32::from(MICROSECOND_DIGITS - digits));
        self.us.saturating_sub(self.us.rem_euclid(unit_us))
    }
}

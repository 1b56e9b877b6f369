use serde::{Deserialize, Serialize};

/// Digits of the second that a TIMESTAMP holds.
pub const MICROSECOND_DIGITS: u8 = 6;

/// How the TIMESTAMPs of a column are written in events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimestampFormat {
    /// Text in ISO 8601, with an offset or in UTC.
    #[default]
    Iso8601,
    /// Seconds since 1970-01-01T00:00:00Z, a JSON number or a string of digits; so are the others.
    EpochSeconds,
    EpochMillis,
    EpochMicros,
    EpochNanos,
}

impl TimestampFormat {
    pub const ALL: [Self; 5] =
        [Self::Iso8601, Self::EpochSeconds, Self::EpochMillis, Self::EpochMicros, Self::EpochNanos];

    /// The format that is declared by this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The name by which it is declared.
    pub fn name(self) -> &'static str {
        match self {
            Self::Iso8601 => "iso8601",
            Self::EpochSeconds => "epoch_seconds",
            Self::EpochMillis => "epoch_millis",
            Self::EpochMicros => "epoch_micros",
            Self::EpochNanos => "epoch_nanos",
        }
    }

    /// For a count since 1970: a second has 10 to the power of this of its units.
    pub fn unit_digits(self) -> Option<u8> {
        match self {
            Self::Iso8601 => None,
            Self::EpochSeconds => Some(0),
            Self::EpochMillis => Some(3),
            Self::EpochMicros => Some(6),
            Self::EpochNanos => Some(9),
        }
    }

    /// Whether it need not be declared.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

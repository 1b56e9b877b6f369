//! From what has been seen of a column to its declaration.

use anabranch_model::project::TimestampFormat;
use arrow::datatypes::DataType;

use super::evidence::{Course, Evidence};

/// Digits of a DECIMAL that is declared, if no value has more: room for larger ones.
const ROOM: usize = 18;
const MOST_DIGITS: usize = 38;
/// A number with more digits behind the point is the print of a floating point number.
const MOST_SCALE: usize = 9;
/// From 2000-01-01 to 2100-01-01, in seconds since 1970: what a count of a time lies in.
const TIMES: (i128, i128) = (946_684_800, 4_102_444_800);

/// A column as it will be declared.
#[derive(Clone, Debug)]
pub struct Inferred {
    pub name: String,
    pub kind: Kind,
    pub nulls: u64,
    /// Up to a limit.
    pub distinct: Option<usize>,
    /// Of a time: its way through the file in microseconds.
    pub course: Course,
    pub note: Option<&'static str>,
}

/// A type as it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    BigInt,
    Decimal { precision: usize, scale: usize },
    Double,
    Varchar,
    Date,
    Timestamp { format: TimestampFormat, finer: bool },
}

impl Kind {
    /// The declaration, without NOT NULL.
    pub fn declaration(self) -> String {
        match self {
            Self::Boolean => "BOOLEAN".to_owned(),
            Self::BigInt => "BIGINT".to_owned(),
            Self::Decimal { precision, scale } => format!("DECIMAL({precision},{scale})"),
            Self::Double => "DOUBLE".to_owned(),
            Self::Varchar => "VARCHAR".to_owned(),
            Self::Date => "DATE".to_owned(),
            Self::Timestamp { format, finer } => {
                let digits = if finer { "(6)" } else { "" };
                match format {
                    TimestampFormat::Iso8601 => format!("TIMESTAMP{digits}"),
                    counted => format!("TIMESTAMP{digits} FORMAT '{}'", counted.name()),
                }
            }
        }
    }

    pub fn is_time(self) -> bool {
        matches!(self, Self::Timestamp { .. })
    }
}

/// The declaration that takes every value; none takes a list or an object. `stored` is the type of a file that has types.
pub fn inferred(evidence: &Evidence, rows: u64, stored: Option<&DataType>) -> Option<Inferred> {
    if evidence.nested > 0 {
        return None;
    }
    let kind = stored.and_then(of_stored).unwrap_or_else(|| of_values(evidence));
    let note = match kind {
        _ if evidence.values == 0 => Some("has no value"),
        Kind::Varchar if evidence.texts.count < evidence.values && evidence.texts.count > 0 => {
            Some("numbers among its texts")
        }
        Kind::Timestamp { finer: true, .. } => Some("digits below the microsecond are cut off"),
        _ => None,
    };
    Some(Inferred {
        name: evidence.name.clone(),
        kind,
        nulls: rows - evidence.values,
        distinct: evidence.distinct(),
        course: course(evidence, kind),
        note,
    })
}

/// What a file of types says better than its values do.
fn of_stored(stored: &DataType) -> Option<Kind> {
    match stored {
        DataType::Decimal128(precision, scale) if *scale >= 0 => {
            Some(Kind::Decimal { precision: usize::from(*precision), scale: *scale as usize })
        }
        floating if floating.is_floating() => Some(Kind::Double),
        DataType::Dictionary(_, values) => of_stored(values),
        _ => None,
    }
}

fn of_values(evidence: &Evidence) -> Kind {
    let (all, texts) = (evidence.values, &evidence.texts);
    match all {
        0 => Kind::Varchar,
        _ if evidence.booleans == all => Kind::Boolean,
        _ if evidence.numbers.count == all => of_numbers(evidence),
        _ if texts.dates == all => Kind::Date,
        _ if texts.times == all => Kind::Timestamp { format: TimestampFormat::Iso8601, finer: texts.finer },
        _ => Kind::Varchar,
    }
}

fn of_numbers(evidence: &Evidence) -> Kind {
    let numbers = &evidence.numbers;
    let digits = numbers.whole + numbers.scale;
    if numbers.exponents || numbers.scale > MOST_SCALE {
        return Kind::Double;
    }
    if digits > MOST_DIGITS {
        // Identifiers rather than amounts; a DOUBLE would change them.
        return if numbers.scale == 0 { Kind::Varchar } else { Kind::Double };
    }
    if numbers.scale > 0 {
        return Kind::Decimal { precision: digits.max(ROOM), scale: numbers.scale };
    }
    let fits = numbers.course.range.is_some_and(|(min, max)| i64::try_from(min).is_ok() && i64::try_from(max).is_ok());
    match unit_of(evidence) {
        Some(format) => Kind::Timestamp { format, finer: format == TimestampFormat::EpochNanos },
        None if fits => Kind::BigInt,
        None => Kind::Decimal { precision: MOST_DIGITS, scale: 0 },
    }
}

/// The unit of a count since 1970: by the column's name it is a time, and every value lies in this century.
fn unit_of(evidence: &Evidence) -> Option<TimestampFormat> {
    if !is_named_like_a_time(&evidence.name) {
        return None;
    }
    let (min, max) = evidence.numbers.course.range?;
    TimestampFormat::ALL.into_iter().find(|format| {
        let unit = format.unit_digits().map(|digits| 10i128.pow(u32::from(digits)));
        unit.is_some_and(|unit| TIMES.0 * unit <= min && max < TIMES.1 * unit)
    })
}

fn is_named_like_a_time(name: &str) -> bool {
    let lower = name.to_lowercase();
    let has = ["time", "date", "epoch"].iter().any(|word| lower.contains(word));
    let ends = ["_ts", "_at", "_ms", "_us", "_ns"].iter().any(|end| lower.ends_with(end)) || name.ends_with("At");
    has || ends || ["ts", "t", "at"].contains(&lower.as_str())
}

/// The way of times through the file, in microseconds.
fn course(evidence: &Evidence, kind: Kind) -> Course {
    let Kind::Timestamp { format, .. } = kind else { return Course::default() };
    let Some(digits) = format.unit_digits() else { return evidence.texts.course };
    let microseconds = |count: i128| count * 1_000_000 / 10i128.pow(u32::from(digits));
    let Course { range, disorder } = evidence.numbers.course;
    Course {
        range: range.map(|(min, max)| (microseconds(min), microseconds(max))),
        // Rounded up: a lateness must hold it.
        disorder: microseconds(disorder) + i128::from(disorder > 0),
    }
}

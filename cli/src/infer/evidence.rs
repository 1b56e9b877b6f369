//! What the values of one column have in common, gathered row by row in bounded memory.

use std::collections::HashSet;

use anabranch_model::event::{parse_event_date, parse_event_timestamp};
use anabranch_model::project::TimestampFormat;
use arrow::array::timezone::Tz;

/// Different values that are counted; beyond them a column has many.
pub const MANY: usize = 10_000;
/// A longer text is no name of anything; it is not kept to be counted.
const LONG: usize = 256;
/// A text of a moment has at least a date, a separator and hours with minutes.
const SHORTEST_TIME: usize = "2011-10-06T16:20".len();
const DATE: usize = "2011-10-06".len();
/// Digits of the second that a TIMESTAMP holds.
const MICROSECOND_DIGITS: u8 = 6;

/// What has been seen of a column.
#[derive(Debug, Default)]
pub struct Evidence {
    pub name: String,
    /// Values that are not NULL.
    pub values: u64,
    pub booleans: u64,
    /// Lists and objects, which are values of no column.
    pub nested: u64,
    pub numbers: Numbers,
    pub texts: Texts,
    distinct: HashSet<String>,
    many: bool,
}

/// Of the values that are numbers.
#[derive(Debug, Default)]
pub struct Numbers {
    pub count: u64,
    /// Some have an exponent.
    pub exponents: bool,
    /// Most digits before the point, and behind it.
    pub whole: usize,
    pub scale: usize,
    pub course: Course,
}

/// Of the values that are texts.
#[derive(Debug, Default)]
pub struct Texts {
    pub count: u64,
    pub times: u64,
    pub dates: u64,
    /// Some times have digits below the microsecond.
    pub finer: bool,
    /// Of those that are times, in microseconds since 1970.
    pub course: Course,
}

/// The way of integers through the file, which may be times.
#[derive(Clone, Copy, Debug, Default)]
pub struct Course {
    pub range: Option<(i128, i128)>,
    /// How far a value lies below the largest one before it, at most.
    pub disorder: i128,
}

impl Course {
    fn see(&mut self, value: i128) {
        let (min, max) = self.range.unwrap_or((value, value));
        self.disorder = self.disorder.max(max - value);
        self.range = Some((min.min(value), max.max(value)));
    }
}

impl Evidence {
    pub fn of(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Adds a field of an event as JSON. In a file of texts, such as CSV, a text that is a number or a boolean counts as
    /// one.
    pub fn see(&mut self, json: &str, of_texts: bool) {
        match json.as_bytes().first() {
            Some(b'n') | None => return,
            Some(b'{' | b'[') => self.nested += 1,
            Some(b't' | b'f') => self.booleans += 1,
            Some(b'"') => match serde_json::from_str::<String>(json) {
                Ok(text) => return self.see_text(text, of_texts),
                Err(_) => self.nested += 1,
            },
            Some(_) => self.numbers.see(json),
        }
        self.values += 1;
        self.keep(json.to_owned());
    }

    fn see_text(&mut self, text: String, of_texts: bool) {
        self.values += 1;
        if of_texts && (text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false")) {
            self.booleans += 1;
        } else if of_texts && serde_json::from_str::<serde_json::Number>(&text).is_ok() {
            self.numbers.see(&text);
        } else {
            self.texts.see(&text);
        }
        self.keep(text);
    }

    fn keep(&mut self, value: String) {
        if self.many || self.distinct.contains(&value) {
            return;
        }
        self.many = self.distinct.len() == MANY || value.len() > LONG;
        match self.many {
            // Nobody asks how many they are any more.
            true => self.distinct = HashSet::new(),
            false => drop(self.distinct.insert(value)),
        }
    }

    /// How many different values there are, up to [`MANY`].
    pub fn distinct(&self) -> Option<usize> {
        (!self.many).then_some(self.distinct.len())
    }
}

impl Numbers {
    fn see(&mut self, number: &str) {
        self.count += 1;
        if number.contains(['e', 'E']) {
            self.exponents = true;
            return;
        }
        let digits = number.trim_start_matches('-');
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        self.whole = self.whole.max(whole.trim_start_matches('0').len());
        self.scale = self.scale.max(fraction.len());
        if let Ok(integer) = number.parse() {
            self.course.see(integer);
        }
    }
}

impl Texts {
    fn see(&mut self, text: &str) {
        self.count += 1;
        if text.len() == DATE && parse_event_date(text).is_ok() {
            self.dates += 1;
        } else if text.len() >= SHORTEST_TIME
            && let Some((us, finer)) = moment(text)
        {
            self.times += 1;
            self.finer |= finer;
            self.course.see(i128::from(us));
        }
    }
}

/// The time that the text says, as sources read it, and whether it is finer than a TIMESTAMP.
fn moment(text: &str) -> Option<(i64, bool)> {
    let utc: Tz = "+00:00".parse().expect("it is an offset");
    let read = |digits| parse_event_timestamp(text, TimestampFormat::Iso8601, digits, &utc).ok();
    match read(None) {
        Some(us) => Some((us, false)),
        None => read(Some(MICROSECOND_DIGITS)).map(|us| (us, true)),
    }
}

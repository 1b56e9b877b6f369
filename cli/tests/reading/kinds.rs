//! The kinds of keys, each with values in ascending order: extremes, neighbours, and random ones.

use std::collections::BTreeSet;

use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};

use crate::support::Seeded;

/// A type of key.
pub struct Kind {
    pub name: &'static str,
    /// Type of the column `k` of the events.
    pub column: &'static str,
    /// The key in GROUP BY.
    pub key: &'static str,
    /// Ascending.
    pub values: Vec<KeyValue>,
    /// What is no value of the type.
    pub refused: Vec<&'static str>,
}

pub struct KeyValue {
    /// The event's JSON for it.
    pub event: String,
    /// How answers print it.
    pub printed: Value,
    /// How a caller can write it; as answers print it first.
    pub spellings: Vec<String>,
    /// A SQL literal of the key's type.
    pub sql: String,
}

pub fn kinds(seeded: &mut Seeded) -> Vec<Kind> {
    let mut kinds = vec![booleans(), texts(seeded), dates(seeded), times(seeded)];
    kinds.extend([
        integers("tinyint", "TINYINT", i8::MIN.into(), i8::MAX.into(), seeded),
        integers("smallint", "SMALLINT", i16::MIN.into(), i16::MAX.into(), seeded),
        integers("int", "INT", i32::MIN.into(), i32::MAX.into(), seeded),
        integers("bigint", "BIGINT", i64::MIN.into(), i64::MAX.into(), seeded),
    ]);
    kinds.extend([
        decimals("decimal_5_5", "DECIMAL(5,5)", (5, 5), seeded),
        decimals("decimal_10_2", "DECIMAL(10,2)", (10, 2), seeded),
        decimals("decimal_18_0", "DECIMAL(18,0)", (18, 0), seeded),
        decimals("decimal_19_4", "DECIMAL(19,4)", (19, 4), seeded),
        decimals("decimal_38_0", "DECIMAL(38,0)", (38, 0), seeded),
        decimals("decimal_38_38", "DECIMAL(38,38)", (38, 38), seeded),
    ]);
    kinds.extend([
        unsigned(seeded),
        counted_times("seconds", "arrow_cast(k, 'Timestamp(Second, None)')", 1_000_000_000, seeded),
        counted_times("nanoseconds", "arrow_cast(k, 'Timestamp(Nanosecond, None)')", 1, seeded),
        counted_times("zoned", "arrow_cast(k, 'Timestamp(Microsecond, Some(\"Europe/Berlin\"))')", 1000, seeded),
    ]);
    kinds
}

fn booleans() -> Kind {
    let value = |value: bool| KeyValue {
        event: value.to_string(),
        printed: value.into(),
        spellings: vec![value.to_string(), value.to_string().to_uppercase()],
        sql: value.to_string(),
    };
    let refused = vec!["1", "yes", "", "null"];
    Kind { name: "boolean", column: "BOOLEAN", key: "k", values: vec![value(false), value(true)], refused }
}

/// Random numbers of all lengths in a range, with its ends and those around zero.
fn numbers(min: i128, max: i128, seeded: &mut Seeded) -> BTreeSet<i128> {
    let mut numbers: BTreeSet<i128> = [min, min + 1, -1, 0, 1, max - 1, max].into();
    for power in [31, 53, 63] {
        numbers.extend([(1i128 << power) - 1, (1 << power) + 1, -(1 << power) - 1]);
    }
    for _ in 0..4 {
        let wide = (i128::from(seeded.below(u64::MAX)) << 64) | i128::from(seeded.below(u64::MAX));
        numbers.insert(wide >> seeded.below(127));
    }
    numbers.retain(|number| (min..=max).contains(number));
    numbers
}

fn integers(name: &'static str, column: &'static str, min: i128, max: i128, seeded: &mut Seeded) -> Kind {
    let value = |number: i128| KeyValue {
        event: number.to_string(),
        printed: json!(i64::try_from(number).unwrap()),
        spellings: vec![number.to_string(), format!("{number}.0"), format!(" {number}"), format!("{number}0e-1")],
        sql: format!("CAST({number} AS {column})"),
    };
    let values = numbers(min, max, seeded).into_iter().map(value).collect();
    let refused = vec!["9223372036854775808", "-9223372036854775809", "1.5", "", "x", "0x1", "NaN", "null"];
    Kind { name, column, key: "k", values, refused }
}

fn decimals(name: &'static str, column: &'static str, (precision, scale): (u32, usize), seeded: &mut Seeded) -> Kind {
    let max = 10i128.pow(precision) - 1;
    let value = |number: i128| {
        let text = point(number, scale);
        let mut spellings = vec![text.clone(), format!("{number}e-{scale}"), format!(" {text}")];
        spellings.extend((number >= 0).then(|| format!("+{text}")));
        spellings.extend((scale > 0).then(|| text.trim_end_matches('0').to_owned()));
        spellings.extend((scale > 0 && precision < 38).then(|| format!("{text}000")));
        KeyValue {
            event: format!("\"{text}\""),
            printed: text.clone().into(),
            spellings,
            sql: format!("CAST('{text}' AS {column})"),
        }
    };
    let values = numbers(-max, max, seeded).into_iter().map(value).collect();
    let refused = vec!["1e39", "1e-39", "-1e39", "", ".", "x", "NaN", "1,5", "null"];
    Kind { name, column, key: "k", values, refused }
}

/// A number with its point.
fn point(number: i128, scale: usize) -> String {
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    let sign = if number < 0 { "-" } else { "" };
    if scale == 0 { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn texts(seeded: &mut Seeded) -> Kind {
    // Statistics hold the beginning of a long text, and its last character may have no successor.
    let long = "a".repeat(100);
    let highest = "\u{10ffff}".repeat(40);
    let mut texts: BTreeSet<String> = [
        "",
        " ",
        "a",
        "a ",
        "A",
        "null",
        "NULL",
        "0",
        "x+y z%41",
        "a/b:c?d#e&f=g",
        "'",
        "\"\\",
        "\u{e9}",
        "e\u{301}",
        "\u{1f600}",
        "\u{ffff}",
        "\0",
        "a\0",
        "a\0b",
        "\u{7f}\n\t",
    ]
    .map(str::to_owned)
    .into();
    texts.extend([long.clone(), format!("{long}b"), format!("{long}c"), highest.clone(), format!("{highest}a")]);
    for _ in 0..6 {
        let length = seeded.below(80);
        texts.insert((0..length).map(|_| char::from_u32(seeded.below(0x300) as u32).unwrap()).collect());
    }
    let value = |text: String| KeyValue {
        event: json!(text).to_string(),
        printed: text.clone().into(),
        sql: crate::quoted(&text),
        spellings: vec![text],
    };
    Kind { name: "text", column: "VARCHAR", key: "k", values: texts.into_iter().map(value).collect(), refused: vec![] }
}

const DAY_US: i64 = 86_400_000_000;
const FIRST_DAY: i64 = -719_162;
const LAST_DAY: i64 = 2_932_896;

fn iso(us: i64, format: SecondsFormat) -> String {
    DateTime::from_timestamp_micros(us).unwrap().to_rfc3339_opts(format, true)
}

fn dates(seeded: &mut Seeded) -> Kind {
    let mut days: BTreeSet<i64> = [FIRST_DAY, FIRST_DAY + 1, -1, 0, 1, 11_016, LAST_DAY - 1, LAST_DAY].into();
    days.extend((0..6).map(|_| FIRST_DAY + seeded.below((LAST_DAY - FIRST_DAY) as u64) as i64));
    let value = |day: i64| {
        let text = iso(day * DAY_US, SecondsFormat::Secs)[..10].to_owned();
        KeyValue {
            event: format!("\"{text}\""),
            printed: text.clone().into(),
            spellings: vec![
                text.clone(),
                text.replace('-', ""),
                format!("{text}T00:00:00Z"),
                format!("{text} 00:00:00"),
            ],
            sql: format!("DATE '{text}'"),
        }
    };
    let refused = vec!["2011-10-06T16:20:00Z", "2011-02-29", "2011-13-01", "", "today", "null"];
    Kind { name: "date", column: "DATE", key: "k", values: days.into_iter().map(value).collect(), refused }
}

fn times(seeded: &mut Seeded) -> Kind {
    let (first, last) = (FIRST_DAY * DAY_US, (LAST_DAY + 1) * DAY_US - 1);
    // Neighbours within a millisecond, at which Delta's statistics end.
    let mut times: BTreeSet<i64> =
        [first, first + 1, -1_000_001, -1, 0, 1, 999, 1000, 1_577_836_800_000_001, last - 1, last].into();
    times.extend(
        (0..6)
            .map(|_| (i64::try_from(seeded.below(1 << 58)).unwrap() - (1 << 57)) >> seeded.below(58))
            .filter(|us| (first..=last).contains(us)),
    );
    let value = |us: i64| {
        let printed = iso(us, SecondsFormat::AutoSi);
        let micros = iso(us, SecondsFormat::Micros);
        let local = micros.trim_end_matches('Z').to_owned();
        let mut spellings =
            vec![printed.clone(), local.replace('T', " "), format!("{local}000Z"), format!("{local}+00:00")];
        // An hour to the east the clock shows an hour more.
        spellings.extend(
            (us < last - 3_600_000_000).then(|| iso(us + 3_600_000_000, SecondsFormat::Micros).replace('Z', "+01:00")),
        );
        KeyValue {
            event: format!("\"{printed}\""),
            printed: printed.into(),
            spellings,
            sql: format!("arrow_cast('{local}', 'Timestamp(Microsecond, None)')"),
        }
    };
    let refused =
        vec!["2011-10-06T16:20:00.0000001Z", "2011-10-06T16:20:00 Europe/Berlin", "1300000000", "", "now", "null"];
    Kind { name: "time", column: "TIMESTAMP", key: "k", values: times.into_iter().map(value).collect(), refused }
}

fn unsigned(seeded: &mut Seeded) -> Kind {
    let value = |number: i128| KeyValue {
        event: number.to_string(),
        printed: json!(i64::try_from(number).unwrap()),
        spellings: vec![number.to_string(), format!("{number}.0")],
        sql: format!("arrow_cast({number}, 'UInt32')"),
    };
    let values = numbers(0, u32::MAX.into(), seeded).into_iter().map(value).collect();
    let refused = vec!["-1", "4294967296", "1.5", ""];
    Kind { name: "unsigned", column: "BIGINT", key: "arrow_cast(k, 'UInt32')", values, refused }
}

/// Times that a key makes of a count of units.
fn counted_times(name: &'static str, key: &'static str, unit_ns: i64, seeded: &mut Seeded) -> Kind {
    let last = i64::MAX / 1_000_000_000 - 1;
    let mut counts: BTreeSet<i64> = [-last, -1, 0, 1, 999, 1000, 1001, last].into();
    counts.extend((0..6).map(|_| (seeded.below(1 << 33) as i64 - (1 << 32)) >> seeded.below(30)));
    let value = |count: i64| {
        let printed = DateTime::from_timestamp_nanos(count * unit_ns).to_rfc3339_opts(SecondsFormat::AutoSi, true);
        KeyValue {
            event: count.to_string(),
            spellings: vec![printed.clone(), printed.replace('Z', "+00:00")],
            printed: printed.into(),
            sql: key.replace("k,", &format!("{count},")),
        }
    };
    let values = counts.into_iter().map(value).collect();
    Kind { name, column: "BIGINT", key, values, refused: vec!["", "1", "2011-10-06T16:20:00.0000000001Z"] }
}

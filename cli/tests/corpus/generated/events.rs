//! Random events: every type, with NULL, the ends of its range, what compares oddly, and values small
//! enough to meet again.

use serde_json::{Map, Value, json};

use crate::roads::{INGESTED_MS, Random, Story};

/// The source of all generated views.
pub const SOURCE: &str = r#"event_time = "at"
lateness = "3652059 days"
max_future = "3652059 days"
partitions = 3
[columns]
id = "BIGINT NOT NULL"
flag = "BOOLEAN"
tiny = "TINYINT"
small = "SMALLINT"
num = "INT"
big = "BIGINT"
single = "FLOAT"
real = "DOUBLE"
price = "DECIMAL(9,2)"
fine = "DECIMAL(18,4)"
wide = "DECIMAL(38,10)"
city = "VARCHAR"
note = "VARCHAR"
day = "DATE"
due = "TIMESTAMP"
at = "TIMESTAMP NOT NULL"
"#;

pub const NAME: &str = "events";
pub const PARTITIONS: u64 = 3;

/// The source with no other columns than those that the SQL names, and events with no others.
pub fn used(sql: &str, partitions: &[Vec<(i64, String)>]) -> (String, Vec<Vec<String>>) {
    let is_word = |word: &str| sql.split(|c: char| !c.is_alphanumeric()).any(|found| found == word);
    let is_used = |name: &str| name == "id" || name == "at" || is_word(name);
    let source = SOURCE
        .lines()
        .filter(|line| line.split_once(" = ").is_none_or(|(name, _)| !COLUMNS.contains(&name) || is_used(name)));
    let event = |(_, event): &(i64, String)| {
        let mut event: Map<String, Value> = serde_json::from_str(event).expect("generated");
        event.retain(|name, _| is_used(name));
        Value::Object(event).to_string()
    };
    let events = partitions.iter().map(|events| events.iter().map(event).collect()).collect();
    (source.collect::<Vec<_>>().join("\n"), events)
}

/// Events of one seed by partition.
pub fn partitions(random: &mut Random, events: u64) -> Vec<Vec<(i64, String)>> {
    let mut partitions = vec![Vec::new(); PARTITIONS as usize];
    for id in 0..events {
        let event = event(random, id as i64).to_string();
        partitions[random.below(PARTITIONS) as usize].push((INGESTED_MS, event));
    }
    partitions
}

pub fn story(partitions: Vec<Vec<(i64, String)>>) -> Story {
    Story::generated(NAME, SOURCE, partitions)
}

fn event(random: &mut Random, id: i64) -> Value {
    let mut event = Map::new();
    event.insert("id".into(), json!(id));
    event.insert("at".into(), json!(time(random)));
    for column in COLUMNS {
        if random.below(9) == 0 {
            event.insert(column.into(), Value::Null);
            continue;
        }
        event.insert(column.into(), value(random, column));
    }
    Value::Object(event)
}

const COLUMNS: [&str; 14] =
    ["flag", "tiny", "small", "num", "big", "single", "real", "price", "fine", "wide", "city", "note", "day", "due"];

fn value(random: &mut Random, column: &str) -> Value {
    match column {
        "flag" => json!(random.below(2) == 0),
        "tiny" => integer(random, i8::MIN.into(), i8::MAX.into()),
        "small" => integer(random, i16::MIN.into(), i16::MAX.into()),
        "num" => integer(random, i32::MIN.into(), i32::MAX.into()),
        "big" => integer(random, i64::MIN, i64::MAX),
        "single" => single(random),
        "real" => double(random),
        "price" => json!(decimal(random, 9, 2)),
        "fine" => json!(decimal(random, 18, 4)),
        "wide" => json!(decimal(random, 38, 10)),
        "city" => json!(pick(random, &["Oslo", "Rome", "", "Århus", "oslo", "東京", "Rome "])),
        "note" => json!(text(random)),
        "day" => json!(date(random)),
        _ => json!(time(random)),
    }
}

pub fn pick<T: Copy>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize]
}

fn integer(random: &mut Random, least: i64, most: i64) -> Value {
    json!(match random.below(8) {
        0 => pick(random, &[least, most, least + 1, most - 1]),
        1 => (random.below(u64::MAX) as i64).clamp(least, most),
        _ => random.below(13) as i64 - 6,
    })
}

fn double(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(pick(random, &["NaN", "Infinity", "-Infinity", "-0.0", "1.7976931348623157e308", "5e-324"])),
        1 => json!(f64::from_bits(random.below(1 << 63)) as f32 as f64 * 0.5),
        2 => json!(random.below(1 << 60) as f64 - (1u64 << 59) as f64),
        _ => json!((random.below(25) as f64 - 12.0) / 4.0),
    }
}

fn single(random: &mut Random) -> Value {
    match random.below(8) {
        0 => json!(pick(random, &["NaN", "Infinity", "-Infinity", "-0.0", "3.4028235e38", "1e-45", "16777217"])),
        _ => json!((random.below(25) as f64 - 12.0) / 4.0),
    }
}

fn decimal(random: &mut Random, precision: u32, scale: u32) -> String {
    let whole = match random.below(8) {
        0 => 10i128.pow(precision) - 1,
        1 => i128::from(random.below(u64::MAX)) * i128::from(random.below(1 << 62)) % 10i128.pow(precision),
        2 => i128::from(random.below(100)),
        _ => i128::from(random.below(30)) * 10i128.pow(scale) / 4,
    };
    let sign = if random.below(2) == 0 { "" } else { "-" };
    let digits = format!("{whole:0width$}", width = scale as usize + 1);
    let (before, after) = digits.split_at(digits.len() - scale as usize);
    format!("{sign}{before}.{after}")
}

/// A character of every plane that has any, combining ones, and what is special to LIKE or to SQL.
const CHARACTERS: [char; 24] = [
    'a',
    'A',
    'b',
    'Z',
    '0',
    '7',
    ' ',
    '%',
    '_',
    '\'',
    '"',
    '\\',
    '\n',
    '\t',
    'é',
    'ß',
    'İ',
    '\u{301}',
    '東',
    '\u{FFFD}',
    '𝒳',
    '𠀀',
    '\u{E0101}',
    '\u{10FFFD}',
];

fn text(random: &mut Random) -> String {
    match random.below(6) {
        0 => pick(random, &["", "12", "-7", "9223372036854775808", "2024-02-29", "1.5", "true", "NaN"]).to_owned(),
        _ => (0..random.below(6)).map(|_| pick(random, &CHARACTERS)).collect(),
    }
}

fn date(random: &mut Random) -> String {
    match random.below(6) {
        0 => pick(random, &["0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "2000-02-29"]).to_owned(),
        1 => format!("{:04}-{:02}-{:02}", random.below(9999) + 1, random.below(12) + 1, random.below(28) + 1),
        _ => format!("2024-{:02}-{:02}", random.below(4) + 1, random.below(4) + 26 - random.below(25)),
    }
}

fn time(random: &mut Random) -> String {
    let micros = pick(random, &["", ".5", ".000001", ".999999"]);
    match random.below(12) {
        0 => pick(random, &["0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "1969-12-31T23:59:59.999999Z"])
            .to_owned(),
        1 => format!("{}T{:02}:59:{:02}{micros}Z", date(random), random.below(24), random.below(60)),
        _ => format!("2024-03-0{}T{:02}:{:02}:30{micros}Z", random.below(3) + 1, random.below(24), random.below(60)),
    }
}

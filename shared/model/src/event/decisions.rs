//! Which payloads are events, and what their columns hold: a table of decisions, one payload each.

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int32Type, TimestampMicrosecondType};

use super::*;
use crate::log::Chunk;
use crate::position::{Offset, Partition};
use crate::project::{Column, Source};

fn source() -> Source {
    let columns = [
        ("t", "VARCHAR"),
        ("b", "BOOLEAN"),
        ("n", "INT"),
        ("f", "DOUBLE"),
        ("m", "DECIMAL(10,2)"),
        ("d", "DATE"),
        ("at", "TIMESTAMP FORMAT 'epoch_millis'"),
        ("ä", "VARCHAR"),
    ];
    Source {
        name: "s".into(),
        topic: "s".into(),
        partitions: 1,
        event_time: "at".into(),
        lateness_us: 0,
        max_future_us: 0,
        key: vec![],
        columns: columns.iter().map(|(name, declaration)| Column::parse(name, declaration).unwrap()).collect(),
    }
}

/// The columns of the event that are not NULL, or `-` if it is rejected.
fn outcome(payload: &[u8]) -> String {
    let mut chunk = Chunk::empty(Partition(0), Offset(0));
    chunk.push(0, 0, payload);
    let decoded = JsonDecoder::new(&source()).decode(&chunk).unwrap();
    if !decoded.reasons.is_empty() {
        return "-".to_owned();
    }
    let columns = decoded.events.schema().fields().clone();
    let values = decoded.events.columns().iter().zip(&columns).filter(|(array, _)| array.is_valid(0));
    values.map(|(array, field)| format!("{}={}", field.name(), shown(array))).collect::<Vec<_>>().join(" ")
}

fn shown(array: &ArrayRef) -> String {
    match array.data_type() {
        DataType::Utf8 => format!("{:?}", array.as_string::<i32>().value(0)),
        DataType::Boolean => array.as_boolean().value(0).to_string(),
        DataType::Int32 => array.as_primitive::<Int32Type>().value(0).to_string(),
        DataType::Float64 => format!("{:?}", array.as_primitive::<Float64Type>().value(0)),
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value(0).to_string(),
        DataType::Date32 => array.as_primitive::<Date32Type>().value(0).to_string(),
        _ => array.as_primitive::<TimestampMicrosecondType>().value(0).to_string(),
    }
}

const DECISIONS: &[(&str, &str)] = &[
    // One object, and nothing else.
    ("{}", ""),
    (" \t\r\n{ } \n", ""),
    ("", "-"),
    (" ", "-"),
    ("{}{}", "-"),
    ("{} x", "-"),
    ("{}\u{0}", "-"),
    ("[{}]", "-"),
    ("\"t\"", "-"),
    ("null", "-"),
    ("1", "-"),
    ("{", "-"),
    ("{\"t\"", "-"),
    ("{\"t\":", "-"),
    ("{\"t\":\"x", "-"),
    ("{\"t\":\"x\"", "-"),
    ("{\"t\":}", "-"),
    ("{t:1}", "-"),
    ("{'t':1}", "-"),
    ("{1:1}", "-"),
    ("{\"t\" \"x\"}", "-"),
    ("// comment\n{}", "-"),
    // Any value but an object or a list into VARCHAR, as it is written.
    (r#"{"t":"x"}"#, "t=\"x\""),
    (r#"{"t":""}"#, "t=\"\""),
    (r#"{"t":null}"#, ""),
    (r#"{"t":"null"}"#, "t=\"null\""),
    (r#"{"t":1}"#, "t=\"1\""),
    (r#"{"t":-0.50}"#, "t=\"-0.50\""),
    (r#"{"t":1E+05}"#, "t=\"1E+05\""),
    (r#"{"t":123456789012345678901234567890}"#, "t=\"123456789012345678901234567890\""),
    (r#"{"t":true}"#, "t=\"true\""),
    (r#"{"t":false}"#, "t=\"false\""),
    (r#"{"t":{}}"#, "-"),
    (r#"{"t":[1]}"#, "-"),
    // Strings.
    (r#"{"t":"\"\\\/\b\f\n\r\t"}"#, "t=\"\\\"\\\\/\\u{8}\\u{c}\\n\\r\\t\""),
    (r#"{"t":"\u0041\u00e4\uFFFF\u0000"}"#, "t=\"Aä\\u{ffff}\\0\""),
    (r#"{"t":"\ud83d\ude00"}"#, "t=\"😀\""),
    (r#"{"t":"\uD83D\uDE00!"}"#, "t=\"😀!\""),
    (r#"{"t":"\ud842\udfb7"}"#, "t=\"𠮷\""),
    (r#"{"t":"\udbff\udfff"}"#, "t=\"\\u{10ffff}\""),
    (r#"{"t":"\ud83d"}"#, "-"),
    (r#"{"t":"\ude00"}"#, "-"),
    (r#"{"t":"\ude00\ud83d"}"#, "-"),
    (r#"{"t":"\ud83dx"}"#, "-"),
    (r#"{"t":"\ud83d\n"}"#, "-"),
    (r#"{"t":"\ud83d\ud83d"}"#, "-"),
    (r#"{"x":"\ud83d"}"#, "-"),
    (r#"{"\ud83d":1}"#, "-"),
    (r#"{"t":"\u12"}"#, "-"),
    (r#"{"t":"\u12g4"}"#, "-"),
    (r#"{"t":"\x41"}"#, "-"),
    (r#"{"t":'x'}"#, "-"),
    ("{\"t\":\"\u{7f}\u{80}\u{2028}\u{feff}\"}", "t=\"\\u{7f}\\u{80}\\u{2028}\\u{feff}\""),
    ("{\"t\":\"a\tb\"}", "-"),
    ("{\"t\":\"a\nb\"}", "-"),
    ("{\"t\":\"a\u{0}b\"}", "-"),
    // Names.
    (r#"{"\u0074":"x"}"#, "t=\"x\""),
    (r#"{"ä":"x"}"#, "ä=\"x\""),
    (r#"{"\u00e4":"x"}"#, "ä=\"x\""),
    (r#"{"T":"x"}"#, ""),
    (r#"{"":"x"," t":"x","tt":"x"}"#, ""),
    (r#"{"t":"x","t":"y"}"#, "t=\"x\""),
    (r#"{"t":"x","\u0074":"y"}"#, "t=\"x\""),
    (r#"{"t":null,"t":"y"}"#, ""),
    (r#"{"t":"x","t":null}"#, "t=\"x\""),
    (r#"{"n":1,"n":"y"}"#, "n=1"),
    (r#"{"n":"y","n":1}"#, "-"),
    (r#"{"n":1,"n":{}}"#, "n=1"),
    (r#"{"n":1,"n":}"#, "-"),
    (r#"{"x":1,"x":2,"n":3}"#, "n=3"),
    (r#"{"ä":"z","n":1,"t":"x"}"#, "t=\"x\" n=1 ä=\"z\""),
    // BOOLEAN takes true and false alone.
    (r#"{"b":true}"#, "b=true"),
    (r#"{"b":false}"#, "b=false"),
    (r#"{"b":null}"#, ""),
    (r#"{"b":"true"}"#, "-"),
    (r#"{"b":1}"#, "-"),
    (r#"{"b":True}"#, "-"),
    (r#"{"b":tru}"#, "-"),
    (r#"{"b":truex}"#, "-"),
    (r#"{"b":nul}"#, "-"),
    // Numbers, bare or as strings.
    (r#"{"n":-0}"#, "n=0"),
    (r#"{"n":"+7"}"#, "n=7"),
    (r#"{"n":"007"}"#, "n=7"),
    (r#"{"n":" 7"}"#, "-"),
    (r#"{"n":7e0}"#, "n=7"),
    (r#"{"n":7.0}"#, "n=7"),
    (r#"{"n":2147483648}"#, "-"),
    (r#"{"n":true}"#, "-"),
    (r#"{"n":[]}"#, "-"),
    (r#"{"n":NaN}"#, "-"),
    (r#"{"f":"NaN"}"#, "f=NaN"),
    (r#"{"f":"-Infinity"}"#, "f=-inf"),
    (r#"{"f":Infinity}"#, "-"),
    (r#"{"f":1e999}"#, "-"),
    (r#"{"f":0.1}"#, "f=0.1"),
    (r#"{"m":1.5e1}"#, "m=1500"),
    (r#"{"m":"1.50"}"#, "m=150"),
    (r#"{"m":1.005}"#, "-"),
    (r#"{"at":1.5}"#, "at=1500"),
    (r#"{"at":"1"}"#, "at=1000"),
    (r#"{"at":false}"#, "-"),
    (r#"{"d":"1970-01-02"}"#, "d=1"),
    (r#"{"d":"1970-1-2"}"#, "d=1"),
    (r#"{"d":"19700102"}"#, "d=1"),
    (r#"{"d":19700102}"#, "d=1"),
    (r#"{"d":"1970-01-02T00:00:00+02:00"}"#, "d=1"),
    (r#"{"d":"1970-01-02 00:00"}"#, "-"),
    (r#"{"d":"1970-01-02T10:00:00Z"}"#, "-"),
    (r#"{"d":"1970-01-02T23:30:00-05:00"}"#, "-"),
    (r#"{"n":01}"#, "-"),
    (r#"{"n":-01}"#, "-"),
    (r#"{"n":1.}"#, "-"),
    (r#"{"n":.5}"#, "-"),
    (r#"{"n":+1}"#, "-"),
    (r#"{"n":-}"#, "-"),
    (r#"{"n":0x10}"#, "-"),
    (r#"{"t":1.2.3}"#, "-"),
    (r#"{"t":1-2}"#, "-"),
    (r#"{"t":1e}"#, "-"),
    (r#"{"x":--}"#, "-"),
    // What is not declared is passed over, if it is JSON.
    (r#"{"x":{"y":[1,{"z":null}]},"n":1}"#, "n=1"),
    (r#"{"x":[1,"]}",{}],"n":1}"#, "n=1"),
    (r#"{"x":[1,2,"n":1}"#, "-"),
    (r#"{"x":{"y":1],"n":1}"#, "-"),
    (r#"{"x":nope,"n":1}"#, "-"),
    // Commas.
    (r#"{"n":1,}"#, "-"),
    (r#"{,"n":1}"#, "-"),
    (r#"{"n":1 "t":"x"}"#, "-"),
    (r#"{"n":1,,"t":"x"}"#, "-"),
    (r#"{"x":[1 2,,],"n":1}"#, "-"),
    (r#"{"x":[,],"n":1}"#, "-"),
    // A byte order mark.
    ("\u{feff}{}", ""),
    ("\u{feff}\u{feff}{}", "-"),
    (" \u{feff}{}", "-"),
    ("\u{feff}", "-"),
];

const NOT_UTF8: [&[u8]; 8] = [
    b"{\"t\":\"\xff\"}",
    b"{\"t\":\"\xc3\"}",
    b"{\"x\":\"\xed\xa0\x80\"}",
    b"{\"\xc0\x80\":1}",
    b"{\"x\":[\"\xf4\x90\x80\x80\"]}",
    b"\xff\xfe{}",
    b"\xef\xbb{}",
    b"{}\xff",
];

#[test]
fn every_decision_is_the_one_in_the_table() {
    let found = DECISIONS.iter().map(|(payload, expected)| (payload, outcome(payload.as_bytes()), expected));
    let other: Vec<_> = found.filter(|(_, found, expected)| found != *expected).collect();
    assert!(other.is_empty(), "payload, found, expected: {other:#?}");
}

#[test]
fn bytes_that_are_not_utf8_reject_an_event_wherever_they_are() {
    for payload in NOT_UTF8 {
        assert_eq!(outcome(payload), "-", "{payload:?}");
    }
}

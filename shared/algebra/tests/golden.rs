//! The state format is a contract: the encoded states of fixed inputs, for every aggregate and
//! argument type, are files in `golden/`. A new aggregate's file is written with
//! `BLESS=1 cargo test -p anabranch-algebra --test golden`; a change to one that exists needs a new
//! version byte.

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use arrow::util::display::array_value_to_string;
use support::{Case, cases, encoded, lift};

/// No event, one, one NULL, and a few with repeats and both signs.
const INPUTS: [&[Option<i64>]; 4] = [
    &[],
    &[Some(42)],
    &[None],
    &[Some(3), Some(-7), None, Some(123_456), Some(3), Some(0), Some(-999_983), Some(63), Some(17)],
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// One line per input: the state in hexadecimal and the finished value.
fn golden(case: &Case) -> String {
    let line = |raw: &&[Option<i64>]| {
        let state = lift(case, &case.args(raw, 0));
        let hex: String = state.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut states = case.states(1);
        states.merge_one(&state, 0).unwrap();
        assert_eq!(encoded(states.as_ref()), state, "{}", case.name());
        let value = match states.finish() {
            Ok(values) => array_value_to_string(&values, 0).unwrap(),
            Err(error) => error.to_string(),
        };
        format!("{hex} {value}\n")
    };
    INPUTS.iter().map(line).collect()
}

#[test]
fn encoded_states_are_those_of_the_golden_files() {
    let mut names = BTreeSet::new();
    for case in cases() {
        let name = format!("{}.txt", case.name());
        let path = folder().join(&name);
        let found = golden(&case);
        if std::env::var_os("BLESS").is_some() && !path.exists() {
            fs::write(&path, &found).unwrap();
        }
        let expected = fs::read_to_string(&path)
            .unwrap_or_else(|_| panic!("{name} is missing: BLESS=1 cargo test -p anabranch-algebra --test golden"));
        assert_eq!(found, expected, "{name}: an encoding has changed, which needs a new version byte");
        assert!(names.insert(name), "{} is not a unique name", case.name());
    }
    let there: BTreeSet<String> =
        fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(there, names, "a golden file belongs to no aggregate");
}

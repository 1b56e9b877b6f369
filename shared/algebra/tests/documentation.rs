//! The table in `docs/reference/aggregates.md` is what the registry says; `BLESS=1` writes it.

use std::fs;
use std::path::Path;

use anabranch_algebra::{Documentation, documentation};

const HEADING: &str = "# Aggregates and windows\n";
const HEAD: &str = "| aggregate | gives | class |\n|---|---|---|\n";

fn row(aggregate: Documentation) -> String {
    let also: Vec<String> = aggregate.aliases.iter().map(|alias| format!("`{alias}`")).collect();
    let also = if also.is_empty() { String::new() } else { format!(". Also {}", also.join(", ")) };
    let usage = aggregate.usage.replace(", count", "`, `count");
    format!("| `{usage}` | {}{also} | {} |\n", aggregate.gives, aggregate.class)
}

#[test]
fn the_reference_has_every_aggregate_as_the_registry_has_it() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/aggregates.md");
    let page = fs::read_to_string(&path).unwrap();
    let (before, section) = page.split_once(HEADING).expect("the page begins with its heading");
    let (text, rest) = section.split_once(HEAD).expect("the page has the table");
    let table: String = rest.split_inclusive('\n').take_while(|line| line.starts_with('|')).collect();
    let expected: String = documentation().into_iter().map(row).collect();
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, [before, HEADING, text, HEAD, &expected, &rest[table.len()..]].concat()).unwrap();
    } else {
        assert_eq!(table, expected, "BLESS=1 cargo test -p anabranch-algebra --test documentation writes it");
    }
}

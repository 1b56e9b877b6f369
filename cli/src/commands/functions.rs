//! `anabranch functions`: what views are made of.

use anabranch_algebra::documentation;
use anabranch_view::Window;
use serde_json::{Value, json};

use crate::output::{Output, table};

pub fn run(output: Output) -> anyhow::Result<()> {
    let functions = functions();
    output.print(&functions, || text(&functions))
}

fn functions() -> Value {
    let windows: Vec<Value> = Window::FUNCTIONS.iter().map(|name| json!({ "usage": Window::usage(name) })).collect();
    json!({ "aggregates": documentation(), "windows": windows })
}

fn text(functions: &Value) -> String {
    let rows = |kind: &str, columns: &[&str]| {
        let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
        table(&columns, functions[kind].as_array().expect("it is a list"))
    };
    format!(
        "Aggregates, each with FILTER (WHERE ...):\n\n{}\n\nWindows in GROUP BY, or every(n) for a count trigger:\n\n{}\n\n\
         Besides, every function of DataFusion whose value depends on nothing but its arguments.",
        rows("aggregates", &["usage", "class", "gives"]),
        rows("windows", &["usage"]),
    )
}

#[cfg(test)]
mod tests {
    use anabranch_algebra::registry;

    use super::*;

    #[test]
    fn every_aggregate_and_window_is_listed() {
        let functions = functions();
        let (json, text) = (functions.to_string(), text(&functions));
        for name in registry().iter().map(|aggregate| aggregate.name()).chain(Window::FUNCTIONS) {
            assert!(json.contains(&format!("\"{name}(")) && text.contains(&format!("\n{name}(")), "{name}");
        }
        assert!(text.contains("exact; DOUBLE reproducible  the sum"), "{text}");
    }
}

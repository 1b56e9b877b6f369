//! The notebook runs against the API of a running demo.

mod support;

use std::fs;
use std::process::Command;

use support::{Running, api_of, eventually, json_lines, output, repository};

#[test]
fn executes_against_the_running_demo() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("demo");
    let _demo = Running::start(dir.path(), &["demo", "--dir", folder.to_str().unwrap(), "--bind", "127.0.0.1:0"]);
    let api = api_of(&folder);
    // Lines trickle in once the demo is through its steps; then there is a real-time share to plot.
    let project = folder.to_str().unwrap();
    eventually("a line that trickled in", || {
        let query = ["query", "country_sales", "--where", "country=Norway", "--json", "--project", project];
        let answer = output(&query);
        let answer = answer.status.success().then(|| json_lines(&answer).remove(0))?;
        (answer["mode"] == "lambda" && answer["realtime_rows"].as_u64()? > 0 && answer["generation"].as_u64()? >= 4)
            .then_some(())
    });
    let page = dir.path().join("merged_view.html");
    let notebook =
        Command::new(repository().join("notebooks/run")).arg(&page).env("ANABRANCH_URL", api).output().unwrap();
    assert!(notebook.status.success(), "{}", String::from_utf8_lossy(&notebook.stderr));
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("image/png") && page.len() > 50_000, "the plot is missing");
}

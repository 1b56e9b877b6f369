//! `anabranch init DIR`: a project to start from.

mod from;

use std::fs;
use std::io::Write;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::BadInput;
use crate::args::InitArgs;
use crate::output::Output;
use crate::project::PROJECT_FILE;

const PROJECT: &str = r#"[project]
name = "shop"

# Without [log] and [realtime] everything runs embedded, in one process at a time.
# [log]
# brokers = "127.0.0.1:9092"
# [realtime]
# url = "redis://127.0.0.1:6379"

[storage]
root = "data"

[sources.transactions]
topic = "transactions"
format = "json"
event_time = "ts"
lateness = "10 minutes"   # an event further below its partition's largest event time does not count
key = ["user_id"]

[sources.transactions.columns]
user_id = "VARCHAR NOT NULL"
amount = "DECIMAL(18,2) NOT NULL"
ts = "TIMESTAMP NOT NULL" # ISO 8601; "TIMESTAMP FORMAT 'epoch_millis' NOT NULL" for a count since 1970

[views.user_spend]
mode = "lambda"           # or "kappa"
"#;

const VIEW: &str = "SELECT user_id, window_start, window_end,
       count(*) AS orders, sum(amount) AS spent, max(ts) AS last_order_at
FROM transactions
WHERE amount > 0
GROUP BY user_id, tumble(ts, INTERVAL '1 minute')
";

pub fn run(args: &InitArgs, output: Output) -> anyhow::Result<()> {
    let dir = args.dir.as_path();
    if let Some(file) = &args.from {
        return from::run(dir, file, output);
    }
    refuse_existing(dir)?;
    create(dir, PROJECT, &[("user_spend".to_owned(), VIEW.to_owned())])?;
    let text = || {
        let dir = dir.display();
        format!("created {dir}; next:\n  anabranch check --project {dir}\n  anabranch dev --project {dir}")
    };
    output.print(&json!({ "created": dir.display().to_string() }), text)
}

/// A project is made where there is none, not even a part of one.
fn refuse_existing(dir: &Path) -> Result<(), BadInput> {
    let views = fs::read_dir(dir.join("views")).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut parts = std::iter::once(dir.join(PROJECT_FILE)).chain(views);
    match parts.find(|part| part.exists()) {
        Some(part) => Err(BadInput(format!("{} exists already\n  help: choose another folder", part.display()))),
        None => Ok(()),
    }
}

/// Writes the project's files, each of them new.
fn create(dir: &Path, project: &str, views: &[(String, String)]) -> anyhow::Result<()> {
    let folder = dir.join("views");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    for (view, sql) in views {
        write_new(&folder.join(format!("{view}.sql")), sql)?;
    }
    write_new(&dir.join(PROJECT_FILE), project)
}

fn write_new(file: &Path, text: &str) -> anyhow::Result<()> {
    let written = fs::File::create_new(file).and_then(|mut file| file.write_all(text.as_bytes()));
    written.with_context(|| format!("cannot write {}", file.display()))
}

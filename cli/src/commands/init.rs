//! `anabranch init DIR`: a project to start from.

use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use super::BadInput;
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

pub fn run(dir: &Path, output: Output) -> anyhow::Result<()> {
    let file = dir.join(PROJECT_FILE);
    if file.exists() {
        let cause = format!("{} exists already\n  help: choose another folder", file.display());
        return Err(BadInput(cause).into());
    }
    let views = dir.join("views");
    fs::create_dir_all(&views).with_context(|| format!("cannot create {}", views.display()))?;
    fs::write(&file, PROJECT)?;
    fs::write(views.join("user_spend.sql"), VIEW)?;
    let text = || {
        let dir = dir.display();
        format!("created {dir}; next:\n  anabranch check --project {dir}\n  anabranch dev --project {dir}")
    };
    output.print(&json!({ "created": dir.display().to_string() }), text)
}

//! `anabranch query VIEW`: merged rows on the terminal.

use serde::Deserialize;
use serde_json::Value;

use super::{BadInput, guessed};
use crate::api::Api;
use crate::args::{Format, Global, QueryArgs};
use crate::coverage::Coverage;
use crate::output::{Output, Row};

/// Name of the field in which a row names its columns whose value is beyond its type.
const OVERFLOW: &str = "_overflow";

/// What is printed of an answer; the rest is for `--json`, which passes it on as it came.
#[derive(Deserialize)]
struct Answer {
    rows: Vec<Row>,
    cursor: Value,
    #[serde(flatten)]
    coverage: Coverage,
    overflow: Option<Overflow>,
}

/// What an answer says of values beyond their type.
#[derive(Deserialize)]
pub struct Overflow {
    rows: usize,
    left_out: usize,
    causes: Vec<String>,
}

pub async fn run(global: &Global, args: QueryArgs, output: Output) -> anyhow::Result<()> {
    let api = Api::of(global, "query").await?;
    let query = parameters(&args)?;
    let query: Vec<(&str, String)> = query.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    let text = api.get_text(&format!("/v1/views/{}/rows", args.view), &query).await;
    let text = text.map_err(|error| guessed(global, error))?;
    let answer: Answer = serde_json::from_str(&text)?;
    // A program reads NULL and `_overflow`; a person reads the mark.
    let marked = if args.format == Format::Ndjson { None } else { Some(marked(&answer.rows)) };
    output.rows(args.format, &text, &columns(&answer.rows), marked.as_ref().unwrap_or(&answer.rows))?;
    if !output.json {
        let more = if answer.cursor.is_null() { "" } else { "; more rows with a higher --limit" };
        eprintln!("{}{more}", answer.coverage);
    }
    if let Some(overflow) = &answer.overflow {
        eprintln!("{}", overflow.warning());
    }
    Ok(())
}

/// A key has the prefix with which it can have the name of any parameter.
fn parameters(args: &QueryArgs) -> Result<Vec<(String, String)>, BadInput> {
    let mut query = vec![("limit".to_owned(), args.limit.to_string())];
    for condition in &args.keys {
        let split = condition.split_once('=');
        let (column, value) = split.ok_or_else(|| BadInput(format!("'{condition}' is not COLUMN=VALUE")))?;
        query.push((format!("key.{column}"), value.to_owned()));
    }
    let times = [("from", &args.from), ("to", &args.to)];
    query.extend(times.into_iter().filter_map(|(name, time)| Some((name.to_owned(), time.clone()?))));
    Ok(query)
}

fn columns(rows: &[Row]) -> Vec<String> {
    let Some(row) = rows.first() else { return Vec::new() };
    let is_note = |name: &&str| *name == OVERFLOW && row.get(name).is_some_and(|json| json.starts_with('['));
    row.names().filter(|name| !is_note(name)).map(str::to_owned).collect()
}

/// The rows with a mark where a value is beyond its type.
fn marked(rows: &[Row]) -> Vec<Row> {
    let mark = |row: &Row| {
        let columns: Vec<String> = row.get(OVERFLOW).and_then(|raw| serde_json::from_str(raw).ok()).unwrap_or_default();
        columns.iter().fold(row.clone(), |row, column| row.with(column, "\"OVERFLOW\""))
    };
    rows.iter().map(mark).collect()
}

impl Overflow {
    pub fn warning(&self) -> String {
        let left_out = match self.left_out {
            0 => String::new(),
            rows => format!("; {rows} rows are left out, because HAVING takes such a value"),
        };
        let causes = self.causes.join("; ");
        format!("warning: in {} rows a value is beyond its type and NULL{left_out}: {causes}", self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::aligned;

    #[test]
    fn a_value_beyond_its_type_is_marked_in_its_row() {
        let rows: Vec<Row> = serde_json::from_str(r#"[{"k":"a","n":null,"_overflow":["n"]},{"k":"b","n":5}]"#).unwrap();
        assert_eq!(columns(&rows), ["k", "n"]);
        assert_eq!(aligned(&columns(&rows), &marked(&rows)), "k  n\na  OVERFLOW\nb  5");
    }

    #[test]
    fn keys_named_like_parameters_are_keys() {
        let keys = ["limit=5", "from=a=b", "at.is=null"].map(str::to_owned).to_vec();
        let args = QueryArgs {
            view: "v".into(),
            keys,
            from: Some("2026-01-01".into()),
            to: None,
            limit: 7,
            format: Format::Table,
        };
        let query = parameters(&args).unwrap();
        let query: Vec<String> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(query, ["limit=7", "key.limit=5", "key.from=a=b", "key.at.is=null", "from=2026-01-01"]);
    }
}

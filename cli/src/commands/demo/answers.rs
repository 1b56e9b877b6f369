//! What the demo asks the serving API, as any client would.

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::figures::hundredths;
use crate::api::Api;

/// The view that the demo shows.
pub const VIEW: &str = "country_sales";
/// How many of the best countries are shown.
const BEST: usize = 5;

/// The sums over some rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub lines: u64,
    pub units: i64,
    pub revenue: String,
}

/// A country with its sums over all days.
#[derive(Clone, Debug, Deserialize)]
pub struct Country {
    pub country: String,
    #[serde(flatten)]
    pub totals: Totals,
}

/// One row of the merged view, and what each side has of it.
#[derive(Clone, Debug, Deserialize)]
pub struct Shares {
    pub country: String,
    pub window_start: String,
    #[serde(flatten)]
    pub total: Totals,
    #[serde(rename = "_batch")]
    pub batch: Option<Totals>,
    #[serde(rename = "_realtime")]
    pub realtime: Option<Totals>,
}

impl Shares {
    /// Whether the two shares add up to the total.
    pub fn add_up(&self) -> bool {
        let sides = || [&self.batch, &self.realtime].into_iter().flatten();
        let revenue = sides().map(|side| hundredths(&side.revenue)).sum::<Option<i128>>();
        let lines = sides().map(|side| side.lines).sum::<u64>();
        let units = sides().map(|side| side.units).sum::<i64>();
        let total = &self.total;
        revenue.is_some() && revenue == hundredths(&total.revenue) && (lines, units) == (total.lines, total.units)
    }
}

/// The sums over all merged rows.
pub async fn totals(api: &Api) -> anyhow::Result<Totals> {
    let sql = format!("SELECT sum(lines) AS lines, sum(units) AS units, sum(revenue) AS revenue FROM {VIEW}");
    let rows: Vec<Totals> = rows(&sql_answer(api, &sql).await?)?;
    rows.into_iter().next().context("the merged answer has no row")
}

/// The countries with the highest revenue.
pub async fn best_countries(api: &Api) -> anyhow::Result<Vec<Country>> {
    let sql = format!(
        "SELECT country, sum(lines) AS lines, sum(units) AS units, sum(revenue) AS revenue FROM {VIEW} \
         GROUP BY country ORDER BY revenue DESC LIMIT {BEST}"
    );
    rows(&sql_answer(api, &sql).await?)
}

/// The row with the highest revenue, with the shares of both sides.
pub async fn shares_of_the_best_day(api: &Api) -> anyhow::Result<Shares> {
    let by = [("by", "revenue".to_owned()), ("n", "1".to_owned())];
    let top = api.get(&format!("/v1/views/{VIEW}/top"), &by).await?;
    let field = |name: &str| Ok::<_, anyhow::Error>(top["rows"][0][name].as_str().context("no best day")?.to_owned());
    let (country, from, to) = (field("country")?, field("window_start")?, field("window_end")?);
    let query = [("country", country), ("from", from), ("to", to), ("parts", "true".to_owned())];
    let shares: Vec<Shares> = rows(&api.get(&format!("/v1/views/{VIEW}/rows"), &query).await?)?;
    let shares = shares.into_iter().next().context("the best day has no row")?;
    ensure!(shares.add_up(), "the shares do not add up to the total: {shares:?}");
    Ok(shares)
}

/// What an answer of the view says about itself.
pub async fn coverage(api: &Api) -> anyhow::Result<Value> {
    api.get(&format!("/v1/views/{VIEW}/rows"), &[("limit", "1".to_owned())]).await
}

/// Late events that the speed job has counted.
pub async fn late_events(api: &Api) -> anyhow::Result<u64> {
    let view = api.get(&format!("/v1/views/{VIEW}"), &[]).await?;
    view["outcomes_total"]["late"].as_u64().context("the view does not say how many events were late")
}

async fn sql_answer(api: &Api, sql: &str) -> anyhow::Result<Value> {
    api.post("/v1/sql", &json!({ "sql": sql })).await
}

fn rows<T: for<'de> Deserialize<'de>>(answer: &Value) -> anyhow::Result<Vec<T>> {
    Vec::deserialize(&answer["rows"]).context("an answer of another shape")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(lines: u64, revenue: &str) -> Totals {
        Totals { lines, units: 2 * lines as i64, revenue: revenue.to_owned() }
    }

    #[test]
    fn shares_add_up_to_the_last_penny() {
        let mut shares = Shares {
            country: "Norway".to_owned(),
            window_start: "2011-11-03T00:00:00Z".to_owned(),
            total: totals(5, "0.30"),
            batch: Some(totals(3, "0.10")),
            realtime: Some(totals(2, "0.20")),
        };
        assert!(shares.add_up());
        shares.realtime = Some(totals(2, "0.21"));
        assert!(!shares.add_up());
        shares.realtime = None;
        assert!(!shares.add_up());
        shares.total = totals(3, "0.10");
        assert!(shares.add_up(), "one side may have nothing");
    }
}

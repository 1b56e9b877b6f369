//! Query parameters: each at most once, none unknown.

use std::time::Duration;

use anabranch_view::{Role, ViewPlan};
use axum::extract::Query;
use axum::extract::rejection::QueryRejection;

use crate::applied::AtLeast;
use crate::condition::Condition;
use crate::failure::Failure;
use crate::key_value::{key_value, parse_time};
use crate::state::names;

const DEFAULT_WAIT: Duration = Duration::from_secs(5);
const MAX_WAIT_MS: u64 = 30_000;
const VALUE_HELP: &str = "give a value of the column's type; in a URL, write + as %2B";

/// Parameters as they came; what is taken is gone, what is left must be key columns.
#[derive(Clone, Debug)]
pub(super) struct Params {
    given: Vec<(String, String)>,
    /// The parameters that the route knows, for the message about an unknown one.
    known: &'static [&'static str],
}

/// What axum makes of a query string.
pub(super) type RawParams = Result<Query<Vec<(String, String)>>, QueryRejection>;

impl Params {
    pub fn new(raw: RawParams, known: &'static [&'static str]) -> Result<Self, Failure> {
        let Query(given) = raw.map_err(|error| Failure::bad(error.body_text(), "percent-encode the query string"))?;
        for (index, (name, _)) in given.iter().enumerate() {
            if given[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Failure::bad(format!("parameter '{name}' is given twice"), "give it once"));
            }
        }
        Ok(Self { given, known })
    }

    /// Takes a parameter.
    pub fn take(&mut self, name: &str) -> Option<String> {
        debug_assert!(self.known.contains(&name), "a parameter that is taken is known");
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.remove(index).1)
    }

    /// Takes a whole number between 1 and `max`.
    pub fn take_count(&mut self, name: &str, default: usize, max: usize) -> Result<usize, Failure> {
        let Some(text) = self.take(name) else { return Ok(default) };
        let count = text.parse().ok().filter(|count| (1..=max).contains(count));
        count.ok_or_else(|| {
            Failure::bad(format!("'{name}={text}' is not a count"), format!("give a number from 1 to {max}"))
        })
    }

    pub fn take_flag(&mut self, name: &str) -> Result<bool, Failure> {
        let Some(text) = self.take(name) else { return Ok(false) };
        text.parse().map_err(|_| Failure::bad(format!("'{name}={text}' is not a flag"), "write true or false"))
    }

    pub fn take_at_least(&mut self) -> Result<Option<AtLeast>, Failure> {
        let wait = match self.take("wait_ms") {
            Some(text) => wait(&text)?,
            None => DEFAULT_WAIT,
        };
        self.take("at_least").map(|text| AtLeast::parse(&text, wait)).transpose()
    }

    /// Takes everything that is left as a condition on keys and time.
    pub fn condition(mut self, plan: &ViewPlan) -> Result<Condition, Failure> {
        let (from, to) = (self.take_time("from", plan)?, self.take_time("to", plan)?);
        let mut condition = Condition { keys: Vec::new(), from, to };
        for (name, value) in &self.given {
            let (key, is_null) = self.key(plan, name)?;
            if is_null && value != "null" {
                return Err(Failure::bad(format!("'{name}={value}'"), format!("write {name}=null")));
            }
            if condition.keys.iter().any(|(given, _)| *given == key) {
                return Err(Failure::bad(format!("key '{}' is given twice", plan.keys[key].name), "give it once"));
            }
            let text = (!is_null).then_some(value.as_str());
            let array = key_value(text, &plan.keys[key].data_type)
                .map_err(|cause| Failure::bad(format!("'{name}': {cause}"), VALUE_HELP))?;
            condition.keys.push((key, array));
        }
        Ok(condition)
    }

    fn take_time(&mut self, name: &str, plan: &ViewPlan) -> Result<Option<i64>, Failure> {
        let Some(text) = self.take(name) else { return Ok(None) };
        if plan.window.is_none() {
            return Err(Failure::bad(format!("'{name}' needs a window, and the view has none"), "leave it out"));
        }
        let time = parse_time(&text);
        time.map(Some).map_err(|cause| Failure::bad(format!("'{name}': {cause}"), "write 2011-10-06T16:20:00Z"))
    }

    /// The key that a parameter names: `COLUMN`, `COLUMN.is` for NULL, and either behind `key.`, which
    /// always works, also where a column has the name of another parameter.
    fn key(&self, plan: &ViewPlan, name: &str) -> Result<(usize, bool), Failure> {
        let find = |column: &str| {
            let output = plan.output.iter().find(|output| output.name == column).map(|output| output.role);
            match output {
                Some(Role::Key(key)) => Some(key),
                _ => plan.keys.iter().position(|key| key.name == column),
            }
        };
        let named = |column: &str| {
            let null = || column.strip_suffix(".is").and_then(find).map(|key| (key, true));
            find(column).map(|key| (key, false)).or_else(null)
        };
        let found = name.strip_prefix("key.").and_then(named).or_else(|| named(name));
        found.ok_or_else(|| self.unknown(plan, name))
    }

    fn unknown(&self, plan: &ViewPlan, name: &str) -> Failure {
        let keys = plan.keys.iter().map(|key| key.name.as_str());
        if let Some(column) = name.strip_prefix("key.") {
            return Failure::bad(format!("there is no key '{column}'"), format!("the keys are {}", names(keys)));
        }
        let help = format!("the parameters are {}", names(keys.chain(self.known.iter().copied())));
        Failure::bad(format!("unknown parameter '{name}'"), help)
    }
}

fn wait(text: &str) -> Result<Duration, Failure> {
    let ms = text.parse().ok().filter(|ms| *ms <= MAX_WAIT_MS);
    ms.map(Duration::from_millis)
        .ok_or_else(|| Failure::bad(format!("'wait_ms={text}' is not a wait"), format!("give at most {MAX_WAIT_MS}")))
}

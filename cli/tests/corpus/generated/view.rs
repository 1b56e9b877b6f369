//! Random views, and smaller ones to find what is wrong with one.

use super::events::pick;
use super::expression::{Expr, Generator, Type};
use crate::roads::Random;

#[derive(Clone, Debug)]
pub struct View {
    pub filter: Option<Expr>,
    pub keys: Vec<Expr>,
    pub window: Option<&'static str>,
    pub aggregates: Vec<Aggregate>,
    pub having: Option<String>,
}

#[derive(Clone, Debug)]
pub struct Aggregate {
    name: &'static str,
    args: Vec<Expr>,
    /// Literal arguments behind them.
    more: &'static str,
    filter: Option<Expr>,
}

const WINDOWS: [&str; 7] = [
    "tumble(at, INTERVAL '1 hour')",
    "tumble(at, INTERVAL '7 days')",
    "tumble(at, INTERVAL '1 month')",
    "hop(at, INTERVAL '20 minutes', INTERVAL '50 minutes')",
    "cumulate(at, INTERVAL '1 hour', INTERVAL '6 hours')",
    "session(at, INTERVAL '10 minutes')",
    "every(3)",
];

impl View {
    pub fn random(random: &mut Random) -> Self {
        let mut generator = Generator { random };
        if generator.random.below(5) < 3 { Self::by_event(&mut generator) } else { Self::by_group(&mut generator) }
    }

    /// A group for each event, so that every value of every expression is seen.
    fn by_event(generator: &mut Generator) -> Self {
        let filter = (generator.random.below(2) == 0).then(|| generator.bool(3));
        let aggregates = (0..generator.random.below(4) + 2).map(|_| Aggregate::of_one(generator)).collect();
        Self { filter, keys: vec![key("id")], window: None, aggregates, having: None }
    }

    fn by_group(generator: &mut Generator) -> Self {
        let filter = (generator.random.below(2) == 0).then(|| generator.bool(2));
        let keys = (0..generator.random.below(3)).map(|_| Self::key(generator)).collect();
        let window = (generator.random.below(2) == 0).then(|| pick(generator.random, &WINDOWS));
        let aggregates = (0..generator.random.below(4) + 1).map(|_| Aggregate::of_many(generator)).collect();
        let having = ["count(*) > 1", "max(num) IS NOT NULL", "min(day) < DATE '2024-03-01'", "NOT (count(big) = 0)"];
        let having = (generator.random.below(4) == 0).then(|| pick(generator.random, &having).to_owned());
        Self { filter, keys, window, aggregates, having }
    }

    fn key(generator: &mut Generator) -> Expr {
        let kind =
            pick(generator.random, &[Type::Bool, Type::Int, Type::Text, Type::Date, Type::Time, Type::Decimal(9, 2)]);
        let depth = generator.random.below(3) as u32;
        let expr = generator.of(kind, depth);
        // A number alone would be a place in the SELECT list.
        if expr.is_number() { Expr::column(Type::Int, "num") } else { expr }
    }

    pub fn sql(&self) -> String {
        let keys: Vec<String> = self.keys.iter().map(Expr::sql).collect();
        let mut items: Vec<String> = keys.iter().enumerate().map(|(i, key)| format!("{key} AS k{i}")).collect();
        if self.window.is_some_and(|window| !window.starts_with("every")) {
            items.extend(["window_start".to_owned(), "window_end".to_owned()]);
        }
        items.extend(self.aggregates.iter().enumerate().map(|(i, aggregate)| format!("{} AS a{i}", aggregate.sql())));
        let mut sql = format!("SELECT {} FROM events", items.join(", "));
        if let Some(filter) = &self.filter {
            sql.push_str(&format!(" WHERE {}", filter.sql()));
        }
        let groups: Vec<String> = keys.into_iter().chain(self.window.map(str::to_owned)).collect();
        if !groups.is_empty() {
            sql.push_str(&format!(" GROUP BY {}", groups.join(", ")));
        }
        if let Some(having) = &self.having {
            sql.push_str(&format!(" HAVING {having}"));
        }
        sql
    }

    /// Nodes of what is evaluated for each event.
    pub fn nodes(&self) -> usize {
        let of_aggregate =
            |aggregate: &Aggregate| -> usize { aggregate.args.iter().chain(&aggregate.filter).map(Expr::nodes).sum() };
        let keys = self.keys.iter().chain(&self.filter).map(Expr::nodes).sum::<usize>();
        keys + self.aggregates.iter().map(of_aggregate).sum::<usize>()
    }

    /// Views with one thing less, the largest steps first.
    pub fn smaller(&self) -> Vec<View> {
        let mut found = Vec::new();
        let mut with = |change: &dyn Fn(&mut View)| {
            let mut copy = self.clone();
            change(&mut copy);
            found.push(copy);
        };
        if self.aggregates.len() > 1 {
            (0..self.aggregates.len()).for_each(|i| with(&|view| view.aggregates = vec![self.aggregates[i].clone()]));
            (0..self.aggregates.len()).for_each(|i| with(&|view| drop(view.aggregates.remove(i))));
        }
        if self.filter.is_some() {
            with(&|view| view.filter = None);
        }
        if self.having.is_some() {
            with(&|view| view.having = None);
        }
        if self.window.is_some() {
            with(&|view| view.window = None);
        }
        (0..self.keys.len()).for_each(|i| with(&|view| drop(view.keys.remove(i))));
        self.smaller_expressions(&mut found);
        found
    }

    fn smaller_expressions(&self, found: &mut Vec<View>) {
        for smaller in self.filter.iter().flat_map(Expr::smaller) {
            found.push(View { filter: Some(smaller), ..self.clone() });
        }
        for (i, aggregate) in self.aggregates.iter().enumerate() {
            for smaller in aggregate.smaller() {
                let mut copy = self.clone();
                copy.aggregates[i] = smaller;
                found.push(copy);
            }
        }
        for (i, key) in self.keys.iter().enumerate() {
            for smaller in key.smaller() {
                let mut copy = self.clone();
                copy.keys[i] = smaller;
                found.push(copy);
            }
        }
    }
}

fn key(name: &str) -> Expr {
    Expr::column(Type::Int, name)
}

impl Aggregate {
    /// Over one event, whose value it has.
    fn of_one(generator: &mut Generator) -> Self {
        let depth = generator.random.below(4) as u32 + 1;
        let value = generator.any(depth);
        let name = match value.kind {
            Type::Bool => pick(generator.random, &["bool_or", "bool_and"]),
            _ => pick(generator.random, &["max", "min"]),
        };
        Self { name, args: vec![value], more: "", filter: None }
    }

    fn of_many(generator: &mut Generator) -> Self {
        use Type::*;
        let (name, kinds, more): (&'static str, &[Type], &'static str) = pick(
            generator.random,
            &[
                ("count", &[Bool, Int, Text, Double, Date], ""),
                ("sum", &[Int, Int, Decimal(9, 2), Double, Single], ""),
                ("avg", &[Int, Decimal(9, 2), Double], ""),
                ("min", &[Bool, Int, Text, Double, Date, Time, Single, Decimal(9, 2)], ""),
                ("max", &[Bool, Int, Text, Double, Date, Time, Single, Decimal(9, 2)], ""),
                ("bool_and", &[Bool], ""),
                ("bool_or", &[Bool], ""),
                ("bit_and", &[Int], ""),
                ("bit_or", &[Int], ""),
                ("bit_xor", &[Int], ""),
                ("count_distinct", &[Bool, Int, Text, Date, Time, Decimal(9, 2)], ", 100"),
                ("first_value", &[Int, Text, Date, Decimal(9, 2)], ""),
                ("last_value", &[Int, Text, Bool, Time], ""),
                ("arg_min", &[Int, Text, Date], ""),
                ("arg_max", &[Int, Text, Date], ""),
            ],
        );
        let depth = generator.random.below(3) as u32;
        let kind = pick(generator.random, kinds);
        let mut args = vec![generator.of(kind, depth)];
        if name.starts_with("arg") {
            // By a column: DuckDB refuses to order by a constant.
            let (kind, name) = pick(generator.random, &[(Int, "num"), (Text, "note"), (Date, "day"), (Time, "due")]);
            args.push(Expr::column(kind, name));
        }
        let filter = (generator.random.below(3) == 0).then(|| generator.bool(2));
        Self { name, args, more, filter }
    }

    fn sql(&self) -> String {
        let args: Vec<String> = self.args.iter().map(Expr::sql).collect();
        let filter =
            self.filter.as_ref().map_or_else(String::new, |filter| format!(" FILTER (WHERE {})", filter.sql()));
        format!("{}({}{}){filter}", self.name, args.join(", "), self.more)
    }

    fn smaller(&self) -> Vec<Aggregate> {
        let mut found: Vec<Aggregate> = self.filter.iter().map(|_| Self { filter: None, ..self.clone() }).collect();
        for smaller in self.filter.iter().flat_map(Expr::smaller) {
            found.push(Self { filter: Some(smaller), ..self.clone() });
        }
        for (i, arg) in self.args.iter().enumerate() {
            for smaller in arg.smaller() {
                let mut copy = self.clone();
                copy.args[i] = smaller;
                found.push(copy);
            }
        }
        found
    }
}

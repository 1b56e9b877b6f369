//! What sources and references declare alike: names and columns.

use std::collections::{BTreeMap, BTreeSet};

use toml::Spanned;
use toml::de::DeValue;

use super::column::{Column, ColumnType, INGESTION_TIME};
use super::table::{Entry, Text};
use crate::guess::did_you_mean;

pub(super) const KEY_HELP: &str = "add the key to this table";
pub(super) const NAME_HELP: &str = "use letters, digits, '_' and '-', at most 64 of them, beginning with a letter";

/// Names become parts of file names, Redis keys and URLs, so the alphabet is small.
pub(super) fn is_name(name: &str) -> bool {
    let first = name.chars().next().is_some_and(|c| c.is_ascii_alphabetic());
    first && name.len() <= 64 && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
}

/// What has no mistake, by name; the names of the rest are added to `broken`.
pub(super) fn named<'i, T>(
    at: &Text<'i>,
    entries: Vec<Entry<'i>>,
    what: &str,
    broken: &mut BTreeSet<String>,
    mut read: impl FnMut(&Spanned<String>, Spanned<DeValue<'i>>) -> Option<T>,
) -> BTreeMap<String, T> {
    let mut sound = BTreeMap::new();
    for (name, value) in entries {
        if !is_name(name.get_ref()) {
            at.report(name.span(), format!("'{}' cannot be a {what}'s name", name.get_ref()), NAME_HELP);
        }
        match read(&name, value) {
            Some(read) => drop(sound.insert(name.into_inner(), read)),
            None => drop(broken.insert(name.into_inner())),
        }
    }
    sound
}

/// What is declared under `columns`.
pub(super) struct Columns {
    good: Vec<Column>,
    /// Those that were refused: they are declared, so nobody is told that they are unknown.
    refused: Vec<String>,
}

impl Columns {
    /// The declared columns; one named `built_in` is refused.
    pub fn read(at: &Text, entries: Vec<Entry>, built_in: Option<&str>) -> Self {
        let mut columns = Self { good: Vec::new(), refused: Vec::new() };
        for (name, declaration) in entries {
            match columns.column(at, &name, declaration, built_in) {
                Some(column) => columns.good.push(column),
                None => columns.refused.push(name.into_inner()),
            }
        }
        columns
    }

    fn column(
        &self,
        at: &Text,
        name: &Spanned<String>,
        declaration: Spanned<DeValue>,
        built_in: Option<&str>,
    ) -> Option<Column> {
        if let Some(other) = self.good.iter().find(|column| column.name.eq_ignore_ascii_case(name.get_ref())) {
            let cause = format!("columns '{}' and '{}' differ in case only", other.name, name.get_ref());
            return at.refuse(name.span(), cause, "rename one of them: the archive's tables do not tell them apart");
        }
        if name.get_ref().starts_with('_') {
            let cause = format!("column '{}': names that begin with '_' are the archive's own", name.get_ref());
            return at.refuse(name.span(), cause, "rename the column");
        }
        if built_in.is_some_and(|built_in| name.get_ref().eq_ignore_ascii_case(built_in)) {
            let cause = format!("column '{}' is built in where it is the event time", name.get_ref());
            return at.refuse(name.span(), cause, "remove the declaration, or rename the column if events carry it");
        }
        let span = declaration.span();
        let declaration: String = at.value(declaration)?;
        Column::parse(name.get_ref(), &declaration).map_err(|error| at.report(span, error.cause, error.help)).ok()
    }

    /// Refuses those, too, for which `is_unfit` writes a mistake down.
    pub fn refuse(&mut self, mut is_unfit: impl FnMut(&Column) -> bool) {
        let (unfit, good) = std::mem::take(&mut self.good).into_iter().partition(|column| is_unfit(column));
        self.good = good;
        self.refused.extend(Vec::into_iter(unfit).map(|column: Column| column.name));
    }

    /// All of them, if none was refused.
    pub fn sound(self) -> Option<Vec<Column>> {
        self.refused.is_empty().then_some(self.good)
    }

    /// The column of this name, if it was not refused; that there is none is a mistake.
    pub fn named(&self, at: &Text, name: &Spanned<String>, more: &str) -> Option<&Column> {
        let found = self.good.iter().find(|column| column.name == *name.get_ref());
        if found.is_none() && !self.refused.contains(name.get_ref()) {
            let names: Vec<&str> = self.good.iter().map(|column| column.name.as_str()).collect();
            let guess = did_you_mean(name.get_ref(), names.iter().copied());
            let help = format!("{guess}the columns are {}{more}", names.join(", "));
            at.report(name.span(), format!("unknown column '{}'", name.get_ref()), &help);
        }
        found
    }

    /// The built-in column, if it is the event time; otherwise that is a declared one. `None` is a mistake.
    pub fn built_in(&self, at: &Text, event_time: &Spanned<String>) -> Option<Option<Column>> {
        let name = event_time.get_ref();
        if name == INGESTION_TIME {
            if self.good.is_empty() && self.refused.is_empty() {
                let help = "declare what events carry under columns, at least one column";
                return at.refuse(event_time.span(), "the source has no columns but the log's own time", help);
            }
            return Some(Some(Column::ingestion_time()));
        }
        let column = self.named(at, event_time, &format!("; '{INGESTION_TIME}' is the log's own time"))?;
        if column.kind != ColumnType::Timestamp || column.nullable {
            let cause = format!("event_time '{name}' must be a TIMESTAMP NOT NULL");
            return at.refuse(event_time.span(), cause, "declare the column as \"TIMESTAMP NOT NULL\"");
        }
        Some(None)
    }

    pub fn key(&self, at: &Text, names: Vec<Spanned<String>>) -> Option<Vec<String>> {
        // Every name is looked at, so that each mistake is told.
        let known = names.iter().filter(|name| self.named(at, name, "").is_some()).count();
        (known == names.len()).then(|| names.into_iter().map(Spanned::into_inner).collect())
    }
}

//! A table of `anabranch.toml`, taken field by field: one mistake does not hide the next.

use std::cell::RefCell;
use std::ops::Range;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue, Error, ValueDeserializer};

use super::error::{Place, ProjectError};
use crate::guess::{closest, did_you_mean};

/// The text that spans point into, and what was found wrong with it.
pub(super) struct Text<'i> {
    file: &'i str,
    text: &'i str,
    mistakes: RefCell<Vec<ProjectError>>,
}

/// What a table holds and nobody has taken yet.
pub(super) struct Table<'a, 'i> {
    at: &'a Text<'i>,
    span: Range<usize>,
    fields: Vec<Entry<'i>>,
    /// Fields that are there under a name that is nearly right, so that they are not missing, too.
    meant: Vec<&'static str>,
}

pub(super) type Entry<'i> = (Spanned<String>, Spanned<DeValue<'i>>);

impl<'i> Text<'i> {
    pub fn new(file: &'i str, text: &'i str) -> Self {
        Self { file, text, mistakes: RefCell::default() }
    }

    /// Writes a mistake down.
    pub fn report(&self, span: Range<usize>, cause: impl Into<String>, help: &str) {
        let place = Place::of_byte(self.file, self.text, span.start);
        self.mistakes.borrow_mut().push(ProjectError::new(place, cause, help));
    }

    /// The same where a value was to be made.
    pub fn refuse<T>(&self, span: Range<usize>, cause: impl Into<String>, help: &str) -> Option<T> {
        self.report(span, cause, help);
        None
    }

    /// In the order of the file.
    pub fn into_mistakes(self) -> Vec<ProjectError> {
        let mut mistakes = self.mistakes.into_inner();
        mistakes.sort_by_key(|mistake| (mistake.place.line, mistake.place.column));
        mistakes
    }

    /// The whole file; where it is no TOML, what can be read of it.
    pub fn root(&self, known: &[&'static str]) -> Table<'_, 'i> {
        let (root, errors) = DeTable::parse_recoverable(self.text);
        errors.iter().for_each(|error| self.misread(error, 0..0));
        let span = root.span();
        Table::new(self, span, root.into_inner(), known)
    }

    pub fn value<T: DeserializeOwned>(&self, value: Spanned<DeValue>) -> Option<T> {
        let span = value.span();
        T::deserialize(ValueDeserializer::from(value)).map_err(|error| self.misread(&error, span)).ok()
    }

    fn misread(&self, error: &Error, span: Range<usize>) {
        self.report(error.span().unwrap_or(span), error.message(), "see docs/reference/project-file.md");
    }

    /// The entries of a table that names its own, in the order of the file.
    fn entries(&self, value: Spanned<DeValue<'i>>) -> Vec<Entry<'i>> {
        let span = value.span();
        match value.into_inner() {
            DeValue::Table(table) => entries(table),
            other => {
                let cause = format!("a table is expected here, not {}", other.type_str());
                self.report(span, cause, "see docs/reference/project-file.md");
                Vec::new()
            }
        }
    }
}

fn entries<'i>(table: DeTable<'i>) -> Vec<Entry<'i>> {
    let named = |(name, value): (Spanned<std::borrow::Cow<'i, str>>, _)| {
        (Spanned::new(name.span(), name.into_inner().into_owned()), value)
    };
    table.into_iter().map(named).collect()
}

impl<'a, 'i> Table<'a, 'i> {
    /// The value as a table with no other fields than the `known` ones.
    pub fn of(at: &'a Text<'i>, value: Spanned<DeValue<'i>>, known: &[&'static str]) -> Self {
        let span = value.span();
        let fields = at.entries(value);
        Self::with(at, span, fields, known)
    }

    fn new(at: &'a Text<'i>, span: Range<usize>, table: DeTable<'i>, known: &[&'static str]) -> Self {
        Self::with(at, span, entries(table), known)
    }

    fn with(at: &'a Text<'i>, span: Range<usize>, fields: Vec<Entry<'i>>, known: &[&'static str]) -> Self {
        let (fields, unknown): (Vec<Entry>, Vec<Entry>) =
            fields.into_iter().partition(|(name, _)| known.contains(&name.get_ref().as_str()));
        let missing: Vec<&'static str> =
            known.iter().copied().filter(|known| fields.iter().all(|(name, _)| name.get_ref() != known)).collect();
        let mut meant = Vec::new();
        for (name, _) in unknown {
            meant.extend(closest(name.get_ref(), known.iter().copied()).filter(|known| missing.contains(known)));
            let guess = did_you_mean(name.get_ref(), known.iter().copied());
            let help = format!("{guess}the keys here are {}", known.join(", "));
            at.report(name.span(), format!("unknown key '{}'", name.get_ref()), &help);
        }
        Self { at, span, fields, meant }
    }

    fn take(&mut self, name: &'static str) -> Option<Spanned<DeValue<'i>>> {
        let position = self.fields.iter().position(|(field, _)| field.get_ref() == name)?;
        Some(self.fields.remove(position).1)
    }

    /// The field, if it is there and can be read.
    pub fn optional<T: DeserializeOwned>(&mut self, name: &'static str) -> Option<T> {
        self.take(name).and_then(|value| self.at.value(value))
    }

    /// The field; that it is missing is a mistake with this help.
    pub fn required<T: DeserializeOwned>(&mut self, name: &'static str, help: &str) -> Option<T> {
        match self.take(name) {
            Some(value) => self.at.value(value),
            None => self.missing(name, help),
        }
    }

    /// The entries of a table in this one, in the order of the file; none if it is not there.
    pub fn entries(&mut self, name: &'static str) -> Vec<Entry<'i>> {
        self.take(name).map(|value| self.at.entries(value)).unwrap_or_default()
    }

    /// The same; that it is missing is a mistake.
    pub fn required_entries(&mut self, name: &'static str, help: &str) -> Option<Vec<Entry<'i>>> {
        match self.take(name) {
            Some(value) => Some(self.at.entries(value)),
            None => self.missing(name, help),
        }
    }

    /// A table in this one, with no other fields than the `known` ones.
    pub fn table(&mut self, name: &'static str, known: &[&'static str]) -> Option<Table<'a, 'i>> {
        self.take(name).map(|value| Table::of(self.at, value, known))
    }

    /// The same; that it is missing is a mistake.
    pub fn required_table(&mut self, name: &'static str, known: &[&'static str], help: &str) -> Option<Table<'a, 'i>> {
        match self.take(name) {
            Some(value) => Some(Table::of(self.at, value, known)),
            None => self.missing(name, help),
        }
    }

    fn missing<T>(&self, name: &'static str, help: &str) -> Option<T> {
        if !self.meant.contains(&name) {
            self.at.report(self.span.clone(), format!("missing key '{name}'"), help);
        }
        None
    }
}

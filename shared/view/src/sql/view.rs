//! Views from their SQL.

use std::collections::BTreeMap;
use std::sync::Arc;

use anabranch_model::project::{Definition, Place, ProjectError, Source};
use anabranch_model::reference::{ReferenceError, ReferenceStore, ReferenceTable};

use super::dialects::foreign_form;
use super::mistakes::mistakes;
use super::parse::understood;
use super::text::{Tables, Text};
use crate::plan::ViewPlan;

const PINNED_HELP: &str = "bring the file back into the storage root; or publish and promote another generation with \
                           `anabranch batch` or `anabranch replay`";

impl ViewPlan {
    /// Parses a view's SQL over the project's sources; `file` is its name in errors.
    pub fn parse(file: &str, sql: &str, sources: &BTreeMap<String, Source>) -> Result<Self, ProjectError> {
        Self::parse_joined(file, sql, sources, &BTreeMap::new())
    }

    /// Parses a view's SQL over the project's sources and its references as they are now.
    pub fn parse_joined(
        file: &str,
        sql: &str,
        sources: &BTreeMap<String, Source>,
        references: &BTreeMap<String, Arc<ReferenceTable>>,
    ) -> Result<Self, ProjectError> {
        let text = Text { file, sql };
        let tables = Tables { sources, references };
        let understood = text.statement().and_then(|statement| understood(&text, statement, tables));
        // What another engine takes is told as such, and only of what is no view: a view may have these words as names.
        understood.map_err(|error| foreign_form(sql).map_or(error, |refusal| text.refused(&refusal)))
    }

    /// The same with all mistakes that can be told apart: what is wrong with one column of the SELECT list, with WHERE or HAVING
    /// does not hide the next.
    pub fn check(
        file: &str,
        sql: &str,
        sources: &BTreeMap<String, Source>,
        references: &BTreeMap<String, Arc<ReferenceTable>>,
    ) -> Result<Self, Vec<ProjectError>> {
        Self::parse_joined(file, sql, sources, references).map_err(|first| {
            let text = Text { file, sql };
            match text.statement() {
                Ok(statement) if foreign_form(sql).is_none() => {
                    mistakes(&text, statement, Tables { sources, references })
                }
                _ => vec![first],
            }
        })
    }

    /// The view as a generation has stored it, over the rows that it pins.
    pub fn of_definition(
        file: &str,
        definition: &Definition,
        store: &dyn ReferenceStore,
    ) -> Result<Self, ProjectError> {
        let sources = BTreeMap::from([(definition.source.name.clone(), definition.source.clone())]);
        let pinned = definition.references.iter().map(|pin| Ok((pin.name.clone(), store.table(pin)?)));
        let references = pinned
            .collect::<Result<_, _>>()
            .map_err(|error: ReferenceError| ProjectError::new(Place::start(file), error.to_string(), PINNED_HELP))?;
        Self::parse_joined(file, &definition.sql, &sources, &references)
    }
}

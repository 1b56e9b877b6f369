//! Reference tables that are Delta tables.

use std::path::Path;
use std::sync::Arc;

use anabranch_shared::project::{Column, Reference};
use anabranch_shared::reference::{MAX_ROWS, ReferenceTable};
use arrow::compute::concat_batches;
use arrow::datatypes::{Schema, SchemaRef};

use crate::archive::declared;
use crate::session::{Limits, session};
use crate::{Error, Result, delta};

/// Reads the declared columns of the Delta table in `folder` at its newest version, which becomes
/// part of the pin.
pub async fn read_reference(folder: &Path, reference: &Reference) -> Result<ReferenceTable> {
    let missing = || {
        let source = deltalake::DeltaTableError::NotATable(format!("reference '{}' is not there", reference.name));
        Error::Table { at: folder.display().to_string(), source }
    };
    let table = delta::open(folder).await?.ok_or_else(missing)?;
    let session = session(&Limits::default())?;
    let provider = table.table_provider().with_session(Arc::new(session.state())).build().await?;
    let schema: SchemaRef = Arc::new(Schema::new(reference.columns.iter().map(Column::field).collect::<Vec<_>>()));
    // One more than there may be is enough to be refused.
    let rows = declared(&session, Arc::new(provider), &schema)?.limit(0, Some(MAX_ROWS + 1))?;
    let batches = rows.collect().await?;
    let stored = batches.first().map_or_else(|| schema.clone(), |batch| batch.schema());
    let rows = concat_batches(&stored, &batches)?;
    Ok(ReferenceTable::new(reference, rows, table.version())?)
}

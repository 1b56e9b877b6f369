//! Reference tables that are Delta tables.

use std::path::Path;
use std::sync::Arc;

use anabranch_model::project::Reference;
use anabranch_model::reference::{MAX_ROWS, ReferenceError, ReferenceTable, no_column, typed_rows};
use arrow::compute::concat_batches;
use datafusion::catalog::TableProvider;
use datafusion::common::Column;
use datafusion::logical_expr::Expr;

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
    let invalid = |cause| ReferenceError::Invalid { name: reference.name.clone(), cause };
    let found = provider.schema();
    if let Some(missing) = reference.columns.iter().find(|column| found.index_of(&column.name).is_err()) {
        let names: Vec<&str> = found.fields().iter().map(|field| field.name().as_str()).collect();
        return Err(invalid(no_column(&missing.name, &names)).into());
    }
    let names = reference.columns.iter().map(|column| &column.name);
    let columns: Vec<Expr> = names.map(|name| Expr::Column(Column::new_unqualified(name))).collect();
    // One more than there may be is enough to be refused.
    let rows = session.read_table(Arc::new(provider))?.select(columns)?.limit(0, Some(MAX_ROWS + 1))?;
    let planned = Arc::new(rows.schema().as_arrow().clone());
    let batches = rows.collect().await?;
    let rows = concat_batches(&batches.first().map_or(planned, |batch| batch.schema()), &batches)?;
    let rows = typed_rows(&rows, &reference.columns).map_err(invalid)?;
    Ok(ReferenceTable::new(reference, rows, table.version())?)
}

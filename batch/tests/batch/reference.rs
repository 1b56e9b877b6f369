use std::path::Path;
use std::sync::Arc;

use anabranch_batch::{Oracle, read_reference};
use anabranch_model::project::{Column, Reference, ReferenceFormat};
use anabranch_model::reference::ReferenceTable;
use anabranch_view::ViewPlan;
use anabranch_view::groups::Groups;
use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use deltalake::DeltaTable;
use deltalake::protocol::SaveMode;

use crate::world::{World, limits, source};

fn reference() -> Reference {
    let columns = [("g", "SMALLINT NOT NULL"), ("label", "VARCHAR")];
    Reference {
        name: "groups".into(),
        file: "groups".into(),
        format: ReferenceFormat::Delta,
        key: vec!["g".into()],
        columns: columns.iter().map(|(name, kind)| Column::parse(name, kind).unwrap()).collect(),
    }
}

fn rows(labels: &[&str]) -> RecordBatch {
    let columns: [(&str, ArrayRef); 3] = [
        ("label", Arc::new(StringArray::from(labels.to_vec()))),
        ("more", Arc::new(Int32Array::from_value(7, labels.len()))),
        ("g", Arc::new(Int32Array::from_iter_values(0..labels.len() as i32))),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

async fn write(folder: &Path, labels: &[&str]) {
    std::fs::create_dir_all(folder).unwrap();
    let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
    let table = DeltaTable::try_from_url(url).await.unwrap();
    table.write(vec![rows(labels)]).with_save_mode(SaveMode::Overwrite).await.unwrap();
}

#[tokio::test]
async fn a_delta_table_is_read_at_its_newest_version() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups");
    assert!(read_reference(&path, &reference()).await.is_err());
    write(&path, &["none", "one"]).await;
    let first = read_reference(&path, &reference()).await.unwrap();
    assert_eq!((first.pin().version, first.pin().rows), (Some(0), 2));
    write(&path, &["none", "one", "two"]).await;
    let second = read_reference(&path, &reference()).await.unwrap();
    assert_eq!((second.pin().version, second.pin().rows), (Some(1), 3));
    write(&path, &["none", "one"]).await;
    let third = read_reference(&path, &reference()).await.unwrap();
    assert_eq!((third.pin().version, &third.pin().hash), (Some(2), &first.pin().hash));
}

#[tokio::test]
async fn what_does_not_fit_the_declaration_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("groups");
    write(&path, &["1", "2.5"]).await;
    let mut reference = reference();
    reference.columns[0] = Column::parse("h", "SMALLINT NOT NULL").unwrap();
    let error = read_reference(&path, &reference).await.unwrap_err().to_string();
    assert!(error.contains("there is no column 'h'; the file's columns are label, more, g"), "{error}");
    reference.columns[0] = Column::parse("g", "BOOLEAN NOT NULL").unwrap();
    reference.columns[1] = Column::parse("label", "INT").unwrap();
    let error = read_reference(&path, &reference).await.unwrap_err().to_string();
    assert!(error.contains("column 'label'") && error.contains("2.5"), "{error}");
}

#[tokio::test]
async fn the_second_engine_agrees_on_joins() {
    let world = World::with_events(0..3000).await;
    world.archive().await;
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &["none", "one"]).await;
    let table: Arc<ReferenceTable> = Arc::new(read_reference(folder.path(), &reference()).await.unwrap());
    let (sources, references) = ([("events".to_owned(), source())].into(), [("groups".to_owned(), table)].into());
    for kind in ["JOIN", "LEFT JOIN"] {
        let sql = format!(
            "SELECT r.label, count(*) AS c, sum(e.n) FILTER (WHERE r.label = 'one') AS s, max(r.label || e.k) AS m \
             FROM events e {kind} groups r ON e.g = r.g WHERE e.x < 300 GROUP BY r.label"
        );
        let plan = ViewPlan::parse_joined("view.sql", &sql, &sources, &references).unwrap();
        let mut found = Groups::new(&plan);
        for row in world.fold(&plan, 70).await {
            found.merge(row.pane, &row.key, &row.states).unwrap();
        }
        let oracle = Oracle::of_archive(&plan, &world.snapshot().await, &limits()).await.unwrap();
        assert_eq!(oracle.len(), if kind == "JOIN" { 2 } else { 3 });
        assert_eq!(oracle.compare(&plan, &found).unwrap(), None, "{sql}");
    }
}

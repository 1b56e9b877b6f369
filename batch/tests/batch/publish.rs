use std::path::Path;
use std::sync::Arc;

use anabranch_batch::recompute::incremental;
use anabranch_batch::{Error, Published, RunOptions, archive_to_end, publish, run, sweep, write_rows};
use anabranch_model::catalog::{Catalog, CatalogError, CatalogStore, GenerationRecord, Record, Road};
use anabranch_model::cut::{Cut, CutPoint};
use anabranch_model::generation::promote_if_caught_up;
use anabranch_model::position::{Generation, Offset, Partition};
use anabranch_model::realtime::{Progress, RealtimeStore, Slot};
use anabranch_stores::{EmbeddedStore, ObjectCatalog};
use anabranch_view::{ViewPlan, state_column};
use arrow::array::{RecordBatch, UInt32Array};
use arrow::compute::take;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use crate::views::{FILTERED, GLOBAL, WINDOWED};
use crate::world::{World, data_file, limits, plan};

fn options() -> RunOptions {
    RunOptions { limits: limits(), ..RunOptions::default() }
}

fn views(sql: &str) -> Vec<(String, Arc<ViewPlan>)> {
    vec![("v".to_owned(), plan(sql))]
}

fn folders(world: &World) -> usize {
    std::fs::read_dir(world.root().join("views/v")).map_or(0, Iterator::count)
}

#[tokio::test]
async fn running_twice_publishes_once() {
    let world = World::with_events(0..500).await;
    world.archive().await;
    let catalog = world.catalog();
    let views = views(WINDOWED);
    let first = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap();
    let Published::New(first) = first else { panic!("{first:?}") };
    assert_eq!((first.generation, first.road, first.promote), (Generation(1), Road::Batch, true));
    for full in [false, true] {
        let options = RunOptions { full, ..options() };
        let again = run(world.root(), &catalog, &views, &options).await.remove(0).outcome.unwrap();
        assert_eq!(again, Published::Already(first.clone()));
    }
    assert_eq!((folders(&world), catalog.load().await.unwrap().next), (1, 1));
}

/// The archive was removed, and written again from a topic that was made anew.
#[tokio::test]
async fn a_batch_view_is_not_continued_from_another_archive() {
    let (world, anew) = (World::with_events(0..300).await, World::with_events(1000..1300).await);
    world.archive().await;
    let (catalog, views) = (world.catalog(), views(WINDOWED));
    let first = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap().record().clone();
    let identity = world.snapshot().await.identity().to_owned();
    assert_eq!((first.archive.as_deref(), first.last_read.len()), (Some(identity.as_str()), 3));
    for more in [0..0, 1300..1400] {
        std::fs::remove_dir_all(world.root().join("archive")).unwrap();
        let last = more.end;
        anew.append(more).await;
        archive_to_end(&anew.log, &anew.source, world.root(), 100).await.unwrap();
        let again = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap();
        let Published::New(record) = again else { panic!("{again:?}") };
        assert_eq!(record.road, Road::Batch, "with events up to {last}");
        let rows = world.stored(&views[0].1, record.batch_view.as_ref().unwrap()).await.rows();
        assert_eq!(rows, anew.fold(&views[0].1, 50).await);
    }
    anew.append(1400..1500).await;
    archive_to_end(&anew.log, &anew.source, world.root(), 100).await.unwrap();
    let next = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap().record().clone();
    assert_eq!(next.road, Road::Incremental, "the archive itself is continued");
}

#[tokio::test]
async fn a_full_run_replaces_a_damaged_batch_view_once() {
    let world = World::with_events(0..500).await;
    world.archive().await;
    let (catalog, views) = (world.catalog(), views(WINDOWED));
    let plan = &views[0].1;
    let full = RunOptions { full: true, ..options() };
    let mut record = run(world.root(), &catalog, &views, &full).await.remove(0).outcome.unwrap().record().clone();
    let mut rows = world.fold(plan, 50).await;
    rows[3].states = rows[4].states.clone();
    let other = world.root().join(write_rows(world.root(), "v", plan, &rows).await.unwrap().path);
    type Damage<'a> = (&'a str, Box<dyn Fn(&Path, &Path) -> std::io::Result<()> + 'a>);
    let damages: [Damage<'_>; 4] = [
        ("gone", Box::new(|folder, _| std::fs::remove_dir_all(folder))),
        ("a file is gone", Box::new(|_, file| std::fs::remove_file(file))),
        (
            "a byte is another",
            Box::new(|_, file| {
                let mut bytes = std::fs::read(file)?;
                bytes[100] ^= 1;
                std::fs::write(file, bytes)
            }),
        ),
        (
            "other states that can be read",
            Box::new(|folder, _| {
                std::fs::remove_dir_all(folder)?;
                std::fs::rename(&other, folder)
            }),
        ),
    ];
    for (what, damage) in damages {
        let folder = world.root().join(record.batch_view.as_ref().unwrap());
        let file = data_file(&folder);
        damage(&folder, &file).unwrap();
        let published = run(world.root(), &catalog, &views, &full).await.remove(0).outcome.unwrap();
        let Published::New(next) = published else { panic!("{what}: {published:?}") };
        assert_eq!((next.generation.0, &next.cut), (record.generation.0 + 1, &record.cut), "{what}");
        assert_eq!(world.stored(plan, next.batch_view.as_ref().unwrap()).await.rows(), world.fold(plan, 50).await);
        let again = run(world.root(), &catalog, &views, &full).await.remove(0).outcome.unwrap();
        assert_eq!(again, Published::Already(next.clone()), "{what}");
        record = next;
    }
}

#[tokio::test]
async fn a_state_that_is_another_number_is_not_continued() {
    let world = World::with_events(0..500).await;
    world.archive().await;
    let (catalog, views) = (world.catalog(), views(WINDOWED));
    let record = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap().record().clone();
    let folder = world.root().join(record.batch_view.as_ref().unwrap());
    let file = data_file(&folder);
    let rows = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).unwrap()).unwrap().build().unwrap();
    let rows = rows.map(Result::unwrap).next().unwrap();
    let (mut columns, state) = (rows.columns().to_vec(), rows.schema().index_of(&state_column(0)).unwrap());
    let reversed = UInt32Array::from_iter_values((0..rows.num_rows() as u32).rev());
    columns[state] = take(&columns[state], &reversed, None).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    std::fs::create_dir(&folder).unwrap();
    let url = deltalake::ensure_table_uri(folder.to_str().unwrap()).unwrap();
    let table = deltalake::DeltaTable::try_from_url(url).await.unwrap();
    table.write([RecordBatch::try_new(rows.schema(), columns).unwrap()]).await.unwrap();

    world.append(500..600).await;
    world.archive().await;
    let snapshot = world.snapshot().await;
    let error = incremental(world.root(), "v", &views[0].1, &record, &snapshot, &limits()).await.unwrap_err();
    assert!(error.to_string().contains("its checksum is another"), "{error}");
    let mended = run(world.root(), &catalog, &views, &options()).await.remove(0).outcome.unwrap();
    assert_eq!(mended.record().road, Road::Batch, "the nightly run takes the whole archive instead");
    let plan = &views[0].1;
    let stored = world.stored(plan, mended.record().batch_view.as_ref().unwrap()).await;
    assert_eq!(stored.rows(), world.fold(plan, 50).await);
}

#[tokio::test]
async fn the_next_run_is_incremental_and_an_edited_view_starts_over() {
    let world = World::with_events(0..500).await;
    world.archive().await;
    let catalog = world.catalog();
    run(world.root(), &catalog, &views(FILTERED), &options()).await.remove(0).outcome.unwrap();
    world.append(500..700).await;
    world.archive().await;
    let next = run(world.root(), &catalog, &views(FILTERED), &options()).await.remove(0).outcome.unwrap();
    assert_eq!((next.record().generation, next.record().road), (Generation(2), Road::Incremental));
    let stored = world.stored(&views(FILTERED)[0].1, next.record().batch_view.as_ref().unwrap()).await;
    assert_eq!(stored.rows(), world.fold(&views(FILTERED)[0].1, 50).await);
    let edited = run(world.root(), &catalog, &views(GLOBAL), &options()).await.remove(0).outcome.unwrap();
    assert_eq!((edited.record().generation, edited.record().road), (Generation(3), Road::Batch));
}

#[tokio::test]
async fn one_failing_view_does_not_stop_the_others() {
    let world = World::with_events(0..50).await;
    world.archive().await;
    // Its archive was judged by another declaration of the source.
    let mut other = crate::world::source();
    other.lateness_us += 1;
    let broken = ViewPlan::parse("b.sql", GLOBAL, &[("events".to_owned(), other)].into()).unwrap();
    let views = vec![("broken".to_owned(), Arc::new(broken)), ("v".to_owned(), plan(GLOBAL))];
    let runs = run(world.root(), &world.catalog(), &views, &options()).await;
    assert!(runs[0].outcome.is_err() && runs[1].outcome.is_ok());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_publishers_one_wins() {
    let world = World::with_events(0..50).await;
    world.archive().await;
    let draft = GenerationRecord {
        view: "v".into(),
        generation: Generation(0),
        road: Road::Batch,
        definition: plan(GLOBAL).definition.clone(),
        fingerprint: plan(GLOBAL).fingerprint.clone(),
        cut: world.snapshot().await.cut().clone(),
        archive_version: Some(1),
        archive: None,
        last_read: Default::default(),
        batch_view: None,
        rows: 1,
        failed: 0,
        outcomes: Default::default(),
        promote: true,
    };
    let publishing = (0..50).map(|i| {
        // Each has a catalog of its own, as processes have, and a batch view that it wrote.
        let (catalog, root, mut draft) = (world.catalog(), world.root().to_owned(), draft.clone());
        let path = format!("views/v/{i}");
        std::fs::create_dir_all(root.join(&path)).unwrap();
        draft.batch_view = Some(path);
        tokio::spawn(async move { publish(&root, &catalog, draft, None).await.unwrap() })
    });
    let published = futures::future::try_join_all(publishing).await.unwrap();
    let new: Vec<_> = published.iter().filter(|published| matches!(published, Published::New(_))).collect();
    assert_eq!(new.len(), 1);
    assert!(published.iter().all(|published| published.record() == new[0].record()));
    assert_eq!((folders(&world), world.catalog().load().await.unwrap().next), (1, 1));
    assert!(world.root().join(new[0].record().batch_view.as_ref().unwrap()).exists(), "the winner keeps its own");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_runs_at_once_publish_once() {
    let world = World::with_events(0..300).await;
    world.archive().await;
    for round in 1..6u64 {
        let (a, b) = (world.catalog(), world.catalog());
        let (views, options) = (views(GLOBAL), options());
        let (a, b) = tokio::join!(run(world.root(), &a, &views, &options), run(world.root(), &b, &views, &options));
        let generations: Vec<_> =
            [a, b].iter().map(|run| run[0].outcome.as_ref().unwrap().record().generation).collect();
        assert_eq!(generations, [Generation(round); 2]);
        assert_eq!(folders(&world) as u64, round);
        world.append(round * 300..round * 300 + 10).await;
        world.archive().await;
    }
}

/// Keeps the record and says that somebody else was faster, as a store may after trying again.
struct Forgetful(ObjectCatalog);

#[async_trait::async_trait]
impl CatalogStore for Forgetful {
    async fn load(&self) -> Result<Catalog, CatalogError> {
        self.0.load().await
    }

    async fn append(&self, number: u64, record: &Record) -> Result<bool, CatalogError> {
        self.0.append(number, record).await.map(|_| false)
    }
}

#[tokio::test]
async fn its_own_record_does_not_cost_the_batch_view() {
    let world = World::with_events(0..50).await;
    world.archive().await;
    let run = run(world.root(), &Forgetful(world.catalog()), &views(GLOBAL), &options()).await.remove(0);
    let published = run.outcome.unwrap();
    assert!(matches!(published, Published::New(_)) && world.catalog().load().await.unwrap().next == 1);
    assert!(world.root().join(published.record().batch_view.as_ref().unwrap()).exists());
}

fn at(offset: u64) -> CutPoint {
    CutPoint { next: Offset(offset), max_event_time: None }
}

async fn advance(store: &EmbeddedStore, generation: u64, partition: u32, from: u64, to: u64) {
    let slot = Slot { view: "v".into(), generation: Generation(generation), partition: Partition(partition) };
    let held = store.acquire(&slot, at(from)).await.unwrap();
    let progress = Progress { point: at(to), ..held };
    store.commit(&slot, &held, &progress, &[]).await.unwrap();
}

#[tokio::test]
async fn a_candidate_takes_over_when_it_has_read_as_much() {
    let world = World::new().await;
    let catalog = world.catalog();
    let store = EmbeddedStore::open(world.root().join("store.redb")).unwrap();
    let draft = |offsets: [u64; 2]| GenerationRecord {
        view: "v".into(),
        generation: Generation(0),
        road: Road::Batch,
        definition: plan(GLOBAL).definition.clone(),
        fingerprint: plan(GLOBAL).fingerprint.clone(),
        cut: Cut([(Partition(0), at(offsets[0])), (Partition(1), at(offsets[1]))].into()),
        archive_version: None,
        archive: None,
        last_read: Default::default(),
        batch_view: None,
        rows: 0,
        failed: 0,
        outcomes: Default::default(),
        promote: true,
    };
    let promote = async || promote_if_caught_up::<Error>(&catalog, &store, "v").await.unwrap();
    assert_eq!(promote().await, None, "there is no candidate");
    publish(world.root(), &catalog, draft([5, 5]), None).await.unwrap();
    assert_eq!(promote().await, Some(Generation(1)), "nobody serves yet");
    advance(&store, 1, 0, 5, 30).await;
    advance(&store, 1, 3, 0, 3).await; // A partition that was added after the cut.
    publish(world.root(), &catalog, draft([20, 20]), None).await.unwrap();
    assert_eq!(promote().await, None, "partition 0 is behind");
    advance(&store, 2, 0, 20, 30).await;
    assert_eq!(promote().await, None, "partition 3 is behind");
    advance(&store, 2, 3, 0, 3).await;
    assert_eq!(promote().await, Some(Generation(2)));
    assert_eq!(promote().await, None, "once");
    publish(world.root(), &catalog, GenerationRecord { promote: false, ..draft([40, 40]) }, None).await.unwrap();
    assert_eq!(promote().await, None, "nobody asked for it");
    let next = catalog.load().await.unwrap().next;
    catalog.append(next, &Record::Requested { view: "v".into(), generation: Generation(1) }).await.unwrap();
    assert_eq!(promote().await, None, "the old one is behind in partition 1");
}

#[tokio::test]
async fn only_tables_that_no_generation_names_are_swept_and_only_when_old() {
    let world = World::with_events(0..50).await;
    world.archive().await;
    let catalog = world.catalog();
    run(world.root(), &catalog, &views(WINDOWED), &options()).await.remove(0).outcome.unwrap();
    std::fs::create_dir(world.root().join("views/v/left-behind")).unwrap();
    let hour = std::time::Duration::from_secs(3600);
    assert_eq!(sweep(world.root(), &catalog, "v", hour).await.unwrap(), 0, "a run may be about to publish it");
    assert_eq!(sweep(world.root(), &catalog, "v", std::time::Duration::ZERO).await.unwrap(), 1);
    assert_eq!(folders(&world), 1, "the published one stays");
    assert_eq!(sweep(world.root(), &catalog, "other", hour).await.unwrap(), 0);
}

use anabranch_batch::recompute::{full, incremental};
use anabranch_batch::{Error, Limits, write_rows};
use anabranch_model::catalog::{GenerationRecord, Road};
use anabranch_model::position::Generation;
use anabranch_model::realtime::StateRow;
use anabranch_view::ViewPlan;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;

use crate::views::{ALL, FILTERED, GLOBAL, TYPED_KEYS, WINDOWED};
use crate::world::{World, limits, plan};

async fn full_rows(world: &World, plan: &ViewPlan, limits: &Limits) -> (GenerationRecord, Vec<StateRow>) {
    let computed = full(world.root(), "v", plan, &world.snapshot().await, limits).await.unwrap();
    let rows = stored_rows(world, plan, &computed.draft).await;
    (computed.draft, rows)
}

async fn stored_rows(world: &World, plan: &ViewPlan, draft: &GenerationRecord) -> Vec<StateRow> {
    let groups = world.stored(plan, draft.batch_view.as_ref().unwrap()).await;
    assert_eq!(groups.len() as u64, draft.rows);
    assert_eq!(groups.order(), (0..groups.len()).collect::<Vec<_>>(), "the table is sorted");
    groups.rows()
}

fn record(draft: GenerationRecord) -> GenerationRecord {
    GenerationRecord { generation: Generation(1), promote: true, ..draft }
}

#[tokio::test]
async fn full_batch_has_the_bytes_of_the_streaming_fold() {
    let world = World::with_events(0..3000).await;
    world.archive().await;
    for sql in ALL {
        let plan = plan(sql);
        let (draft, rows) = full_rows(&world, &plan, &limits()).await;
        assert!(!rows.is_empty());
        assert_eq!(draft.road, Road::Batch);
        for max in [7, 100_000] {
            assert_eq!(rows, world.fold(&plan, max).await, "{sql}, folded in chunks of {max}");
        }
    }
}

#[tokio::test]
async fn incremental_batch_has_the_bytes_of_full_batch() {
    let world = World::with_events(0..1000).await;
    world.archive().await;
    for (step, sql) in ALL.into_iter().enumerate() {
        let plan = plan(sql);
        let (before, _) = full_rows(&world, &plan, &limits()).await;
        let from = 1000 + step as u64 * 1000;
        world.append(from..from + 1000).await;
        world.archive().await;
        let snapshot = world.snapshot().await;
        let computed = incremental(world.root(), "v", &plan, &record(before), &snapshot, &limits()).await.unwrap();
        assert_eq!((computed.draft.road, &computed.draft.cut), (Road::Incremental, snapshot.cut()));
        let rows = stored_rows(&world, &plan, &computed.draft).await;
        assert_eq!(rows, full_rows(&world, &plan, &limits()).await.1, "{sql}");
        let again = incremental(world.root(), "v", &plan, &record(computed.draft), &snapshot, &limits()).await.unwrap();
        assert_eq!(stored_rows(&world, &plan, &again.draft).await, rows, "nothing gained, nothing changed");
    }
}

/// An event of the sequence fails as often on every road.
#[tokio::test]
async fn evaluations_without_a_value_are_counted_alike_by_full_and_incremental_batch_and_the_fold() {
    let sql = "SELECT g, max(substr(k, 1, n)) AS s, max(n * 9223372036854775) AS p, count(*) AS c FROM events \
               WHERE n > -900 AND substr(k, 1, n + 500) IS NOT NULL GROUP BY g";
    let plan = plan(sql);
    let world = World::with_events(0..700).await;
    world.archive().await;
    let (before, _) = full_rows(&world, &plan, &limits()).await;
    assert!(before.failed > 0);
    world.append(700..2000).await;
    world.archive().await;
    let snapshot = world.snapshot().await;
    let gained = incremental(world.root(), "v", &plan, &record(before), &snapshot, &limits()).await.unwrap();
    let (full, _) = full_rows(&world, &plan, &limits()).await;
    assert_eq!((gained.draft.failed, gained.draft.outcomes), (full.failed, full.outcomes));
    assert_eq!(full.outcomes.total(), 2000);
    for max in [3, 100_000] {
        assert_eq!(world.failed(&plan, max).await, full.failed, "in chunks of {max}");
    }
}

#[tokio::test]
async fn what_cannot_be_continued_is_refused() {
    let world = World::with_events(0..100).await;
    world.archive().await;
    let (global, filtered) = (plan(GLOBAL), plan(FILTERED));
    let (draft, _) = full_rows(&world, &global, &limits()).await;
    let snapshot = world.snapshot().await;
    let refused = async |plan: &ViewPlan, record: &GenerationRecord| {
        incremental(world.root(), "v", plan, record, &snapshot, &limits()).await.unwrap_err()
    };
    let other_view = refused(&filtered, &record(draft.clone())).await;
    assert!(matches!(&other_view, Error::Discontinued { cause, .. } if cause.contains("definition")), "{other_view}");
    let mut ahead = record(draft.clone());
    ahead.cut.0.values_mut().for_each(|point| point.next.0 += 1);
    assert!(matches!(refused(&global, &ahead).await, Error::Discontinued { .. }));
    let genesis = GenerationRecord { batch_view: None, ..record(draft) };
    assert!(matches!(refused(&global, &genesis).await, Error::Discontinued { .. }));
}

#[tokio::test]
async fn the_empty_prefix_has_no_groups() {
    let world = World::new().await;
    world.archive().await;
    for sql in ALL {
        let plan = plan(sql);
        let (draft, rows) = full_rows(&world, &plan, &limits()).await;
        assert_eq!((draft.rows, rows.len()), (0, 0), "{sql}");
    }
    let plan = plan(GLOBAL);
    let (empty, _) = full_rows(&world, &plan, &limits()).await;
    world.append(0..50).await;
    world.archive().await;
    let computed =
        incremental(world.root(), "v", &plan, &record(empty), &world.snapshot().await, &limits()).await.unwrap();
    assert_eq!(stored_rows(&world, &plan, &computed.draft).await, world.fold(&plan, 10).await);
}

#[tokio::test]
async fn with_little_memory_it_spills_and_agrees() {
    let world = World::with_events(0..40_000).await;
    world.archive().await;
    let plan = plan(TYPED_KEYS);
    let scarce = Limits { memory_bytes: 3 << 20, ..limits() };
    let computed = full(world.root(), "v", &plan, &world.snapshot().await, &scarce).await.unwrap();
    assert!(computed.spilled_bytes > 0, "there was not enough memory");
    let rows = stored_rows(&world, &plan, &computed.draft).await;
    assert!(rows.len() > 30_000, "{}", rows.len());
    assert!(rows == world.fold(&plan, 10_000).await);
}

#[tokio::test]
async fn point_lookups_can_prune() {
    let world = World::with_events(0..40_000).await;
    world.archive().await;
    let (draft, rows) = full_rows(&world, &plan(TYPED_KEYS), &limits()).await;
    let folder = world.root().join(draft.batch_view.unwrap());
    let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
    let file = files.into_iter().find(|path| path.extension().is_some_and(|e| e == "parquet")).unwrap();
    let reader = SerializedFileReader::new(std::fs::File::open(&file).unwrap()).unwrap();
    let groups = reader.metadata().row_groups();
    assert_eq!(groups.len(), rows.len().div_ceil(16 * 1024));
    for group in groups {
        for key in 0..4 {
            assert!(group.column(key).statistics().is_some() && group.column(key).bloom_filter_offset().is_some());
        }
        assert!(group.column(4).statistics().is_none(), "states are opaque");
    }
    let options = parquet::arrow::arrow_reader::ArrowReaderOptions::new()
        .with_page_index_policy(parquet::file::metadata::PageIndexPolicy::Required);
    let file = std::fs::File::open(&file).unwrap();
    let with_pages = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).unwrap();
    let pages = with_pages.metadata().offset_index().unwrap()[0][0].page_locations().len();
    assert_eq!(pages, 16);
    let log = std::fs::read_to_string(folder.join("_delta_log/00000000000000000000.json")).unwrap();
    assert!(log.contains("minValues") && log.contains("day"), "files can be skipped, too");
}

#[tokio::test]
async fn replay_writes_through_the_same_door() {
    let world = World::with_events(0..2000).await;
    for sql in ALL {
        let plan = plan(sql);
        let rows = world.fold(&plan, 500).await;
        let written = write_rows(world.root(), "v", &plan, &rows).await.unwrap();
        assert_eq!(written.rows, rows.len() as u64);
        assert_eq!(world.stored(&plan, &written.path).await.rows(), rows);
    }
    let plan = plan(WINDOWED);
    let mut rows = world.fold(&plan, 500).await;
    rows.swap(0, 1);
    let error = write_rows(world.root(), "w", &plan, &rows).await.unwrap_err();
    assert!(matches!(error, Error::Unsorted { .. }), "{error}");
    assert_eq!(std::fs::read_dir(world.root().join("views/w")).unwrap().count(), 0, "nothing is left behind");
}

/// Events as a user might send them: any text as key, doubles of every kind, bad ones in between.
fn payload() -> impl Strategy<Value = (u32, String)> {
    let x = prop_oneof![any::<i32>().prop_map(|x| format!("{x}.5")), Just("1e300".into()), Just("-1e-300".into())];
    let event =
        (0u32..3, any::<Option<String>>(), any::<i64>(), x, 0u32..200).prop_map(|(partition, k, n, x, second)| {
            let k = serde_json::to_string(&k).unwrap();
            let ts = format!("2011-10-06T10:{:02}:{:02}Z", second / 60, second % 60);
            let n = n >> 8;
            (
                partition,
                format!(
                    r#"{{"k":{k},"g":{},"n":{n},"amount":{}.25,"x":{x},"flag":null,"day":null,"ts":"{ts}"}}"#,
                    n % 3,
                    n % 999
                ),
            )
        });
    prop_oneof![9 => event, 1 => (0u32..3, Just("{}".to_owned()))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Three roads and the oracle, wherever the log is cut.
    #[test]
    fn all_roads_end_in_the_same_bytes(payloads in prop::collection::vec(payload(), 1..150), cut in 0usize..150, chunk in 1usize..50) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async {
            let world = World::new().await;
            let (before, after) = payloads.split_at(cut.min(payloads.len()));
            world.append_payloads(before.to_vec()).await;
            world.archive().await;
            let plans = [WINDOWED, GLOBAL].map(plan);
            let mut drafts = Vec::new();
            for plan in &plans {
                drafts.push(full_rows(&world, plan, &limits()).await.0);
            }
            world.append_payloads(after.to_vec()).await;
            world.archive().await;
            let snapshot = world.snapshot().await;
            for (plan, draft) in plans.iter().zip(drafts) {
                let folded = world.fold(plan, chunk).await;
                assert_eq!(full_rows(&world, plan, &limits()).await.1, folded);
                let continued = incremental(world.root(), "v", plan, &record(draft), &snapshot, &limits()).await.unwrap();
                assert_eq!(stored_rows(&world, plan, &continued.draft).await, folded);
                let groups = world.stored(plan, continued.draft.batch_view.as_ref().unwrap()).await;
                let oracle = anabranch_batch::Oracle::of_archive(plan, &snapshot, &limits()).await.unwrap();
                assert_eq!(oracle.compare(plan, &groups).unwrap(), None);
            }
        });
    }
}

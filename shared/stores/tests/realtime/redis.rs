use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use anabranch_infra::Redis;
use anabranch_model::catalog::{Catalog, ViewGenerations};
use anabranch_model::cut::CutPoint;
use anabranch_model::position::{Generation, Offset, Pane};
use anabranch_model::realtime::{Progress, RealtimeStore, Select, StoreError};
use anabranch_stores::RedisStore;
use redis::Commands;

use super::contract::{Store, advanced, row, slot};

/// One server for all tests that leave it alone.
fn url() -> String {
    static REDIS: OnceLock<Redis> = OnceLock::new();
    REDIS.get_or_init(|| Redis::start().unwrap()).url()
}

async fn in_redis() -> Store {
    let url = tokio::task::spawn_blocking(url).await.unwrap();
    Arc::new(RedisStore::connect(&url, "contract", "root").await.unwrap())
}

crate::realtime_contract!(in_redis());

async fn own_redis(settings: &'static [(&str, &str)]) -> Arc<Redis> {
    Arc::new(tokio::task::spawn_blocking(|| Redis::start_with(settings).unwrap()).await.unwrap())
}

fn connection(url: &str) -> redis::Connection {
    redis::Client::open(url).unwrap().get_connection().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flipped_byte_is_refused_by_name() {
    let store = in_redis().await;
    let slot = slot("flipped", 2);
    let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
    store.commit(&slot, &acquired, &advanced(&acquired, 1), &[row(60, b"user", b"states")]).await.unwrap();
    let pane = "anabranch:contract:root:{flipped:3:2}:pane:60";
    let mut connection = connection(&url());
    let mut value: Vec<u8> = connection.hget(pane, "user").unwrap();
    value[2] ^= 1;
    let _: () = connection.hset(pane, "user", value).unwrap();
    let errors = [
        store.read(&slot, &Select::default()).await.unwrap_err(),
        store.load(&slot, &[(Pane(60), b"user")]).await.unwrap_err(),
    ];
    for error in errors {
        assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains("view 'flipped' generation 3 partition 2") && text.contains("key user"), "{text}");
    }

    let progress = "anabranch:contract:root:{flipped:3:2}:progress";
    let _: () = connection.hset(progress, "next", 2).unwrap();
    assert!(matches!(store.progress(&slot).await.unwrap_err(), StoreError::Damaged { .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn states_of_generations_that_the_catalog_never_published_are_refused() {
    let url = tokio::task::spawn_blocking(url).await.unwrap();
    let store = RedisStore::connect(&url, "published", "one").await.unwrap();
    assert_eq!(store.generations().await.unwrap(), []);
    store.acquire(&slot("v", 0), CutPoint::default()).await.unwrap();
    let published = |last| {
        let view = ViewGenerations { last: Generation(last), ..ViewGenerations::default() };
        Catalog { views: [("v".to_owned(), view)].into(), next: 1 }
    };
    let generations = store.generations().await.unwrap();
    store.check_published(&generations, &published(3)).unwrap();
    let refused = store.check_published(&generations, &published(2)).unwrap_err();
    assert!(matches!(refused, StoreError::Foreign { .. }), "a catalog from an older backup: {refused}");
    let text = refused.to_string();
    assert!(text.contains("generation 3 of view 'v'") && text.contains("'anabranch:published:one:*'"), "{text}");
    let other = RedisStore::connect(&url, "published", "two").await.unwrap();
    assert_eq!(other.generations().await.unwrap(), []);
    assert_eq!(other.strangers().await.unwrap(), ["anabranch:published:one:{"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn projects_share_a_server_without_seeing_each_other() {
    let (one, two) = (in_redis().await, RedisStore::connect(&url(), "other", "root").await.unwrap());
    let slot = slot("shared", 0);
    one.acquire(&slot, CutPoint::default()).await.unwrap();
    assert_eq!(two.progress(&slot).await.unwrap(), None);
}

/// A storage root that is lost while Redis stays, and a second folder of the same name.
#[tokio::test(flavor = "multi_thread")]
async fn storage_roots_of_one_project_name_do_not_see_each_other_and_are_named() {
    let (one, two) = (
        RedisStore::connect(&url(), "shop[1]", "root1").await.unwrap(),
        RedisStore::connect(&url(), "shop[1]", "root2").await.unwrap(),
    );
    let slot = slot("shared", 0);
    let acquired = one.acquire(&slot, CutPoint::default()).await.unwrap();
    let moved = Progress { point: CutPoint { next: Offset(7), ..acquired.point }, ..acquired };
    one.commit(&slot, &acquired, &moved, &[]).await.unwrap();
    assert_eq!(two.progress(&slot).await.unwrap(), None);
    assert_eq!(two.acquire(&slot, CutPoint::default()).await.unwrap().point.next, Offset(0));
    assert_eq!(one.progress(&slot).await.unwrap(), Some(moved));
    assert_eq!(one.strangers().await.unwrap(), ["anabranch:shop[1]:root2:{"]);
    assert_eq!(two.strangers().await.unwrap(), ["anabranch:shop[1]:root1:{"]);
    let mut connection = redis::Client::open(url()).unwrap().get_connection().unwrap();
    let _: () = connection.hset("anabranch:shop[1]:{v:1:0}:progress", "next", 2).unwrap();
    assert_eq!(one.strangers().await.unwrap(), ["anabranch:shop[1]:root2:{", "anabranch:shop[1]:{"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_evicts_is_refused() {
    let redis = own_redis(&[("maxmemory-policy", "allkeys-lru")]).await;
    let error = RedisStore::connect(&redis.url(), "p", "root").await.err().unwrap();
    assert!(matches!(error, StoreError::Unsafe { .. }), "{error}");
    let cause = "maxmemory-policy is 'allkeys-lru', which drops state when memory is full; set it to noeviction";
    assert!(error.to_string().contains(cause), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_found_where_config_is_forbidden() {
    let redis = own_redis(&[("maxmemory-policy", "volatile-ttl")]).await;
    let mut connection = connection(&redis.url());
    let _: () = redis::cmd("ACL").arg(&["SETUSER", "default", "-config"]).query(&mut connection).unwrap();
    let error = RedisStore::connect(&redis.url(), "p", "root").await.err().unwrap();
    assert!(error.to_string().contains("maxmemory-policy is 'volatile-ttl'"), "{error}");
    let safe = own_redis(&[]).await;
    let mut connection = self::connection(&safe.url());
    let _: () = redis::cmd("ACL").arg(&["SETUSER", "default", "-config"]).query(&mut connection).unwrap();
    assert!(RedisStore::connect(&safe.url(), "p", "root").await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_memory_refuses_the_whole_commit() {
    let redis = own_redis(&[]).await;
    let store = RedisStore::connect(&redis.url(), "p", "root").await.unwrap();
    let slot = slot("v", 0);
    let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
    let committed = advanced(&acquired, 1);
    store.commit(&slot, &acquired, &committed, &[row(0, b"k", b"before")]).await.unwrap();
    let mut connection = connection(&redis.url());
    let set = |connection: &mut redis::Connection, limit: &str| {
        let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit).query(connection).unwrap();
    };
    set(&mut connection, "1");
    let after = advanced(&committed, 1);
    let error = store.commit(&slot, &committed, &after, &[row(0, b"k", b"after")]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { .. }) && error.to_string().contains("OOM"), "{error}");
    let snapshot = store.read(&slot, &Select::default()).await.unwrap().unwrap();
    assert_eq!((snapshot.progress, snapshot.rows), (committed, vec![row(0, b"k", b"before")]));
    set(&mut connection, "0");
    store.commit(&slot, &committed, &after, &[row(0, b"k", b"after")]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_replica_takes_no_commit() {
    let redis = own_redis(&[]).await;
    let store = RedisStore::connect(&redis.url(), "p", "root").await.unwrap();
    let slot = slot("v", 0);
    let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
    let mut connection = connection(&redis.url());
    let _: () = redis::cmd("REPLICAOF").arg("127.0.0.1").arg("1").query(&mut connection).unwrap();
    let error = store.commit(&slot, &acquired, &advanced(&acquired, 1), &[row(0, b"k", b"x")]).await.unwrap_err();
    assert!(matches!(&error, StoreError::Unavailable { .. }) && error.to_string().contains("READONLY"), "{error}");
    let _: () = redis::cmd("REPLICAOF").arg("NO").arg("ONE").query(&mut connection).unwrap();
    assert_eq!(store.progress(&slot).await.unwrap(), Some(acquired));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_is_unavailable_and_then_works_again() {
    // With `everysec` an acknowledged commit waits in the memory of the server while the disk is slow.
    let redis = own_redis(&[("appendfsync", "always")]).await;
    let store = RedisStore::connect(&redis.url(), "p", "root").await.unwrap();
    let slot = slot("v", 0);
    let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
    let committed = advanced(&acquired, 1);
    store.commit(&slot, &acquired, &committed, &[row(0, b"k", b"kept")]).await.unwrap();
    redis.kill().unwrap();
    let after = advanced(&committed, 1);
    let begin = Instant::now();
    for _ in 0..2 {
        let error = store.commit(&slot, &committed, &after, &[]).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
        let error = store.read(&slot, &Select::default()).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable { .. }), "{error}");
    }
    assert!(begin.elapsed() < Duration::from_secs(30));
    tokio::task::spawn_blocking({
        let redis = redis.clone();
        move || redis.restart().unwrap()
    })
    .await
    .unwrap();
    let again = store.acquire(&slot, CutPoint::default()).await.unwrap();
    assert_eq!(again.point.next, Offset(1));
    store.commit(&slot, &again, &advanced(&again, 1), &[row(0, b"k", b"new")]).await.unwrap();
    let snapshot = store.read(&slot, &Select::default()).await.unwrap().unwrap();
    assert_eq!(snapshot.rows, [row(0, b"k", b"new")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_another_kind_is_damage_and_no_success() {
    let store = in_redis().await;
    let slot = slot("wrong-kind", 0);
    let acquired = store.acquire(&slot, CutPoint::default()).await.unwrap();
    let _: () = connection(&url()).set("anabranch:contract:root:{wrong-kind:3:0}:pane:5", "not a hash").unwrap();
    let error = store.commit(&slot, &acquired, &advanced(&acquired, 1), &[row(5, b"k", b"x")]).await.unwrap_err();
    assert!(matches!(error, StoreError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn a_missing_server_is_one_clear_line_without_the_password() {
    let error = RedisStore::connect("redis://user:secret@127.0.0.1:1", "p", "root").await.err().unwrap().to_string();
    let (start, end) = ("real-time store 127.0.0.1:1 is not available: ", "; is Redis running? (see infra/README.md)");
    assert!(error.starts_with(start) && error.ends_with(end) && !error.contains('\n'), "{error}");
    assert!(!error.contains("secret"), "{error}");
    for url in [
        "no url with a secret@",
        "http://user:secret@host",
        "rediss://user:secret@host",
        "redis://user:secret@host:port",
    ] {
        let error = RedisStore::connect(url, "p", "root").await.err().unwrap().to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}

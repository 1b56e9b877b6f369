use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use anabranch_model::log::{Log, LogError};
use anabranch_model::position::{Offset, Partition};
use anabranch_stores::EmbeddedLog;
use tempfile::TempDir;

use super::contract::{Subject, at, event, events, from_row, read_until};

struct Embedded {
    log: EmbeddedLog,
    _folder: TempDir,
}

impl Subject for Embedded {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.log.clone())
    }

    async fn trim(&self, topic: &str, partition: Partition, start: Offset) {
        self.log.trim(topic, partition, start).await.unwrap();
    }
}

async fn embedded() -> Embedded {
    let folder = TempDir::new().unwrap();
    Embedded { log: EmbeddedLog::open(folder.path().join("log.redb")).unwrap(), _folder: folder }
}

crate::log_contract!(embedded());

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("new/folder/log.redb");
    {
        let log = EmbeddedLog::open(&path).unwrap();
        log.ensure_topic("a", 2).await.unwrap();
        log.ensure_topic("b", 1).await.unwrap();
        log.append("a", vec![from_row(1, "in.csv", 4), event(0, "0")]).await.unwrap();
        log.append("b", vec![event(0, "other")]).await.unwrap();
    }
    let log = EmbeddedLog::open(&path).unwrap();
    assert_eq!(log.append("a", vec![event(1, "5")]).await.unwrap(), [(Partition(1), Offset(1))]);
    let reader = log.reader("a", &at([(0, 0), (1, 0)])).await.unwrap();
    let chunks = read_until(reader, at([(0, 1), (1, 2)])).await;
    assert_eq!(events(&chunks, 1), [(0, "4".to_owned()), (1, "5".to_owned())]);
    assert_eq!(log.ingested_rows("a", "in.csv").await.unwrap()[&Partition(1)], 4);
    assert_eq!(log.ensure_topic("b", 9).await.unwrap(), 1);
}

#[tokio::test]
async fn a_reader_that_falls_behind_retention_fails() {
    let subject = embedded().await;
    subject.log.ensure_topic("t", 1).await.unwrap();
    for number in 0..10 {
        subject.log.append("t", vec![event(0, number.to_string())]).await.unwrap();
    }
    let mut reader = subject.log.reader("t", &at([(0, 0)])).await.unwrap();
    assert_eq!(reader.poll(2, std::time::Duration::ZERO).unwrap()[0].next, Offset(2));
    subject.log.trim("t", Partition(0), Offset(7)).await.unwrap();
    let error = reader.poll(2, std::time::Duration::ZERO).unwrap_err();
    assert!(matches!(error, LogError::Expired { wanted: Offset(2), start: Offset(7), .. }), "{error}");
}

const APPEND_TO: &str = "ANABRANCH_TEST_APPEND_TO";

/// The test runs itself as a second process, which appends until it is killed.
#[tokio::test]
async fn acknowledged_events_survive_a_kill_and_a_held_log_says_who_holds_it() {
    if let Ok(path) = std::env::var(APPEND_TO) {
        append_for_ever(Path::new(&path)).await;
    }
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("log.redb");
    let mut acknowledged = 0;
    for round in 0..5 {
        let mut appender = start_appender(&path);
        let mut lines = BufReader::new(appender.stdout.take().unwrap()).lines().map(Result::unwrap);
        for _ in 0..20 + round {
            acknowledged = lines.find_map(|line| line.split_once("acknowledged ")?.1.parse().ok()).unwrap();
        }
        let error = EmbeddedLog::open(&path).err().unwrap().to_string();
        assert!(error.contains(&format!("held by another process (pid {})", appender.id())), "{error}");
        appender.kill().unwrap();
        appender.wait().unwrap();

        let log = EmbeddedLog::open(&path).unwrap();
        let end = log.bounds("t").await.unwrap()[&Partition(0)].end;
        assert!(end.0 >= acknowledged && end.0 % 3 == 0, "{acknowledged} acknowledged, the end is {end}");
        let reader = log.reader("t", &at([(0, 0)])).await.unwrap();
        let read = events(&read_until(reader, at([(0, end.0)])).await, 0);
        assert!(read.iter().all(|(offset, payload)| *payload == offset.to_string()));
        assert_eq!(read.len() as u64, end.0);
        assert_eq!(log.ingested_rows("t", "input").await.unwrap()[&Partition(0)], end.0 - 1);
    }
}

fn start_appender(path: &Path) -> Child {
    let name = "log::embedded::acknowledged_events_survive_a_kill_and_a_held_log_says_who_holds_it";
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture"]).env(APPEND_TO, path).stdout(Stdio::piped());
    command.spawn().unwrap()
}

/// Three events at a time, so that half an append would show.
async fn append_for_ever(path: &Path) -> ! {
    let log = EmbeddedLog::open(path).unwrap();
    log.ensure_topic("t", 1).await.unwrap();
    let mut end = log.bounds("t").await.unwrap()[&Partition(0)].end.0;
    loop {
        log.append("t", (end..end + 3).map(|row| from_row(0, "input", row)).collect()).await.unwrap();
        end += 3;
        println!("acknowledged {end}");
    }
}

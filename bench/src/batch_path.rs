//! Rows per second of the batch recompute beside stock DataFusion on the same Parquet files.

use anabranch_batch::session::session;
use anabranch_batch::{Archive, Limits, archive_to_end, recompute};
use anabranch_stores::EmbeddedLog;
use datafusion::prelude::{DataFrame, ParquetReadOptions, SessionConfig, SessionContext};

use crate::clock::{Clock, Spent, median_and_worst};
use crate::events::{self, STOCK, TOPIC};

pub async fn measure(rows: u64, rounds: usize) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let source = events::source()?;
    let log = EmbeddedLog::open(dir.path().join("log.redb"))?;
    events::fill(&log, rows).await?;
    archive_to_end(&log, &source, dir.path(), 500_000).await?;
    let archive = Archive::open_or_create(dir.path(), &source).await?;
    let (plan, limits) = (events::plan()?, Limits::default());
    let (mut by_cpu, mut by_wall) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        let stock = stock(dir.path(), &limits).await?;
        let ours = timed(|| async {
            let session = session(&limits)?;
            Ok(recompute::full_plan(&plan, &archive.snapshot(), &session).await?)
        })
        .await?;
        anyhow::ensure!(stock.1 == ours.1, "stock finds {} groups, ours {}", stock.1, ours.1);
        let rate = |spent: Spent| rows as f64 / spent.wall;
        println!(
            "round {round}: stock {:.0} rows/s, ours {:.0} rows/s, {} groups",
            rate(stock.0),
            rate(ours.0),
            ours.1
        );
        by_cpu.push(stock.0.cpu / ours.0.cpu);
        by_wall.push(stock.0.wall / ours.0.wall);
    }
    let ((cpu, worst_cpu), (wall, worst_wall)) = (median_and_worst(by_cpu), median_and_worst(by_wall));
    println!(
        "recompute / stock: {wall:.3} per second (worst {worst_wall:.3}), {cpu:.3} per CPU-second (worst {worst_cpu:.3})"
    );
    Ok(())
}

/// Stock DataFusion with its own aggregates and with the same order by that a batch view has.
async fn stock(root: &std::path::Path, limits: &Limits) -> anyhow::Result<(Spent, usize)> {
    timed(|| async {
        let config = SessionConfig::new().with_target_partitions(limits.parallelism).with_batch_size(limits.batch_rows);
        let session = SessionContext::new_with_config(config);
        let files = root.join("archive").join(TOPIC);
        session.register_parquet(TOPIC, files.to_string_lossy(), ParquetReadOptions::default()).await?;
        Ok(session.sql(&format!("{STOCK} ORDER BY user_id, window_start")).await?)
    })
    .await
}

async fn timed<F, P>(plan: P) -> anyhow::Result<(Spent, usize)>
where
    P: FnOnce() -> F,
    F: Future<Output = anyhow::Result<DataFrame>>,
{
    let clock = Clock::start()?;
    let physical = plan().await?;
    let rows = physical.collect().await?.iter().map(|batch| batch.num_rows()).sum();
    Ok((clock.stop()?, rows))
}

//! Measurements, apart from the tests: ratios of two things done in one run, interleaved, on the
//! same bytes. Absolute figures are only printed to show what the ratios are made of.

mod aggregates;
mod batch_path;
mod clock;
mod events;
mod speed_path;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    what: What,
    /// Events in the topic or rows in the archive
    #[arg(long, global = true, default_value_t = 1_000_000)]
    events: u64,
    /// Interleaved rounds; the median is quoted
    #[arg(long, global = true, default_value_t = 5)]
    rounds: usize,
}

#[derive(Subcommand)]
enum What {
    /// The full speed path (Kafka to Redis) beside a bare librdkafka drain of the same topic
    Speed {
        /// Kafka without a topic 'clicks', for example one of `cargo run -p anabranch-infra -- up`
        #[arg(long)]
        brokers: String,
        /// Redis URL
        #[arg(long)]
        redis: String,
    },
    /// The batch recompute beside stock DataFusion on the same Parquet files
    Batch,
    /// Lift and merge of every aggregate beside DataFusion's accumulators on the same arrays
    Aggregates {
        /// Only those whose name and type contain this, for example `sum(Float64)`
        #[arg(long, default_value = "")]
        only: String,
    },
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    match args.what {
        What::Speed { brokers, redis } => speed_path::measure(&brokers, &redis, args.events, args.rounds).await,
        What::Batch => batch_path::measure(args.events, args.rounds).await,
        What::Aggregates { only } => aggregates::measure(&only).await,
    }
}

//! The command line.

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

/// A Lambda/Kappa platform: views that are both fresh and right.
#[derive(Debug, Parser)]
#[command(name = "anabranch", version = env!("ANABRANCH_VERSION"), propagate_version = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The project's folder, with anabranch.toml and views/
    #[arg(long, global = true, default_value = ".", env = "ANABRANCH_PROJECT")]
    pub project: PathBuf,
    /// Machine-readable output on stdout
    #[arg(long, global = true)]
    pub json: bool,
    /// Log lines on stderr; twice for more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Kafka bootstrap servers, instead of `[log]` in the project
    #[arg(long, global = true, env = "ANABRANCH_BROKERS")]
    pub brokers: Option<String>,
    /// Redis URL, instead of `[realtime]` in the project
    #[arg(long, global = true, env = "ANABRANCH_REDIS", hide_env_values = true)]
    pub redis: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a project to start from
    Init(InitArgs),
    /// Validate the project and print its views
    Check,
    /// List the aggregates and windows that views are made of
    Functions,
    /// Run the whole platform on bundled real data
    Demo(DemoArgs),
    /// Run everything in one process: archive, speed, the API and, with a schedule, batch
    Dev(DevArgs),
    /// Write files into the log: CSV, NDJSON or Parquet
    Ingest(IngestArgs),
    /// Copy the log into the archive
    Archive {
        /// Keep going until interrupted
        #[arg(long)]
        follow: bool,
    },
    /// Archive, recompute the Lambda views and publish their next generations
    Batch(BatchArgs),
    /// Keep the real-time views at the end of the log
    Speed,
    /// Serve merged views over REST
    Serve(ServeArgs),
    /// Kappa: rebuild a view from archive and log with the streaming fold, then swap
    Replay {
        view: String,
        /// Publish only; `promote` makes it answer
        #[arg(long)]
        no_promote: bool,
    },
    /// List a view's generations
    Generations { view: String },
    /// Let a generation take over as soon as it has caught up
    Promote { view: String, generation: u64 },
    /// Go back to the generation that answered before
    Rollback { view: String },
    /// Print merged rows
    Query(QueryArgs),
    /// Ask a SELECT over the merged views
    Sql(SqlArgs),
    /// Tell what a view runs for each event, what it stores and what it finishes when it is read
    Explain { view: String },
    /// Prove that batch, incremental batch, replay and an independent engine agree
    Verify {
        /// One view; all if left out
        view: Option<String>,
    },
    /// List the archived events for which an expression of a view has no value, with their offsets
    Failures {
        view: String,
        /// Most events to list
        #[arg(long, default_value_t = 100)]
        limit: usize,
    },
    /// Generations, offsets, lag and outcomes of every view
    Status,
    /// Look for what is wrong and say how to mend it
    Doctor,
    /// Print the completions of a shell, for example `source <(anabranch completions bash)`
    Completions { shell: Shell },
}

#[derive(Clone, Debug, Args)]
pub struct InitArgs {
    /// Folder of the project, which is made if it is not there
    pub dir: PathBuf,
    /// Infer the source and two views from this file: .csv, .ndjson, .jsonl (also with .gz) or .parquet
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
}

#[derive(Clone, Debug, Args)]
pub struct DemoArgs {
    /// Run through once, verify, and exit
    #[arg(long)]
    pub once: bool,
    /// Where to keep the demo's project and data; a run that was interrupted goes on there
    #[arg(long)]
    pub dir: Option<PathBuf>,
    /// Address of the API; port 0 takes a free one
    #[arg(long)]
    pub bind: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct ServeArgs {
    /// Address to listen on, instead of `[serving]` in the project
    #[arg(long)]
    pub bind: Option<String>,
}

#[derive(Clone, Debug, Default, Args)]
pub struct DevArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Run batch at the times of this cron expression (UTC), for example "0 2 * * *"
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct IngestArgs {
    /// Source of the project
    pub source: String,
    /// Files ending in .csv, .ndjson, .jsonl (also with .gz) or .parquet
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Leave out rows that an interrupted run of the same files has already written
    #[arg(long)]
    pub resume: bool,
}

#[derive(Clone, Debug, Default, Args)]
pub struct BatchArgs {
    /// Recompute from the whole archive, even where the previous batch view could be continued, and
    /// replace one that is damaged
    #[arg(long)]
    pub full: bool,
    /// Only this view, whatever its mode
    #[arg(long)]
    pub view: Option<String>,
    /// Publish only; `promote` makes it answer
    #[arg(long)]
    pub no_promote: bool,
    /// Run again and again at the times of this cron expression (UTC), for example "0 2 * * *"
    #[arg(long, value_name = "CRON")]
    pub schedule: Option<String>,
}

#[derive(Clone, Debug, Args)]
pub struct QueryArgs {
    pub view: String,
    /// Only rows with this key, for example country=Norway
    #[arg(long = "where", value_name = "COLUMN=VALUE")]
    pub keys: Vec<String>,
    /// Only windows that start at or after this time
    #[arg(long)]
    pub from: Option<String>,
    /// Only windows that start before this time
    #[arg(long)]
    pub to: Option<String>,
    #[arg(long, default_value_t = 1000)]
    pub limit: usize,
    /// How rows are printed; --json prints the whole answer instead
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    pub format: Format,
}

#[derive(Clone, Debug, Args)]
pub struct SqlArgs {
    /// One SELECT, for example "SELECT country, sum(sales) FROM country_sales GROUP BY country"
    pub select: String,
    /// How rows are printed; --json prints the whole answer instead
    #[arg(long, value_enum, default_value_t = Format::Table, conflicts_with = "json")]
    pub format: Format,
}

/// A form of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned columns
    Table,
    /// A header and a line a row; NULL is an empty field
    Csv,
    /// A JSON object a line
    Ndjson,
}

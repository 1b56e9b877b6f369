//! `anabranch`: the one binary that puts the layers together.

mod age;
mod api;
mod args;
mod commands;
mod coverage;
mod hold;
mod infer;
mod ingest;
mod logging;
mod output;
mod parts;
mod project;
mod shell;
mod shutdown;
mod stalls;

use std::process::ExitCode;

use anabranch_model::project::ProjectError;
use anabranch_view::expression::quiet_contained_panics;
use clap::Parser;

use crate::args::Cli;

/// Exit code for input that the user has to mend; nothing was written.
const BAD_INPUT: u8 = 2;

fn main() -> ExitCode {
    let cli = Cli::parse();
    logging::init(cli.global.verbose);
    quiet_contained_panics();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(commands::run(cli)),
        Err(error) => Err(error.into()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            let bad_input = error.is::<ProjectError>() || error.is::<commands::BadInput>();
            ExitCode::from(if bad_input { BAD_INPUT } else { 1 })
        }
    }
}

//! The commands, one file each.

mod archive;
mod batch;
mod check;
mod demo;
mod doctor;
mod explain;
mod failures;
mod functions;
mod generations;
mod ingest;
mod init;
mod query;
mod replay;
mod serve;
mod speed;
mod sql;
mod status;
mod verify;

use std::fmt;

use anabranch_model::generation;
use anabranch_model::guess::did_you_mean;
use anabranch_model::position::Generation;
use anabranch_model::project::{Project, Source};

use crate::api::Refused;
use crate::args::{Cli, Command, Global};
use crate::output::Output;
use crate::parts::Parts;
use crate::project::LoadedProject;
use clap::CommandFactory;

/// Promotes the candidate of `view` if it has caught up.
async fn promote_if_caught_up(parts: &Parts, view: &str) -> anyhow::Result<Option<Generation>> {
    generation::promote_if_caught_up(parts.catalog.as_ref(), parts.store.as_ref(), view).await
}

/// Something on the command line that the user has to mend; exit code 2.
#[derive(Debug)]
pub struct BadInput(pub String);

impl fmt::Display for BadInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadInput {}

/// Runs the command.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    let (global, output) = (&cli.global, Output { json: cli.global.json });
    match cli.command {
        Command::Init(args) => init::run(&args, output),
        Command::Check => check::run(global, output),
        Command::Functions => functions::run(output),
        Command::Demo(args) => demo::run(global, args, output).await,
        Command::Dev(args) => serve::dev(global, args).await,
        Command::Ingest(args) => ingest::run(global, args, output).await,
        Command::Archive { follow } => archive::run(global, follow, output).await,
        Command::Batch(args) => batch::run(global, args, output).await,
        Command::Speed => speed::run(global).await,
        Command::Serve(args) => serve::run(global, args).await,
        Command::Replay { view, no_promote } => replay::run(global, &view, !no_promote, output).await,
        Command::Generations { view } => generations::list(global, &view, output).await,
        Command::Promote { view, generation } => generations::promote(global, &view, generation, output).await,
        Command::Rollback { view } => generations::rollback(global, &view, output).await,
        Command::Query(args) => query::run(global, args, output).await,
        Command::Sql(args) => sql::run(global, args, output).await,
        Command::Explain { view } => explain::run(global, &view, output),
        Command::Verify { view } => verify::run(global, view.as_deref(), output).await,
        Command::Failures { view, limit } => failures::run(global, &view, limit, output).await,
        Command::Status => status::run(global, output).await,
        Command::Doctor => doctor::run(global, output).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "anabranch", &mut std::io::stdout());
            Ok(())
        }
    }
}

/// The source of this name.
fn source<'a>(project: &'a Project, name: &str) -> Result<&'a Source, BadInput> {
    project.sources.get(name).ok_or_else(|| unknown("source", name, project.sources.keys()))
}

/// Checks that the project has this view.
fn known_view(project: &Project, name: &str) -> Result<(), BadInput> {
    let found = project.views.contains_key(name);
    found.then_some(()).ok_or_else(|| unknown("view", name, project.views.keys()))
}

/// A name that nothing has, with the one that was probably meant.
fn unknown<'a>(kind: &str, name: &str, known: impl Iterator<Item = &'a String>) -> BadInput {
    let known: Vec<&str> = known.map(String::as_str).collect();
    let meant = did_you_mean(name, known.iter().copied());
    BadInput(format!("unknown {kind} '{name}'\n  help: {meant}the {kind}s are {}", known.join(", ")))
}

/// What the API has answered of a view that it does not know, with the one that was probably meant.
fn guessed(global: &Global, error: anyhow::Error) -> anyhow::Error {
    let Some(view) = error.downcast_ref::<Refused>().and_then(unknown_view) else { return error };
    match LoadedProject::load_to_go_on(global) {
        Ok(loaded) => unknown("view", view, loaded.project.views.keys()).into(),
        Err(_) => error,
    }
}

/// The view that the API does not know, if that is why it refused.
fn unknown_view(refused: &Refused) -> Option<&str> {
    let named = refused.cause.strip_prefix("there is no view '")?.strip_suffix('\'')?;
    (refused.kind == "not_found").then_some(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_view_that_is_not_there_is_guessed() {
        assert_eq!(unknown_view(&refused("not_found", "there is no view 'spent'")), Some("spent"));
        assert_eq!(unknown_view(&refused("bad_request", "there is no view 'spent'")), None);
        assert_eq!(unknown_view(&refused("not_found", "view 'spent' has no generation")), None);
    }

    fn refused(kind: &str, cause: &str) -> Refused {
        Refused { kind: kind.into(), cause: cause.into(), help: String::new() }
    }
}

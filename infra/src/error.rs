use std::io;
use std::process::ExitStatus;
use std::time::Duration;

/// Why a server is not running: where, the cause, and what to do next.
#[derive(Debug, thiserror::Error)]
pub enum InfraError {
    #[error(
        "{server}: this machine lacks it and infra/install could not get it\n{output}\nnext: run infra/install by hand"
    )]
    Unavailable { server: &'static str, output: String },

    #[error("{server}: cannot {action}: {source}\nnext: {next}")]
    Io { server: &'static str, action: String, source: io::Error, next: &'static str },

    #[error("{server}: ended before it was ready ({status})\n{log}\nnext: mend what its log says")]
    Ended { server: &'static str, status: ExitStatus, log: String },

    #[error(
        "{server}: not ready after {limit:?}\n{log}\nnext: see its log above, and whether the machine is overloaded"
    )]
    NotReady { server: &'static str, limit: Duration, log: String },
}

impl InfraError {
    /// Another process took the port between its choice and its use.
    pub(crate) fn is_port_taken(&self) -> bool {
        matches!(self, InfraError::Ended { log, .. } if log.to_lowercase().contains("address already in use"))
    }
}

pub(crate) trait Context<T> {
    fn context(self, server: &'static str, action: &str, next: &'static str) -> Result<T, InfraError>;
}

impl<T, E: Into<io::Error>> Context<T> for Result<T, E> {
    fn context(self, server: &'static str, action: &str, next: &'static str) -> Result<T, InfraError> {
        self.map_err(|source| InfraError::Io { server, action: action.to_owned(), source: source.into(), next })
    }
}

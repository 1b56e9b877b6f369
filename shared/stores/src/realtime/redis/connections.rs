//! Connections to one server.
//!
//! WATCH belongs to a connection, so a writer has one for itself from WATCH to EXEC. A connection goes back only when
//! nothing is pending on it any more; in every other case, a cancelled caller included, it is closed. Reads share one.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anabranch_model::realtime::{Slot, StoreError};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{
    AsyncConnectionConfig, Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ServerError, Value, cmd,
    pipe,
};

use crate::realtime::stored::damaged;

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const ANSWER_LIMIT: Duration = Duration::from_secs(20);
/// Idle connections that are kept.
const IDLE: usize = 16;

pub(super) struct Connections {
    at: Arc<str>,
    client: Client,
    idle: Mutex<Vec<MultiplexedConnection>>,
    shared: tokio::sync::Mutex<Option<MultiplexedConnection>>,
}

impl Connections {
    pub(super) async fn open(url: &str) -> Result<Self, StoreError> {
        let wrong = |error: RedisError| unavailable(&redacted(url), format!("its URL is wrong: {error}"));
        let client = Client::open(url).map_err(wrong)?;
        let at = client.get_connection_info().addr().to_string().into();
        let connections = Self { at, client, idle: Mutex::default(), shared: tokio::sync::Mutex::default() };
        connections.check_eviction().await?;
        Ok(connections)
    }

    async fn check_eviction(&self) -> Result<(), StoreError> {
        let policy = match self.asked_policy().await? {
            Some(policy) => policy,
            None => self.reported_policy().await?,
        };
        if policy == "noeviction" {
            return Ok(());
        }
        let cause =
            format!("maxmemory-policy is '{policy}', which drops state when memory is full; set it to noeviction");
        Err(StoreError::Unsafe { at: self.at.to_string(), cause })
    }

    /// `None` where CONFIG is forbidden, as managed servers do.
    async fn asked_policy(&self) -> Result<Option<String>, StoreError> {
        let mut ask = pipe();
        ask.cmd("CONFIG").arg("GET").arg("maxmemory-policy");
        let mut connection = self.shared().await?;
        match ask.query_async::<Vec<Vec<String>>>(&mut connection).await {
            Ok(answers) => Ok(answers.into_iter().flatten().nth(1)),
            Err(error) if error.is_io_error() => Err(self.failed(&error)),
            Err(_) => Ok(None),
        }
    }

    async fn reported_policy(&self) -> Result<String, StoreError> {
        let mut ask = pipe();
        ask.cmd("INFO").arg("memory");
        let [memory]: [String; 1] = self.read(&ask).await?;
        let policy = memory.lines().find_map(|line| line.strip_prefix("maxmemory_policy:"));
        policy.map(|policy| policy.trim().to_owned()).ok_or_else(|| self.unavailable("it hides its maxmemory-policy"))
    }

    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// Runs commands that change nothing, or the same when they are run again.
    pub(super) async fn read<T: FromRedisValue>(&self, reads: &Pipeline) -> Result<T, StoreError> {
        self.ask(reads).await?.map_err(|error| self.failed(&error))
    }

    /// Runs a transaction that changes nothing; `None` when memory is full, which refuses any transaction.
    pub(super) async fn read_at_once<T: FromRedisValue>(&self, reads: &Pipeline) -> Result<Option<T>, StoreError> {
        match self.ask(reads).await? {
            Err(error) if server_errors(&error).any(|error| error.code() == "OOM") => Ok(None),
            answer => answer.map(Some).map_err(|error| self.failed(&error)),
        }
    }

    async fn ask<T: FromRedisValue>(&self, reads: &Pipeline) -> Result<RedisResult<T>, StoreError> {
        let mut connection = self.shared().await?;
        let answer = reads.query_async(&mut connection).await;
        if answer.as_ref().is_err_and(|error| !is_answer(error)) {
            *self.shared.lock().await = None;
        }
        Ok(answer)
    }

    /// Watches `key` and asks `question` on a connection that nobody else uses.
    pub(super) async fn watch(&self, key: &str, question: Cmd) -> Result<(Watching<'_>, Value), StoreError> {
        let idle = self.idle().pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.connect().await?,
        };
        let mut start = pipe();
        start.cmd("WATCH").arg(key).ignore().add_command(question);
        match start.query_async::<[Value; 1]>(&mut connection).await {
            Ok([answer]) => Ok((Watching { connections: self, connection }, answer)),
            Err(error) => Err(self.failed_alone(&error)),
        }
    }

    async fn shared(&self) -> Result<MultiplexedConnection, StoreError> {
        let mut shared = self.shared.lock().await;
        if shared.is_none() {
            *shared = Some(self.connect().await?);
        }
        Ok(shared.clone().expect("just connected"))
    }

    async fn connect(&self) -> Result<MultiplexedConnection, StoreError> {
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_LIMIT))
            .set_response_timeout(Some(ANSWER_LIMIT));
        let connection = self.client.get_multiplexed_async_connection_with_config(&limits).await;
        connection.map_err(|error| {
            let hint = if error.is_io_error() { "; is Redis running? (see infra/README.md)" } else { "" };
            self.unavailable(format!("{error}{hint}"))
        })
    }

    /// An error on a writer's connection. After a broken one the idle ones are most likely broken as well.
    fn failed_alone(&self, error: &RedisError) -> StoreError {
        if !is_answer(error) {
            self.idle().clear();
        }
        self.failed(error)
    }

    fn failed(&self, error: &RedisError) -> StoreError {
        // Of the many errors of a transaction the first says it all.
        let answered = server_errors(error).next();
        let words = answered.map(|error| format!("{} {}", error.code(), error.details().unwrap_or_default()));
        self.unavailable(words.unwrap_or_else(|| error.to_string()))
    }

    pub(super) fn unavailable(&self, cause: impl ToString) -> StoreError {
        unavailable(&self.at, cause.to_string())
    }

    fn idle(&self) -> MutexGuard<'_, Vec<MultiplexedConnection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection with a pending WATCH; dropping it closes the connection.
pub(super) struct Watching<'a> {
    connections: &'a Connections,
    connection: MultiplexedConnection,
}

impl Watching<'_> {
    /// Runs the transaction; `false`, and nothing changed, when the watched key was changed meanwhile.
    ///
    /// An error that Redis gives at or before EXEC (no memory, read-only, loading) aborts the transaction as a whole. When
    /// the connection breaks, the outcome is unknown.
    pub(super) async fn exec(mut self, slot: &Slot, transaction: &Pipeline) -> Result<bool, StoreError> {
        debug_assert!(transaction.is_transaction());
        let skipped = transaction.len() + 1;
        let answers = self.connection.req_packed_commands(transaction, skipped, 1).await;
        let answer = answers.map_err(|error| self.connections.failed_alone(&error))?.pop();
        match answer {
            Some(Value::Nil) => self.give_back_with(false),
            Some(Value::Array(results)) => match results.into_iter().find_map(server_error) {
                None => self.give_back_with(true),
                // Redis does not take the other commands back: what is stored now is not to be trusted.
                Some(error) => Err(damaged(slot, format!("a part of a transaction failed: {error}"))),
            },
            Some(Value::ServerError(error)) => Err(self.connections.unavailable(error)),
            other => Err(self.connections.unavailable(format!("unexpected answer to EXEC: {other:?}"))),
        }
    }

    fn give_back_with(self, applied: bool) -> Result<bool, StoreError> {
        self.give_back();
        Ok(applied)
    }

    /// Gives the WATCH up.
    pub(super) async fn forget(mut self) {
        if cmd("UNWATCH").exec_async(&mut self.connection).await.is_ok() {
            self.give_back();
        }
    }

    fn give_back(self) {
        let mut idle = self.connections.idle();
        if idle.len() < IDLE {
            idle.push(self.connection);
        }
    }
}

/// Whether Redis itself said no, over a connection that works.
fn is_answer(error: &RedisError) -> bool {
    error.code().is_some()
}

fn server_errors(error: &RedisError) -> impl Iterator<Item = ServerError> {
    let errors = error.clone().into_server_errors();
    errors.into_iter().flat_map(|errors| errors.iter().map(|(_, error)| error.clone()).collect::<Vec<_>>())
}

fn server_error(value: Value) -> Option<ServerError> {
    if let Value::ServerError(error) = value { Some(error) } else { None }
}

fn unavailable(at: &str, cause: String) -> StoreError {
    StoreError::Unavailable { at: at.to_owned(), cause }
}

/// The URL without user and password.
fn redacted(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    if scheme.is_empty() { host.to_owned() } else { format!("{scheme}://{host}") }
}

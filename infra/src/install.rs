//! What `infra/install` provides, and running it when something is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::InfraError;
use crate::error::Context;

const POM: &str = include_str!("../kafka/pom.xml");

pub(crate) fn folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the Kafka jars, fetched first if need be.
pub(crate) fn kafka_jars() -> Result<PathBuf, InfraError> {
    let jars = cache()?.join(format!("kafka-{}", kafka_version()));
    provide("kafka", || jars.is_dir() && on_path("java"))?;
    Ok(jars)
}

pub(crate) fn redis_server() -> Result<(), InfraError> {
    provide("redis", || on_path("redis-server"))
}

/// `infra/install` takes a file lock, so parallel tests that find the same thing missing fetch it once.
fn provide(server: &'static str, present: impl Fn() -> bool) -> Result<(), InfraError> {
    if present() {
        return Ok(());
    }
    let output = run_install(server)?;
    if present() {
        return Ok(());
    }
    Err(InfraError::Unavailable { server, output })
}

fn run_install(server: &'static str) -> Result<String, InfraError> {
    let script = folder().join("install");
    let run = Command::new(&script).stdin(Stdio::null()).output();
    let output = run.context(server, &format!("run {}", script.display()), "see that the checkout is whole")?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(InfraError::Unavailable { server, output: text })
}

fn kafka_version() -> &'static str {
    let (_, rest) = POM.split_once("<kafka.version>").expect("the pom names a version");
    rest.split_once('<').expect("the element is closed").0
}

/// The same rule as in `infra/install`.
fn cache() -> Result<PathBuf, InfraError> {
    let own = folder_from("ANABRANCH_CACHE");
    own.or_else(|| folder_from("XDG_CACHE_HOME").map(|base| base.join("anabranch")))
        .or_else(|| folder_from("HOME").map(|home| home.join(".cache/anabranch")))
        .ok_or(env::VarError::NotPresent)
        .map_err(std::io::Error::other)
        .context("kafka", "find the cache folder", "set ANABRANCH_CACHE or HOME")
}

fn folder_from(variable: &str) -> Option<PathBuf> {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

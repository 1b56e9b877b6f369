//! What the layers log, on stderr.

use std::fmt;
use std::io::{IsTerminal, stderr};

use tracing::{Event, Level, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, SubscriberBuilder};
use tracing_subscriber::registry::LookupSpan;

/// Delta warns of a commit that another archiver was ahead of; it is tried again, and an error if that does not help.
const QUIET: &str = "warn,deltalake_core::kernel::transaction=error";

/// Log lines with `-v`, and from warnings on where nobody watches; a person at a terminal is told the
/// warnings alone. `ANABRANCH_LOG` sets the level instead, for example `info`.
pub fn init(verbose: u8) {
    let level = match verbose {
        0 => QUIET,
        1 => "info",
        _ => "debug",
    };
    let filter = EnvFilter::try_from_env("ANABRANCH_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let lines = SubscriberBuilder::default().with_env_filter(filter).with_writer(stderr);
    if verbose == 0 && stderr().is_terminal() {
        lines.event_format(Told).init();
    } else {
        lines.init();
    }
}

/// An event as errors of commands are told, without time and place in the code.
struct Told;

impl<S, N> FormatEvent<S, N> for Told
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        write!(writer, "{}: ", kind(*event.metadata().level()))?;
        context.format_fields(writer.by_ref(), event)?;
        writeln!(writer)
    }
}

fn kind(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        _ => "note",
    }
}

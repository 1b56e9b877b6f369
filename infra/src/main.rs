//! `infra up`: Kafka and Redis for development, until Ctrl-C.

use std::env;
use std::error::Error;
use std::io::{self, Write};
use std::process::ExitCode;

use anabranch_infra::{Kafka, Redis};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

const USAGE: &str = "usage: infra up [--json]
Starts Kafka and Redis on free loopback ports, prints where they are, and stops both at Ctrl-C or SIGTERM.";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["up"] => up(false),
        ["up", "--json"] => up(true),
        _ => return usage(),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&*error),
    }
}

fn up(json: bool) -> Result<(), Box<dyn Error>> {
    // Before the servers, so that a signal during their start stops them in order too.
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let redis = Redis::start()?;
    let kafka = Kafka::start()?;
    announce(&kafka, &redis, json)?;
    signals.forever().next();
    Ok(())
}

fn announce(kafka: &Kafka, redis: &Redis, json: bool) -> io::Result<()> {
    let (brokers, url) = (kafka.brokers(), redis.url());
    let mut out = io::stdout();
    if json {
        writeln!(out, r#"{{"brokers":"{brokers}","redis":"{url}"}}"#)?;
    } else {
        writeln!(out, "brokers  {brokers}\nredis    {url}")?;
        eprintln!("Ctrl-C stops both and removes their data.");
    }
    out.flush()
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::from(2)
}

fn fail(error: &dyn Error) -> ExitCode {
    eprintln!("infra: {error}");
    ExitCode::FAILURE
}

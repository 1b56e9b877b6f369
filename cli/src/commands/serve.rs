//! `anabranch serve` and `anabranch dev`.

use std::sync::Arc;

use anabranch_serving::{check_bind, listen, router};
use anabranch_speed::SpeedOptions;
use anyhow::Context;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::archive::follow_all;
use super::batch;
use crate::api;
use crate::args::{BatchArgs, DevArgs, Global, ServeArgs};
use crate::parts::Parts;
use crate::project::LoadedProject;
use crate::shutdown;

pub async fn run(global: &Global, args: ServeArgs) -> anyhow::Result<()> {
    let (mut parts, bind) = open(global, &args, "serve").await?;
    let (listener, url) = bound(&mut parts, &bind).await?;
    let (_stop, stopped) = shutdown::on_signal()?;
    eprintln!("serving {url}; Ctrl-C stops");
    Ok(anabranch_serving::serve(listener, router(api::serving(&parts)), stopped).await?)
}

/// Archive, speed layer, API and scheduled batch in one process.
pub async fn dev(global: &Global, args: DevArgs) -> anyhow::Result<()> {
    let schedule = args.schedule.as_deref().map(batch::schedule).transpose()?;
    let (mut parts, bind) = open(global, &args.serve, "dev").await?;
    let (listener, url) = bound(&mut parts, &bind).await?;
    let (stop, stopped) = shutdown::on_signal()?;
    eprintln!("everything runs; API at {url}; Ctrl-C stops");
    let parts = Arc::new(parts);
    let nightly = async {
        if let Some(schedule) = schedule {
            schedule
                .run(stopped.clone(), || async { batch::run_once(&parts, &BatchArgs::default()).await.map(|_| ()) })
                .await;
        }
    };
    let (ended, ()) = tokio::join!(run_all(parts.clone(), listener, stop, stopped.clone()), nightly);
    ended
}

async fn open(global: &Global, args: &ServeArgs, command: &str) -> anyhow::Result<(Parts, String)> {
    let loaded = LoadedProject::load_to_go_on(global)?;
    let bind = args.bind.clone().unwrap_or_else(|| loaded.project.bind.clone());
    check_bind(&bind, api::key().as_deref()).with_context(|| format!("{} is not set", api::KEY_VARIABLE))?;
    Ok((Parts::open(loaded, command).await?, bind))
}

/// Listens, and tells other commands where.
pub async fn bound(parts: &mut Parts, bind: &str) -> anyhow::Result<(TcpListener, String)> {
    let listener = listen(bind, api::key().as_deref()).await?;
    let url = format!("http://{}", listener.local_addr()?);
    if let Some(hold) = &mut parts.hold {
        hold.announce(&url)?;
    }
    Ok((listener, url))
}

/// Runs all layers until shutdown; when one fails the others are stopped, too.
pub async fn run_all(
    parts: Arc<Parts>,
    listener: TcpListener,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    let speed = async { Ok(anabranch_speed::run(parts.speed(), SpeedOptions::default(), stopped.clone()).await?) };
    let archive = follow_all(&parts, stopped.clone());
    let serve = async { Ok(anabranch_serving::serve(listener, router(api::serving(&parts)), stopped.clone()).await?) };
    let ends = |ended: anyhow::Result<()>| {
        stop.send_replace(true);
        ended
    };
    let (speed, archive, serve) =
        tokio::join!(async { ends(speed.await) }, async { ends(archive.await) }, async { ends(serve.await) },);
    speed.and(archive).and(serve)
}

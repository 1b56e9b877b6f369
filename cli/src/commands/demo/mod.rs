//! `anabranch demo`: the whole main job on bundled real data.
//!
//! Every step can be repeated: a demo that was killed goes on in the same folder and ends with the
//! same totals.

mod answers;
mod bundle;
mod figures;
mod invitation;
mod late;
mod paint;
mod section;
mod steps;
mod story;
mod tables;
mod trickle;
mod waiting;

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use serde_json::json;

use super::serve::bound;
use crate::api::{self, Api};
use crate::args::{DemoArgs, Global};
use crate::output::Output;
use crate::parts::Parts;
use crate::project::LoadedProject;
use crate::shutdown;
use steps::Steps;

/// Where the continuous demo lives unless `--dir` says otherwise.
const FOLDER: &str = "anabranch-demo";

pub async fn run(global: &Global, args: DemoArgs, output: Output) -> anyhow::Result<()> {
    // A run-through without a folder of its own leaves nothing behind.
    let temporary = (args.once && args.dir.is_none()).then(tempfile::tempdir).transpose()?;
    let dir = match (&temporary, &args.dir) {
        (Some(temporary), _) => temporary.path().to_owned(),
        (None, Some(dir)) => dir.clone(),
        (None, None) => PathBuf::from(FOLDER),
    };
    bundle::unpack(&dir).with_context(|| format!("cannot write the demo's project into {}", dir.display()))?;
    let loaded = LoadedProject::load(&Global { project: dir.clone(), ..global.clone() })?;
    let bind =
        args.bind.unwrap_or_else(|| if args.once { "127.0.0.1:0".to_owned() } else { loaded.project.bind.clone() });
    anabranch_serving::check_bind(&bind, api::key().as_deref())?;
    let mut parts = Parts::open(loaded, "demo").await?;
    let (listener, url) = bound(&mut parts, &bind).await?;
    let parts = Arc::new(parts);
    let (stop, stopped) = shutdown::on_signal()?;
    let layers = tokio::spawn(steps::layers(parts.clone(), listener, stop.clone(), stopped.clone(), args.once));
    let steps = Steps::new(parts.clone(), Api::at(url.clone()), output);
    let shown = tokio::select! {
        shown = steps.run() => shown,
        () = shutdown::asked(&stopped) => Err(anyhow::anyhow!("stopped before the demo was through")),
    };
    match shown {
        Ok(()) if !args.once => {
            tell_verified(output)?;
            eprintln!("{}", invitation::text(&url, &dir));
            trickle::until(&parts, &stopped).await?;
        }
        _ => {
            stop.send_replace(true);
        }
    }
    let ended = layers.await.context("a layer of the demo panicked")?;
    shown.and(ended)?;
    if args.once { tell_verified(output) } else { Ok(()) }
}

fn tell_verified(output: Output) -> anyhow::Result<()> {
    output.print(&json!({ "step": "end", "verified": true }), || "Verified: every road gave the same bytes.".to_owned())
}

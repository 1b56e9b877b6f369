//! `anabranch speed`: the continuous stream job.

use anabranch_speed::SpeedOptions;

use crate::args::Global;
use crate::parts::Parts;
use crate::project::LoadedProject;
use crate::shutdown;

pub async fn run(global: &Global) -> anyhow::Result<()> {
    let parts = Parts::open(LoadedProject::load_to_go_on(global)?, "speed").await?;
    let (_stop, stopped) = shutdown::on_signal()?;
    eprintln!("folding {} views; Ctrl-C stops", parts.loaded.views.len());
    Ok(anabranch_speed::run(parts.speed(), SpeedOptions::default(), stopped).await?)
}

//! Stopping: SIGINT and SIGTERM turn a watch channel true, which everything that runs looks at.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

/// A receiver that turns true when the process is asked to stop, and the sender to ask from within.
pub fn on_signal() -> anyhow::Result<(watch::Sender<bool>, watch::Receiver<bool>)> {
    let (sender, receiver) = watch::channel(false);
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = sender.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        eprintln!("stopping; again to stop at once");
        stop.send_replace(true);
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        std::process::exit(130);
    });
    Ok((sender, receiver))
}

/// Waits until stopping is asked for.
pub async fn asked(receiver: &watch::Receiver<bool>) {
    // An error means that the sender is gone, which is a shutdown, too.
    let _ = receiver.clone().wait_for(|stop| *stop).await;
}

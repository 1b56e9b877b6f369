use std::io::ErrorKind;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::auth::{BindRefused, check_bind};

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    #[error(transparent)]
    Refused(#[from] BindRefused),
    #[error("port in use: {bind} already has a listener; stop it, or choose another address")]
    InUse { bind: String },
    #[error("cannot listen on {bind}: {cause}")]
    Other { bind: String, cause: std::io::Error },
}

/// Listens on `bind`, for example `127.0.0.1:8080`, if that is safe with or without a key.
pub async fn listen(bind: &str, api_key: Option<&str>) -> Result<TcpListener, ListenError> {
    check_bind(bind, api_key)?;
    TcpListener::bind(bind).await.map_err(|cause| match cause.kind() {
        ErrorKind::AddrInUse => ListenError::InUse { bind: bind.to_owned() },
        _ => ListenError::Other { bind: bind.to_owned(), cause },
    })
}

/// Answers requests until `shutdown` turns true or its sender is gone; requests that have begun are
/// answered first.
pub async fn serve(listener: TcpListener, router: Router, mut shutdown: watch::Receiver<bool>) -> std::io::Result<()> {
    let asked = async move {
        // An error means that the sender is gone, which is a shutdown, too.
        let _ = shutdown.wait_for(|stop| *stop).await;
    };
    axum::serve(listener, router).with_graceful_shutdown(asked).await
}

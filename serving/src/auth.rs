//! Who may ask: the outermost layer of the API, and the addresses it may listen on.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use subtle::ConstantTimeEq;

use crate::failure::{Failure, Kind};
use crate::state::Serving;

/// Open to everybody, by exact path: `/healthz/`, `//healthz` or `/%68ealthz` are not.
const OPEN_PATHS: [&str; 1] = ["/healthz"];

/// Lets a request through if it is open, shows the key, or no key is configured.
pub(crate) async fn admit(State(serving): State<Arc<Serving>>, request: Request, next: Next) -> Response {
    if OPEN_PATHS.contains(&request.uri().path()) {
        return next.run(request).await;
    }
    let admitted = match &serving.parts.api_key {
        Some(key) => check_key(request.headers(), key),
        None => check_host(request.headers()),
    };
    match admitted {
        Ok(()) => next.run(request).await,
        Err(failure) => {
            serving.metrics.count("refused", failure.kind.status());
            failure.into_response()
        }
    }
}

fn check_key(headers: &HeaderMap, key: &str) -> Result<(), Failure> {
    if shows(headers, key) {
        return Ok(());
    }
    let help = "send the header 'Authorization: Bearer KEY' with the server's key";
    Err(Failure::new(Kind::Unauthorized, "the request does not show the key", help))
}

/// Without a key the API is for this machine. A page in a browser here can call it by a name of its
/// own that points at 127.0.0.1, and that name stands in the Host header.
fn check_host(headers: &HeaderMap) -> Result<(), Failure> {
    match headers.get(header::HOST).map(|host| host.to_str().is_ok_and(is_loopback)) {
        Some(false) => {
            let cause = "without a key only requests to localhost, 127.0.0.1 or [::1] are answered";
            Err(Failure::new(Kind::Unauthorized, cause, "call it by one of these names, or set a key"))
        }
        _ => Ok(()),
    }
}

/// Compares in constant time, so that the time of an answer tells nothing about the key.
fn shows(headers: &HeaderMap, key: &str) -> bool {
    let mut shown = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(shown), None) = (shown.next(), shown.next()) else { return false };
    let bytes = shown.as_bytes();
    let Some((scheme, shown)) = bytes.split_at_checked("Bearer ".len()) else { return false };
    scheme.eq_ignore_ascii_case(b"Bearer ") && bool::from(shown.ct_eq(key.as_bytes()))
}

/// An address that would open the API to everybody who can reach the machine.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("refusing to listen on {bind} without an API key: set a key, or bind 127.0.0.1")]
pub struct BindRefused {
    pub bind: String,
}

/// Refuses an address that is not loopback unless a key is configured.
pub fn check_bind(bind: &str, api_key: Option<&str>) -> Result<(), BindRefused> {
    let has_key = api_key.is_some_and(|key| !key.is_empty());
    if has_key || is_loopback(bind) { Ok(()) } else { Err(BindRefused { bind: bind.to_owned() }) }
}

fn is_loopback(bind: &str) -> bool {
    let port = bind.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    let host = port.map_or(bind, |(host, _)| host);
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_bind_needs_a_key() {
        for bind in ["127.0.0.1:8080", "127.9.9.9:0", "[::1]:8080", "localhost:8080", "localhost", "127.0.0.1", "[::1]"]
        {
            assert_eq!(check_bind(bind, None), Ok(()), "{bind}");
        }
        for bind in
            ["0.0.0.0:8080", "[::]:8080", "192.168.1.4:80", "example.org:80", "127.0.0.1.example.org:80", ":8080"]
        {
            assert!(check_bind(bind, None).is_err(), "{bind}");
            assert!(check_bind(bind, Some("")).is_err(), "{bind}");
            assert_eq!(check_bind(bind, Some("secret")), Ok(()), "{bind}");
        }
    }
}

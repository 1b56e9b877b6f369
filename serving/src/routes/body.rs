//! Request bodies.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::http::{HeaderMap, StatusCode, header};
use serde::de::DeserializeOwned;

use super::MAX_BODY_BYTES;
use crate::failure::{Failure, Kind};

/// What axum makes of a body.
pub(super) type RawBody = Result<Bytes, BytesRejection>;

/// The bytes of a body within the limit.
pub(super) fn bytes(body: RawBody) -> Result<Bytes, Failure> {
    body.map_err(|error| match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let cause = format!("the body has more than {} MiB", MAX_BODY_BYTES >> 20);
            Failure::new(Kind::TooLarge, cause, "send it in several requests")
        }
        _ => Failure::bad("the body could not be read", "send it again"),
    })
}

/// The media type without its parameters, lower case.
pub(super) fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// A body of JSON. The type is insisted on, so that a form on a foreign page cannot post here.
pub(super) fn json<T: DeserializeOwned>(headers: &HeaderMap, body: RawBody) -> Result<T, Failure> {
    if media_type(headers) != "application/json" {
        return Err(unsupported("application/json"));
    }
    serde_json::from_slice(&bytes(body)?).map_err(|error| {
        Failure::bad(format!("the body is not what this route takes: {error}"), "see docs/reference/rest.md")
    })
}

pub(super) fn unsupported(types: &str) -> Failure {
    Failure::new(Kind::UnsupportedType, "the body's content type is not supported", format!("send {types}"))
}

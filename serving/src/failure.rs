//! The one place where errors become responses.
//!
//! What stores say about themselves (addresses, paths) goes to the log of this process and never
//! to the caller.

use std::error::Error;
use std::fmt::Display;

use anabranch_algebra::StateError;
use anabranch_model::catalog::CatalogError;
use anabranch_model::log::LogError;
use anabranch_model::realtime::StoreError;
use anabranch_view::FinishViewError;
use anabranch_view::batch_view::BatchViewError;
use arrow::error::ArrowError;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use datafusion::error::DataFusionError;
use deltalake::DeltaTableError;
use parquet::errors::ParquetError;
use serde::Serialize;
use serde_json::json;

/// What kind of failure it is, which says what to do: mend the request, try again, or mend the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    BadRequest,
    Unauthorized,
    NotFound,
    MethodNotAllowed,
    /// The state of the generations does not allow it.
    Conflict,
    /// A cursor's generation was retired.
    Gone,
    TooLarge,
    UnsupportedType,
    /// A query needs more time, memory or rows than it may have.
    LimitExceeded,
    TooManyRequests,
    /// Stored states cannot be turned into this answer.
    Unanswerable,
    Internal,
    Unavailable,
}

impl Kind {
    /// The status of the response.
    pub fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict => StatusCode::CONFLICT,
            Self::Gone => StatusCode::GONE,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::LimitExceeded => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Unanswerable | Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// Why a request could not be answered, and the next step.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{cause}\n  help: {help}")]
pub struct Failure {
    pub kind: Kind,
    pub cause: String,
    pub help: String,
}

impl Failure {
    pub fn new(kind: Kind, cause: impl Into<String>, help: impl Into<String>) -> Self {
        Self { kind, cause: cause.into(), help: help.into() }
    }

    pub(crate) fn bad(cause: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Kind::BadRequest, cause, help)
    }

    /// Something here is not available; `error` is logged, not shown.
    pub(crate) fn unavailable(what: &str, error: impl Display) -> Self {
        tracing::warn!(%error, "{what} is not available");
        Self::new(Kind::Unavailable, format!("{what} is not available"), "try again; the server's log has the cause")
    }

    /// Stored bytes are not what was written; `error` is logged, not shown.
    pub(crate) fn damaged(what: &str, error: impl Display) -> Self {
        tracing::error!(%error, "{what} is damaged");
        let help = "rebuild it with `anabranch batch --full` or `anabranch replay`; the server's log has the cause";
        Self::new(Kind::Unanswerable, format!("{what} is damaged"), help)
    }

    /// A batch view could not be read: it is damaged, or what holds it cannot be reached.
    pub(crate) fn unread(error: impl Error + 'static) -> Self {
        let what = "the batch view";
        if is_damage(&error) { Self::damaged(what, error) } else { Self::unavailable(what, error) }
    }

    /// A bug, or something that is as unexpected as one.
    pub(crate) fn internal(error: impl Display) -> Self {
        tracing::error!(%error, "a request failed");
        Self::new(Kind::Internal, "the request failed inside the server", "the server's log has the cause")
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "kind": self.kind, "cause": self.cause, "help": self.help } });
        let mut response = (self.kind.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        if matches!(self.kind, Kind::Unavailable | Kind::TooManyRequests) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if self.kind == Kind::Unauthorized {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<CatalogError> for Failure {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Unavailable { .. } => Self::unavailable("the catalog", error),
            CatalogError::Damaged { .. } => Self::damaged("the catalog", error),
        }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Damaged { .. } => Self::damaged("the real-time view", error),
            other => Self::unavailable("the real-time store", other),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Damaged { .. } => Self::damaged("the log", error),
            other => Self::unavailable("the log", other),
        }
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        Self::damaged("a stored state", error)
    }
}

impl From<BatchViewError> for Failure {
    fn from(error: BatchViewError) -> Self {
        Self::damaged("the batch view", error)
    }
}

impl From<ArrowError> for Failure {
    fn from(error: ArrowError) -> Self {
        Self::internal(error)
    }
}

impl From<FinishViewError> for Failure {
    fn from(error: FinishViewError) -> Self {
        match error {
            FinishViewError::State(error) => error.into(),
            FinishViewError::Arrow(error) => error.into(),
            FinishViewError::Type(error) => Self::internal(error),
        }
    }
}

/// Failures travel through DataFusion's streams and come out as they went in.
impl From<Failure> for DataFusionError {
    fn from(failure: Failure) -> Self {
        Self::External(Box::new(failure))
    }
}

impl From<DataFusionError> for Failure {
    fn from(error: DataFusionError) -> Self {
        match carried(&error) {
            Some(failure) => failure.clone(),
            None if is_bug(&error) => Self::internal(error),
            None => Self::unread(error),
        }
    }
}

/// The failure that went into a DataFusion stream, if that is what came out.
pub(crate) fn carried(error: &DataFusionError) -> Option<&Failure> {
    causes(error).find_map(|error| error.downcast_ref())
}

/// Whether a plan of our own could not be made, which trying again will not change.
fn is_bug(error: &DataFusionError) -> bool {
    use DataFusionError::*;
    matches!(error.find_root(), Internal(_) | Plan(_) | SchemaError(..) | NotImplemented(_))
}

/// The error and what caused it, and so on.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| Error::source(*error))
}

/// Whether trying again will not help: a file of a table is gone, or its bytes are not Parquet.
fn is_damage(error: &(dyn Error + 'static)) -> bool {
    let stored = causes(error).find_map(|error| error.downcast_ref::<object_store::Error>());
    match stored {
        Some(stored) => matches!(stored, object_store::Error::NotFound { .. }),
        None => causes(error).any(|error| {
            error.is::<ParquetError>()
                || matches!(error.downcast_ref(), Some(ArrowError::ParquetError(_)))
                || matches!(error.downcast_ref(), Some(DeltaTableError::NotATable(_)))
        }),
    }
}

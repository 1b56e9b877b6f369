//! What HTTP adds: paths, parameters, bodies and limits.

mod admin;
mod body;
mod operations;
mod params;
mod rows;
mod views;
mod window;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::Uri;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

use crate::auth::admit;
use crate::failure::{Failure, Kind};
use crate::state::Serving;

const MAX_BODY_BYTES: usize = 8 << 20;

/// All routes, as metrics name them; whatever else is asked for is `unknown`.
const ROUTES: [&str; 13] = [
    "/",
    "/healthz",
    "/readyz",
    "/metrics",
    "/v1/health",
    "/v1/views",
    "/v1/views/{view}",
    "/v1/views/{view}/rows",
    "/v1/views/{view}/top",
    "/v1/views/{view}/promote",
    "/v1/views/{view}/rollback",
    "/v1/sql",
    "/v1/sources/{source}/events",
];

/// The API over `serving`.
pub fn router(serving: Serving) -> Router {
    let serving = Arc::new(serving);
    Router::new()
        .route("/", get(operations::page))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/v1/health", get(operations::health))
        .route("/v1/views", get(views::list))
        .route("/v1/views/{view}", get(views::detail))
        .route("/v1/views/{view}/rows", get(rows::rows))
        .route("/v1/views/{view}/top", get(rows::top))
        .route("/v1/views/{view}/promote", post(admin::promote))
        .route("/v1/views/{view}/rollback", post(admin::rollback))
        .route("/v1/sql", post(write::sql))
        .route("/v1/sources/{source}/events", post(write::events))
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .layer(from_fn_with_state(serving.clone(), count))
        .layer(from_fn_with_state(serving.clone(), admit))
        .with_state(serving)
}

async fn unknown_route(uri: Uri) -> Failure {
    let help = format!("the routes are {}", ROUTES.join(", "));
    Failure::new(Kind::NotFound, format!("there is no route {}", uri.path()), help)
}

async fn wrong_method(uri: Uri) -> Failure {
    let cause = format!("{} does not take this method", uri.path());
    Failure::new(Kind::MethodNotAllowed, cause, "reads are GET; /v1/sql, events, promote and rollback are POST")
}

async fn count(State(serving): State<Arc<Serving>>, request: Request, next: Next) -> Response {
    let route = route_of(request.uri().path());
    let response = next.run(request).await.into_response();
    serving.metrics.count(route, response.status());
    response
}

fn route_of(path: &str) -> &'static str {
    let matches = |route: &&str| {
        let (mut route, mut path) = (route.split('/'), path.split('/'));
        loop {
            match (route.next(), path.next()) {
                (None, None) => return true,
                (Some(route), Some(path)) if route == path || (route.starts_with('{') && !path.is_empty()) => {}
                _ => return false,
            }
        }
    };
    ROUTES.iter().find(|route| matches(route)).copied().unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::route_of;

    #[test]
    fn paths_are_counted_under_their_route() {
        assert_eq!(route_of("/v1/views/spend/rows"), "/v1/views/{view}/rows");
        assert_eq!(route_of("/v1/views"), "/v1/views");
        assert_eq!(route_of("/"), "/");
        for path in ["/v1/views/", "/v1", "//healthz", "/v1/views/a/b"] {
            assert_eq!(route_of(path), "unknown", "{path}");
        }
    }
}

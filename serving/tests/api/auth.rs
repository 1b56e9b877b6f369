//! Every route but one refuses callers who do not show the key.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};

use crate::world::World;

const KEY: &str = "open-sesame";

async fn status(world: &World, method: Method, path: &str, authorization: Option<&str>) -> StatusCode {
    let mut request = Request::builder().method(method).uri(path);
    if let Some(value) = authorization {
        request = request.header(header::AUTHORIZATION, value);
    }
    world.send(request.body(Body::empty()).unwrap()).await.0
}

#[tokio::test]
async fn every_route_but_health_refuses_anonymous_callers() {
    let world = World::with(Some(KEY), &["spend"]).await;
    let refused = [
        "/",
        "/readyz",
        "/metrics",
        "/v1/health",
        "/v1/views",
        "/v1/views/spend",
        "/v1/views/spend/rows",
        "/v1/views/spend/top",
        "/v1/views/spend/promote",
        "/v1/views/spend/rollback",
        "/v1/sql",
        "/v1/sources/transactions/events",
        "/nothing",
        // Ways around a list of open paths.
        "//healthz",
        "/healthz/",
        "/healthz/.",
        "/./healthz",
        "/%68ealthz",
        "/healthz%2f",
        "/healthz;a=b",
        "/HEALTHZ",
        "/healthz/../v1/views",
        "/healthz%2f..%2fv1%2fviews",
        "/v1/views;/healthz",
        "/v1/views?/healthz",
        "/healthz%00",
        "/healthz//",
        "http://x//healthz",
    ];
    for path in refused {
        for method in [Method::GET, Method::POST, Method::HEAD, Method::OPTIONS, Method::PUT, Method::DELETE] {
            let found = status(&world, method.clone(), path, None).await;
            assert_eq!(found, StatusCode::UNAUTHORIZED, "{method} {path}");
        }
    }
    assert_eq!(status(&world, Method::GET, "/healthz", None).await, StatusCode::OK);
    assert_eq!(status(&world, Method::GET, "/healthz?deep=1", None).await, StatusCode::OK);
}

#[tokio::test]
async fn only_the_whole_key_opens() {
    let world = World::with(Some(KEY), &["spend"]).await;
    let basic = format!("Basic {KEY}");
    let (longer, spaced) = (format!("Bearer {KEY}x"), format!("Bearer  {KEY}"));
    for wrong in ["", "Bearer", "Bearer ", KEY, "Bearer open", "Bearer OPEN-SESAME", &basic, &longer, &spaced] {
        assert_eq!(status(&world, Method::GET, "/v1/views", Some(wrong)).await, StatusCode::UNAUTHORIZED, "{wrong}");
    }
    for right in [format!("Bearer {KEY}"), format!("bearer {KEY}")] {
        assert_eq!(status(&world, Method::GET, "/v1/views", Some(&right)).await, StatusCode::OK, "{right}");
    }
    let request = Request::get("/v1/views").header(header::AUTHORIZATION, "Bearer x").body(Body::empty()).unwrap();
    let (_, answer) = world.send(request).await;
    assert_eq!(answer["error"]["kind"], "unauthorized");
    assert!(!answer.to_string().contains(KEY));
}

#[tokio::test]
async fn without_a_key_a_foreign_name_for_this_machine_is_refused() {
    let world = World::new().await;
    let status = async |path: &str, host: &str| {
        let request = Request::get(path).header(header::HOST, host).body(Body::empty()).unwrap();
        world.send(request).await.0
    };
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "localhost.evil.example:80", ""] {
        assert_eq!(status("/v1/views", host).await, StatusCode::UNAUTHORIZED, "{host}");
        assert_eq!(status("/healthz", host).await, StatusCode::OK, "{host}");
    }
    for host in ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "localhost"] {
        assert_eq!(status("/v1/views", host).await, StatusCode::OK, "{host}");
    }
}

#[tokio::test]
async fn a_busy_port_is_one_clear_line() {
    let first = anabranch_serving::listen("127.0.0.1:0", None).await.unwrap();
    let bind = first.local_addr().unwrap().to_string();
    let error = anabranch_serving::listen(&bind, None).await.unwrap_err().to_string();
    assert_eq!(error, format!("port in use: {bind} already has a listener; stop it, or choose another address"));
    let error = anabranch_serving::listen("0.0.0.0:0", None).await.unwrap_err().to_string();
    assert!(error.contains("without an API key") && !error.contains('\n'), "{error}");
}

#[tokio::test]
async fn serving_on_a_socket_stops_when_asked() {
    let world = World::new().await;
    let listener = anabranch_serving::listen("127.0.0.1:0", None).await.unwrap();
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let serving = tokio::spawn(anabranch_serving::serve(listener, world.router.clone(), stopped));
    stop.send_replace(true);
    serving.await.unwrap().unwrap();
}

//! One layer compresses the responses of an axum router, its streams included.
//!
//! ```text
//! cargo run -p proxyd-examples --bin compressed_axum
//! curl -i --compressed http://127.0.0.1:3004/page      # Content-Encoding: zstd, br or gzip
//! curl -N --compressed http://127.0.0.1:3004/events    # one event a second, each when it is there
//! ```

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Html;
use axum::routing::get;
use http_body_util::StreamBody;
use proxy_compress::{Coding, CompressConfig, CompressLayer};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3004").await?;
    axum::serve(listener, app()).await
}

fn app() -> Router {
    // The default takes zstd first; here br comes first, and all else is as it is by default.
    let codings = vec![Coding::Brotli, Coding::Zstd, Coding::Gzip];
    let compress = CompressLayer::new(CompressConfig { codings, ..CompressConfig::default() });
    Router::new()
        .route("/page", get(|| async { Html("<p>some text, again and again</p>\n".repeat(5000)) }))
        .route("/events", get(events))
        .layer(compress)
}

/// Each event is flushed as it is made: nobody waits until a block is full.
async fn events() -> ([(&'static str, &'static str); 1], Body) {
    let events = futures_util::stream::unfold(0, |n| async move {
        if n > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let event = format!("data: event number {n}\n\n").into();
        Some((Ok::<_, Infallible>(http_body::Frame::data(event)), n + 1))
    });
    ([("content-type", "text/event-stream")], Body::new(StreamBody::new(events)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::{Request, header};
    use axum::response::Response;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn get(path: &str) -> Response {
        let request = Request::get(path)
            .header(header::HOST, "a.test")
            .header(header::ACCEPT_ENCODING, "gzip, br, zstd")
            .body(Body::empty());
        app().oneshot(request.expect("a request")).await.expect("an answer")
    }

    #[tokio::test]
    async fn pages_and_streams_are_compressed() {
        let page = get("/page").await;
        assert_eq!(page.headers()[header::CONTENT_ENCODING], "br");
        let events = get("/events").await;
        assert_eq!(events.headers()[header::CONTENT_ENCODING], "br");
        // The stream has no end: the first event is there before it.
        let first = events.into_body().frame().await.expect("a frame").expect("content");
        assert!(first.into_data().is_ok_and(|data| !data.is_empty()));
    }
}

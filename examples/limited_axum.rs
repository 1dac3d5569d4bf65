//! Limits in axum: what requests may look like, how often one may ask, and how many at a time.
//!
//! ```text
//! cargo run -p proxyd-examples --bin limited_axum
//! curl -i http://127.0.0.1:3006/notes -H 'Content-Type: application/json' -d '{"text": "hello"}'
//! curl -i http://127.0.0.1:3006/notes -H 'Content-Type: application/json' -d '{"text": "a", "text": "b"}'
//! curl -i http://127.0.0.1:3006/notes -H 'Content-Type: text/plain' -d 'hello'
//! for i in 1 2 3 4 5 6 7; do curl -so /dev/null -w '%{http_code} ' http://127.0.0.1:3006/; done
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::routing::{get, post};
use http::Method;
use proxy_core::{ClientAddr, ErrorPagesLayer};
use proxy_filter::concurrency::{ConcurrencyLayer, ConcurrencyLimit};
use proxy_filter::input::{InputLayer, InputRules, JsonRules};
use proxy_filter::rate::{FindClient, Rate, RateLimit, RateLimitLayer};

/// Where axum keeps the peer's address. Behind a proxy it is that of the proxy: then ask the field
/// that it writes, and nobody else can.
fn client() -> FindClient {
    Arc::new(|head| {
        let peer = head.extensions.get::<ConnectInfo<SocketAddr>>()?;
        Some(ClientAddr::new(peer.0.ip()))
    })
}

fn app() -> Router {
    let input = InputRules {
        methods: vec![Method::GET, Method::HEAD, Method::POST],
        content_types: vec!["application/json".into()],
        content_size: Some(64 * 1024),
        target_length: Some(2048),
        utf8: true,
        json: Some(JsonRules { depth: 4, members: 20, ..JsonRules::default() }),
        ..InputRules::default()
    };
    // Five at once, then one a second; and two at a time, with four more in line.
    let rate = RateLimit::new("per-client", Rate::per_second(1)).burst(5).fields(true);
    let at_once =
        ConcurrencyLimit::new("at-once", 2).queue(4).queue_timeout(Duration::from_secs(2));
    Router::new()
        .route("/", get(|| async { "hello\n" }))
        .route("/notes", post(|note: String| async move { note }))
        .layer(InputLayer::new(input))
        .layer(ConcurrencyLayer::new(at_once.client(client())))
        .layer(RateLimitLayer::new(rate.client(client())))
        // The last one is the outermost: it writes the pages.
        .layer(ErrorPagesLayer::new("app").show_rules(true))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3006").await?;
    axum::serve(listener, app().into_make_service_with_connect_info::<SocketAddr>()).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::response::Response;
    use http::Request;
    use http::header::{CONTENT_TYPE, RETRY_AFTER};
    use tower::ServiceExt;

    fn from(last: u8) -> ConnectInfo<SocketAddr> {
        ConnectInfo(SocketAddr::from(([192, 0, 2, last], 50_000)))
    }

    async fn note(app: Router, from: ConnectInfo<SocketAddr>, kind: &str, text: &str) -> Response {
        let request = Request::post("/notes").header(CONTENT_TYPE, kind).extension(from);
        let request = request.body(Body::from(text.to_owned())).expect("a request");
        app.oneshot(request).await.expect("an answer")
    }

    #[tokio::test]
    async fn it_refuses_what_does_not_look_as_it_should() {
        for (n, (kind, text, status)) in [
            ("application/json", r#"{"text": "hello"}"#, 200),
            ("text/plain", "hello", 415),
            ("application/json", r#"{"text": "a", "text": "b"}"#, 422),
            ("application/json", "[[[[[]]]]]", 422),
            ("application/json", "[", 400),
        ]
        .into_iter()
        .enumerate()
        {
            let answer = note(app(), from(n as u8), kind, text).await;
            assert_eq!(answer.status().as_u16(), status, "{text}");
        }
    }

    #[tokio::test]
    async fn each_client_has_its_burst() {
        let app = app();
        let hello = async |from| {
            let request = Request::get("/").extension(from).body(Body::empty());
            app.clone().oneshot(request.expect("a request")).await.expect("an answer")
        };
        // More than the rate may pay for meanwhile.
        let mut refused = None;
        for _ in 0..1000 {
            let answer = hello(from(1)).await;
            if answer.status() != 200 {
                refused = Some(answer);
                break;
            }
        }
        let refused = refused.expect("a limit");
        assert_eq!(
            (refused.status().as_u16(), &refused.headers()[RETRY_AFTER]),
            (429, &"1".parse().unwrap())
        );
        assert_eq!(hello(from(2)).await.status(), 200);
    }
}

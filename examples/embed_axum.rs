//! Four of our layers around an axum router: access log, error pages, hygiene, client address.
//!
//! ```text
//! cargo run -p proxyd-examples --bin embed_axum
//! curl -i http://127.0.0.1:3001/hello/../whoami
//! curl -i --path-as-is http://127.0.0.1:3001/../secret
//! curl -i --path-as-is -H 'X-Forwarded-For: 192.0.2.7' http://127.0.0.1:3001/./whoami
//! ```
//!
//! They stand around the whole router, not in `Router::layer`, so that axum matches the path that
//! hygiene has brought to its normal form. Peers on loopback are trusted here, as a load balancer
//! on the same machine would be: the address in their `X-Forwarded-For` is the client's. Handlers ask
//! the record of the exchange, which the outermost layer makes.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router, ServiceExt};
use metrics::NoopRecorder;
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{AddressPrivacy, ClientAddrLayer, ErrorPagesLayer, Exchange, IpSet, SystemClock};
use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Registry};
use tower::{Service, ServiceBuilder};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // JSON lines on standard output, written by a thread of the log's; metrics are counted nowhere.
    let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::stdout())?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    let service = app(log);
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    axum::serve(listener, service).await
}

/// The router inside of its layers.
fn app(
    log: AccessLog,
) -> impl Service<Request, Response = Response, Error = Infallible, Future: Send> + Clone + Send {
    let registry = Registry::builder(NoopRecorder, SystemClock)
        .access_log(log)
        .peer(|own| own.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0))
        .build();
    let trusted: IpSet = ["127.0.0.0/8", "::1/128"].iter().flat_map(|net| net.parse()).collect();

    let router =
        Router::new().route("/", get(|| async { "hello\n" })).route("/whoami", get(whoami));
    // Outermost first.
    ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(ObserveLayer::new(&registry))
        .layer(ErrorPagesLayer::new("embed"))
        .layer(HygieneLayer::new(Role::Gateway, "embed"))
        .layer(ClientAddrLayer::new(trusted, AddressSource::XForwardedFor))
        .service(router)
}

/// What the client is, as the layers found it.
async fn whoami(Extension(exchange): Extension<Exchange>) -> String {
    format!("{}\n", exchange.client().view(AddressPrivacy::Full))
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;
    use tower::ServiceExt as _;

    async fn get(target: &str, peer: &str, forwarded: Option<&str>) -> (u16, String) {
        let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::sink());
        let peer: SocketAddr = peer.parse().expect("an address");
        let mut request =
            Request::get(target).header("host", "a.test").extension(ConnectInfo(peer));
        if let Some(client) = forwarded {
            request = request.header("x-forwarded-for", client);
        }
        let request = request.body(Body::empty()).expect("a request");
        let answer = app(log.expect("a log")).oneshot(request).await.expect("an answer");
        let status = answer.status().as_u16();
        let content = answer.into_body().collect().await.expect("content").to_bytes();
        (status, String::from_utf8_lossy(&content).into_owned())
    }

    #[tokio::test]
    async fn paths_are_in_normal_form_and_clients_are_known() {
        let peer = "127.0.0.1:1000";
        assert_eq!(get("/./whoami", peer, None).await, (200, "127.0.0.1\n".into()));
        assert_eq!(get("/whoami", peer, Some("192.0.2.7")).await, (200, "192.0.2.7\n".into()));
        let stranger = get("/whoami", "198.51.100.1:1000", Some("192.0.2.7")).await;
        assert_eq!(stranger, (200, "198.51.100.1\n".into()));
        assert_eq!(get("/../secret", peer, None).await.0, 400);
    }
}

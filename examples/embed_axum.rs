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
//! on the same machine would be: the address in their `X-Forwarded-For` is the client's.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router, ServiceExt};
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{
    AddressPrivacy, ClientAddr, ClientAddrLayer, Clock, ConnectionInfo, ErrorPagesLayer, IpSet,
    SystemClock,
};
use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Observer};
use proxy_server::Exchanges;
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    // JSON lines on standard output; the thread that writes them ends with `log`.
    let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::stdout())?;
    let observer = Observer::new(Arc::clone(&clock), [log.sink()]);
    let seed = getrandom::u64().map_err(|error| std::io::Error::other(error.to_string()))?;
    let exchanges = Exchanges::new(clock, seed);
    let trusted: IpSet = ["127.0.0.0/8", "::1/128"].iter().flat_map(|net| net.parse()).collect();

    let router =
        Router::new().route("/", get(|| async { "hello\n" })).route("/whoami", get(whoami));
    // Outermost first.
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .map_request(move |request| begin(&exchanges, request))
        .layer(ObserveLayer::new(observer))
        .layer(ErrorPagesLayer::new("embed"))
        .layer(HygieneLayer::new(Role::Gateway, "embed"))
        .layer(ClientAddrLayer::new(trusted, AddressSource::XForwardedFor))
        .service(router);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    axum::serve(listener, service.into_make_service_with_connect_info::<SocketAddr>()).await
}

/// What the client is, as the layers found it.
async fn whoami(Extension(client): Extension<ClientAddr>) -> String {
    format!("{}\n", client.view(AddressPrivacy::Full))
}

/// Our own server makes the record of each exchange; in another one this does.
fn begin(exchanges: &Exchanges, mut request: Request) -> Request {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let connection = ConnectionInfo {
        id: 0,
        listener: "axum".into(),
        peer: peer.map_or(ClientAddr::unknown(), |peer| ClientAddr::from(peer.0)),
        // Judged by ClientAddrLayer.
        peer_trusted: false,
        local: None,
        scheme: "http",
        tls: None,
        parent: None,
        accepted: Instant::now(),
    };
    let exchange = exchanges.begin(&Arc::new(connection), None);
    request.extensions_mut().insert(exchange);
    request
}

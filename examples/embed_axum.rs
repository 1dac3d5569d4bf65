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

use axum::body::Body;
use axum::extract::{ConnectInfo, Request};
use axum::response::Response;
use axum::routing::get;
use axum::{Extension, Router, ServiceExt};
use metrics::NoopRecorder;
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{
    AddressPrivacy, ClientAddr, ClientAddrLayer, ErrorPagesLayer, IpSet, SystemClock,
};
use proxy_observe::{AccessLog, AccessLogConfig, ObserveLayer, Registry};
use tower::ServiceBuilder;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    // JSON lines on standard output, written by a thread of the log's; metrics are counted nowhere.
    let log = AccessLog::builder(AccessLogConfig::default()).start(std::io::stdout())?;
    let registry = Registry::builder(NoopRecorder, SystemClock)
        .access_log(log)
        .peer(|own| own.get::<ConnectInfo<SocketAddr>>().map(|connected| connected.0))
        .build();
    let trusted: IpSet = ["127.0.0.0/8", "::1/128"].iter().flat_map(|net| net.parse()).collect();

    let router =
        Router::new().route("/", get(|| async { "hello\n" })).route("/whoami", get(whoami));
    // Outermost first.
    let service = ServiceBuilder::new()
        .map_response(|response: Response<_>| response.map(Body::new))
        .layer(ObserveLayer::new(&registry))
        .layer(ErrorPagesLayer::new("embed"))
        .layer(HygieneLayer::new(Role::Gateway, "embed"))
        .layer(ClientAddrLayer::new(trusted, AddressSource::XForwardedFor))
        .service(router);

    let listener = tokio::net::TcpListener::bind("127.0.0.1:3001").await?;
    let service = ServiceExt::<Request>::into_make_service_with_connect_info::<SocketAddr>(service);
    axum::serve(listener, service).await
}

/// What the client is, as the layers found it.
async fn whoami(Extension(client): Extension<ClientAddr>) -> String {
    format!("{}\n", client.view(AddressPrivacy::Full))
}

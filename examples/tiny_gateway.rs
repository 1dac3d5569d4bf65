//! A gateway out of its parts: our server in front, an upstream behind, four layers between.
//!
//! ```text
//! cargo run -p proxyd-examples --bin tiny_gateway -- 127.0.0.1:3000
//! curl -i http://127.0.0.1:8081/
//! ```
//!
//! A second argument is another address to listen on.
#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::sync::Arc;

use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{
    CatchPanicLayer, ClientAddrLayer, ErrorPagesLayer, IpSet, RescueLayer, SystemClock,
};
use proxy_server::{
    Bound, Drain, Edge, EdgeSettings, Exchanges, Limiter, ListenAddress, ListenerSettings,
    RuntimeKind, Terms, TunnelSettings, Workers, accept,
};
use proxy_upstream::dial::{DialConfig, Dialer};
use proxy_upstream::guard::{Guard, GuardConfig, OwnListeners};
use proxy_upstream::resolve::{HickoryConfig, HickoryResolver};
use proxy_upstream::{Endpoint, Upstream, UpstreamConfig};
use tower::ServiceBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let origin = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".to_owned());
    let (host, port) = origin.rsplit_once(':').ok_or("expected HOST:PORT")?;
    let endpoint = Endpoint::new(host, port.parse()?);
    let address = std::env::args().nth(2).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let bound = Bound::bind(&ListenAddress::Tcp(address.parse()?))?;
    if let Some(at) = bound.local_addr() {
        println!("try: curl -i http://{at}/");
    }

    // What is dialled: anything that is configured, but never our own listener.
    let own = OwnListeners::new(bound.local_addr());
    let guard = Guard::new(GuardConfig { own, ..GuardConfig::default() });
    let resolver = Arc::new(HickoryResolver::start(HickoryConfig::default())?);
    let dialer = Dialer::new(resolver, guard, DialConfig::default());
    let upstream = Upstream::new(UpstreamConfig::new("origin", vec![endpoint]), dialer);

    // Outermost first. RescueLayer turns what fails upstream into a response.
    let service = ServiceBuilder::new()
        .layer(ErrorPagesLayer::new("tiny"))
        .layer(CatchPanicLayer)
        .layer(HygieneLayer::new(Role::Gateway, "tiny"))
        .layer(ClientAddrLayer::new(IpSet::default(), AddressSource::XForwardedFor))
        .layer(RescueLayer)
        .service(upstream);

    let seed = getrandom::u64().map_err(|error| error.to_string())?;
    let settings = ListenerSettings {
        name: "web".into(),
        trusted: IpSet::default(),
        allow: None,
        deny: IpSet::default(),
        proxy_protocol: false,
        http1: true,
        http2: false,
        tls: None,
        edge: Arc::new(Edge {
            settings: EdgeSettings::default(),
            tunnels: TunnelSettings::default(),
            exchanges: Exchanges::new(Arc::new(SystemClock), seed),
            events: Arc::new(()),
            proxy_name: "tiny".into(),
        }),
    };
    let workers = Arc::new(Workers::start(RuntimeKind::PerCore, 2)?);
    let limiter = Limiter::new(1000, 100);
    let drain = Drain::default();
    let terms = Terms::new(Arc::new(settings), drain.clone());
    Ok(accept(bound, terms, service, workers, limiter, drain).await?)
}

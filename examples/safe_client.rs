//! An outgoing client for URLs that strangers choose (webhooks, previews): it reaches public
//! addresses only, whatever a name resolves to.
//!
//! ```text
//! cargo run -p proxyd-examples --bin safe_client -- http://example.com/
//! cargo run -p proxyd-examples --bin safe_client -- http://169.254.169.254/latest/meta-data/
//! ```
//!
//! The address that was judged is the one that is dialled, so that DNS can not change its mind
//! between the two. Redirects are not followed: whoever does judges the next URL in the same way.

#![allow(clippy::print_stdout, reason = "a program to look at")]

use std::sync::Arc;

use http::Request;
use http::header::HOST;
use http_body_util::{BodyExt, Limited};
use proxy_core::{Body, HeadLimits};
use proxy_upstream::dial::{DialConfig, Dialer};
use proxy_upstream::guard::{Guard, GuardConfig, PortPolicy};
use proxy_upstream::resolve::{HickoryConfig, HickoryResolver};
use proxy_upstream::{Destinations, ForwardProxy, ForwardTimeouts, PoolConfig};
use tower::ServiceExt;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url: http::Uri = std::env::args().nth(1).ok_or("expected a URL")?.parse()?;
    let resolver = Arc::new(HickoryResolver::start(HickoryConfig::default())?);
    let dialer = Dialer::new(resolver, Guard::new(GuardConfig::default()), DialConfig::default());
    let ports: PortPolicy = [80..=80, 8080..=8080].into_iter().collect();
    let pools = Destinations::new(PoolConfig::default(), 64);
    let client =
        ForwardProxy::new(dialer, ports, pools, ForwardTimeouts::default(), HeadLimits::default());

    let host = url.authority().ok_or("expected a URL with a host")?.as_str().to_owned();
    let request = Request::get(url).header(HOST, host).body(Body::empty())?;
    let response = client.oneshot(request).await?;
    println!("{}", response.status());
    let content = Limited::new(response.into_body(), 1 << 20).collect().await?.to_bytes();
    println!("{}", String::from_utf8_lossy(&content));
    Ok(())
}

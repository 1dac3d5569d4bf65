//! What a rehearsal ends in: the request as it would have left, and where to.

use std::net::SocketAddr;
use std::sync::Arc;

use http::{HeaderMap, Method, Request};

use super::Exchange;

/// A request that would have been sent, were its exchange no
/// [rehearsal](Exchange::set_rehearsal).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Sending {
    /// The upstream's name in the configuration; none for destinations that clients choose.
    pub upstream: Option<Arc<str>>,
    /// The host that would be dialled.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The addresses of it that may be dialled, as far as they are known without asking DNS.
    pub addresses: Vec<SocketAddr>,
    /// The parent proxy through which that would be, if any.
    pub parent: Option<Arc<str>>,
    /// Which of its servers, and why, where it is several.
    pub parent_choice: Option<String>,
    /// The socket in the file system that would be connected to instead, if any.
    pub socket: Option<Arc<str>>,
    /// What would be spoken: `h1`, `h2`, or `tunnel` where that is the client's affair.
    pub protocol: &'static str,
    /// Whether that would be over TLS.
    pub secure: bool,
    /// Whose `Host` is sent: `client`, `upstream` or `fixed`.
    pub host_policy: &'static str,
    /// How the endpoint was chosen, where there are several.
    pub choice: Option<String>,
    /// The method.
    pub method: Method,
    /// The target as it would be sent.
    pub target: String,
    /// The fields as they would be sent.
    pub fields: HeaderMap,
}

impl Sending {
    /// This request to this host and port, over HTTP/1.1, with the client's `Host`.
    pub fn new<B>(request: &Request<B>, host: &str, port: u16) -> Self {
        Self {
            upstream: None,
            host: host.to_owned(),
            port,
            addresses: Vec::new(),
            parent: None,
            parent_choice: None,
            socket: None,
            protocol: "h1",
            secure: false,
            host_policy: "client",
            choice: None,
            method: request.method().clone(),
            target: request.uri().to_string(),
            fields: request.headers().clone(),
        }
    }

    /// Writes it into the record. The last one stays.
    pub fn record(self, exchange: &Exchange) {
        exchange.insert(self);
    }
}

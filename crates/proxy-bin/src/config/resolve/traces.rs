//! Traces: the collector's address.

use http::Uri;
use proxy_observe::traces::ParentSampling;

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::{Config, TraceParent};
use crate::config::resolved::Traces;

impl Resolver<'_> {
    pub(super) fn traces(&mut self, config: &Config) -> Option<Traces> {
        let raw = config.traces.as_ref()?;
        let path = KeyPath::of("traces");
        let interval = self.period(&path.key("interval"), raw.interval);
        let timeout = self.period(&path.key("timeout"), raw.timeout);
        let (endpoint, host, port) = self.take(&path.key("endpoint"), endpoint(&raw.endpoint))?;
        Some(Traces {
            endpoint,
            host,
            port,
            share: raw.sample.fraction(),
            parent: match raw.parent {
                TraceParent::Trusted => ParentSampling::Trusted,
                TraceParent::Always => ParentSampling::Always,
                TraceParent::Never => ParentSampling::Never,
            },
            service: raw.service_name.as_str().into(),
            interval,
            timeout,
            queue: usize::try_from(raw.queue).unwrap_or(usize::MAX),
        })
    }
}

/// The URL, its host without brackets, and its port.
fn endpoint(text: &str) -> Result<(Uri, String, u16), String> {
    let expected = || "expected a URL such as `http://127.0.0.1:4318/v1/traces`".to_owned();
    let uri: Uri = text.parse().map_err(|_| expected())?;
    let is_http = uri.scheme_str() == Some("http");
    let authority = uri.authority().filter(|_| is_http).ok_or_else(expected)?;
    let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
    if host.is_empty() || authority.as_str().contains('@') {
        return Err(expected());
    }
    let port = authority.port_u16().unwrap_or(80);
    Ok((uri, host, port))
}

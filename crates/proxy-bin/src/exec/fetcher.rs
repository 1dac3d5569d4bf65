//! Fetches what URLs of parameters name: behind the guard, as a client of a forward proxy would.

use std::future::ready;
use std::sync::Arc;

use http::header::{ACCEPT, ACCEPT_ENCODING, HOST, HeaderValue, USER_AGENT, VIA};
use http::uri::Scheme;
use http::{Request, Uri};
use proxy_core::{
    Body, ErrorKind, Exchange, FoundName, HeadLimits, NamePolicy, NameSource, ProxyError,
};
use proxy_exec::fetch::{Fetcher, Fetching};
use proxy_upstream::dial::Dialer;
use proxy_upstream::dial::parent::Parent;
use proxy_upstream::guard::{Guard, GuardConfig};
use proxy_upstream::{Destinations, ForwardProxy, ForwardTimeouts, PoolConfig};
use tower_service::Service as _;

use crate::compose::{Resources, dial_config};
use crate::config::resolved::{ExecFetch, Ports};

/// Hosts to which connections are kept.
const DESTINATIONS: usize = 256;

/// Fetches by GET, over HTTP/1.1 or HTTP/2, what the guard permits and no list of names blocks.
pub(super) struct GuardedFetcher {
    plain: ForwardProxy,
    secure: ForwardProxy,
    names: Option<Arc<dyn NamePolicy>>,
    /// By it a URL that leads back to the proxy, by whatever way, is a loop.
    via: Option<HeaderValue>,
}

impl GuardedFetcher {
    pub(super) fn new(
        own: &ExecFetch,
        parent: Option<Parent>,
        ports: &Ports,
        names: Option<Arc<dyn NamePolicy>>,
        resources: &Resources,
    ) -> Self {
        let guard = Guard::new(GuardConfig {
            waived_networks: own.allow_networks.clone(),
            waived_names: own.allow_names.iter().cloned().collect(),
            own: resources.own.clone(),
            ..GuardConfig::default()
        });
        let mut dialer = Dialer::new(Arc::clone(&resources.resolver), guard, dial_config());
        if let Some(names) = &names {
            dialer = dialer.with_name_policy(Arc::clone(names));
        }
        if let Some(parent) = parent {
            dialer = dialer.with_parent(parent);
        }
        let proxy = || {
            ForwardProxy::new(
                dialer.clone(),
                ports.ranges().iter().cloned().collect(),
                // Its own: connections that others may open are not for it.
                Destinations::new(PoolConfig::of_many(), DESTINATIONS),
                ForwardTimeouts::default(),
                HeadLimits::default(),
            )
        };
        Self {
            plain: proxy(),
            secure: proxy().secure(own.tls.clone()),
            names,
            via: HeaderValue::from_str(&format!("1.1 {}", resources.via_name)).ok(),
        }
    }

    /// The name itself; what it is an alias of is judged once it is resolved.
    fn judge(&self, url: &Uri, exchange: Option<&Exchange>) -> Result<(), ProxyError> {
        let (Some(policy), Some(host)) = (&self.names, url.host()) else { return Ok(()) };
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let found = FoundName::new(&host, url.port_u16().unwrap_or(0), NameSource::Alias);
        for finding in policy.judge_name(&found, exchange) {
            if let Some(exchange) = exchange {
                exchange.decide(finding.decision("exec"));
            }
            if finding.enforced {
                return Err(ProxyError::new(ErrorKind::HttpRequestDenied).detail(finding.reason));
            }
        }
        Ok(())
    }
}

impl Fetcher for GuardedFetcher {
    fn fetch(&self, url: Uri, exchange: Option<&Exchange>) -> Fetching {
        if let Err(error) = self.judge(&url, exchange) {
            return Box::pin(ready(Err(error)));
        }
        let is_secure = url.scheme() == Some(&Scheme::HTTPS);
        let mut proxy = if is_secure { self.secure.clone() } else { self.plain.clone() };
        let host = url.authority().and_then(|own| HeaderValue::from_str(own.as_str()).ok());
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = url;
        let fields = request.headers_mut();
        fields.extend(host.map(|host| (HOST, host)));
        fields.extend(self.via.clone().map(|via| (VIA, via)));
        fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields.insert(USER_AGENT, HeaderValue::from_static("proxyd"));
        if let Some(exchange) = exchange {
            request.extensions_mut().insert(exchange.clone());
        }
        Box::pin(proxy.call(request))
    }
}

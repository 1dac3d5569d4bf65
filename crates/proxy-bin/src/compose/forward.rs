//! The forward role: in front of its clients, and again inside of the tunnels that are opened.

use std::sync::Arc;

use proxy_core::HeadLimits;
use proxy_filter::tunnel::TunnelRules;
use proxy_observe::traces::SpanLayer;
use proxy_server::Limiter;
use proxy_server::intercept::Inside;
use proxy_server::tls::TlsOptions;
use proxy_upstream::dial::Dialer;
use proxy_upstream::guard::{Guard, GuardConfig, PortPolicy};
use proxy_upstream::{Destinations, ForwardProxy};

use super::{
    InsideOf, NO_ROUTE, Parents, Resources, access, around_route, before_dispatch, dial_config,
    forward_timeouts, front, listener_settings, parent,
};
use crate::cache::{CacheRole, Caches, MaybeCached};
use crate::config::raw;
use crate::config::resolved::{Intercept, Listener, Resolved, Tunnel};
use crate::filter::Filters;
use crate::forward::{ForwardDispatch, ForwardRole, Tunnels};
use crate::inspection::Inspection;
use crate::intercept::{InsideOfTunnels, Interceptor, NoWayAround};
use crate::live::Slot;
use crate::miss_limited::MissLimited;
use crate::names::Names;
use crate::request_limits::RequestLimits;
use crate::stack::MaybeStacked;
use crate::states::States;

/// What the role of a listener is made of.
pub(super) struct ForwardParts<'a> {
    pub(super) config: &'a Resolved,
    pub(super) listener: &'a Listener,
    pub(super) resources: &'a Resources,
    pub(super) caches: &'a mut Caches,
    pub(super) filters: &'a Filters,
    pub(super) limits: &'a RequestLimits,
    pub(super) destinations: &'a Destinations,
    pub(super) parents: &'a Parents,
    pub(super) states: &'a mut States,
}

impl ForwardParts<'_> {
    /// The role of a listener, with what opens the tunnels of its clients.
    pub(super) fn role(&mut self) -> (ForwardRole, Option<InsideOf>) {
        let Self { config, listener, resources, .. } = *self;
        let Some(own) = &config.forward.intercept else {
            return (forward_place(self, Place::Outside(None)), None);
        };
        let inside = front(config, listener, resources, forward_place(self, Place::Inside(own)));
        let make = || (Slot::new(inside.clone()), resources.drain.part());
        let (slot, drain) = self.states.keep(&listener.name, String::new(), make);
        let settings = listener_settings(config, listener, resources);
        let opened = Box::new(Inside::new(settings, drain.clone(), slot.live()));
        let role = forward_place(self, Place::Outside(Some((own, opened))));
        (role, Some(InsideOf { listener: listener.name.clone(), service: inside, slot, drain }))
    }
}

/// Where a forward role stands.
enum Place<'a> {
    /// In front of clients; what opens their tunnels, where any are.
    Outside(Option<(&'a Intercept, Box<InsideOfTunnels>)>),
    /// Inside of a tunnel that was opened.
    Inside(&'a Intercept),
}

fn forward_place(parts: &mut ForwardParts<'_>, place: Place<'_>) -> ForwardRole {
    let ForwardParts { config, listener, resources, filters, limits, parents, .. } = *parts;
    let forward = &config.forward;
    let guard = Guard::new(GuardConfig {
        allow_private: forward.allow_private_destinations,
        waived_networks: forward.allow_networks.clone(),
        waived_names: forward.allow_names.iter().cloned().collect(),
        own: resources.own.clone(),
        report_only: forward.guard == raw::Mode::Report,
    });
    let names = Names::of(filters);
    let mut dialer = Dialer::new(Arc::clone(&resources.resolver), guard, dial_config());
    if let Some(aliases) = names.of_aliases() {
        dialer = dialer.with_name_policy(aliases);
    }
    if let Some(parent) = parent(parents, forward.parent.as_deref()) {
        dialer = dialer.with_parent(parent);
    }
    let timeouts = forward_timeouts(&forward.timeouts);
    let ports = |ports: &crate::config::resolved::Ports| -> PortPolicy {
        ports.ranges().iter().cloned().collect()
    };
    let is_outside = matches!(place, Place::Outside(_));
    let http_ports = if is_outside { &forward.http_ports } else { &forward.connect_ports };
    let mut proxy = ForwardProxy::new(
        dialer.clone(),
        ports(http_ports),
        parts.destinations.clone(),
        timeouts,
        HeadLimits::default(),
    );
    let most = (listener.limits.tunnels, listener.limits.tunnels_per_client);
    let name = format!("{} {is_outside}", listener.name);
    let limiter = parts.states.keep(&name, format!("{most:?}"), || Limiter::new(most.0, most.1));
    let mut rules = tunnel_rules(&forward.tunnel, &names);
    if let Some(own) = &forward.intercept {
        rules = rules.names(Arc::new(NoWayAround(own.clone())));
    }
    let mut tunnels =
        Tunnels::new(dialer.clone(), ports(&forward.connect_ports), limiter, timeouts.connect)
            .severed_by(resources.severing.clone())
            .beginning_by(rules, forward.tunnel.limits)
            .paced_by(limits.of_tunnels());
    let mut is_stored = true;
    match place {
        Place::Outside(None) => {}
        Place::Outside(Some((own, inside))) => {
            let mut own = own.clone();
            own.minter = own.minter.with_options(handshakes(config, listener));
            let tls = own.tls.clone();
            let interceptor = Interceptor::new(own, *inside, dialer, tls);
            tunnels = tunnels.intercepted_by(interceptor);
        }
        Place::Inside(own) => {
            proxy = proxy.secure(own.tls.clone());
            is_stored = own.cache;
        }
    }
    // Who may use a forward proxy does not change what an origin server answers: `allow_clients`
    // makes nothing personal here. What clients send of themselves the layer judges by the request;
    // their credentials for us it does not see.
    let asks = listener.tls.as_ref().is_some_and(|tls| tls.files.clients.is_some());
    let personal = listener.credentials.is_some() || asks;
    let cache = forward.cache.as_ref().filter(|_| is_stored).and_then(|policy| {
        let coding = forward.compress.as_ref();
        let ForwardParts { caches, states, .. } = parts;
        caches.layer(policy, &CacheRole::Forward, personal, coding, resources, states)
    });
    let proxy = MissLimited::new(proxy, limits.misses().as_ref());
    let proxy = MaybeStacked::new(MaybeCached::new(proxy, cache.as_ref()));
    let span = cache.and_then(|_| resources.spans().name("cache")).map(SpanLayer::new);
    let proxy = proxy.wrap(span);
    let inspect = Inspection::new(forward.inspect.as_ref(), resources.recorder.as_ref(), NO_ROUTE);
    let compress = forward.compress.as_ref();
    let extensions = &config.extensions;
    let proxy = around_route(proxy, inspect, compress, &CacheRole::Forward, resources, extensions);
    let dispatch = ForwardDispatch::new(proxy, tunnels, listener.limits.body);
    let filter = filters.layer(listener);
    let filtered = before_dispatch(MaybeStacked::new(dispatch), config, filter, limits, resources);
    ForwardRole::new(access(listener), filtered)
}

/// How handshakes inside of tunnels are done: as those of the listener, where it speaks TLS itself.
fn handshakes(config: &Resolved, listener: &Listener) -> TlsOptions {
    let protocols = TlsOptions::default().protocols;
    match &listener.tls {
        Some(own) => TlsOptions { protocols, ..own.edge.options().clone() },
        None => TlsOptions { timeout: config.server.timeouts.handshake, ..TlsOptions::default() },
    }
}

fn tunnel_rules(tunnel: &Tunnel, names: &Names) -> TunnelRules {
    let ports = tunnel.require_tls_ports.ranges().iter().cloned();
    let mut rules = TunnelRules::new().require_tls(ports);
    if tunnel.sni != raw::ServerNames::Off {
        rules = names.of_servers().into_iter().fold(rules, TunnelRules::names);
    }
    if tunnel.sni == raw::ServerNames::Match {
        rules = rules.match_host();
    }
    if tunnel.encrypted_hello == raw::EncryptedHello::Refuse {
        rules = rules.refuse_encrypted_hello();
    }
    if tunnel.on_silence == raw::OnSilence::Refuse {
        rules = rules.refuse_silent();
    }
    if tunnel.mode == raw::Mode::Report {
        rules = rules.report_only();
    }
    rules
}

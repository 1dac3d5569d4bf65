//! The filter of a configuration: which policies stand before the dispatch of a listener.
//!
//! In the order of `docs/layer-order.md`: the ports of the forward role, lists of names, rules.
//! (The clients of listener and route are judged before, by the role itself; the guard judges the
//! address, when it is dialled, whatever is said here.)

mod passwords;

use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use proxy_core::{Clock, ParentTunnel, Refusal, SystemClock};
use proxy_filter::credentials::{Admitted, Asks};
use proxy_filter::domains::{DomainLists, DomainPolicy};
use proxy_filter::rate::RateLimiter;
use proxy_filter::rules::{Resources as RuleResources, Rules};
use proxy_filter::{Asked, FilterLayer, Limit, Policies, Policy, Verdict, policy};
use proxy_upstream::guard::PortPolicy;

use crate::config::raw::Role;
use crate::config::resolved::{Listener, Resolved};
use crate::request_limits::RequestLimits;

use passwords::Passwords;

/// The policies of a configuration. All listeners share them.
pub struct Filters {
    domains: Option<Arc<DomainPolicy>>,
    forward_domains: Option<Arc<DomainPolicy>>,
    rules: Option<Arc<dyn Policy>>,
    passwords: Passwords,
    route_users: Arc<HashMap<String, Arc<Admitted>>>,
    connect_ports: Arc<PortPolicy>,
    http_ports: Arc<PortPolicy>,
    /// Whether limits or inspection stand between here and the forward role.
    more_follows: bool,
}

impl Filters {
    /// The policies that a configuration asks for.
    pub fn new(config: &Resolved, limits: &RequestLimits) -> Self {
        let own = &config.filter;
        let domains = |lists: &DomainLists| {
            (!lists.is_empty()).then(|| Arc::new(DomainPolicy::new(lists.clone())))
        };
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        // What can not be compiled was an error of the configuration; it does not open the door.
        let mut resources = RuleResources::new(clock);
        for limit in limits.rates() {
            let id = limit.id().to_string();
            let limit: Arc<dyn Limit> = Arc::<RateLimiter>::clone(limit);
            resources.limits.insert(id, limit);
        }
        let rules = Rules::compile(&own.rules, &resources);
        let rules = rules.unwrap_or_else(|_| Rules::default().deny_by_default());
        let rules = if own.deny_by_default { rules.deny_by_default() } else { rules };
        let ports = |ports: &crate::config::resolved::Ports| -> Arc<PortPolicy> {
            Arc::new(ports.ranges().iter().cloned().collect())
        };
        let more_follows = !config.rate_limits.is_empty()
            || !config.concurrency_limits.is_empty()
            || config.input.is_some()
            || config.forward.inspect.is_some();
        Self {
            more_follows,
            domains: domains(&own.lists),
            forward_domains: domains(&own.forward_lists),
            rules: (!rules.is_empty()).then(|| Arc::new(rules) as Arc<dyn Policy>),
            passwords: Passwords::new(config),
            route_users: Arc::new(route_users(config)),
            connect_ports: ports(&config.forward.connect_ports),
            http_ports: ports(&config.forward.http_ports),
        }
    }

    /// The layer before the dispatch of a listener; none where nothing is asked for.
    pub fn layer(&self, listener: &Listener) -> Option<FilterLayer> {
        let mut policies = Policies::new();
        if let Some(domains) = self.names(listener.role) {
            policies = policies.then_shared(domains);
        }
        if let Some(rules) = &self.rules {
            policies = policies.then_shared(Arc::clone(rules));
        }
        let credentials = self.credentials(listener);
        let ports_first = self.more_follows && listener.role == Role::Forward;
        if policies.is_empty() && credentials.is_none() && !ports_first {
            return None;
        }
        // The role judges ports too, but only behind all that stands here and follows.
        let policies = match listener.role {
            Role::Forward => Policies::new().then(self.ports()).then_all(policies),
            Role::Gateway => policies,
        };
        let policies = match credentials {
            Some(credentials) => Policies::new().then_shared(credentials).then_all(policies),
            None => policies,
        };
        Some(FilterLayer::new(policies))
    }

    /// The lists of a role, for names that turn up on the way.
    pub fn names(&self, role: Role) -> Option<Arc<DomainPolicy>> {
        match role {
            Role::Gateway => self.domains.clone(),
            Role::Forward => self.forward_domains.clone(),
        }
    }

    /// The rules, where there are any.
    pub fn rules(&self) -> Option<Arc<dyn Policy>> {
        self.rules.clone()
    }

    /// On a forward listener all need credentials, on a gateway those on routes with users.
    fn credentials(&self, listener: &Listener) -> Option<Arc<dyn Policy>> {
        let own = listener.credentials.as_ref()?;
        Some(match listener.role {
            Role::Forward => {
                let credentials = self.passwords.credentials(own, Asks::Proxy);
                let admitted = Arc::new(Admitted::Any);
                Arc::new(policy(move |asked| match parent(asked) {
                    // The user of a tunnel was asked for when it was opened.
                    Some(parent) => {
                        parent.user.iter().cloned().for_each(|user| asked.set_user(user));
                        Verdict::Allow
                    }
                    None => credentials.judge(asked, &admitted),
                })) as Arc<dyn Policy>
            }
            Role::Gateway if self.route_users.is_empty() => return None,
            Role::Gateway => {
                let credentials = self.passwords.credentials(own, Asks::Origin);
                let routes = Arc::clone(&self.route_users);
                Arc::new(policy(move |asked| {
                    match asked.route().and_then(|route| routes.get(route)) {
                        Some(admitted) => credentials.judge(asked, admitted),
                        None => Verdict::Allow,
                    }
                }))
            }
        })
    }

    fn ports(&self) -> impl Policy + use<> {
        let (connect, http) = (Arc::clone(&self.connect_ports), Arc::clone(&self.http_ports));
        policy(move |asked| {
            let tunnelled = *asked.method() == Method::CONNECT || parent(asked).is_some();
            let ports = if tunnelled { &connect } else { &http };
            match ports.judge(asked.port()) {
                Ok(()) => Verdict::Allow,
                Err(prohibited) => Refusal::from_error(&prohibited.into()).into(),
            }
        })
    }
}

/// The tunnel inside of which a request was found.
fn parent<'a>(asked: &Asked<'a>) -> Option<&'a ParentTunnel> {
    asked.exchange()?.connection().parent.as_deref()
}

/// The users of the routes that ask for some.
fn route_users(config: &Resolved) -> HashMap<String, Arc<Admitted>> {
    let users = |route: &crate::config::resolved::Route| {
        let users = route.users.as_ref()?;
        Some((route.name.clone(), Arc::new(Admitted::of(users))))
    };
    config.routes.iter().filter_map(users).collect()
}

impl std::fmt::Debug for Filters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Filters").field("domains", &self.domains).finish_non_exhaustive()
    }
}

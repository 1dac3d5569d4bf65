//! Policies that judge requests, asked about the server name in a tunnel.

use std::sync::Arc;

use http::{Method, Request, Uri};
use proxy_core::{
    Exchange, Finding, FoundName, NamePolicy, NameSource, RequestHead, ServerName, Tags,
    Verdict as Recorded,
};

use crate::asked::Asked;
use crate::policy::{Policy, Verdict};
use crate::rules::Connected;

/// Asks a policy, such as [`Rules`](crate::Rules), what it would say had CONNECT named the server
/// that the ClientHello names: same client, user, listener and tags. Nothing is counted a second
/// time. Where [`Rules`](crate::Rules) let the CONNECT pass, the fields of it that they look at are
/// there as well, and a server name that is the host of CONNECT is not asked about again; behind
/// another policy the request has no fields. Aliases it lets pass.
pub struct ServerNamesBy {
    policy: Arc<dyn Policy>,
}

impl ServerNamesBy {
    /// Asks this policy.
    pub const fn new(policy: Arc<dyn Policy>) -> Self {
        Self { policy }
    }
}

impl std::fmt::Debug for ServerNamesBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ServerNamesBy")
    }
}

impl NamePolicy for ServerNamesBy {
    fn judge_name(&self, found: &FoundName<'_>, exchange: Option<&Exchange>) -> Vec<Finding> {
        if found.source != NameSource::ServerName {
            return Vec::new();
        }
        let connected = exchange.and_then(Exchange::get::<Connected>);
        if connected.as_ref().is_some_and(|own| own.is_for(found.name, found.port)) {
            return Vec::new();
        }
        let Ok(target) = format!("{}:{}", found.name, found.port).parse::<Uri>() else {
            // No name that a rule could permit.
            return vec![Finding::refuse("filter", "host_malformed")];
        };
        let mut request = Request::new(());
        (*request.method_mut(), *request.uri_mut()) = (Method::CONNECT, target);
        request.extensions_mut().insert(ServerName(found.name.into()));
        if let Some(connected) = connected {
            request.headers_mut().clone_from(connected.fields());
        }
        let rehearsal = exchange.map(rehearse);
        if let Some(rehearsal) = &rehearsal {
            rehearsal.insert(ServerName(found.name.into()));
            request.extensions_mut().insert(rehearsal.clone());
        }
        let verdict = self.policy.judge(&Asked::new(RequestHead::of(&request)).again());
        let mut findings = Vec::new();
        if let Some(rehearsal) = rehearsal {
            rehearsal.with_decisions(|decisions| {
                let reported = decisions.iter().filter(|d| d.verdict == Recorded::Report);
                findings.extend(reported.map(|decision| {
                    let rule = decision.rule.clone().unwrap_or_else(|| "filter".into());
                    Finding::report(rule, "server_name_denied")
                }));
            });
        }
        let refused = match verdict {
            Verdict::Allow => None,
            Verdict::Deny(refusal) | Verdict::Challenge(refusal) => Some(refusal.rule_id),
            // There is no request to send elsewhere: what may not go there is refused.
            Verdict::Redirect(to) => Some(to.rule),
            // A policy that can not say it now denies.
            Verdict::Defer(_) => Some(None),
        };
        findings.extend(refused.map(|rule| {
            Finding::refuse(rule.unwrap_or_else(|| "filter".into()), "server_name_denied")
        }));
        findings
    }
}

/// A record of its own, of which nothing is seen, with what is known of the request.
fn rehearse(exchange: &Exchange) -> Exchange {
    let connection = Arc::clone(exchange.connection());
    let (started, wall) = (exchange.started(), exchange.started_wall());
    let rehearsal = Exchange::new(0, connection, started, wall, None);
    rehearsal.set_rehearsal();
    rehearsal.set_client(exchange.client());
    if let Some(route) = exchange.route() {
        rehearsal.set_route(Arc::clone(route));
    }
    if let Some(user) = exchange.user() {
        rehearsal.set_user(Arc::clone(user));
    }
    if let Some(tags) = exchange.get::<Tags>() {
        rehearsal.insert(tags);
    }
    rehearsal
}

//! The class of a request, as its route has it.

use http::Request;
use proxy_core::{Body, Decision, Exchange, Verdict};
use proxy_upstream::priority::PriorityRules;

/// Gives a request its class, and writes it into the record.
pub(super) fn mark(
    rules: &PriorityRules,
    request: &mut Request<Body>,
    exchange: Option<&Exchange>,
) {
    let trusted = exchange.is_some_and(|exchange| exchange.connection().peer_trusted);
    let class = rules.class(request.headers(), trusted);
    class.mark(request);
    if let Some(exchange) = exchange {
        exchange.decide(Decision {
            layer: "priority",
            rule: None,
            verdict: Verdict::Allow,
            reason: class.token().into(),
        });
    }
}

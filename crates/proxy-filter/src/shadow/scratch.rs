//! The record that a shadowed layer writes into, and what is taken over from it.

use std::sync::Arc;

use proxy_core::exchange::{ServerName, Tags};
use proxy_core::{Decision, Exchange, Verdict};

/// A record that says of the request what is known so far, and nothing of what was decided.
pub(super) fn copy(exchange: &Exchange) -> Exchange {
    let connection = Arc::clone(exchange.connection());
    let (id, _) = exchange.trace_ids();
    let copy = Exchange::new(id, connection, exchange.started(), exchange.started_wall(), None);
    copy.set_client(exchange.client());
    if let Some(facts) = exchange.facts() {
        copy.set_facts(facts.clone());
    }
    if let Some(route) = exchange.route() {
        copy.set_route(Arc::clone(route));
    }
    if let Some(user) = exchange.user() {
        copy.set_user(Arc::clone(user));
    }
    if let Some(tags) = exchange.get::<Tags>() {
        copy.insert(tags);
    }
    if let Some(name) = exchange.get::<ServerName>() {
        copy.insert(name);
    }
    if exchange.is_rehearsal() {
        copy.set_rehearsal();
    }
    copy
}

/// Takes over what was decided against the request, as reports; in a rehearsal the rest, too.
/// Whether there was something to report.
pub(super) fn report(copy: &Exchange, exchange: &Exchange) -> bool {
    // Not under the lock: `decide` of the other record is another's code.
    let decisions: Vec<Decision> = copy.with_decisions(<[Decision]>::to_vec);
    let mut reported = false;
    for decision in decisions {
        let verdict = match decision.verdict {
            Verdict::Report => Verdict::Report,
            verdict if verdict.is_refusal() => Verdict::Report,
            verdict if exchange.is_rehearsal() => verdict,
            _ => continue,
        };
        reported |= verdict == Verdict::Report;
        exchange.decide(Decision { verdict, ..decision });
    }
    reported
}

//! What is counted and recorded of one request.

use std::sync::Arc;

use http::header;
use proxy_core::{Decision, Exchange, Refusal, Verdict};

use super::fault::Fault;
use super::layer::LAYER;
use super::metrics::{InputMetrics, Outcome};
use super::rules::{Due, InputRules};

/// One request on its way. It is counted once, at the latest when this is dropped.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) rules: Arc<InputRules>,
    metrics: Arc<InputMetrics>,
    exchange: Option<Exchange>,
    is_counted: bool,
}

impl Record {
    pub(super) fn new(
        rules: &Arc<InputRules>,
        metrics: &Arc<InputMetrics>,
        exchange: Option<&Exchange>,
    ) -> Self {
        Self {
            rules: Arc::clone(rules),
            metrics: Arc::clone(metrics),
            exchange: exchange.cloned(),
            is_counted: false,
        }
    }

    /// The request has a fault: the answer, or none where that is only reported. `close`: content
    /// was left unread.
    pub(super) fn fault(&mut self, fault: Fault, close: bool) -> Option<Box<Refusal>> {
        if self.rules.report {
            self.decide(Some(fault.rule()), Verdict::Report, fault.reason());
            self.count(Outcome::Reported, Some(fault));
            return None;
        }
        let mut refusal = fault.refusal(close);
        if fault == Fault::MethodNotAllowed {
            refusal = refusal.field(header::ALLOW, self.rules.allow());
        }
        let refusal = refusal.recorded(self.exchange.as_ref(), LAYER);
        self.count(Outcome::Refused, Some(fault));
        Some(Box::new(refusal))
    }

    /// Nothing is wrong so far. Said only to who asks what would be.
    pub(super) fn head_passed(&self, due: Due) {
        if self.is_rehearsal() {
            let reason = match due.is_nothing() {
                true => "as_asked_for",
                false => "so far: content is judged as it comes",
            };
            self.decide(None, Verdict::Allow, reason);
        }
    }

    /// The request failed on its own: it is neither passed nor at fault.
    pub(super) fn failed(mut self) {
        self.is_counted = true;
    }

    fn is_rehearsal(&self) -> bool {
        self.exchange.as_ref().is_some_and(Exchange::is_rehearsal)
    }

    fn decide(&self, rule: Option<Arc<str>>, verdict: Verdict, reason: &'static str) {
        if let Some(exchange) = &self.exchange {
            exchange.decide(Decision { layer: LAYER, rule, verdict, reason: reason.into() });
        }
    }

    fn count(&mut self, outcome: Outcome, fault: Option<Fault>) {
        if !std::mem::replace(&mut self.is_counted, true) && !self.is_rehearsal() {
            self.metrics.count(outcome, fault);
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.count(Outcome::Passed, None);
    }
}

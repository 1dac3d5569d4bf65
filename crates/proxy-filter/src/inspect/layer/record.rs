//! What is written into the exchange about an inspection.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use proxy_core::{Decision, Exchange, Refusal, Verdict};

use super::Shared;
use super::metrics::Outcome;
use crate::inspect::verdict::Report;

/// The name of the layer in decisions.
const LAYER: &str = "inspect";

/// All that was found in a request, in the slots of its exchange: what `explain` shows. Only there
/// where something was found, or in a rehearsal.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Inspected {
    /// What was found.
    pub report: Report,
    /// Whether the request was refused.
    pub refused: bool,
}

/// Collects what is found in one request; counts and records it once, at the latest when dropped.
pub(super) struct Record {
    shared: Arc<Shared>,
    exchange: Option<Exchange>,
    report: Report,
    bytes: u64,
    is_reported: bool,
    is_ended: bool,
}

impl Record {
    pub(super) fn new(shared: Arc<Shared>, exchange: Option<Exchange>, report: Report) -> Self {
        Self { shared, exchange, report, bytes: 0, is_reported: false, is_ended: false }
    }

    /// More content was shown, with these findings in it until now.
    pub(super) fn seen(&mut self, bytes: usize, report: &Report) {
        self.bytes += bytes as u64;
        if !report.findings.is_empty() {
            self.report.extend(report);
        }
    }

    /// The request goes on. An attack that is not refused is reported as soon as it is known.
    pub(super) fn go_on(&mut self) {
        if self.report.is_attack && !self.is_reported {
            self.is_reported = true;
            self.decide(Verdict::Report);
        }
    }

    /// The request is refused; `unread` says whether some of its content was not read.
    pub(super) fn refuse(mut self, unread: bool) -> Refusal {
        let mut refusal = Refusal::new(StatusCode::FORBIDDEN, "request_inspection");
        refusal.rule_id = self.report.heaviest().map(|finding| Arc::clone(&finding.rule));
        refusal.close = unread;
        self.decide(Verdict::Deny);
        if let Some(exchange) = &self.exchange {
            exchange.set_error(refusal.error);
        }
        self.end(Outcome::Refused);
        refusal
    }

    /// The heaviest rule, its class and the score, as a token.
    fn decide(&self, verdict: Verdict) {
        let Some(exchange) = &self.exchange else { return };
        let heaviest = self.report.heaviest();
        let reason = match heaviest {
            Some(finding) => {
                Cow::Owned(format!("{}_score_{}", finding.class.token(), self.report.score))
            }
            None => Cow::Borrowed("inspection_failed"),
        };
        let rule = heaviest.map(|finding| Arc::clone(&finding.rule));
        exchange.decide(Decision { layer: LAYER, rule, verdict, reason });
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        let rehearsal = self.exchange.as_ref().is_some_and(Exchange::is_rehearsal);
        if !rehearsal {
            self.shared.metrics.count(outcome, &self.report, self.bytes);
        }
        if let Some(exchange) = &self.exchange
            && (rehearsal || !self.report.findings.is_empty())
        {
            let report = std::mem::take(&mut self.report);
            exchange.insert(Inspected { report, refused: outcome == Outcome::Refused });
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(if self.is_reported { Outcome::Reported } else { Outcome::Passed });
    }
}

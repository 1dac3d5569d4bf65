//! What is written into the exchange about an inspection.

use std::borrow::Cow;
use std::sync::Arc;

use http::StatusCode;
use proxy_core::{Decision, ErrorKind, Exchange, Refusal, Verdict};

use super::metrics::{InspectMetrics, Outcome};
use crate::inspect::verdict::{Class, Report};

/// The rule about content that inflates too much, and the word for it: that of content which is
/// decoded for clients.
const BOMB_RULE: &str = "limit-coding";
const BOMB_REASON: &str = "decompression_bomb";

/// Which message is inspected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Side {
    /// The name of the layer in decisions.
    const fn layer(self) -> &'static str {
        match self {
            Self::Request => "inspect",
            Self::Response => "inspect_response",
        }
    }

    const fn reason(self) -> &'static str {
        match self {
            Self::Request => "request_inspection",
            Self::Response => "response_inspection",
        }
    }
}

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

/// The same of the response.
#[derive(Clone, Debug)]
pub struct InspectedResponse(pub Inspected);

/// Collects what is found in one message; counts and records it once, at the latest when dropped.
pub(in crate::inspect) struct Record {
    side: Side,
    metrics: Arc<InspectMetrics>,
    exchange: Option<Exchange>,
    report: Report,
    bytes: u64,
    is_reported: bool,
    is_ended: bool,
}

impl Record {
    pub(in crate::inspect) const fn new(
        metrics: Arc<InspectMetrics>,
        exchange: Option<Exchange>,
        report: Report,
    ) -> Self {
        let side = Side::Request;
        Self { side, metrics, exchange, report, bytes: 0, is_reported: false, is_ended: false }
    }

    pub(in crate::inspect) fn of_response(
        metrics: Arc<InspectMetrics>,
        exchange: Option<Exchange>,
        report: Report,
    ) -> Self {
        let mut record = Self::new(metrics, exchange, report);
        record.side = Side::Response;
        record
    }

    /// The token that clients and logs see.
    pub(in crate::inspect) const fn reason(&self) -> &'static str {
        self.side.reason()
    }

    /// More content was shown, with these findings in it until now.
    pub(in crate::inspect) fn seen(&mut self, bytes: usize, report: &Report) {
        self.bytes += bytes as u64;
        if !report.findings.is_empty() {
            self.report.extend(report);
        }
    }

    /// The request goes on. An attack that is not refused is reported as soon as it is known.
    pub(in crate::inspect) fn go_on(&mut self) {
        if self.report.is_attack && !self.is_reported {
            self.is_reported = true;
            self.decide(Verdict::Report);
        }
    }

    /// The request is refused; `unread` says whether some of its content was not read.
    pub(in crate::inspect) fn refuse(mut self, unread: bool) -> Refusal {
        let heaviest = self.report.heaviest();
        let reason = match heaviest {
            Some(finding) if &*finding.rule == BOMB_RULE => BOMB_REASON,
            _ => self.side.reason(),
        };
        let status = match (self.side, heaviest.map(|finding| finding.class)) {
            (Side::Response, Some(Class::Leak | Class::Size)) => StatusCode::BAD_GATEWAY,
            (_, Some(Class::Limit)) => StatusCode::PAYLOAD_TOO_LARGE,
            _ => StatusCode::FORBIDDEN,
        };
        let mut refusal = Refusal::new(status, reason);
        refusal.error = ErrorKind::HttpRequestDenied;
        refusal.rule_id = heaviest.map(|finding| Arc::clone(&finding.rule));
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
            None if verdict == Verdict::Allow => Cow::Borrowed("score_0"),
            None => Cow::Borrowed("inspection_failed"),
        };
        let rule = heaviest.map(|finding| Arc::clone(&finding.rule));
        exchange.decide(Decision { layer: self.side.layer(), rule, verdict, reason });
    }

    fn end(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.is_ended, true) {
            return;
        }
        let rehearsal = self.exchange.as_ref().is_some_and(Exchange::is_rehearsal);
        if !rehearsal {
            self.metrics.count(outcome, &self.report, self.bytes);
        } else if outcome == Outcome::Passed {
            self.decide(Verdict::Allow);
        }
        if let Some(exchange) = &self.exchange
            && (rehearsal || !self.report.findings.is_empty())
        {
            let report = std::mem::take(&mut self.report);
            let inspected = Inspected { report, refused: outcome == Outcome::Refused };
            match self.side {
                Side::Request => drop(exchange.insert(inspected)),
                Side::Response => drop(exchange.insert(InspectedResponse(inspected))),
            }
        }
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        self.end(if self.is_reported { Outcome::Reported } else { Outcome::Passed });
    }
}

//! A limit on what is under way at a time: what it says, and the places that it has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use metrics::Recorder;
use proxy_core::{Clock, Decision, Exchange, Refusal, RequestHead, Verdict};

use super::metrics::{ConcurrencyMetrics, Outcome};
use super::places::{Arrival, Places};
use crate::rate::KeyPart;
use crate::rate::key::{Scope, scope_methods};

/// The name of this layer in decisions.
const LAYER: &str = "concurrency";

/// Waiting requests of a key where nothing is said.
pub const DEFAULT_QUEUE: usize = 100;

/// How long they wait where nothing is said.
pub const DEFAULT_QUEUE_TIMEOUT: Duration = Duration::from_secs(5);

/// After what time a refused client may well try again. Nobody knows when a place is free.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What a limit says: how many at a time, for whom, how many wait and how long.
#[derive(Clone)]
#[must_use]
pub struct ConcurrencyLimit {
    id: Arc<str>,
    places: usize,
    queue: usize,
    timeout: Duration,
    scope: Scope,
    report: bool,
}

/// Why there is no such limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConcurrencyError {
    /// Nothing would ever pass.
    #[error("expected at least 1 at a time")]
    NoPlace,
}

impl ConcurrencyLimit {
    scope_methods!();

    /// Its id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// So many requests at a time for each client address. The id is the rule id of refusals and
    /// the label of metrics.
    pub fn new(id: impl Into<Arc<str>>, places: usize) -> Self {
        Self {
            id: id.into(),
            places,
            queue: DEFAULT_QUEUE,
            timeout: DEFAULT_QUEUE_TIMEOUT,
            scope: Scope::of(vec![KeyPart::CLIENT]),
            report: false,
        }
    }

    /// How many more wait, for each key. Default 100; 0: nobody waits.
    pub fn queue(mut self, queue: usize) -> Self {
        self.queue = queue;
        self
    }

    /// How long one waits. Default 5 s.
    pub fn queue_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Counts and says what it would have refused, and lets it pass at once. What passes so is not
    /// counted.
    pub fn report(mut self, report: bool) -> Self {
        self.report = report;
        self
    }

    /// Opens the places.
    ///
    /// # Errors
    /// Where there is none.
    pub fn start(self, clock: Arc<dyn Clock>) -> Result<ConcurrencyLimiter, ConcurrencyError> {
        if self.places == 0 {
            return Err(ConcurrencyError::NoPlace);
        }
        // Who waits without end is told so when nobody waits any more.
        let queue = if self.report { 0 } else { self.queue };
        let places = Arc::new(Places::new(self.places, queue));
        let metrics = Arc::new(ConcurrencyMetrics::default());
        Ok(ConcurrencyLimiter { limit: self, places, clock, metrics })
    }

    /// Whether it tells clients apart: then it is the client that has too many.
    fn is_personal(&self) -> bool {
        self.scope.parts.iter().any(|part| {
            matches!(
                part,
                KeyPart::Client { .. } | KeyPart::User | KeyPart::Connection | KeyPart::Field(_)
            )
        })
    }
}

impl fmt::Debug for ConcurrencyLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimit")
            .field("id", &self.id)
            .field("places", &self.places)
            .field("queue", &self.queue)
            .field("timeout", &self.timeout)
            .field("key", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A limit with its places. Shared by all layers that name it.
pub struct ConcurrencyLimiter {
    limit: ConcurrencyLimit,
    places: Arc<Places>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<ConcurrencyMetrics>,
}

/// What becomes of a request.
pub(super) enum Judged {
    /// It passes, uncounted.
    Pass,
    /// It has a place, or waits for one.
    Arrived(Arrival),
    /// It is refused.
    Refused(Box<Refusal>),
}

impl ConcurrencyLimiter {
    /// Counts in this recorder, too.
    #[must_use]
    pub fn metrics(mut self, recorder: &dyn Recorder) -> Self {
        self.metrics = Arc::new(ConcurrencyMetrics::new(recorder, &self.limit.id));
        self
    }

    /// What it says.
    pub const fn limit(&self) -> &ConcurrencyLimit {
        &self.limit
    }

    /// How long one waits.
    pub(super) const fn timeout(&self) -> Duration {
        self.limit.timeout
    }

    pub(super) fn judge(&self, head: &RequestHead<'_>) -> Judged {
        let Some(key) = self.limit.scope.key(head, None) else { return Judged::Pass };
        let key = self.places.hash(key);
        if let Some(exchange) = head.exchange()
            && exchange.is_rehearsal()
        {
            return self.rehearse(exchange, key);
        }
        match self.places.arrive(key) {
            Arrival::Full if self.limit.report => {
                self.metrics.count(Outcome::Reported);
                if let Some(exchange) = head.exchange() {
                    self.note(exchange, Verdict::Report, self.reason().into());
                }
                Judged::Pass
            }
            Arrival::Full => Judged::Refused(self.refuse(head.exchange())),
            arrival => Judged::Arrived(arrival),
        }
    }

    fn rehearse(&self, exchange: &Exchange, key: u64) -> Judged {
        let (taken, waiting) = self.places.look(key);
        let full = taken >= self.limit.places && waiting >= self.limit.queue;
        let reason = format!("{taken} of {} taken, {waiting} waiting", self.limit.places);
        let verdict = match (full, self.limit.report) {
            (false, _) => Verdict::Allow,
            (true, true) => Verdict::Report,
            (true, false) => Verdict::Limit,
        };
        self.note(exchange, verdict, reason.into());
        match verdict {
            Verdict::Limit => {
                let refusal = self.refusal();
                exchange.set_error(refusal.error);
                Judged::Refused(refusal)
            }
            _ => Judged::Pass,
        }
    }

    /// The refusal, counted and in the record.
    pub(super) fn refuse(&self, exchange: Option<&Exchange>) -> Box<Refusal> {
        self.metrics.count(Outcome::Refused);
        let refusal = self.refusal();
        if let Some(exchange) = exchange {
            exchange.set_error(refusal.error);
            self.note(exchange, Verdict::Limit, refusal.reason.into());
        }
        refusal
    }

    fn refusal(&self) -> Box<Refusal> {
        let status = match self.limit.is_personal() {
            true => StatusCode::TOO_MANY_REQUESTS,
            false => StatusCode::SERVICE_UNAVAILABLE,
        };
        let refusal = Refusal::new(status, self.reason())
            .rule(Arc::clone(&self.limit.id))
            .retry_after(RETRY_AFTER)
            // Also where no layer writes pages.
            .field(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER.as_secs()));
        Box::new(refusal)
    }

    fn reason(&self) -> &'static str {
        if self.limit.is_personal() { "too_many_at_once" } else { "overloaded" }
    }

    fn note(&self, exchange: &Exchange, verdict: Verdict, reason: std::borrow::Cow<'static, str>) {
        let rule = Some(Arc::clone(&self.limit.id));
        exchange.decide(Decision { layer: LAYER, rule, verdict, reason });
    }
}

impl fmt::Debug for ConcurrencyLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConcurrencyLimiter").field("limit", &self.limit).finish_non_exhaustive()
    }
}

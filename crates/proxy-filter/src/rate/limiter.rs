//! A rate limit: what it says, and the limiter that counts.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::{HeaderValue, StatusCode, header};
use metrics::Recorder;
use proxy_core::{Clock, Decision, ErrorKind, Exchange, Refusal, RequestHead, Verdict};

use super::fields::{Advertised, PolicyItem};
use super::gcra::Gcra;
use super::key::{KeyPart, Scope, scope_methods};
use super::metrics::{Outcome, RateMetrics};
use super::quota::{Rate, RateError};
use super::table::KeyTable;
use crate::asked::Asked;
use crate::limit::{Exceeded, Limit};

/// The name of this layer in decisions.
pub(crate) const LAYER: &str = "rate_limit";

/// Keys that a limit keeps apart where nothing is said.
pub const DEFAULT_KEYS: usize = 65_536;

/// What a rate limit says: how much, for whom, and what happens beyond it.
///
/// ```
/// use proxy_filter::rate::{KeyPart, Rate, RateLimit};
/// let limit = RateLimit::new("per-client", Rate::per_second(100)).burst(200).fields(true);
/// let login = RateLimit::new("login", "5/min".parse().unwrap())
///     .key([KeyPart::CLIENT])
///     .applies(|head| head.target.path() == "/login");
/// ```
#[derive(Clone)]
#[must_use]
pub struct RateLimit {
    id: Arc<str>,
    rate: Rate,
    burst: Option<u64>,
    cost: u64,
    scope: Scope,
    report: bool,
    fields: bool,
    keys: usize,
}

impl RateLimit {
    scope_methods!();

    /// Its id.
    pub const fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// So many requests in so long for each client address. The id is the rule id of refusals, the
    /// label of metrics and the name in `RateLimit`.
    pub fn new(id: impl Into<Arc<str>>, rate: Rate) -> Self {
        Self {
            id: id.into(),
            rate,
            burst: None,
            cost: 1,
            scope: Scope::of(vec![KeyPart::CLIENT]),
            report: false,
            fields: false,
            keys: DEFAULT_KEYS,
        }
    }

    /// Requests that pass at once after a pause. Default: what the rate pays for in a second, at
    /// least 1.
    pub fn burst(mut self, burst: u64) -> Self {
        self.burst = Some(burst);
        self
    }

    /// What a request takes of the burst. Default 1.
    pub fn cost(mut self, cost: u64) -> Self {
        self.cost = cost;
        self
    }

    /// Counts and says what it would have refused, and refuses nothing.
    pub fn report(mut self, report: bool) -> Self {
        self.report = report;
        self
    }

    /// Tells clients how they stand: `RateLimit-Policy` and `RateLimit` on every answer.
    pub fn fields(mut self, fields: bool) -> Self {
        self.fields = fields;
        self
    }

    /// Keys that are kept apart, 32 bytes each; see [`table`](super::table). Default 65,536.
    pub fn keys(mut self, keys: usize) -> Self {
        self.keys = keys;
        self
    }

    /// The burst in force.
    pub fn burst_in_force(&self) -> u64 {
        self.burst.unwrap_or_else(|| self.rate.in_a_second().max(1))
    }

    /// Begins to count.
    ///
    /// # Errors
    /// A cost of 0 or above the burst (no request would ever pass), a burst of 0, or one that the
    /// rate pays for in no less than a century.
    pub fn start(self, clock: Arc<dyn Clock>) -> Result<RateLimiter, RateError> {
        let burst = self.burst_in_force();
        if burst == 0 {
            return Err(RateError::NoBurst);
        }
        if self.cost == 0 || self.cost > burst {
            return Err(RateError::Cost);
        }
        let gcra = Gcra::new(self.rate.interval_nanos(), burst)
            .filter(|gcra| gcra.window() <= LONGEST)
            .ok_or(RateError::TooLong)?;
        let policy = PolicyItem::new(&self.id, burst, gcra.window());
        let epoch = clock.now();
        let table = KeyTable::new(self.keys.clamp(1, MOST_KEYS));
        let limit = RateLimit { burst: Some(burst), ..self };
        Ok(RateLimiter {
            limit,
            gcra,
            policy,
            table,
            clock,
            epoch,
            metrics: RateMetrics::default(),
        })
    }
}

/// A burst that takes longer to pay for is a mistake.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Half a gigabyte.
const MOST_KEYS: usize = 1 << 24;

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("id", &self.id)
            .field("rate", &self.rate)
            .field("burst", &self.burst)
            .field("key", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A rate limit that counts. Shared by all layers and rules that name it.
pub struct RateLimiter {
    limit: RateLimit,
    gcra: Gcra,
    policy: PolicyItem,
    table: KeyTable,
    clock: Arc<dyn Clock>,
    epoch: Instant,
    metrics: RateMetrics,
}

impl RateLimiter {
    /// Counts in this recorder, too.
    #[must_use]
    pub fn metrics(mut self, recorder: &dyn Recorder) -> Self {
        self.metrics = RateMetrics::new(recorder, &self.limit.id);
        self
    }

    /// Its id.
    pub const fn id(&self) -> &Arc<str> {
        &self.limit.id
    }

    /// What it says.
    pub const fn limit(&self) -> &RateLimit {
        &self.limit
    }

    /// Judges a request, and writes into the record what is decided; `None` where it is not
    /// counted.
    pub(crate) fn judge(&self, head: &RequestHead<'_>) -> Option<Judged> {
        let judged = self.weigh(head, None)?;
        if let Some(exchange) = head.exchange() {
            if judged.refusal.is_some() {
                exchange.set_error(ErrorKind::HttpRequestDenied);
            }
            if judged.verdict != Verdict::Allow || exchange.is_rehearsal() {
                self.note(exchange, &judged);
            }
        }
        Some(judged)
    }

    /// Counts a request, unless it is a rehearsal; `None` where it is not counted. `user`: who it
    /// is known to be, where the record does not say so yet.
    fn weigh(&self, head: &RequestHead<'_>, user: Option<Arc<str>>) -> Option<Judged> {
        let key = self.table.hash(self.limit.scope.key(head, user)?);
        let rehearsal = head.exchange().is_some_and(Exchange::is_rehearsal);
        let (now, cost) = (self.now(), self.limit.cost);
        let taken = if rehearsal {
            self.table.look(key, self.gcra, now, cost)
        } else {
            self.table.take(key, self.gcra, now, cost)
        };
        let (verdict, outcome) = match (taken.wait, self.limit.report) {
            (None, _) => (Verdict::Allow, Outcome::Allowed),
            (Some(_), true) => (Verdict::Report, Outcome::Reported),
            (Some(_), false) => (Verdict::Limit, Outcome::Limited),
        };
        if !rehearsal {
            self.metrics.count(outcome);
            self.metrics.place(taken.place);
        }
        let standing = taken.standing;
        let refusal = taken
            .wait
            .filter(|_| !self.limit.report)
            .map(|wait| self.refusal(Duration::from_nanos(wait)));
        let advertised = self.limit.fields.then(|| {
            let wait = refusal.as_ref().and_then(|refusal| refusal.retry_after);
            Advertised::new(&self.policy, standing.left, wait.unwrap_or(standing.until_clear))
        });
        let taken = taken.wait.is_none();
        Some(Judged { verdict, taken, used: standing.used, refusal, advertised })
    }

    /// The decision in the record: in a rehearsal with the level at the moment.
    fn note(&self, exchange: &Exchange, judged: &Judged) {
        let reason = match exchange.is_rehearsal() {
            true => {
                let burst = self.limit.burst_in_force();
                Cow::Owned(format!("{} of {burst} used", judged.used))
            }
            false => Cow::Borrowed(REASON),
        };
        let rule = Some(Arc::clone(&self.limit.id));
        exchange.decide(Decision { layer: LAYER, rule, verdict: judged.verdict, reason });
    }

    /// Undoes what [`judge`](Self::judge) took of a request that another limit refused.
    pub(crate) fn give_back(&self, head: &RequestHead<'_>) {
        let is_rehearsal = head.exchange().is_some_and(Exchange::is_rehearsal);
        if let Some(key) = self.limit.scope.key(head, None).filter(|_| !is_rehearsal) {
            self.table.give_back(self.table.hash(key), self.gcra, self.limit.cost);
        }
    }

    fn refusal(&self, wait: Duration) -> Box<Refusal> {
        // Whole seconds, and never too early.
        let wait = Duration::from_secs(wait.as_nanos().div_ceil(1_000_000_000) as u64);
        let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, REASON)
            .rule(Arc::clone(&self.limit.id))
            .retry_after(wait)
            // Also where no layer writes pages.
            .field(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        Box::new(refusal)
    }

    fn now(&self) -> u64 {
        let elapsed = self.clock.now().saturating_duration_since(self.epoch);
        // 584 years.
        u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The reason token of a refusal.
pub const REASON: &str = "rate_limited";

/// What became of a request.
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// Whether its cost was taken: not where there were too many, also where that is only reported.
    pub(crate) taken: bool,
    /// How much of the burst is used.
    used: u64,
    pub(crate) refusal: Option<Box<Refusal>>,
    pub(crate) advertised: Option<Advertised>,
}

/// Asked by a rule, which writes the refusal in its own name. Where answers are to tell how the
/// client stands, that is left in the record for a [`RateLimitLayer`](super::RateLimitLayer) behind.
impl Limit for RateLimiter {
    fn count(&self, asked: &Asked<'_>) -> Result<(), Exceeded> {
        let head = asked.head();
        let Some(judged) = self.weigh(&head, asked.user()) else { return Ok(()) };
        if let Some(exchange) = head.exchange()
            && (judged.verdict == Verdict::Report || exchange.is_rehearsal())
        {
            self.note(exchange, &judged);
        }
        match (judged.refusal, judged.advertised) {
            (Some(refusal), advertised) => {
                let mut fields = refusal.fields.map(|fields| *fields).unwrap_or_default();
                if let Some(advertised) = advertised {
                    advertised.append_to(&mut fields);
                }
                Err(Exceeded { retry_after: refusal.retry_after, fields })
            }
            (None, Some(advertised)) => {
                if let Some(exchange) = head.exchange() {
                    advertised.leave_in(exchange);
                }
                Ok(())
            }
            (None, None) => Ok(()),
        }
    }

    /// With a table of its own; clients are told nothing of it, and it is in no metrics.
    fn apart(&self) -> Option<Arc<dyn Limit>> {
        let limit = self.limit.clone().fields(false);
        let limiter = limit.start(Arc::clone(&self.clock)).ok()?;
        Some(Arc::new(limiter))
    }
}

impl fmt::Debug for RateLimiter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimiter").field("limit", &self.limit).finish_non_exhaustive()
    }
}

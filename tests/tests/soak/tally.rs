//! What became of the requests, and which of them count.
//!
//! **A request counts** where a healthy upstream could have answered it. While it is under way at
//! least two of the three endpoints are in service, so nearly every request counts. Two kinds do
//! not, and only where an endpoint died while they were under way:
//!
//! - its content was cut: the head of the response had been passed on, so that nobody can begin
//!   anew at another endpoint ([`Fault::Cut`]);
//! - it is a POST that was answered 502, over a connection that stood: the dead endpoint may have
//!   acted on it, and what is not idempotent must not be sent twice (RFC 9110 section 9.2.2)
//!   ([`Fault::NotRepeatable`]). Such an endpoint may have died up to a second before, for it is found
//!   dead by sending.
//!
//! Everything else counts: GET and PUT that meet a dead endpoint before a response, all that needs
//! no upstream, and everything at the times when no endpoint died. A connection that was kept alive
//! may end while a request is on its way; every client sends it once more (RFC 9112 section 9.3.1),
//! and so does this one, with what is idempotent; the second time counts.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How a request failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// The connection ended before a byte of an answer, after others were answered on it.
    Stale,
    /// The content ended before its end.
    Cut(String),
    /// A POST was answered 502, and the endpoint had a connection on which it was sent.
    NotRepeatable(String),
    /// Anything else.
    Other(String),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale => write!(f, "the connection had ended, twice"),
            Self::Cut(told) => write!(f, "cut: {told}"),
            Self::NotRepeatable(told) | Self::Other(told) => write!(f, "{told}"),
        }
    }
}

#[derive(Default)]
struct Kind {
    asked: u64,
    lost: u64,
    failed: u64,
    slowest: Duration,
}

/// Counts of all kinds of requests.
pub(crate) struct Tally {
    kinds: Mutex<BTreeMap<&'static str, Kind>>,
    failures: Mutex<Vec<String>>,
    deaths: Mutex<Vec<Instant>>,
    begun: Instant,
    over: AtomicBool,
    pace: u64,
}

impl Tally {
    /// Requests come at so many percent of the usual pace.
    pub(crate) fn new(pace: u64) -> Self {
        Self {
            kinds: Mutex::default(),
            failures: Mutex::default(),
            deaths: Mutex::default(),
            begun: Instant::now(),
            over: AtomicBool::new(false),
            pace,
        }
    }

    pub(crate) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// An endpoint is killed now.
    pub(crate) fn death(&self) {
        self.deaths.lock().expect("deaths").push(Instant::now());
    }

    fn died_since(&self, from: Instant) -> bool {
        self.deaths.lock().expect("deaths").iter().any(|at| *at >= from)
    }

    /// One request is over.
    pub(crate) fn count(&self, kind: &'static str, begun: Instant, result: Result<(), Fault>) {
        let is_lost = match &result {
            // With a second's grace: a death is noted before the kill, which may take its time.
            Err(Fault::Cut(_) | Fault::NotRepeatable(_)) => {
                self.died_since(begun.checked_sub(Duration::from_secs(1)).unwrap_or(begun))
            }
            _ => false,
        };
        let mut kinds = self.kinds.lock().expect("kinds");
        let own = kinds.entry(kind).or_default();
        own.asked += 1;
        own.slowest = own.slowest.max(begun.elapsed());
        let Err(fault) = result else { return };
        if is_lost {
            own.lost += 1;
            return;
        }
        own.failed += 1;
        let mut failures = self.failures.lock().expect("failures");
        if failures.len() < 30 {
            let (at, took) = (begun - self.begun, begun.elapsed());
            failures.push(format!("{kind} at {at:.1?}, after {took:.3?}: {fault}"));
        }
    }

    /// Does this so many times a second, until the end; the number of the turn is handed in.
    pub(crate) fn paced(&self, rate: f64, mut work: impl FnMut(u64)) {
        let step = Duration::from_secs_f64(100.0 / (rate * self.pace as f64));
        let mut due = Instant::now();
        let mut turn = 0;
        while self.goes_on() {
            work(turn);
            turn += 1;
            // What was missed is not made up for.
            due = (due + step).max(Instant::now());
            while self.goes_on() && due > Instant::now() {
                let left = due.saturating_duration_since(Instant::now());
                std::thread::sleep(left.min(Duration::from_millis(200)));
            }
        }
    }

    pub(crate) fn table(&self) -> String {
        let mut table =
            String::from("kind                 requests  failed  lost with an endpoint  slowest\n");
        let kinds = self.kinds.lock().expect("kinds");
        for (name, own) in kinds.iter() {
            let (slowest, lost) = (own.slowest, own.lost);
            let (asked, failed) = (own.asked, own.failed);
            writeln!(table, "{name:20} {asked:8}  {failed:6}  {lost:21}  {slowest:.3?}")
                .expect("text");
        }
        let asked: u64 = kinds.values().map(|own| own.asked).sum();
        let rate = asked as f64 / self.begun.elapsed().as_secs_f64();
        write!(table, "{asked} requests, {rate:.0} a second").expect("text");
        table
    }

    /// At least 99.99 % of what counts went well, and little does not count.
    pub(crate) fn judge(&self) {
        let kinds = self.kinds.lock().expect("kinds");
        let asked: u64 = kinds.values().map(|own| own.asked).sum();
        let failed: u64 = kinds.values().map(|own| own.failed).sum();
        let lost: u64 = kinds.values().map(|own| own.lost).sum();
        let failures = self.failures.lock().expect("failures");
        assert!(failed * 10_000 <= asked - lost, "{failed} of {asked} failed: {failures:#?}");
        // What is under way at an endpoint when it dies is at most one request of each client that
        // asks it.
        let deaths = self.deaths.lock().expect("deaths").len() as u64;
        assert!(lost <= deaths * 8, "{lost} of {asked} were lost with {deaths} endpoints");
    }
}

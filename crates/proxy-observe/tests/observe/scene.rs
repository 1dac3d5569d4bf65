//! What the tests share: a sink that remembers, a pipe that can fail, a front for requests.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, SystemTime};

use http::{Request, Response, StatusCode};
use proxy_core::{
    ConnectionEvent, ConnectionInfo, Ending, ErrorKind, Exchange, RequestHead, TunnelEnd,
};
use proxy_observe::{ObserveBody, ObserveLayer, Observer, Record, Sink};
use proxy_testkit::service::StubError;
use proxy_testkit::{Answer, ExchangeBuilder, ManualClock, ScriptedBody, StubService};
use tower::{Layer, Service};

pub(crate) type StubAnswer = Answer<ScriptedBody, StubError>;

/// What a record said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) id: String,
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) ending: Ending,
    pub(crate) request_bytes: u64,
    pub(crate) response_bytes: u64,
    pub(crate) duration: Duration,
    pub(crate) error: Option<ErrorKind>,
    pub(crate) tunnel: Option<TunnelEnd>,
    pub(crate) termination: String,
}

/// A sink that remembers.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) seen: Mutex<Vec<Seen>>,
    pub(crate) events: AtomicUsize,
    pub(crate) started: AtomicUsize,
}

impl Memory {
    pub(crate) fn records(&self) -> Vec<Seen> {
        self.seen.lock().expect("a lock").clone()
    }

    /// The one record there must be.
    pub(crate) fn only(&self) -> Seen {
        let records = self.records();
        assert_eq!(records.len(), 1, "exactly one record: {records:?}");
        assert_eq!(self.started.load(Ordering::SeqCst), 1);
        records[0].clone()
    }
}

impl Sink for Memory {
    fn started(&self, _: &Exchange, _: RequestHead<'_>) {
        self.started.fetch_add(1, Ordering::SeqCst);
    }

    fn finished(&self, record: &Record<'_>) {
        self.seen.lock().expect("a lock").push(Seen {
            id: record.exchange.id().to_string(),
            path: record.request.target.to_string(),
            status: record.status.map(|status| status.as_u16()),
            ending: record.ending,
            request_bytes: record.request_bytes(),
            response_bytes: record.response_bytes(),
            duration: record.duration,
            error: record.exchange.error(),
            tunnel: record.tunnel.map(|tunnel| tunnel.end),
            termination: record.termination().to_string(),
        });
    }

    fn connection(&self, _: &ConnectionInfo, _: ConnectionEvent<'_>, _: SystemTime) {
        self.events.fetch_add(1, Ordering::SeqCst);
    }
}

/// An observer with one sink, time that stands still, and a stub behind the layer.
pub(crate) struct Scene {
    pub(crate) clock: ManualClock,
    pub(crate) memory: Arc<Memory>,
    pub(crate) observer: Observer,
}

impl Scene {
    pub(crate) fn new() -> Self {
        let clock = ManualClock::new();
        let memory = Arc::new(Memory::default());
        let observer = Observer::new(Arc::new(clock.clone()), [Arc::<Memory>::clone(&memory) as _]);
        Self { clock, memory, observer }
    }

    /// The layer over a service that gives this answer.
    pub(crate) fn serve(
        &self,
        answer: StubAnswer,
    ) -> impl Service<
        Request<ScriptedBody>,
        Response = Response<ObserveBody<ScriptedBody>>,
        Error = StubError,
    > {
        ObserveLayer::new(self.observer.clone()).layer(StubService::once(answer).0)
    }

    /// The extension that a server would have set.
    pub(crate) fn exchange(&self) -> Exchange {
        ExchangeBuilder::new().clock(&self.clock).peer("192.0.2.77").build()
    }

    pub(crate) fn get(&self, path: &str) -> Request<ScriptedBody> {
        let request = Request::get(path).header("host", "a.test").extension(self.exchange());
        request.body(ScriptedBody::empty()).expect("a request")
    }
}

pub(crate) fn respond(status: u16, body: ScriptedBody) -> StubAnswer {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    Answer::Respond(response)
}

/// An output that a test reads, blocks and breaks.
#[derive(Clone, Default)]
pub(crate) struct Pipe(Arc<PipeState>);

#[derive(Default)]
struct PipeState {
    written: Mutex<Vec<u8>>,
    /// Writes wait while it is set.
    held: Mutex<bool>,
    change: Condvar,
    waiting: AtomicUsize,
    /// How many more bytes are taken before every write fails.
    budget: AtomicU64,
    breaks: std::sync::atomic::AtomicBool,
}

impl Pipe {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.0.written.lock().expect("a lock").clone()).expect("UTF-8")
    }

    pub(crate) fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }

    pub(crate) fn hold(&self, held: bool) {
        *self.0.held.lock().expect("a lock") = held;
        self.0.change.notify_all();
    }

    /// Whether a write waits.
    pub(crate) fn is_waiting(&self) -> bool {
        self.0.waiting.load(Ordering::SeqCst) > 0
    }

    /// Fails after this many bytes; `None` mends it.
    pub(crate) fn break_after(&self, bytes: Option<u64>) {
        self.0.budget.store(bytes.unwrap_or(0), Ordering::SeqCst);
        self.0.breaks.store(bytes.is_some(), Ordering::SeqCst);
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut held = self.0.held.lock().expect("a lock");
        self.0.waiting.fetch_add(1, Ordering::SeqCst);
        while *held {
            held = self.0.change.wait(held).expect("a lock");
        }
        self.0.waiting.fetch_sub(1, Ordering::SeqCst);
        let mut n = bytes.len();
        if self.0.breaks.load(Ordering::SeqCst) {
            n = n.min(self.0.budget.load(Ordering::SeqCst) as usize);
            if n == 0 {
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            self.0.budget.fetch_sub(n as u64, Ordering::SeqCst);
        }
        self.0.written.lock().expect("a lock").extend_from_slice(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Waits for what another thread brings about.
pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    for _ in 0..5_000 {
        if done() {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{what} never came");
}

//! Traces: a span for each exchange, each layer and each attempt at an upstream, as OTLP.
//!
//! A [`Sink`] that decides, when a request comes, whether its trace is recorded: by
//! the parent's flag, or by a share. The [`Trace`] is written to the exchange, so that
//! `traceparent` towards the upstream names our span. When the exchange has ended, its spans are
//! encoded (OpenTelemetry protocol 1.0, protobuf) and wait in a bounded queue, until whoever sends
//! them [takes](Traces::take) a request of them: this crate speaks no HTTP.
//!
//! ```
//! use std::sync::Arc;
//! use proxy_core::SystemClock;
//! use proxy_observe::traces::{Traces, TracesConfig};
//! use proxy_observe::{ObserveLayer, Observer};
//!
//! let clock = Arc::new(SystemClock);
//! let traces = Traces::new(TracesConfig { share: 0.1, ..Default::default() }, clock.clone());
//! let layer = ObserveLayer::new(Observer::new(clock, [traces.sink()]));
//! // Now and then, to the collector's `/v1/traces`, as `application/x-protobuf`:
//! if let Some(request) = traces.take() {
//!     println!("{} bytes", request.len());
//! }
//! ```
//!
//! # Spans
//! Of the exchange: kind server, named after method and route, with the attributes of the HTTP
//! conventions (`http.request.method`, `http.response.status_code`, `url.path`, `url.query`,
//! `url.scheme`, `server.address`, `network.protocol.version`, `http.route`, `client.address`,
//! `user_agent.original`, `error.type`) and ours: `proxy.exchange.id`, `proxy.termination`,
//! `proxy.listener`. Each decision of a layer is an event with its moment: named after the layer,
//! with `verdict`, `reason` and `rule`. Of each layer around which a [`SpanLayer`] stands: kind
//! internal, from its call to the response head, a child of the layer around it. Of each attempt:
//! kind client, a child of the innermost layer, with the time of resolving and connecting. Paths, queries and addresses are shown as the log shows them.

mod at_work;
mod protobuf;
mod queue;
mod span;

use std::sync::Arc;
use std::task::{Context, Poll};

use proxy_core::{AddressPrivacy, Clock, Exchange, PathPolicy, RequestHead, Trace, TraceContext};

use crate::metrics::SpanCounters;
use crate::observer::Sink;
use crate::record::Record;
use crate::redaction::Redaction;
pub use at_work::{SpanLayer, Spanned, SpannedFuture};
use queue::Queue;

/// Whose word on whether a trace is recorded is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ParentSampling {
    /// That of trusted peers; of others the share decides.
    #[default]
    Trusted,
    /// Everybody's. A client can have all its requests recorded.
    Always,
    /// Nobody's: the share decides.
    Never,
}

/// What is recorded, and how much is held.
#[derive(Clone, Debug)]
pub struct TracesConfig {
    /// `service.name`. Default: `proxy`.
    pub service: Arc<str>,
    /// The share of traces that is recorded where no parent decides, 0 to 1. By the exchange's own
    /// id, which no client chooses. Default: 1.
    pub share: f64,
    /// Whose flag decides.
    pub parent: ParentSampling,
    /// The most spans that wait. Default: 2048.
    pub queue: usize,
    /// The most spans of one request to the collector. Default: 512.
    pub batch: usize,
    /// How much of the client's address is shown.
    pub privacy: AddressPrivacy,
    /// What is hidden of the request.
    pub redaction: Redaction,
    /// How paths are brought to their normal form.
    pub path_policy: PathPolicy,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self {
            service: "proxy".into(),
            share: 1.0,
            parent: ParentSampling::default(),
            queue: 2048,
            batch: 512,
            privacy: AddressPrivacy::default(),
            redaction: Redaction::default(),
            path_policy: PathPolicy::default(),
        }
    }
}

/// The traces. A clone is the same.
#[derive(Clone)]
pub struct Traces(Arc<Shared>);

struct Shared {
    config: TracesConfig,
    clock: Arc<dyn Clock>,
    queue: Queue,
}

impl Traces {
    /// Traces with the times of this clock, counted nowhere.
    pub fn new(config: TracesConfig, clock: Arc<dyn Clock>) -> Self {
        Self::counted(config, clock, SpanCounters::default())
    }

    /// The same, with counters of what becomes of spans.
    pub fn counted(config: TracesConfig, clock: Arc<dyn Clock>, counters: SpanCounters) -> Self {
        let queue = Queue::new(config.queue, config.batch, counters);
        Self(Arc::new(Shared { config, clock, queue }))
    }

    /// The sink for an [`Observer`](crate::Observer). It should be the first one.
    pub fn sink(&self) -> Arc<dyn Sink> {
        Arc::new(self.clone())
    }

    /// The next request for a collector: an `ExportTraceServiceRequest` of at most
    /// [`TracesConfig::batch`] spans. None where no span waits.
    pub fn take(&self) -> Option<Vec<u8>> {
        let spans = self.0.queue.take(self.0.config.batch);
        (!spans.is_empty()).then(|| protobuf::request(&self.0.config.service, &spans))
    }

    /// How many spans wait.
    pub fn waiting(&self) -> usize {
        self.0.queue.len()
    }

    /// Ready when a whole request of spans waits, or as many as may. For one task: the last one
    /// that asks is woken.
    pub fn poll_full(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.queue.poll_full(cx)
    }

    /// Counts a request that no collector took.
    pub fn not_sent(&self) {
        self.0.queue.not_sent();
    }

    fn is_chosen(&self, trace_id: u128) -> bool {
        // As the sampler of OpenTelemetry by ratio of trace id: its last 56 bits are random.
        let number = trace_id as u64 & ((1 << 56) - 1);
        (number as f64) < self.0.config.share * (1_u64 << 56) as f64
    }
}

impl Sink for Traces {
    fn started(&self, exchange: &Exchange, request: RequestHead<'_>) {
        if exchange.is_rehearsal() {
            return;
        }
        let mut values = request.fields.get_all("traceparent").iter();
        let given = values.next().filter(|_| values.next().is_none());
        let parent = given.and_then(|value| TraceContext::parse(value.as_bytes()));
        let (own_trace, span_id) = exchange.trace_ids();
        let trace_id = parent.map_or(own_trace, |parent| parent.trace_id);
        let believed = match self.0.config.parent {
            ParentSampling::Always => true,
            ParentSampling::Never => false,
            ParentSampling::Trusted => exchange.connection().peer_trusted,
        };
        let sampled = match parent.filter(|_| believed) {
            Some(parent) => parent.sampled,
            // Not by the id of a client that is not believed: it would choose for us.
            None => self.is_chosen(own_trace),
        };
        let context = TraceContext { trace_id, span_id, sampled };
        let parent = parent.map(|parent| parent.span_id);
        exchange.set_trace(match sampled {
            true => Trace::recorded(context, parent, Arc::clone(&self.0.clock)),
            false => Trace::passing(context, parent),
        });
    }

    fn finished(&self, record: &Record<'_>) {
        if let Some(trace) = record.exchange.trace()
            && let Some(marks) = trace.marks()
        {
            self.0.queue.push(span::all(record, trace, &marks, &self.0.config));
        }
    }
}

impl std::fmt::Debug for Traces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traces").field("config", &self.0.config).finish_non_exhaustive()
    }
}

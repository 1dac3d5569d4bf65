//! `InputLayer`.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use metrics::Recorder;
use proxy_core::{BoxError, Exchange, Reply, RequestHead};
use tower_layer::Layer;
use tower_service::Service;

use super::body::{InputBody, Watch};
use super::content::Check;
use super::fault::Answer;
use super::future::InputFuture;
use super::metrics::InputMetrics;
use super::record::Record;
use super::rules::{Due, InputRules};

/// The name of this layer in decisions.
pub(super) const LAYER: &str = "input";

/// Judges what requests look like. See the [module](super).
#[derive(Clone, Debug)]
pub struct InputLayer {
    rules: Arc<RuleSet>,
}

/// Rules for all requests, and others for some routes.
#[derive(Clone, Debug)]
struct RuleSet {
    all: Arc<InputRules>,
    routes: Vec<(Arc<str>, Arc<InputRules>)>,
    metrics: Arc<InputMetrics>,
}

impl RuleSet {
    fn of(&self, exchange: Option<&Exchange>) -> &Arc<InputRules> {
        let route = exchange.filter(|_| !self.routes.is_empty()).and_then(Exchange::route);
        let own = route.and_then(|route| self.routes.iter().find(|(name, _)| name == route));
        own.map_or(&self.all, |(_, rules)| rules)
    }
}

impl InputLayer {
    /// A layer of these rules.
    pub fn new(rules: InputRules) -> Self {
        let (routes, metrics) = (Vec::new(), Arc::default());
        Self { rules: Arc::new(RuleSet { all: Arc::new(rules), routes, metrics }) }
    }

    /// Counts in this recorder, too.
    #[must_use]
    pub fn metrics(self, recorder: &dyn Recorder) -> Self {
        let mut set = Arc::unwrap_or_clone(self.rules);
        set.metrics = Arc::new(InputMetrics::new(recorder));
        Self { rules: Arc::new(set) }
    }

    /// These rules take the place of the others for the route of this name in the [`Exchange`].
    #[must_use]
    pub fn route(self, name: impl Into<Arc<str>>, rules: InputRules) -> Self {
        let mut set = Arc::unwrap_or_clone(self.rules);
        set.routes.push((name.into(), Arc::new(rules)));
        Self { rules: Arc::new(set) }
    }
}

impl<S> Layer<S> for InputLayer {
    type Service = Input<S>;
    fn layer(&self, inner: S) -> Input<S> {
        Input { inner, rules: Arc::clone(&self.rules) }
    }
}

/// The service of [`InputLayer`].
#[derive(Clone, Debug)]
pub struct Input<S> {
    inner: S,
    rules: Arc<RuleSet>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Input<S>
where
    S: Service<Request<InputBody<ReqB>>, Response = Response<ResB>> + Clone,
    ReqB: Body<Data = Bytes>,
    ReqB::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = InputFuture<S, ReqB, S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let head = RequestHead::of(&request);
        let rules = self.rules.of(head.exchange());
        let mut record = Record::new(rules, &self.rules.metrics, head.exchange());
        let is_empty = request.body().is_end_stream();
        let due = match rules.judge(&head, (!is_empty).then(|| request.body().size_hint())) {
            Ok(due) => {
                record.head_passed(due);
                due
            }
            Err(fault) => match record.fault(fault, false) {
                Some(refusal) => return InputFuture::refused(refusal),
                None => Due::default(),
            },
        };
        if due.is_nothing() || is_empty {
            let request = request.map(|body| InputBody::streamed(body, None));
            return InputFuture::calling(self.inner.call(request), None);
        }
        let check = Check::new(rules, due);
        // What only reports must not keep content back.
        if due.schema && !rules.report {
            // The one that was polled ready waits; a clone takes its place.
            let clone = self.inner.clone();
            let inner = std::mem::replace(&mut self.inner, clone);
            return InputFuture::reading(inner, request, check, record);
        }
        let answer = Answer::default();
        let watch = Box::new(Watch { check, record, answer: answer.clone() });
        let request = request.map(|body| InputBody::streamed(body, Some(watch)));
        InputFuture::calling(self.inner.call(request), Some(answer))
    }
}

//! A cache in front of a scripted service, with a clock and tasks that the test turns.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use proxy_cache::store::MemoryStore;
use proxy_cache::{Cache, CacheBody, CacheBuilder, CacheLayer, CacheRules, DerivingQueues, Keying};
use proxy_core::{ContentCoder, TokioSpawn, WorkQueue};
use proxy_testkit::{
    Answer, BodyProbe, CollectedTasks, ManualClock, ScriptedBody, Step, StubHandle, StubService,
};
use tower::{Layer as _, ServiceExt as _};

pub(crate) type Inner = StubService<ScriptedBody, std::convert::Infallible>;
pub(crate) type Stub = Answer<ScriptedBody, std::convert::Infallible>;
pub(crate) type Got = Response<Pin<Box<CacheBody<ScriptedBody>>>>;

pub(crate) struct Stage {
    pub(crate) origin: StubHandle<ScriptedBody, std::convert::Infallible>,
    pub(crate) clock: ManualClock,
    pub(crate) tasks: CollectedTasks,
    pub(crate) layer: CacheLayer,
    service: Cache<Inner>,
}

impl Stage {
    pub(crate) fn new(answer: impl FnMut() -> Stub + Send + 'static) -> Self {
        Self::with(CacheRules::default(), answer)
    }

    pub(crate) fn with(rules: CacheRules, answer: impl FnMut() -> Stub + Send + 'static) -> Self {
        Self::build(answer, |builder| builder.rules(rules))
    }

    pub(crate) fn coding(
        coder: Arc<impl ContentCoder>,
        answer: impl FnMut() -> Stub + Send + 'static,
    ) -> Self {
        let queue = || WorkQueue::new(Arc::new(TokioSpawn), 1, 8);
        let queues = DerivingQueues { quick: queue(), thorough: queue() };
        Self::build(answer, |builder| builder.coder(coder, queues))
    }

    pub(crate) fn keyed(
        fields: &[&'static str],
        answer: impl FnMut() -> Stub + Send + 'static,
    ) -> Self {
        let fields = fields.iter().map(|name| http::HeaderName::from_static(name)).collect();
        Self::build(answer, |builder| builder.keying(Keying { fields, ..Keying::default() }))
    }

    fn build(
        answer: impl FnMut() -> Stub + Send + 'static,
        settings: impl FnOnce(CacheBuilder) -> CacheBuilder,
    ) -> Self {
        let (inner, origin) = StubService::new(answer);
        let (clock, tasks) = (ManualClock::new(), CollectedTasks::new());
        let store = Arc::new(MemoryStore::with_capacity(16 << 20));
        let builder = CacheLayer::builder(store, Arc::new(clock.clone()));
        let layer = settings(builder.spawn(Arc::new(tasks.clone()))).build();
        let service = layer.layer(inner);
        Self { origin, clock, tasks, layer, service }
    }

    pub(crate) fn get(&self, path: &str) -> impl Future<Output = Got> + use<> {
        self.ask(Request::get(path).header("host", "a.test"))
    }

    pub(crate) fn ask(&self, request: http::request::Builder) -> impl Future<Output = Got> + use<> {
        self.ask_with(request, "")
    }

    pub(crate) fn ask_with(
        &self,
        request: http::request::Builder,
        content: &'static str,
    ) -> impl Future<Output = Got> + use<> {
        let request = request.body(Full::new(Bytes::from(content))).expect("a request");
        let service = self.service.clone();
        async move {
            let answer = service.oneshot(request).await.unwrap_or_else(|never| match never {});
            answer.map(Box::pin)
        }
    }
}

/// The member of `Cache-Status` that the cache added.
pub(crate) fn status<B>(answer: &Response<B>) -> &str {
    let field = answer.headers().get("cache-status").expect("Cache-Status");
    field.to_str().expect("text")
}

pub(crate) async fn text_of(answer: Got) -> String {
    let content = answer.into_body().collect().await.expect("whole content").to_bytes();
    String::from_utf8(content.to_vec()).expect("text")
}

/// `ab`, then nothing until it is released, then `cd`.
pub(crate) fn held_body() -> (ScriptedBody, BodyProbe) {
    let body = ScriptedBody::new([Step::data("ab"), Step::Wait, Step::data("cd")]);
    let probe = body.probe();
    (body, probe)
}

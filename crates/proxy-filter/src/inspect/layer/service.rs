//! `Inspect`: the service.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Request, Response, header::EXPECT};
use http_body::Body;
use proxy_core::{BoxError, Exchange, Reply, RequestHead};
use tower_service::Service;

use super::Shared;
use super::body::InspectBody;
use super::future::InspectFuture;
use super::record::Record;
use super::watch::{Verdict, Watch};
use crate::inspect::verdict::{Inspection, Next};

/// The service of [`InspectLayer`](super::InspectLayer).
#[derive(Clone)]
pub struct Inspect<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S> Inspect<S> {
    pub(super) const fn new(inner: S, shared: Arc<Shared>) -> Self {
        Self { inner, shared }
    }
}

impl<S: fmt::Debug> fmt::Debug for Inspect<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspect").field("inner", &self.inner).finish_non_exhaustive()
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Inspect<S>
where
    S: Service<Request<InspectBody<ReqB>>, Response = Response<ResB>> + Clone,
    ReqB: Body<Data = Bytes>,
    ReqB::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = InspectFuture<S::Future, S, ReqB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let has_content = !request.body().is_end_stream();
        let start = self.shared.inspector.begin(RequestHead::of(&request), has_content);
        let exchange = Exchange::of(&request).cloned();
        let mut record = Record::new(Arc::clone(&self.shared.metrics), exchange, start.report);
        let inspection = match start.next {
            Next::Block => return InspectFuture::refused(record.refuse(has_content)),
            Next::Content(inspection) if has_content => inspection,
            Next::Pass | Next::Content(_) => {
                record.go_on();
                drop(record);
                return InspectFuture::passing(self.inner.call(request.map(InspectBody::unseen)));
            }
        };
        record.go_on();
        self.with_content(request, inspection, record)
    }
}

impl<S> Inspect<S> {
    fn with_content<ReqB, ResB>(
        &mut self,
        mut request: Request<ReqB>,
        inspection: Box<dyn Inspection>,
        record: Record,
    ) -> InspectFuture<S::Future, S, ReqB>
    where
        S: Service<Request<InspectBody<ReqB>>, Response = Response<ResB>> + Clone,
    {
        if inspection.may_replace() {
            request.headers_mut().remove(CONTENT_LENGTH);
        }
        // Its client sends content only when the inner service asks for it.
        let waits = request.headers().contains_key(EXPECT)
            || Exchange::of(&request)
                .and_then(|exchange| exchange.facts().map(|facts| facts.expects_continue))
                .unwrap_or(false);
        let holds = inspection.holds() && !waits;
        let verdict = Verdict::default();
        let watch = Box::new(Watch::new(inspection, record, verdict.clone()));
        if !holds {
            let inner = self.inner.call(request.map(|body| InspectBody::watched(body, watch)));
            return InspectFuture::watching(inner, verdict);
        }
        let clone = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, clone);
        InspectFuture::holding(request, watch, inner, verdict)
    }
}

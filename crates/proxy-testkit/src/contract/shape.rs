//! Clause 1: generic over both bodies, and at home in an axum router.
//!
//! Most of it is in the bounds of [`LayerContract::run`](super::LayerContract::run): they name two
//! request bodies, two response bodies and two errors. Here the second set is also run.

use std::convert::Infallible;

use bytes::Bytes;
use http::Response;
use http_body_util::{BodyExt, Empty, Full};
use tower_layer::Layer;

use super::suite::{Suite, no_misuse, settle};
use super::{AxumSubject, Clause, InnerRoute};
use crate::service::Answer;

impl<L: 'static, E> Suite<'_, L, E> {
    pub(super) async fn stands_in_an_axum_route(&self)
    where
        L: Layer<InnerRoute>,
        L::Service: AxumSubject,
    {
        let content = Bytes::from_static(b"from the route");
        let (stub, handle) =
            InnerRoute::once(Answer::Respond(Response::new(Full::new(content.clone()))));
        let mut service = (self.contract.layer)().layer(stub);
        let ready = std::future::poll_fn(|cx| service.poll_readiness(cx));
        let Ok::<_, Infallible>(()) =
            settle(Clause::Readiness, "`poll_ready`", std::pin::pin!(ready)).await;
        let request = (self.contract.request)().map(|()| Empty::<Bytes>::new());
        let mut answer = Box::pin(service.answer(request));
        let Ok(response) = settle(Clause::Shape, "a route's response", answer.as_mut()).await;
        no_misuse(&handle);
        let body = std::pin::pin!(response.into_body().collect());
        let read = settle(Clause::Shape, "a route's content", body).await;
        if !self.contract.changes_response_content {
            let same = read.is_ok_and(|read| read.to_bytes() == content);
            Clause::Shape.holds(same, "a route's content does not arrive as it was");
        }
    }
}

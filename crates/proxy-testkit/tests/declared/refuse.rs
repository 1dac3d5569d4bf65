//! A layer that refuses one path, in right and in wrong ways.

use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use proxy_core::{Exchange, Refusal, Reply};
use tower_layer::Layer;
use tower_service::Service;

use super::Boxed;

/// How a refusal can be wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrong {
    PassesOn,
    CallsAsWell,
    WithoutRefusal,
    AnotherStatus,
    ReadsContent,
    KeepsContent,
    Unrecorded,
}

/// Refuses `/refused`.
#[derive(Clone, Copy)]
pub(crate) struct RefuseLayer {
    pub(crate) wrong: Option<Wrong>,
}

#[derive(Clone)]
pub(crate) struct Refuse<S> {
    inner: S,
    wrong: Option<Wrong>,
}

impl<S> Layer<S> for RefuseLayer {
    type Service = Refuse<S>;
    fn layer(&self, inner: S) -> Refuse<S> {
        Refuse { inner, wrong: self.wrong }
    }
}

/// What a wrong layer keeps for ever.
static KEPT: Mutex<Vec<Box<dyn std::any::Any + Send>>> = Mutex::new(Vec::new());

impl<S, B, R> Service<Request<B>> for Refuse<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: Body + Default + Send + 'static,
    R: Send + 'static,
{
    type Response = Response<Reply<R>>;
    type Error = S::Error;
    type Future = Boxed<Self::Response, S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        if request.uri().path() != "/refused" || self.wrong == Some(Wrong::PassesOn) {
            let answer = self.inner.call(request);
            return Box::pin(async move { Ok(answer.await?.map(Reply::inner)) });
        }
        let exchange = Exchange::of(&request).cloned();
        let content = std::mem::take(request.body_mut());
        let wrong = self.wrong;
        if wrong == Some(Wrong::CallsAsWell) {
            drop(self.inner.call(request));
        }
        Box::pin(async move {
            match wrong {
                Some(Wrong::ReadsContent) => drop(Box::pin(content).frame().await),
                Some(Wrong::KeepsContent) => {
                    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push(Box::new(content));
                }
                _ => drop(content),
            }
            let recorded = exchange.as_ref().filter(|_| wrong != Some(Wrong::Unrecorded));
            let refusal = Refusal::new(StatusCode::FORBIDDEN, "refused").recorded(recorded, "test");
            let mut response = refusal.into_response();
            match wrong {
                Some(Wrong::WithoutRefusal) => response.extensions_mut().clear(),
                Some(Wrong::AnotherStatus) => *response.status_mut() = StatusCode::OK,
                _ => {}
            }
            Ok(response)
        })
    }
}

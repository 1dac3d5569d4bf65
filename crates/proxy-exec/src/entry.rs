//! `ExecEntryLayer`: what stands above a cache of a program's output.
//!
//! A stored response passes the same judgement as a run: pages of other sites, names of the host,
//! parameters. And requests for the same run get the same target, whatever their spelling: defaults
//! filled in, parameters in one order.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body::Body;
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Exchange, Refusal, Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::browser;
use crate::service::ExecService;

/// Judges requests for a program and gives them one spelling. See the [module](self).
#[derive(Clone, Debug)]
pub struct ExecEntryLayer {
    program: ExecService,
}

impl ExecEntryLayer {
    /// For this program.
    pub fn new(program: &ExecService) -> Self {
        Self { program: program.clone() }
    }
}

impl<S> Layer<S> for ExecEntryLayer {
    type Service = ExecEntry<S>;
    fn layer(&self, inner: S) -> ExecEntry<S> {
        ExecEntry { inner, program: self.program.clone() }
    }
}

/// The service of [`ExecEntryLayer`].
#[derive(Clone, Debug)]
pub struct ExecEntry<S> {
    inner: S,
    program: ExecService,
}

impl<S> ExecEntry<S> {
    fn judge<B>(&self, request: Request<B>) -> Result<Request<B>, Refusal> {
        let shared = &self.program.shared;
        browser::judge(&request, &shared.config.origins, shared.config.any_host)?;
        if shared.config.params.content().is_some() {
            return Ok(request);
        }
        let (mut parts, body) = request.into_parts();
        let checked = shared.checked(&parts, None)?;
        let mut target = std::mem::take(&mut parts.uri).into_parts();
        // Escaping makes values longer, and a target has a limit: without it, or cut, it would
        // mean another run.
        let too_long = |()| Refusal::new(StatusCode::URI_TOO_LONG, "target_too_long");
        let path = checked.target().parse().map_err(|_| ()).map_err(too_long)?;
        target.path_and_query = Some(path);
        parts.uri = Uri::from_parts(target).map_err(|_| ()).map_err(too_long)?;
        Ok(Request::from_parts(parts, body))
    }
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for ExecEntry<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ReqB: Body<Data = Bytes>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = ExecEntryFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let exchange = Exchange::of(&request).cloned();
        let state = match self.judge(request) {
            Ok(request) => State::Passing { inner: self.inner.call(request) },
            Err(refusal) => {
                let refusal = refusal.recorded(exchange.as_ref(), "exec");
                State::Refused { refusal: Some(Box::new(refusal)) }
            }
        };
        ExecEntryFuture { state }
    }
}

pin_project! {
    /// The future of [`ExecEntry`].
    pub struct ExecEntryFuture<F> {
        #[pin]
        state: State<F>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Passing { #[pin] inner: F },
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F, ResB, E> Future for ExecEntryFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<Reply<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Passing { inner } => {
                inner.poll(cx).map_ok(|response| response.map(Reply::inner))
            }
            StateProj::Refused { refusal } => {
                let refusal = refusal.take().expect("polled after completion");
                Poll::Ready(Ok(refusal.into_response()))
            }
        }
    }
}

impl<F> fmt::Debug for ExecEntryFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecEntryFuture").finish_non_exhaustive()
    }
}

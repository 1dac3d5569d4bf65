//! `ExecLayer`: answers the requests for one path with the output of a program, and passes all
//! others on.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body::{Body, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{BoxError, Reply};
use tower_layer::Layer;
use tower_service::Service;

use crate::body::ExecBody;
use crate::params::PathPattern;
use crate::service::{ExecFuture, ExecService};

/// Answers requests for a path and some methods. See the [crate](crate).
#[derive(Clone, Debug)]
pub struct ExecLayer {
    mount: Arc<Mount>,
}

#[derive(Debug)]
struct Mount {
    path: PathPattern,
    methods: Vec<Method>,
    service: ExecService,
}

impl ExecLayer {
    /// Answers GET and HEAD of a path; with `stdin` or parameters in the content POST instead.
    /// Segments in braces stand for any, as in `/clips/{id}`. None where the path is no pattern.
    pub fn new(path: &str, service: ExecService) -> Option<Self> {
        let config = &service.shared.config;
        let methods = match config.stdin || config.params.content().is_some() {
            true => vec![Method::POST],
            false => vec![Method::GET, Method::HEAD],
        };
        let path = PathPattern::parse(path)?;
        Some(Self { mount: Arc::new(Mount { path, methods, service }) })
    }

    /// Answers these methods instead.
    #[must_use]
    pub fn methods(self, methods: impl IntoIterator<Item = Method>) -> Self {
        let Mount { path, service, .. } = &*self.mount;
        let methods = methods.into_iter().collect();
        let mount = Mount { path: path.clone(), methods, service: service.clone() };
        Self { mount: Arc::new(mount) }
    }
}

impl<S> Layer<S> for ExecLayer {
    type Service = Exec<S>;
    fn layer(&self, inner: S) -> Exec<S> {
        Exec { inner, mount: Arc::clone(&self.mount) }
    }
}

/// The service of [`ExecLayer`].
#[derive(Clone, Debug)]
pub struct Exec<S> {
    inner: S,
    mount: Arc<Mount>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for Exec<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
    ReqB: Body<Data = Bytes> + Send + 'static,
    ReqB::Error: Into<BoxError>,
{
    type Response = Response<ExecLayerBody<ReqB, ResB>>;
    type Error = S::Error;
    type Future = ExecLayerFuture<S::Future, ReqB>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        let mount = &self.mount;
        if mount.methods.contains(request.method()) && mount.path.matches(request.uri().path()) {
            let run = mount.service.clone().call(request);
            ExecLayerFuture { state: State::Running { run } }
        } else {
            ExecLayerFuture { state: State::Passing { inner: self.inner.call(request) } }
        }
    }
}

pin_project! {
    /// The future of [`Exec`].
    pub struct ExecLayerFuture<F, B> {
        #[pin]
        state: State<F, B>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F, B> {
        Passing { #[pin] inner: F },
        Running { #[pin] run: ExecFuture<B> },
    }
}

impl<F, B, ResB, E> Future for ExecLayerFuture<F, B>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<ExecLayerBody<B, ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.project().state.project() {
            StateProj::Passing { inner } => {
                inner.poll(cx).map_ok(|response| response.map(|body| ExecLayerBody::Inner { body }))
            }
            StateProj::Running { run } => {
                let response = match ready!(run.poll(cx)) {
                    Ok(response) => response,
                    Err(never) => match never {},
                };
                Poll::Ready(Ok(response.map(|body| ExecLayerBody::Program { body })))
            }
        }
    }
}

impl<F, B> fmt::Debug for ExecLayerFuture<F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecLayerFuture").finish_non_exhaustive()
    }
}

pin_project! {
    /// The inner service's content, or a program's output.
    #[project = BodyProj]
    #[derive(Debug)]
    #[allow(missing_docs, reason = "the macro takes no docs on variants' fields")]
    pub enum ExecLayerBody<ReqB, ResB> {
        /// The inner service's.
        Inner { #[pin] body: ResB },
        /// A program's, or none where it was refused.
        Program { #[pin] body: Reply<ExecBody<ReqB>> },
    }
}

impl<ReqB, ResB> Body for ExecLayerBody<ReqB, ResB>
where
    ReqB: Body<Data = Bytes>,
    ReqB::Error: Into<BoxError>,
    ResB: Body<Data = Bytes>,
    ResB::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project() {
            BodyProj::Inner { body } => {
                body.poll_frame(cx).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            BodyProj::Program { body } => body.poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Inner { body } => body.is_end_stream(),
            Self::Program { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Inner { body } => body.size_hint(),
            Self::Program { body } => body.size_hint(),
        }
    }
}

//! `ExecService`: answers each request with the output of a program.

use std::convert::Infallible;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use proxy_core::{BoxError, Reply};
use tower_service::Service;

use crate::body::ExecBody;
use crate::config::ExecConfig;
use crate::fetch::Fetcher;
use crate::metrics::ExecMetrics;
use crate::runner::ExecRunner;
use crate::slots::Slots;

/// Why a configuration can not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// The part that is wrong.
    pub place: String,
    /// What is wrong with it.
    pub message: String,
}

/// A program as a service: every request runs it, or is refused. A clone is the same.
///
/// Refusals carry a [`Refusal`](proxy_core::Refusal) and no content: put
/// [`ErrorPagesLayer`](proxy_core::ErrorPagesLayer) around it where clients should read why.
#[derive(Clone)]
pub struct ExecService {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    pub(crate) config: Arc<ExecConfig>,
    pub(crate) runner: ExecRunner,
    pub(crate) slots: Arc<Slots>,
    pub(crate) metrics: Arc<ExecMetrics>,
}

impl ExecService {
    /// Runs what the configuration says.
    ///
    /// # Errors
    /// The first thing that [`ExecConfig::check`] finds; a parameter that is fetched, where the runner
    /// has no [fetcher](ExecRunner::fetcher).
    pub fn new(config: ExecConfig, runner: &ExecRunner) -> Result<Self, ConfigError> {
        if let Some((place, message)) = config.check().into_iter().next() {
            return Err(ConfigError { place, message });
        }
        if let (Some(name), None) = (config.params.fetched(), &runner.fetcher) {
            let message = "the runner has nothing that fetches".to_owned();
            return Err(ConfigError { place: format!("params.{name}.fetch"), message });
        }
        let metrics = match &runner.recorder {
            Some(recorder) => ExecMetrics::new(&**recorder, &config.name),
            None => ExecMetrics::default(),
        };
        let shared = Shared {
            slots: Arc::new(Slots::new(config.limits.runs, config.limits.queue)),
            config: Arc::new(config),
            runner: runner.clone(),
            metrics: Arc::new(metrics),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// The same program, with its places and counts, for which another one fetches.
    #[must_use]
    pub fn with_fetcher(self, fetcher: Arc<dyn Fetcher>) -> Self {
        let old = &*self.shared;
        let shared = Shared {
            config: Arc::clone(&old.config),
            runner: old.runner.clone().fetcher(fetcher),
            slots: Arc::clone(&old.slots),
            metrics: Arc::clone(&old.metrics),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl<B> Service<Request<B>> for ExecService
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Reply<ExecBody<B>>>;
    type Error = Infallible;
    type Future = ExecFuture<B>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        // Whoever has to wait does so in the call, where it has a record and a deadline.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ExecFuture<B> {
        ExecFuture { answer: Box::pin(Arc::clone(&self.shared).answer(request)) }
    }
}

type Answering<B> = Pin<Box<dyn Future<Output = Response<Reply<ExecBody<B>>>> + Send>>;

/// The future of [`ExecService`].
#[must_use = "a future does nothing unless it is polled"]
pub struct ExecFuture<B> {
    answer: Answering<B>,
}

impl<B> Future for ExecFuture<B> {
    type Output = Result<Response<Reply<ExecBody<B>>>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.as_mut().poll(cx).map(Ok)
    }
}

impl<B> fmt::Debug for ExecFuture<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecFuture").finish_non_exhaustive()
    }
}

impl fmt::Debug for ExecService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExecService")
            .field("program", &self.shared.config.program)
            .finish_non_exhaustive()
    }
}

//! What forwards the requests of a route, below what holds their content, where that is wanted.

use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use metrics::Recorder;
use proxy_core::{Body, ProxyError, TokioSpawn};
use proxy_upstream::buffer::{BufferLayer, Buffered, SpillDirectory, Spilling};
use proxy_upstream::{ForwardFuture, Upstream};
use tower_layer::Layer as _;
use tower_service::Service;

use crate::compose::Resources;
use crate::config::resolved::{Buffer, Resolved, Route};
use crate::states::States;

/// An upstream, bare or below a [`BufferLayer`].
#[derive(Clone, Debug)]
pub enum MaybeBuffered {
    /// Content passes as it comes.
    Plain(Upstream),
    /// It is held.
    Held(Buffered<Upstream>),
}

impl MaybeBuffered {
    /// The upstream, below the layer where there is one.
    pub fn new(upstream: Upstream, layer: Option<&BufferLayer>) -> Self {
        match layer {
            Some(layer) => Self::Held(layer.layer(upstream)),
            None => Self::Plain(upstream),
        }
    }
}

/// What holds the content of a route, if anything does. All routes share the bound of files, which
/// outlives a reload.
pub fn layer(
    config: &Resolved,
    route: Option<&Route>,
    resources: &Resources,
    states: &mut States,
) -> Option<BufferLayer> {
    let (route, buffer) = (route?, config.buffer.as_ref()?);
    let own = route.buffer?;
    let Buffer { directory, max_disk } = buffer;
    let definition = format!("{} {max_disk}", directory.display());
    let spilling = states.keep("buffer", definition, || {
        let files = Arc::new(SpillDirectory::new(directory));
        Spilling::new(files, Arc::new(TokioSpawn), *max_disk)
    });
    let recorder = resources.recorder.as_deref().map(|recorder| recorder as &dyn Recorder);
    Some(BufferLayer::new(&route.name, own, spilling, recorder))
}

impl Service<Request<Body>> for MaybeBuffered {
    type Response = Response<Body>;
    type Error = ProxyError;
    type Future = ForwardFuture;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), ProxyError>> {
        match self {
            Self::Plain(upstream) => upstream.poll_ready(cx),
            Self::Held(held) => Service::<Request<Body>>::poll_ready(held, cx),
        }
    }

    fn call(&mut self, request: Request<Body>) -> ForwardFuture {
        match self {
            Self::Plain(upstream) => upstream.call(request),
            Self::Held(held) => {
                let answer = held.call(request);
                Box::pin(async move { Ok(answer.await?.map(Body::new)) })
            }
        }
    }
}

//! A layer of one's own against our traits: requests must name the version of the API they mean.
//!
//! ```text
//! cargo run -p proxyd-examples --bin own_layer
//! curl -i http://127.0.0.1:3002/
//! curl -i -H 'Api-Version: 2' http://127.0.0.1:3002/
//! ```
//!
//! It refuses by a `Refusal`, so that `ErrorPagesLayer` writes its page, and `recorded` makes the
//! decision visible in the access log. The test holds it to the contract of all our layers.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::routing::get;
use http::{HeaderName, Request, Response, StatusCode};
use pin_project_lite::pin_project;
use proxy_core::body::Reply;
use proxy_core::{ErrorPagesLayer, Exchange, Refusal};
use tower_layer::Layer;
use tower_service::Service;

/// Refuses requests without a field.
#[derive(Clone, Debug)]
struct RequireFieldLayer {
    name: Arc<HeaderName>,
}

impl RequireFieldLayer {
    fn new(name: HeaderName) -> Self {
        Self { name: Arc::new(name) }
    }
}

impl<S> Layer<S> for RequireFieldLayer {
    type Service = RequireField<S>;
    fn layer(&self, inner: S) -> RequireField<S> {
        RequireField { inner, name: Arc::clone(&self.name) }
    }
}

/// The service of [`RequireFieldLayer`]: the inner one and a single `Arc`.
#[derive(Clone, Debug)]
struct RequireField<S> {
    inner: S,
    name: Arc<HeaderName>,
}

// The request's body keeps its type. The response's is the inner one's, or made here.
impl<S, ReqB, ResB> Service<Request<ReqB>> for RequireField<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = RequireFieldFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        if request.headers().contains_key(&*self.name) {
            return RequireFieldFuture::Inner { inner: self.inner.call(request) };
        }
        let refusal = Refusal::new(StatusCode::BAD_REQUEST, "field_missing")
            .rule(self.name.as_str())
            .recorded(Exchange::of(&request), "require_field");
        RequireFieldFuture::Refused { refusal: Some(Box::new(refusal)) }
    }
}

pin_project! {
    /// The future of [`RequireField`]: named and unboxed.
    #[project = Projected]
    enum RequireFieldFuture<F> {
        Inner { #[pin] inner: F },
        Refused { refusal: Option<Box<Refusal>> },
    }
}

impl<F, B, E> Future for RequireFieldFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<Reply<B>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(match self.project() {
            Projected::Inner { inner } => ready!(inner.poll(cx))?.map(Reply::inner),
            Projected::Refused { refusal } => {
                refusal.take().expect("polled after completion").into_response()
            }
        }))
    }
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let router = Router::new()
        .route("/", get(|| async { "hello\n" }))
        // The last one is the outermost.
        .layer(RequireFieldLayer::new(HeaderName::from_static("api-version")))
        .layer(ErrorPagesLayer::new("own").show_rules(true));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3002").await?;
    axum::serve(listener, router).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use proxy_testkit::LayerContract;

    #[tokio::test]
    async fn it_keeps_the_contract_of_layers() {
        let request = || Request::get("/").header("host", "a.test");
        let sizes =
            LayerContract::new(RequireFieldLayer::new(HeaderName::from_static("api-version")))
                .request(move || request().header("api-version", "2").body(()).expect("a request"))
                .refuses(move || request().body(()).expect("a request"))
                .run()
                .await;
        assert!(sizes.future.outer >= sizes.future.inner, "a boxed future? {sizes}");
    }
}

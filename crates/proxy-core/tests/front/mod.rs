//! All layers of proxy-core around a service that does what a test wants.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http::header::AsHeaderName;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use proxy_core::hygiene::{HygieneLayer, Role};
use proxy_core::trust::AddressSource;
use proxy_core::{
    Body, BoxError, CatchPanicLayer, ClientAddrLayer, ErrorKind, ErrorPagesLayer, IpSet,
    ProxyError, Refusal, Reply, RescueLayer,
};
use proxy_testkit::PoisonBody;
use tower::util::BoxCloneService;
use tower::{Service, ServiceBuilder, ServiceExt, service_fn};

/// What the service inside says; also in its panics and errors.
pub(crate) const INSIDE: &str = "from inside";

/// What the service inside does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Inside {
    Answers,
    /// Answers 502 with content of its own.
    Fails,
    Refuses(fn() -> Refusal),
    Errs,
    PanicsInCall,
    PanicsInFuture,
    PanicsLater,
}

type Erased =
    BoxCloneService<Request<PoisonBody>, Response<UnsyncBoxBody<Bytes, BoxError>>, BoxError>;

/// The stack. One service, as a connection has it.
pub(crate) struct Front {
    inside: Arc<Mutex<Inside>>,
    service: Erased,
}

impl Front {
    pub(crate) fn new(inside: Inside) -> Self {
        let inside = Arc::new(Mutex::new(inside));
        let shared = Arc::clone(&inside);
        let inner = service_fn(move |_: Request<PoisonBody>| {
            let inside = *shared.lock().expect("unharmed");
            assert!(!matches!(inside, Inside::PanicsInCall), "{INSIDE}");
            answer(inside)
        });
        let service = ServiceBuilder::new()
            .layer(ErrorPagesLayer::new("edge"))
            .layer(CatchPanicLayer)
            .layer(HygieneLayer::new(Role::Gateway, "edge"))
            .layer(ClientAddrLayer::new(IpSet::default(), AddressSource::default()))
            .layer(RescueLayer)
            .service(inner)
            .map_response(|response| response.map(BodyExt::boxed_unsync))
            .map_err(BoxError::from)
            .boxed_clone();
        Self { inside, service }
    }

    pub(crate) fn set(&mut self, inside: Inside) {
        *self.inside.lock().expect("unharmed") = inside;
    }

    pub(crate) async fn respond(
        &mut self,
        request: Request<PoisonBody>,
    ) -> Response<UnsyncBoxBody<Bytes, BoxError>> {
        let service = self.service.ready().await.expect("ready");
        service.call(request).await.expect("a response")
    }

    pub(crate) async fn ask(&mut self, request: Request<PoisonBody>) -> Answer {
        let (parts, body) = self.respond(request).await.into_parts();
        let content = body.collect().await.expect("content").to_bytes();
        Answer { status: parts.status, fields: parts.headers, content }
    }
}

async fn answer(inside: Inside) -> Result<Response<Reply<Body>>, ProxyError> {
    let content = Reply::inner(Body::full(INSIDE));
    match inside {
        Inside::Answers => Ok(Response::new(content)),
        Inside::Fails => {
            let mut response = Response::new(content);
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            Ok(response)
        }
        Inside::Refuses(refusal) => Ok(refusal().into_response()),
        Inside::Errs => {
            Err(ProxyError::new(ErrorKind::ConnectionRefused).detail(INSIDE).source(INSIDE))
        }
        Inside::PanicsLater => {
            tokio::task::yield_now().await;
            panic!("{INSIDE}");
        }
        Inside::PanicsInCall | Inside::PanicsInFuture => panic!("{INSIDE}"),
    }
}

/// A response, read.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    fields: HeaderMap,
    content: Bytes,
}

impl Answer {
    pub(crate) fn field(&self, name: impl AsHeaderName) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().expect("text"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.content).expect("text")
    }
}

/// A member of a problem document, as it is written. The documents are flat.
pub(crate) fn problem<'a>(answer: &'a Answer, member: &str) -> Option<&'a str> {
    let text = answer.text().trim().strip_prefix('{')?.strip_suffix('}')?;
    let key = format!("\"{member}\":");
    let start = text.find(&key)? + key.len();
    let value = &text[start..];
    Some(&value[..value.find(",\"").unwrap_or(value.len())])
}

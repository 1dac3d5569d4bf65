//! Who is refused is known by name.

use std::sync::Arc;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Empty;
use proxy_core::Refusal;
use proxy_filter::{Asked, FilterLayer, Verdict, policy};
use proxy_testkit::{Answer, ExchangeBuilder, StubService};
use tower::{Layer, ServiceExt};

fn refuse(asked: &Asked<'_>) -> Verdict {
    asked.set_user("otto".into());
    Refusal::new(StatusCode::FORBIDDEN, "user_not_allowed").into()
}

#[tokio::test]
async fn a_user_who_is_refused_stands_in_the_record() {
    let at_once = FilterLayer::new(policy(refuse));
    let later =
        FilterLayer::new(policy(|_| Verdict::defer_with(async {}, |(), asked| refuse(asked))));
    for layer in [at_once, later] {
        let (stub, _handle) = StubService::<Empty<Bytes>, std::convert::Infallible>::new(|| {
            Answer::Respond(Response::default())
        });
        let exchange = ExchangeBuilder::new().build();
        let request = Request::get("/").extension(exchange.clone()).body(Empty::new()).unwrap();
        let response = layer.layer(stub).oneshot(request).await.unwrap();
        assert_eq!(response.status(), 403);
        assert_eq!(exchange.user().map(Arc::as_ref), Some("otto"));
    }
}

//! What is copied, what is not, and that nobody waits for it.

use std::convert::Infallible;
use std::sync::Mutex;

use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use proxy_testkit::{
    CollectedTasks, ExchangeBuilder, LayerContract, ManualClock, ScriptedBody, Step,
};
use tower::{ServiceExt, service_fn};

use super::*;
use crate::balance::SeededRandom;

type Seen = Arc<Mutex<Vec<(Method, String, HeaderMap, String)>>>;

/// A mirror whose copies are sent when the test says so, to a service that keeps what it gets and
/// answers, or does not.
struct Stage {
    layer: MirrorLayer,
    tasks: CollectedTasks,
    clock: ManualClock,
    seen: Seen,
}

impl Stage {
    fn new(answers: bool, change: impl FnOnce(&mut MirrorConfig)) -> Self {
        let (tasks, clock, seen) = (CollectedTasks::new(), ManualClock::new(), Seen::default());
        let kept = Arc::clone(&seen);
        let shadow = service_fn(move |request: Request<Body>| {
            let kept = Arc::clone(&kept);
            async move {
                let (head, body) = request.into_parts();
                let content = body.collect().await.unwrap().to_bytes();
                let content = String::from_utf8(content.to_vec()).unwrap();
                kept.lock().unwrap().push((
                    head.method,
                    head.uri.to_string(),
                    head.headers,
                    content,
                ));
                if !answers {
                    std::future::pending::<()>().await;
                }
                Ok::<_, Infallible>(Response::new(Body::full("not for the client")))
            }
        });
        let mut config = MirrorConfig::new("shadow");
        change(&mut config);
        let means = MirrorMeans {
            clock: Arc::new(clock.clone()),
            spawn: Arc::new(tasks.clone()),
            random: Arc::new(SeededRandom::new(7)),
            recorder: None,
        };
        Self { layer: MirrorLayer::new(shadow, config, &means), tasks, clock, seen }
    }

    /// Sends a request to a service that reads all of it; gives back what that read.
    async fn send<B>(&self, request: Request<B>) -> String
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError> + fmt::Debug,
    {
        let app = service_fn(|request: Request<MirrorBody<B>>| async {
            let content =
                request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
            Ok::<_, Infallible>(Response::new(content.unwrap_or_default()))
        });
        let Ok(response) = self.layer.layer(app).oneshot(request).await;
        String::from_utf8(response.into_body().to_vec()).unwrap()
    }

    fn copies(&self) -> usize {
        self.layer.shared.copies.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn contents(&self) -> Vec<String> {
        self.tasks.run_until_stalled();
        self.seen.lock().unwrap().iter().map(|own| own.3.clone()).collect()
    }
}

fn request(content: &'static str) -> Request<Full<Bytes>> {
    Request::post("/a?b").body(content.into()).unwrap()
}

#[tokio::test]
async fn it_keeps_the_contract() {
    let stage = Stage::new(true, |_| {});
    LayerContract::new(stage.layer).run().await;
}

#[tokio::test]
async fn a_copy_has_what_the_request_had_but_for_its_hop() {
    let stage = Stage::new(true, |config| config.remove = vec!["cookie".parse().unwrap()]);
    let mut request = request("content");
    for (name, value) in [
        ("host", "app.test"),
        ("content-length", "7"),
        ("connection", "x-hop, keep-alive"),
        ("x-hop", "1"),
        ("te", "trailers"),
        ("expect", "100-continue"),
        ("proxy-authorization", "secret"),
        ("cookie", "a=b"),
        ("accept", "text/plain"),
    ] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    assert_eq!(stage.send(request).await, "content");
    assert_eq!((stage.tasks.started(), stage.copies()), (1, 1));
    assert_eq!(stage.contents(), ["content"]);
    let seen = stage.seen.lock().unwrap();
    let (method, target, fields, _) = &seen[0];
    assert_eq!((method.as_str(), target.as_str()), ("POST", "/a?b"));
    let mut names: Vec<_> = fields.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["accept", "host"]);
    assert_eq!(stage.copies(), 0);
}

#[tokio::test]
async fn content_in_pieces_is_whole_and_content_too_large_is_not_sent_in_part() {
    let stage = Stage::new(true, |config| config.body = 6);
    let pieces = |all: &[&'static str]| {
        let steps: Vec<_> = all.iter().map(|piece| Step::data(piece)).collect();
        Request::post("/").body(ScriptedBody::new(steps)).unwrap()
    };
    assert_eq!(stage.send(pieces(&["abc", "def"])).await, "abcdef");
    assert_eq!(stage.send(pieces(&["abc", "defg"])).await, "abcdefg");
    assert_eq!(stage.send(request("abcdefg")).await, "abcdefg");
    assert_eq!(stage.send(request("")).await, "");
    assert_eq!(stage.contents(), ["abcdef", ""]);
    assert_eq!(stage.copies(), 0);
}

/// As an upstream does that knows the length, or has seen the trailers, of content that does not
/// know its end: of an HTTP/2 client that ends its stream with an empty frame.
#[tokio::test]
async fn what_is_read_whole_is_copied_although_nobody_asks_for_its_end() {
    let stage = Stage::new(true, |_| {});
    let send = async |request: http::request::Builder, steps: &[Step], read: usize| {
        let app = service_fn(move |request: Request<MirrorBody<ScriptedBody>>| async move {
            let mut body = Box::pin(request.into_body());
            for _ in 0..read {
                assert!(body.frame().await.is_some_and(|frame| frame.is_ok()));
            }
            Ok::<_, Infallible>(Response::new(()))
        });
        let body = ScriptedBody::new(steps.to_vec()).end_unknown();
        let Ok(_) = stage.layer.layer(app).oneshot(request.body(body).unwrap()).await;
        stage.contents().pop()
    };
    let (abc, def) = (Step::data("abc"), Step::data("def"));
    let sized = || Request::post("/").header("content-length", "6");
    let trailers = [abc.clone(), Step::trailer("x-sum", "1")];
    assert_eq!(send(Request::post("/"), &trailers, 2).await.as_deref(), Some("abc"));
    stage.seen.lock().unwrap().clear();
    assert_eq!(send(sized(), &[abc.clone(), def.clone()], 1).await, None);
    assert_eq!(send(sized(), &[abc, def], 2).await.as_deref(), Some("abcdef"));
    assert_eq!(stage.copies(), 0);
}

#[tokio::test]
async fn what_is_not_read_to_its_end_is_not_copied() {
    let stage = Stage::new(true, |_| {});
    let app = service_fn(|_: Request<MirrorBody<ScriptedBody>>| async {
        Ok::<_, Infallible>(Response::new(()))
    });
    let body = ScriptedBody::new([Step::data("abc"), Step::data("def")]);
    let request = Request::post("/").body(body).unwrap();
    assert!(stage.layer.layer(app).oneshot(request).await.is_ok());
    assert_eq!((stage.tasks.started(), stage.copies()), (0, 0));
}

#[tokio::test]
async fn a_silent_recipient_costs_its_places_until_the_timeout_and_nothing_else() {
    let stage = Stage::new(false, |config| config.max_requests = 2);
    for _ in 0..5 {
        assert_eq!(stage.send(request("x")).await, "x");
    }
    assert_eq!(stage.tasks.started(), 2);
    assert_eq!((stage.contents().len(), stage.copies()), (2, 2));
    stage.clock.advance(Duration::from_secs(10));
    stage.tasks.run_until_stalled();
    assert_eq!(stage.copies(), 0);
    stage.send(request("x")).await;
    assert_eq!(stage.tasks.started(), 3);
}

#[tokio::test]
async fn a_share_is_a_share() {
    let stage = Stage::new(true, |config| config.share = 0.25);
    for _ in 0..1000 {
        stage.send(request("x")).await;
        stage.tasks.run_until_stalled();
    }
    let copied = stage.seen.lock().unwrap().len();
    assert!((200..300).contains(&copied), "{copied}");
}

#[tokio::test]
async fn a_rehearsal_copies_nothing_and_says_what_would_be() {
    let stage = Stage::new(true, |_| {});
    let exchange = ExchangeBuilder::new().build();
    exchange.set_rehearsal();
    let mut request = request("x");
    request.extensions_mut().insert(exchange.clone());
    stage.send(request).await;
    assert_eq!(stage.tasks.started(), 0);
    exchange.with_decisions(|all| {
        assert_eq!((all[0].layer, all[0].rule.as_deref()), ("mirror", Some("shadow")));
    });
}

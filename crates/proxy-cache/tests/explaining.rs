//! What the layer says it would do, and that it does nothing.

mod stage;

use std::time::Duration;

use http::{Request, Response};
use proxy_cache::explain::{LookUp, Storage};
use proxy_cache::{Bypass, CacheExplanation, CacheRules, Outcome};
use proxy_testkit::{Answer, ScriptedBody, Step};
use stage::{Stage, Stub, text_of};

/// An origin with one answer; to be asked a second time is a panic.
fn once(fields: &'static [(&'static str, &'static str)]) -> impl FnMut() -> Stub + Send + 'static {
    let mut asked = false;
    move || {
        assert!(!std::mem::replace(&mut asked, true), "upstream was asked once too often");
        let mut response = Response::new(ScriptedBody::new([Step::data("content")]).exact());
        for (name, value) in fields {
            response.headers_mut().append(*name, value.parse().expect("a value"));
        }
        Answer::Respond(response)
    }
}

fn explained(stage: &Stage, fields: &[(&str, &str)]) -> CacheExplanation {
    explained_as(stage, "GET", fields)
}

fn explained_as(stage: &Stage, method: &str, fields: &[(&str, &str)]) -> CacheExplanation {
    let request = Request::builder().method(method).uri("/a?b").header("host", "a.test");
    let request =
        fields.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    stage.layer.explain(&request.body(String::new()).expect("a request"))
}

fn told(explained: &CacheExplanation) -> (LookUp, &'static str) {
    (explained.look_up, explained.reason)
}

#[tokio::test]
async fn what_is_stored_and_how_it_would_be_used() {
    let fields =
        &[("cache-control", "max-age=60, stale-while-revalidate=20"), ("vary", "accept-language")];
    let stage = Stage::new(once(fields));
    let before = explained(&stage, &[]);
    assert_eq!(told(&before), (LookUp::Miss, "uri-miss"));
    assert!(before.stored.is_empty());
    text_of(stage.get("/a?b").await).await;
    let counts = stage.layer.counts();

    stage.clock.advance(Duration::from_secs(10));
    let hit = explained(&stage, &[]);
    assert_eq!(told(&hit), (LookUp::Hit, "fresh"));
    assert_eq!(
        (hit.key.map(|key| key.url()), hit.hash),
        (Some("http://a.test/a?b".into()), before.hash)
    );
    let [stored] = &hit.stored[..] else { panic!("{:?}", hit.stored) };
    assert!(stored.selected);
    assert_eq!((stored.age.as_secs(), stored.ttl, stored.stored.body.len()), (10, 50, 7));
    for (field, does, why) in [
        (("accept-language", "de"), LookUp::Miss, "vary-miss"),
        (("cache-control", "no-cache"), LookUp::Validate, "request-no-cache"),
        (("cache-control", "max-age=5"), LookUp::Validate, "request-max-age"),
        (("cache-control", "no-store"), LookUp::Bypass, "no-store"),
        (("if-match", "x"), LookUp::Bypass, "precondition"),
    ] {
        assert_eq!(told(&explained(&stage, &[field])), (does, why), "{field:?}");
    }
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(told(&explained(&stage, &[])), (LookUp::Stale, "stale-while-revalidate"));
    let max_stale = explained(&stage, &[("cache-control", "max-stale")]);
    assert_eq!(told(&max_stale), (LookUp::Stale, "max-stale"));
    stage.clock.advance(Duration::from_secs(60));
    let stale = explained(&stage, &[]);
    assert_eq!((told(&stale), stale.stored[0].ttl), ((LookUp::Validate, "stale"), -70));
    let only = explained(&stage, &[("cache-control", "only-if-cached")]);
    assert_eq!(told(&only), (LookUp::OnlyIfCached, "nothing-usable"));
    assert!(only.look_up.is_answered() && !stale.look_up.is_answered());

    assert_eq!(stage.layer.counts(), counts);
    assert_eq!((stage.tasks.started(), stage.layer.in_flight()), (0, 0));
}

#[tokio::test]
async fn whether_an_answer_could_be_stored() {
    let bypass = vec![Bypass::Cookie("login".into())];
    let stage = Stage::with(CacheRules { bypass, min_uses: 3, ..CacheRules::default() }, once(&[]));
    for (method, field, storage) in [
        ("GET", ("a", "b"), Storage::Allowed),
        ("POST", ("a", "b"), Storage::Allowed),
        ("GET", ("cookie", "a=b"), Storage::Shared("personal")),
        ("GET", ("proxy-authorization", "b"), Storage::Shared("personal")),
        ("GET", ("authorization", "b"), Storage::Shared("authorization")),
        ("GET", ("cookie", "login=b"), Storage::Never("rule")),
        ("HEAD", ("a", "b"), Storage::Never("method")),
        ("DELETE", ("a", "b"), Storage::Never("method")),
    ] {
        let explained = explained_as(&stage, method, &[field]);
        assert_eq!(explained.storage, storage, "{method} {field:?}");
        assert_eq!(explained.min_uses, 3);
    }
    assert_eq!(explained(&stage, &[("cookie", "a")]).personal, Some("cookie"));
    let personal = Stage::with(CacheRules { personal: true, ..CacheRules::default() }, once(&[]));
    assert_eq!(explained(&personal, &[]).personal, Some("access-rules"));
    assert_eq!(stage.layer.counts().of(Outcome::Bypass), 0);
}

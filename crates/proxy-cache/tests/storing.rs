//! What is stored, found again, refreshed and derived, through the layer.

mod stage;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use proxy_cache::{CacheRules, Outcome};
use proxy_core::{ContentCoder, Effort, NotCoded};
use proxy_testkit::{Answer, ScriptedBody, Step};
use stage::{Stage, Stub, status, text_of};

/// An answer with these fields.
fn answer(fields: &[(&'static str, &'static str)], text: &'static str) -> Stub {
    answer_of(StatusCode::OK, fields, text)
}

fn answer_of(
    code: StatusCode,
    fields: &[(&'static str, &'static str)],
    text: &'static str,
) -> Stub {
    let steps = (!text.is_empty()).then(|| Step::data(text));
    let mut response = Response::new(ScriptedBody::new(steps).exact());
    *response.status_mut() = code;
    for (name, value) in fields {
        response.headers_mut().append(*name, value.parse().expect("a value"));
    }
    Answer::Respond(response)
}

/// Answers one after the other; the last one for ever is a panic.
fn script(answers: Vec<Stub>) -> impl FnMut() -> Stub + Send + 'static {
    let mut answers = answers.into_iter();
    move || answers.next().expect("upstream was asked once too often")
}

fn get(path: &str) -> http::request::Builder {
    Request::get(path).header("host", "a.test")
}

#[tokio::test]
async fn a_hit_has_age_and_says_so() {
    let stage = Stage::new(script(vec![answer(&[("cache-control", "max-age=60")], "x")]));
    let miss = stage.get("/a").await;
    assert_eq!(status(&miss), "proxy-cache; fwd=uri-miss; fwd-status=200; ttl=60; stored");
    text_of(miss).await;
    stage.clock.advance(Duration::from_secs(10));
    let hit = stage.get("/a").await;
    assert_eq!(hit.headers()["age"], "10");
    assert_eq!(status(&hit), "proxy-cache; hit; ttl=50");
    assert_eq!(hit.headers()["content-length"], "1");
    assert_eq!(text_of(hit).await, "x");
    let counts = stage.layer.counts();
    assert_eq!((counts.of(Outcome::Miss), counts.of(Outcome::Hit)), (1, 1));
    assert_eq!(counts.hit_ratio(), Some(0.5));
}

#[tokio::test]
async fn stale_while_revalidate_answers_now_and_asks_once() {
    let fields = [("cache-control", "max-age=1, stale-while-revalidate=60"), ("etag", "\"1\"")];
    let stage = Stage::new(script(vec![
        answer(&fields, "old"),
        answer_of(StatusCode::NOT_MODIFIED, &fields, ""),
    ]));
    text_of(stage.get("/a").await).await;
    stage.clock.advance(Duration::from_secs(5));
    for _ in 0..3 {
        let stale = stage.get("/a").await;
        assert_eq!(status(&stale), "proxy-cache; hit; ttl=-4");
        assert_eq!(text_of(stale).await, "old");
    }
    assert_eq!(stage.tasks.started(), 1, "one task for all");
    stage.tasks.run_until_stalled();
    stage.origin.take_request();
    let asked = stage.origin.take_request().expect("a second request").request;
    assert_eq!(asked.headers()["if-none-match"], "\"1\"");
    assert_eq!(status(&stage.get("/a").await), "proxy-cache; hit; ttl=1");
}

#[tokio::test]
async fn an_error_upstream_is_hidden_where_the_response_allows_it() {
    let stage = Stage::new(script(vec![
        answer(&[("cache-control", "max-age=1, stale-if-error=60")], "old"),
        answer_of(StatusCode::SERVICE_UNAVAILABLE, &[], "down"),
        answer_of(StatusCode::SERVICE_UNAVAILABLE, &[], "down"),
    ]));
    text_of(stage.get("/a").await).await;
    stage.clock.advance(Duration::from_secs(30));
    assert_eq!(text_of(stage.get("/a").await).await, "old");
    stage.clock.advance(Duration::from_secs(60));
    assert_eq!(stage.get("/a").await.status(), StatusCode::SERVICE_UNAVAILABLE);
}

#[tokio::test]
async fn a_304_to_what_is_unknown_makes_it_ask_again() {
    let stage = Stage::new(script(vec![
        answer(&[("cache-control", "max-age=1"), ("etag", "\"1\"")], "old"),
        answer_of(StatusCode::NOT_MODIFIED, &[("etag", "\"2\"")], ""),
        answer(&[("etag", "\"2\"")], "new"),
    ]));
    text_of(stage.get("/a").await).await;
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(text_of(stage.get("/a").await).await, "new");
    let requests: Vec<_> = std::iter::from_fn(|| stage.origin.take_request()).collect();
    assert!(!requests[2].request.headers().contains_key("if-none-match"));
}

#[tokio::test]
async fn parts_are_joined_and_the_whole_is_completed() {
    let part = |range: &'static str, text| {
        let fields = [("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-range", range)];
        answer_of(StatusCode::PARTIAL_CONTENT, &fields, text)
    };
    let stage = Stage::new(script(vec![
        part("bytes 0-2/9", "abc"),
        part("bytes 3-5/9", "def"),
        part("bytes 6-8/9", "ghi"),
    ]));
    let ask = |range: &'static str| stage.ask(get("/a").header("range", range));
    assert_eq!(text_of(ask("bytes=0-2").await).await, "abc");
    assert_eq!(text_of(ask("bytes=3-5").await).await, "def");
    let within = ask("bytes=1-4").await;
    assert_eq!(within.headers()["content-range"], "bytes 1-4/9");
    assert_eq!(text_of(within).await, "bcde");
    let whole = stage.get("/a").await;
    assert_eq!(
        (whole.status(), &whole.headers()["content-length"]),
        (StatusCode::OK, &"9".parse().expect("valid"))
    );
    assert!(!whole.headers().contains_key("content-range"));
    assert_eq!(text_of(whole).await, "abcdefghi");
    let requests: Vec<_> = std::iter::from_fn(|| stage.origin.take_request()).collect();
    let last = requests[2].request.headers();
    assert_eq!(
        (&last["range"], &last["if-range"]),
        (&"bytes=6-".parse().expect("valid"), &"\"1\"".parse().expect("valid"))
    );
    assert_eq!(text_of(stage.get("/a").await).await, "abcdefghi");
}

#[tokio::test]
async fn a_whole_that_has_changed_replaces_its_stored_beginning() {
    let stage = Stage::new(script(vec![
        answer_of(
            StatusCode::PARTIAL_CONTENT,
            &[("cache-control", "max-age=60"), ("etag", "\"1\""), ("content-range", "bytes 0-1/4")],
            "ab",
        ),
        answer(&[("cache-control", "max-age=60"), ("etag", "\"2\"")], "WXYZ"),
    ]));
    text_of(stage.ask(get("/a").header("range", "bytes=0-1")).await).await;
    assert_eq!(text_of(stage.get("/a").await).await, "WXYZ");
    assert_eq!(text_of(stage.get("/a").await).await, "WXYZ");
}

#[tokio::test]
async fn a_query_is_keyed_by_its_content() {
    let stage = Stage::new(script(vec![
        answer(&[("cache-control", "max-age=60")], "one"),
        answer(&[("cache-control", "max-age=60")], "two"),
        answer(&[("cache-control", "max-age=60")], "got"),
    ]));
    let query = |content| {
        let request = Request::builder().method("QUERY").uri("/a").header("host", "a.test");
        stage.ask_with(request.header("content-type", "text/plain"), content)
    };
    assert_eq!(text_of(query("1").await).await, "one");
    assert_eq!(text_of(query("2").await).await, "two");
    assert_eq!(text_of(query("1").await).await, "one");
    assert_eq!(text_of(stage.get("/a").await).await, "got");
}

#[tokio::test]
async fn queries_that_do_not_vary_share_a_response() {
    let fields = [("cache-control", "max-age=60"), ("no-vary-search", "params=(\"utm\")")];
    let stage = Stage::new(script(vec![answer(&fields, "x"), answer(&fields, "y")]));
    assert_eq!(text_of(stage.get("/a?id=1&utm=2").await).await, "x");
    assert_eq!(text_of(stage.get("/a?utm=3&id=1").await).await, "x");
    assert_eq!(text_of(stage.get("/a?id=2").await).await, "y");
}

#[tokio::test]
async fn what_is_asked_for_too_seldom_is_not_stored() {
    let fields = [("cache-control", "max-age=60")];
    let rules = CacheRules { min_uses: 3, ..CacheRules::default() };
    let stage = Stage::with(rules, script((0..3).map(|_| answer(&fields, "x")).collect()));
    for stored in [false, false, true] {
        let miss = stage.get("/a").await;
        assert_eq!(status(&miss).contains("stored"), stored, "{}", status(&miss));
        text_of(miss).await;
    }
    assert!(status(&stage.get("/a").await).contains("hit"));
}

/// Turns letters, and counts how often.
struct Turn(AtomicUsize);

impl ContentCoder for Turn {
    fn codings(&self) -> &[&'static str] {
        &["turn"]
    }
    fn is_eligible(&self, response: &HeaderMap, _: Option<u64>) -> bool {
        response.get("content-type").is_some_and(|kind| kind == "text/plain")
    }
    fn code(&self, _: &str, content: &[Bytes], _: Effort) -> Result<Bytes, NotCoded> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Ok(content.concat().into_iter().rev().collect())
    }
}

#[tokio::test]
async fn one_stored_response_serves_every_coding() {
    let coder = Arc::new(Turn(AtomicUsize::new(0)));
    let fields = [
        ("cache-control", "max-age=10"),
        ("content-type", "text/plain"),
        ("etag", "\"1\""),
        ("vary", "accept-encoding"),
    ];
    let stage = Stage::coding(
        Arc::clone(&coder),
        script(vec![answer(&fields, "abc"), answer_of(StatusCode::NOT_MODIFIED, &fields, "")]),
    );
    let ask = |takes: &'static str| stage.ask(get("/a").header("accept-encoding", takes));
    assert_eq!(text_of(ask("turn").await).await, "abc", "the first one is not made to wait");
    let asked = stage.origin.take_request().expect("a request").request;
    assert_eq!(asked.headers()["accept-encoding"], "identity");
    for _ in 0..3 {
        let coded = ask("gzip, turn").await;
        assert_eq!(coded.headers()["content-encoding"], "turn");
        assert_eq!(coded.headers()["etag"], "W/\"1-turn\"");
        assert_eq!(coded.headers()["vary"], "accept-encoding");
        assert_eq!(text_of(coded).await, "cba");
        let plain = ask("turn;q=0").await;
        assert!(!plain.headers().contains_key("content-encoding"));
        assert_eq!(text_of(plain).await, "abc");
    }
    assert_eq!(coder.0.load(Ordering::Relaxed), 1);
    let conditional = get("/a").header("accept-encoding", "turn");
    let unchanged = stage.ask(conditional.header("if-none-match", "W/\"1-turn\"")).await;
    assert_eq!(unchanged.status(), StatusCode::NOT_MODIFIED);
    // Confirmed upstream, it is not made again.
    stage.clock.advance(Duration::from_secs(20));
    text_of(ask("identity").await).await;
    assert_eq!(text_of(ask("turn").await).await, "cba");
    assert_eq!(coder.0.load(Ordering::Relaxed), 1);
}

/// What a response to HEAD says of a stored one does not undo that it comes in several codings.
#[tokio::test]
async fn a_head_response_leaves_vary_as_it_is() {
    let coder = Arc::new(Turn(AtomicUsize::new(0)));
    let fields = [
        ("cache-control", "max-age=10"),
        ("content-type", "text/plain"),
        ("etag", "\"1\""),
        ("vary", "origin"),
    ];
    let stage = Stage::coding(coder, script(vec![answer(&fields, "abc"), answer(&fields, "")]));
    text_of(stage.ask(get("/a")).await).await;
    stage.clock.advance(Duration::from_secs(20));
    text_of(stage.ask(Request::head("/a").header("host", "a.test")).await).await;
    let hit = stage.ask(get("/a")).await;
    assert!(status(&hit).contains("hit"), "{}", status(&hit));
    let vary: Vec<_> = hit.headers().get_all("vary").iter().collect();
    assert_eq!(vary, ["origin", "accept-encoding"]);
}

/// A slice with this validator, range and content.
fn slice(tag: &'static str, range: &'static str, text: &'static str) -> Stub {
    let fields = [("cache-control", "max-age=60"), ("etag", tag), ("content-range", range)];
    answer_of(StatusCode::PARTIAL_CONTENT, &fields, text)
}

#[tokio::test]
async fn large_content_is_fetched_in_slices() {
    let rules = CacheRules { slice: std::num::NonZeroU64::new(10), ..CacheRules::default() };
    let stage = Stage::with(
        rules,
        script(vec![
            slice("\"1\"", "bytes 10-19/26", "klmnopqrst"),
            slice("\"1\"", "bytes 0-9/26", "abcdefghij"),
            slice("\"1\"", "bytes 20-25/26", "uvwxyz"),
        ]),
    );
    let ranges = |stage: &Stage| -> Vec<String> {
        let requests = std::iter::from_fn(|| stage.origin.take_request());
        requests.map(|r| r.request.headers()["range"].to_str().expect("text").to_owned()).collect()
    };
    let some = stage.ask(get("/a").header("range", "bytes=12-14")).await;
    assert_eq!(some.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(some.headers()["content-range"], "bytes 12-14/26");
    assert_eq!(some.headers()["content-length"], "3");
    assert_eq!(text_of(some).await, "mno");
    assert_eq!(ranges(&stage), ["bytes=10-19"]);
    let whole = stage.get("/a").await;
    assert_eq!(
        (whole.status(), whole.headers()["content-length"].as_bytes()),
        (StatusCode::OK, &b"26"[..])
    );
    assert!(!whole.headers().contains_key("content-range"));
    assert_eq!(text_of(whole).await, "abcdefghijklmnopqrstuvwxyz");
    assert_eq!(ranges(&stage), ["bytes=0-9", "bytes=20-29"]);
    let again = stage.ask(get("/a").header("range", "bytes=8-")).await;
    assert_eq!(text_of(again).await, "ijklmnopqrstuvwxyz");
    assert!(ranges(&stage).is_empty());
    let beyond = stage.ask(get("/a").header("range", "bytes=26-27")).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
}

#[tokio::test]
async fn slices_of_different_representations_are_never_put_together() {
    let rules = CacheRules { slice: std::num::NonZeroU64::new(10), ..CacheRules::default() };
    let stage = Stage::with(
        rules,
        script(vec![
            slice("\"1\"", "bytes 0-9/20", "aaaaaaaaaa"),
            slice("\"2\"", "bytes 10-19/20", "bbbbbbbbbb"),
        ]),
    );
    let mut whole = stage.get("/a").await;
    let first = whole.body_mut().frame().await.expect("a frame").expect("sound");
    assert_eq!(first.into_data().expect("data"), "aaaaaaaaaa");
    assert!(whole.body_mut().frame().await.expect("a frame").is_err());
}

#[tokio::test]
async fn an_origin_without_ranges_gives_the_whole() {
    let rules = CacheRules { slice: std::num::NonZeroU64::new(2), ..CacheRules::default() };
    let fields = [("cache-control", "max-age=60")];
    let stage =
        Stage::with(rules, script(vec![answer(&fields, "abcdef"), answer(&fields, "abcdef")]));
    for _ in 0..2 {
        let whole = stage.get("/a").await;
        assert_eq!(whole.status(), StatusCode::OK);
        assert_eq!(text_of(whole).await, "abcdef");
    }
}

#[tokio::test]
async fn invalidation_finds_what_has_more_than_the_target_in_its_key() {
    let fields = [("cache-control", "max-age=60")];
    let stage = Stage::keyed(
        &["x-tenant"],
        script(vec![
            answer(&fields, "one"),
            answer(&fields, "two"),
            answer(&[], "done"),
            answer(&fields, "one again"),
            answer(&fields, "two again"),
        ]),
    );
    let ask = |tenant: &'static str| stage.ask(get("/a").header("x-tenant", tenant));
    assert_eq!(text_of(ask("1").await).await, "one");
    assert_eq!(text_of(ask("2").await).await, "two");
    assert_eq!(text_of(ask("1").await).await, "one");
    stage.ask(Request::put("/a").header("host", "a.test")).await;
    assert_eq!(text_of(ask("1").await).await, "one again");
    assert_eq!(text_of(ask("2").await).await, "two again");
}

#[tokio::test]
async fn a_word_on_queries_that_is_taken_back_no_longer_counts() {
    let says = [("cache-control", "max-age=1"), ("no-vary-search", "params")];
    let silent = [("cache-control", "max-age=60")];
    let stage = Stage::new(script(vec![
        answer(&says, "old"),
        answer(&silent, "new"),
        answer(&silent, "other"),
    ]));
    assert_eq!(text_of(stage.get("/a?x=1").await).await, "old");
    stage.clock.advance(Duration::from_secs(5));
    assert_eq!(text_of(stage.get("/a?x=1").await).await, "new");
    assert_eq!(text_of(stage.get("/a?x=2").await).await, "other");
    assert_eq!(text_of(stage.get("/a?x=1").await).await, "new");
}

#[tokio::test]
async fn a_part_that_is_the_whole_answers_for_the_whole() {
    let stage = Stage::new(script(vec![slice("\"1\"", "bytes 0-2/3", "abc")]));
    let part = stage.ask(get("/a").header("range", "bytes=0-")).await;
    assert_eq!((part.status(), text_of(part).await.as_str()), (StatusCode::PARTIAL_CONTENT, "abc"));
    let whole = stage.get("/a").await;
    assert_eq!((whole.status(), text_of(whole).await.as_str()), (StatusCode::OK, "abc"));
}

#[tokio::test]
async fn a_configured_time_takes_the_place_of_the_origins() {
    let ttl = vec![proxy_cache::StatusTtl { statuses: 200..=299, ttl: Duration::from_secs(60) }];
    for (control, stored) in [
        ("max-age=0", true),
        ("max-age=0, must-revalidate", true),
        ("s-maxage=1", true),
        ("no-store", false),
        ("private, max-age=9", false),
    ] {
        let rules = CacheRules { ttl: ttl.clone(), ..CacheRules::default() };
        let fields = [("cache-control", control)];
        let stage = Stage::with(rules, script(vec![answer(&fields, "x"), answer(&fields, "y")]));
        text_of(stage.get("/a").await).await;
        stage.clock.advance(Duration::from_secs(50));
        let second = stage.get("/a").await;
        assert_eq!(status(&second).contains("hit"), stored, "{control}: {}", status(&second));
    }
}

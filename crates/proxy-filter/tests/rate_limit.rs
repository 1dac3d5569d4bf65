//! Rate limits as a layer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::Empty;
use proxy_core::{ClientAddr, Exchange, Refusal, RequestHead, Verdict};
use proxy_filter::rate::fields::{RATE_LIMIT, RATE_LIMIT_POLICY};
use proxy_filter::rate::{
    KeyPart, Rate, RateError, RateLimit, RateLimitLayer, RateLimited, RateLimiter,
};
use proxy_filter::rules::{ActionSpec, MatchSpec, Mode, Resources, RuleSpec, Rules};
use proxy_filter::{Asked, Limit, Policy};
use proxy_testkit::{Answer, ExchangeBuilder, LayerContract, ManualClock, StubHandle, StubService};
use tower::{Layer, Service, ServiceExt};

type Content = Empty<bytes::Bytes>;

fn per_client(burst: u64) -> RateLimit {
    RateLimit::new("per-client", Rate::per_second(100)).burst(burst)
}

fn started(limit: RateLimit, clock: &ManualClock) -> Arc<RateLimiter> {
    Arc::new(limit.start(Arc::new(clock.clone())).expect("a limit"))
}

/// A layered service that always answers, and its stub.
struct Stage {
    service: RateLimited<StubService<Content, Infallible>>,
    stub: StubHandle<Content, Infallible>,
}

fn stage(layer: &RateLimitLayer) -> Stage {
    let (stub, handle) = StubService::new(|| Answer::Respond(Response::default()));
    Stage { service: layer.layer(stub), stub: handle }
}

impl Stage {
    async fn ask(&mut self, request: Request<Content>) -> Response<()> {
        let Ok(ready) = ServiceExt::<Request<Content>>::ready(&mut self.service).await;
        let Ok(response) = ready.call(request).await;
        response.map(|_| ())
    }

    async fn ask_from(&mut self, peer: &str) -> Response<()> {
        self.ask(from(peer).0).await
    }
}

fn from(peer: &str) -> (Request<Content>, Exchange) {
    let exchange = ExchangeBuilder::new().peer(peer).build();
    let request = Request::builder().uri("/a").extension(exchange.clone());
    (request.body(Empty::new()).expect("a request"), exchange)
}

#[tokio::test]
async fn it_keeps_the_contract_of_layers() {
    let layer = || {
        let clock = ManualClock::new();
        let all = started(RateLimit::new("all", Rate::per_second(1000)).fields(true), &clock);
        let none = RateLimit::new("none", Rate::per_second(1)).key([]);
        let none = started(none.applies(|head| head.target.path() == "/full"), &clock);
        let first = Request::get("/full").body(()).unwrap();
        none.count(&Asked::new(RequestHead::of(&first))).expect("the first");
        RateLimitLayer::of([all, none])
    };
    let sizes = LayerContract::from_fn(layer)
        .refuses(|| Request::get("/full").body(()).unwrap())
        .run()
        .await;
    assert!(sizes.response_body.overhead() <= 64);
}

#[tokio::test]
async fn the_burst_passes_then_a_refusal_says_when() {
    let clock = ManualClock::new();
    let mut stage = stage(&RateLimitLayer::of([started(per_client(200), &clock)]));
    for n in 0..200 {
        assert_eq!(stage.ask_from("192.0.2.1").await.status(), 200, "request {n}");
    }
    let (request, exchange) = from("192.0.2.1");
    let refused = stage.ask(request).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    let refusal = refused.extensions().get::<Refusal>().expect("a refusal");
    assert_eq!((refusal.reason, refusal.rule_id.as_deref()), ("rate_limited", Some("per-client")));
    exchange.with_decisions(|decisions| {
        assert_eq!(decisions.len(), 1, "{decisions:?}");
        assert_eq!((decisions[0].layer, decisions[0].verdict), ("rate_limit", Verdict::Limit));
        assert_eq!(decisions[0].rule.as_deref(), Some("per-client"));
    });
    assert_eq!(stage.stub.calls(), 200);
    // Another client has a budget of its own.
    assert_eq!(stage.ask_from("192.0.2.2").await.status(), 200);
    // After the time that was said, it passes.
    clock.advance(Duration::from_secs(1));
    assert_eq!(stage.ask_from("192.0.2.1").await.status(), 200);
}

#[tokio::test]
async fn the_time_said_is_never_too_short() {
    let clock = ManualClock::new();
    let limit = RateLimit::new("slow", "7/min".parse().expect("a rate"));
    let mut stage = stage(&RateLimitLayer::of([started(limit, &clock)]));
    assert_eq!(stage.ask_from("192.0.2.1").await.status(), 200);
    clock.advance(Duration::from_millis(1));
    let refused = stage.ask_from("192.0.2.1").await;
    // One in 8.571 s, of which 1 ms has passed.
    assert_eq!(refused.headers()["retry-after"], "9");
    clock.advance(Duration::from_secs(8));
    assert_eq!(stage.ask_from("192.0.2.1").await.status(), 429);
    clock.advance(Duration::from_secs(1));
    assert_eq!(stage.ask_from("192.0.2.1").await.status(), 200);
}

#[tokio::test]
async fn fields_tell_how_the_client_stands() {
    let clock = ManualClock::new();
    let mut stage = stage(&RateLimitLayer::of([
        started(per_client(2).fields(true), &clock),
        started(RateLimit::new("silent", Rate::per_second(5)), &clock),
        started(
            RateLimit::new("hourly", "3600/h".parse().expect("a rate")).burst(10).fields(true),
            &clock,
        ),
    ]));
    let told = |fields: &HeaderMap| -> Vec<String> {
        let lines = fields.get_all(RATE_LIMIT_POLICY).iter().chain(fields.get_all(RATE_LIMIT));
        lines.map(|line| line.to_str().expect("text").to_owned()).collect()
    };
    let passed = stage.ask_from("192.0.2.1").await;
    assert_eq!(
        told(passed.headers()),
        [
            "\"per-client\";q=2;w=1",
            "\"hourly\";q=10;w=10",
            "\"per-client\";r=1;t=1",
            "\"hourly\";r=9;t=1"
        ]
    );
    stage.ask_from("192.0.2.1").await;
    let refused = stage.ask_from("192.0.2.1").await;
    assert_eq!(refused.status(), 429);
    assert_eq!(told(refused.headers()), ["\"per-client\";q=2;w=1", "\"per-client\";r=0;t=1"]);
}

#[tokio::test]
async fn what_one_limit_refuses_costs_nothing_in_another() {
    let clock = ManualClock::new();
    let wide = started(RateLimit::new("wide", Rate::per_second(10)).burst(3), &clock);
    let narrow = started(RateLimit::new("narrow", Rate::per_second(1)).burst(1), &clock);
    let mut both = stage(&RateLimitLayer::of([Arc::clone(&wide), narrow]));
    assert_eq!(both.ask_from("192.0.2.1").await.status(), 200);
    for _ in 0..20 {
        let refused = both.ask_from("192.0.2.1").await;
        let refusal = refused.extensions().get::<Refusal>().expect("a refusal");
        assert_eq!(refusal.rule_id.as_deref(), Some("narrow"));
    }
    let mut alone = stage(&RateLimitLayer::of([wide]));
    assert_eq!(alone.ask_from("192.0.2.1").await.status(), 200);
    assert_eq!(alone.ask_from("192.0.2.1").await.status(), 200);
    assert_eq!(alone.ask_from("192.0.2.1").await.status(), 429);
}

#[tokio::test]
async fn a_limit_that_reports_refuses_nothing() {
    let clock = ManualClock::new();
    let mut stage = stage(&RateLimitLayer::of([started(per_client(1).report(true), &clock)]));
    let verdicts = |exchange: &Exchange| -> Vec<Verdict> {
        exchange.with_decisions(|decisions| decisions.iter().map(|d| d.verdict).collect())
    };
    for expected in [vec![], vec![Verdict::Report], vec![Verdict::Report]] {
        let (request, exchange) = from("192.0.2.1");
        assert_eq!(stage.ask(request).await.status(), 200);
        assert_eq!(verdicts(&exchange), expected);
        assert_eq!(exchange.error(), None);
    }
}

#[tokio::test]
async fn a_rehearsal_counts_nothing_and_shows_the_level() {
    let clock = ManualClock::new();
    let limiter = started(per_client(2), &clock);
    let mut stage = stage(&RateLimitLayer::of([limiter]));
    let rehearsed = async |stage: &mut Stage| {
        let (request, exchange) = from("192.0.2.1");
        exchange.set_rehearsal();
        let status = stage.ask(request).await.status();
        let said = exchange.with_decisions(|decisions| {
            decisions
                .iter()
                .map(|d| format!("{} {}", d.verdict.token(), d.reason))
                .collect::<Vec<_>>()
        });
        (status.as_u16(), said.join("; "))
    };
    for _ in 0..5 {
        assert_eq!(rehearsed(&mut stage).await, (200, "allow 0 of 2 used".to_owned()));
    }
    stage.ask_from("192.0.2.1").await;
    stage.ask_from("192.0.2.1").await;
    assert_eq!(rehearsed(&mut stage).await, (429, "limit 2 of 2 used".to_owned()));
    assert_eq!(stage.ask_from("192.0.2.1").await.status(), 429);
}

#[tokio::test]
async fn a_rule_takes_and_the_layer_tells() {
    let clock = ManualClock::new();
    let login = started(RateLimit::new("login", Rate::per_second(1)).burst(2).fields(true), &clock);
    let mut stage = stage(&RateLimitLayer::of::<Arc<RateLimiter>>([]));
    let (request, _exchange) = from("192.0.2.1");
    let rule: Arc<dyn Limit> = login;
    rule.count(&Asked::new(RequestHead::of(&request))).expect("within");
    let passed = stage.ask(request).await;
    assert_eq!(passed.headers()[RATE_LIMIT], "\"login\";r=1;t=1");
    let (request, _exchange) = from("192.0.2.1");
    rule.count(&Asked::new(RequestHead::of(&request))).expect("within");
    let exceeded = rule.count(&Asked::new(RequestHead::of(&request))).expect_err("beyond");
    let response = exceeded.refusal(&"the-rule".into()).into_response::<Content>();
    assert_eq!(response.headers()[RATE_LIMIT], "\"login\";r=0;t=1");
    assert_eq!(response.headers()["retry-after"], "1");
}

#[test]
fn a_rule_counts_the_user_that_was_just_found_out() {
    let clock = ManualClock::new();
    let limit = RateLimit::new("users", Rate::per_second(1)).key([KeyPart::User]);
    let limiter = started(limit, &clock);
    let count = |user: &str| {
        let (request, _exchange) = from("192.0.2.1");
        let asked = Asked::new(RequestHead::of(&request));
        asked.set_user(user.into());
        limiter.count(&asked).is_ok()
    };
    assert_eq!(
        [count("ann"), count("bob"), count("ann"), count("bob")],
        [true, true, false, false]
    );
}

#[tokio::test]
async fn in_axum_by_one_line() {
    let limit = RateLimit::new("api", "1/h".parse().expect("a rate"))
        .client(Arc::new(|head| head.extensions.get::<ClientAddr>().copied()));
    let app: Router =
        Router::new().route("/", get(|| async { "hello" })).layer(RateLimitLayer::new(limit));
    let request = |peer: &str| {
        let peer = ClientAddr::new(peer.parse().expect("an address"));
        Request::get("/").extension(peer).body(axum::body::Body::empty()).expect("a request")
    };
    for (peer, status) in [("192.0.2.1", 200), ("192.0.2.1", 429), ("192.0.2.2", 200)] {
        let response = app.clone().oneshot(request(peer)).await.expect("an answer");
        assert_eq!(response.status(), status, "{peer}");
        assert_eq!(response.headers().contains_key("retry-after"), status == 429);
    }
}

#[test]
fn a_limit_that_lets_nothing_pass_is_none() {
    let start = |limit: RateLimit| limit.start(Arc::new(ManualClock::new())).map(|_| ());
    assert_eq!(start(per_client(0)), Err(RateError::NoBurst));
    assert_eq!(start(per_client(5).cost(6)), Err(RateError::Cost));
    assert_eq!(start(per_client(5).cost(0)), Err(RateError::Cost));
    let century = RateLimit::new("slow", "1/d".parse().expect("a rate")).burst(40_000);
    assert_eq!(start(century), Err(RateError::TooLong));
    assert_eq!(start(per_client(5).key([KeyPart::Route]).cost(5)), Ok(()));
}

#[tokio::test]
async fn what_only_reported_gets_nothing_back() {
    let clock = ManualClock::new();
    let trial = started(RateLimit::new("trial", Rate::per_second(1)).burst(3).report(true), &clock);
    let narrow = started(RateLimit::new("narrow", Rate::per_second(1)).burst(3), &clock);
    let mut both = stage(&RateLimitLayer::of([Arc::clone(&trial), narrow]));
    let mut reports = Vec::new();
    for _ in 0..3 {
        both.ask_from("192.0.2.1").await;
    }
    let mut alone = stage(&RateLimitLayer::of([trial]));
    for turn in 0..3 {
        let (request, exchange) = from("192.0.2.1");
        let stage = if turn < 2 { &mut both } else { &mut alone };
        stage.ask(request).await;
        reports.push(exchange.with_decisions(|decisions| {
            decisions.iter().any(|decision| decision.verdict == Verdict::Report)
        }));
    }
    assert_eq!(reports, [true; 3]);
}

#[test]
fn a_rule_that_reports_takes_nothing_of_a_limit_that_others_count_by() {
    let clock = ManualClock::new();
    let shared = started(RateLimit::new("shared", Rate::per_second(1)).burst(2), &clock);
    let mut resources = Resources::new(Arc::new(clock.clone()));
    let limit: Arc<dyn Limit> = Arc::<RateLimiter>::clone(&shared);
    resources.limits.insert("shared".into(), limit);
    let rule = |id: &str, mode| RuleSpec {
        id: id.to_owned(),
        matches: MatchSpec::default(),
        action: ActionSpec::RateLimit("shared".into()),
        mode,
    };
    let trial = Rules::compile(&[rule("trial", Mode::Report)], &resources).expect("rules");
    let reported = || {
        let (request, exchange) = from("192.0.2.1");
        assert!(trial.judge(&Asked::new(RequestHead::of(&request))).is_allow());
        exchange.with_decisions(<[proxy_core::Decision]>::len)
    };
    assert_eq!([reported(), reported(), reported(), reported()], [0, 0, 1, 1]);
    let real = Rules::compile(&[rule("real", Mode::Enforce)], &resources).expect("rules");
    let passes = || {
        let (request, _exchange) = from("192.0.2.1");
        real.judge(&Asked::new(RequestHead::of(&request))).is_allow()
    };
    assert_eq!([passes(), passes(), passes()], [true, true, false]);
}

//! What ten rules and the list cost one request that passes them all.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::hint::black_box;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Instant;

use http::{Request, Response};
use proxy_core::SystemClock;
use proxy_filter::domains::{DomainList, DomainLists, DomainPolicy, ListHandle, Purpose};
use proxy_filter::rules::{ActionSpec, FieldTest, MatchSpec, Mode, Resources, RuleSpec, Rules};
use proxy_filter::{FilterLayer, Policies};
use tower::{Layer, Service, service_fn};

const ROUNDS: u32 = 1_000_000;

/// Nanoseconds that the layer adds to a request.
pub(crate) fn cost(list: DomainList) -> f64 {
    let rules = Rules::compile(&ten(), &Resources::new(Arc::new(SystemClock))).expect("rules");
    let lists = DomainLists::new().with(Purpose::Block, ListHandle::new("list", list));
    let policies = Policies::new().then(DomainPolicy::new(lists)).then(rules);
    let without = each(service_fn(answer));
    each(FilterLayer::new(policies).layer(service_fn(answer))) - without
}

fn answer(_: Request<()>) -> Ready<Result<Response<()>, Infallible>> {
    ready(Ok(Response::new(())))
}

fn each<S: Service<Request<()>>>(mut service: S) -> f64
where
    S::Error: std::fmt::Debug,
{
    let request = Request::get("http://shop.example.test/catalogue/shoes?sort=price_asc")
        .header("host", "shop.example.test")
        .header("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Firefox/128.0")
        .header("accept", "text/html")
        .body(())
        .expect("a request");
    let mut context = Context::from_waker(Waker::noop());
    let mut run = || {
        let start = Instant::now();
        for _ in 0..ROUNDS / 10 {
            let mut future = std::pin::pin!(service.call(black_box(request.clone())));
            assert!(black_box(future.as_mut().poll(&mut context)).is_ready());
        }
        start.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS / 10)
    };
    (0..10).map(|_| run()).fold(f64::INFINITY, f64::min)
}

/// Rules of every kind, of which none matches.
fn ten() -> Vec<RuleSpec> {
    let text = |text: &str| vec![text.to_owned()];
    let of = MatchSpec::default;
    let matches = [
        MatchSpec { hosts: text("*.internal.test"), ..of() },
        MatchSpec { hosts: text("admin.example.test"), ..of() },
        MatchSpec { paths: text("/wp-login.php"), ..of() },
        MatchSpec { path_prefixes: text("/admin"), ..of() },
        MatchSpec { path_regex: Some(r"/v[0-9]+/private/.*".into()), ..of() },
        MatchSpec { methods: text("TRACE"), ..of() },
        MatchSpec { schemes: text("https"), ..of() },
        MatchSpec {
            fields: vec![("user-agent".into(), FieldTest::Regex(".*curl/[0-9].*".into()))],
            ..of()
        },
        MatchSpec { query: vec![("debug".into(), FieldTest::Present(true))], ..of() },
        MatchSpec { ports: text("8000-8099"), ..of() },
    ];
    matches
        .into_iter()
        .enumerate()
        .map(|(n, matches)| RuleSpec {
            id: format!("rule-{n}"),
            matches,
            action: ActionSpec::Deny { status: 403, page: None },
            mode: Mode::Enforce,
        })
        .collect()
}

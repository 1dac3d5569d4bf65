//! Users, routes and listeners that share one store never read each other's answers.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full};
use proxy_cache::store::MemoryStore;
use proxy_cache::{Cache, CacheLayer, CacheRules, Keying};
use proxy_core::Reply;
use proxy_testkit::{CollectedTasks, ManualClock};
use tower::{Layer as _, Service, ServiceExt as _};

/// An origin that puts into its answer everything it took from the request.
#[derive(Clone)]
struct Origin {
    name: &'static str,
    personal: bool,
}

fn text<'a>(fields: &'a HeaderMap, name: &str) -> &'a str {
    fields.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-")
}

impl Origin {
    /// What a client with these fields should get, and what the answer says about storing it.
    fn answer(&self, method: &str, target: &str, fields: &HeaderMap) -> (String, &'static str) {
        let host = text(fields, "host").to_ascii_lowercase();
        let base = format!("{} {method} {host} {target}", self.name);
        let kind = target.trim_start_matches('/').split(['/', '?']).next().unwrap_or_default();
        match kind {
            // For all, whoever asks.
            "public" => (base, "public, max-age=30"),
            // For all by the origin's word, for each by the rule of the route.
            "plain" => {
                let who = if self.personal { text(fields, "x-user") } else { "-" };
                (format!("{base} {who}"), "max-age=30")
            }
            // Made of the cookie, and careless about saying so.
            "cookie" => (format!("{base} {}", text(fields, "cookie")), "max-age=30"),
            "auth" => (format!("{base} {}", text(fields, "authorization")), "max-age=30"),
            "language" => {
                (format!("{base} {}", text(fields, "accept-language")), "public, max-age=30")
            }
            // Made of what a framework believes.
            _ => {
                let believed = ["x-forwarded-host", "x-original-url", "x-http-method-override"]
                    .map(|name| text(fields, name))
                    .join(" ");
                (format!("{base} {believed}"), "max-age=30")
            }
        }
    }
}

impl<B> Service<Request<Reply<B>>> for Origin {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Reply<B>>) -> Self::Future {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str());
        let (content, control) = self.answer(request.method().as_str(), target, request.headers());
        let mut response = Response::builder().header("cache-control", control);
        if target.starts_with("/language") {
            response = response.header("vary", "accept-language");
        }
        ready(Ok(response.body(Full::from(content)).expect("a response")))
    }
}

/// A small generator (xorshift), so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % sides as u64) as usize
    }

    fn pick<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len())]
    }
}

#[tokio::test]
async fn nobody_reads_what_is_anothers() {
    let store = Arc::new(MemoryStore::with_capacity(1 << 20));
    let clock = ManualClock::new();
    let stack = |name: &'static str, personal: bool| -> (Origin, Cache<Origin>) {
        let origin = Origin { name, personal };
        let layer = CacheLayer::builder(Arc::clone(&store) as _, Arc::new(clock.clone()))
            .spawn(Arc::new(CollectedTasks::new()))
            .rules(CacheRules { personal, ..CacheRules::default() })
            .keying(Keying { space: name.into(), ..Keying::default() })
            .build();
        (origin.clone(), layer.layer(origin))
    };
    // A route, its canary, and one with an access rule.
    let stacks = [stack("stable", false), stack("canary", false), stack("staff", true)];
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut hits = 0;
    for n in 0..100_000 {
        if n % 997 == 0 {
            clock.advance(Duration::from_secs(20));
        }
        let (origin, cache) = &stacks[dice.roll(3)];
        let kind = dice.pick(&["public", "plain", "cookie", "auth", "language", "framework"]);
        let target = format!("/{kind}/{}{}", dice.roll(4), dice.pick(&["", "?a=1", "?a=2"]));
        let mut request = Request::builder()
            .method(dice.pick(&["GET", "GET", "GET", "HEAD"]))
            .uri(&target)
            .header("host", dice.pick(&["a.test", "A.test", "b.test"]));
        let user = format!("u{}", dice.roll(5));
        for (chance, name, value) in [
            (3, "cookie", format!("sid={user}")),
            (4, "authorization", format!("Bearer {user}")),
            (2, "accept-language", dice.pick(&["de", "en"]).to_owned()),
            (5, "x-forwarded-host", "evil.test".to_owned()),
            (5, "x-original-url", "/admin".to_owned()),
            (5, "x-http-method-override", "POST".to_owned()),
        ] {
            if dice.roll(chance) == 0 {
                request = request.header(name, value);
            }
        }
        let request = request.header("x-user", &user).body(Full::<Bytes>::default());
        let request = request.expect("a request");
        let (method, fields) = (request.method().clone(), request.headers().clone());
        let response = cache.clone().oneshot(request).await.expect("infallible");
        let hit = text(response.headers(), "cache-status").contains("hit");
        hits += usize::from(hit);
        let got = response.into_body().collect().await.expect("whole").to_bytes();
        if method == http::Method::HEAD {
            continue;
        }
        // What this client would have got alone, its unkeyed claims aside.
        let mut clean = fields.clone();
        for name in ["x-forwarded-host", "x-original-url", "x-http-method-override"] {
            clean.remove(name);
        }
        let (mut due, _) = origin.answer("GET", &target, &clean);
        if hit && (kind == "cookie" || kind == "auth") {
            // What was stored is the answer for somebody without any name.
            due = origin
                .answer("GET", &target, &{
                    let mut anonymous = clean.clone();
                    anonymous.remove("cookie");
                    anonymous.remove("authorization");
                    anonymous
                })
                .0;
        }
        assert_eq!(got, due.as_bytes(), "exchange {n}, hit: {hit}, {fields:?}");
    }
    assert!(hits > 20_000, "{hits} hits: the test is of hits as well");
}

//! Questions about small configurations.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::config::tests::Folder;
use crate::config::{Overrides, load};

const GATEWAY: &str = r#"
[listeners.web]
address = "127.0.0.1:8080"
role = "gateway"

[listeners.inner]
address = "127.0.0.1:8081"
role = "gateway"
trusted_proxies = ["10.0.0.0/8"]
client_address_from = "forwarded"
deny_clients = ["192.0.2.66/32"]

[listeners.proxied]
address = "127.0.0.1:8082"
role = "gateway"
trusted_proxies = ["10.0.0.0/8"]
proxy_protocol = true

[listeners.out]
address = "127.0.0.1:3128"
role = "forward"

[server]
via_name = "test"

[upstreams.app]
endpoints = ["http://127.0.0.1:1", "http://[::1]:2"]

[upstreams.named]
endpoints = ["http://app.test:3"]
host = "fixed.test"
protocol = "h2"

[[routes]]
name = "named"
match = { hosts = ["=named.test"] }
upstream = "named"

[[routes]]
name = "kept"
match = { path_prefixes = ["/kept"] }
upstream = "app"
cache = true

[[routes]]
name = "staff"
match = { path_prefixes = ["/staff"] }
upstream = "app"
allow_clients = ["192.0.2.0/24"]
cache = true

[[routes]]
name = "all"
match = { path_prefixes = ["/"], methods = ["GET", "PUT"] }
upstream = "app"
rewrite = { strip_prefix = "/api" }
"#;

fn loaded(path: &Path) -> Resolved {
    load(path, &Overrides::default()).unwrap_or_else(|found| panic!("{found}")).resolved
}

async fn explained(question: Value) -> Result<Explanation, QuestionError> {
    let folder = Folder::new(&[("proxyd.toml", GATEWAY)]);
    let explainer = Explainer::offline(&loaded(&folder.path("proxyd.toml")));
    explainer.explain(&serde_json::from_value(question).expect("a question")).await
}

/// The same as lines.
async fn lines(question: Value) -> String {
    explained(question).await.expect("an explanation").to_string()
}

#[tokio::test]
async fn the_way_to_an_upstream() {
    let told = explained(json!({
        "method": "GET", "url": "http://A.test:8080/api/./x?b", "fields": ["TE: trailers", "Proxy: x"],
    }))
    .await
    .expect("an explanation");
    assert_eq!(
        told.to_string(),
        "\
listener  gateway  web on 127.0.0.1:8080: by the port of the URL
accept    allow    127.0.0.1: not_a_trusted_proxy
client    known    127.0.0.1, by peer
target    normal   /api/x?b from /api/./x?b
route     match    all
cache     off
guard     allow    127.0.0.1:1
upstream  chosen   app: 127.0.0.1:1, h1, host of client
upstream  balance  round_robin, 2 of 2 in service
request   sent     GET /x?b
request   added    connection: te
request   added    forwarded: for=127.0.0.1;proto=http;host=\"A.test:8080\"
request   added    traceparent: 00-00000000000000000000000000000001-0000000000000001-00
request   added    via: 1.1 test
request   added    x-forwarded-for: 127.0.0.1
request   added    x-forwarded-host: A.test:8080
request   added    x-forwarded-proto: http
request   added    x-request-id: 00000000000000000000000000000000
request   removed  proxy: x
answer    later    by upstream
answer    field    via: 1.1 test
answer    field    x-request-id: 00000000000000000000000000000000
"
    );
    let told = explained(json!({"method": "GET", "url": "http://named.test/"})).await.unwrap();
    let upstream = told.upstream.expect("an upstream");
    assert_eq!((upstream.endpoint.as_str(), upstream.protocol.as_str()), ("app.test:3", "h2"));
    assert_eq!((upstream.host.as_str(), upstream.addresses.len()), ("fixed", 0));
    assert_eq!(told.sent.expect("a request").target, "http://fixed.test/");
}

#[tokio::test]
async fn the_turn_of_the_next_endpoint_stays() {
    let folder = Folder::new(&[("proxyd.toml", GATEWAY)]);
    let explainer = Explainer::offline(&loaded(&folder.path("proxyd.toml")));
    let url = "http://a.test/x".to_owned();
    let question = Question { method: "GET".to_owned(), url, ..Question::default() };
    for _ in 0..2 {
        let told = explainer.explain(&question).await.unwrap();
        assert_eq!(told.upstream.unwrap().endpoint, "127.0.0.1:1");
    }
}

#[tokio::test]
async fn clients_and_the_proxies_in_front_of_them() {
    for (listener, from, peer, told) in [
        ("web", "192.0.2.7", None, "192.0.2.7, by peer"),
        ("inner", "192.0.2.7", None, "192.0.2.7, by forwarded"),
        ("inner", "2001:db8::1", Some("10.1.1.1"), "2001:db8::1, by forwarded"),
        ("inner", "192.0.2.7", Some("192.0.2.8"), "192.0.2.8, by peer"),
        ("proxied", "192.0.2.7", None, "192.0.2.7, by proxy_protocol"),
    ] {
        let question = json!({
            "method": "GET", "url": "/", "listener": listener, "from": from, "peer": peer,
            "fields": ["Host: a.test"],
        });
        let text = lines(question).await;
        assert!(text.contains(&format!("client    known    {told}\n")), "{listener}\n{text}");
    }
    let refused = json!({"method": "GET", "url": "/", "listener": "inner", "peer": "192.0.2.66"});
    let text = lines(refused).await;
    assert!(text.ends_with("accept    deny     192.0.2.66: address\n"), "{text}");
    let text = lines(json!({"method": "GET", "url": "/", "listener": "proxied"})).await;
    assert!(text.ends_with("accept    deny     127.0.0.1: proxy_protocol\n"), "{text}");
}

#[tokio::test]
async fn what_is_refused_says_by_whom() {
    for (method, url, layer, reason, status) in [
        ("GET", "http://a.test/staff", "gateway", "client_not_allowed", 403),
        ("POST", "http://a.test/x", "gateway", "method_not_allowed", 405),
        ("GET", "http://a.test/%00", "hygiene", "path_nul", 400),
        ("CONNECT", "127.0.0.1:443", "guard", "destination_ip_prohibited", 403),
        ("CONNECT", "a.test:25", "guard", "port_not_allowed", 403),
    ] {
        let told = explained(json!({"method": method, "url": url})).await.unwrap();
        let last = told.decisions.last().expect("a decision");
        assert_eq!((&*last.layer, &*last.verdict), (layer, "deny"), "{url}");
        assert_eq!(last.reason, reason, "{url}");
        let answer = told.answer.expect("an answer");
        assert_eq!((&*answer.source, answer.status), ("refusal", Some(status)), "{url}");
        assert!(told.upstream.is_none() && told.sent.is_none(), "{url}");
    }
}

#[tokio::test]
async fn what_the_cache_would_do() {
    for (question, look_up, storage) in [
        (json!({"url": "http://a.test/kept?b"}), "miss uri-miss", "allowed "),
        (
            json!({"url": "http://a.test/kept", "fields": ["Cookie: a"]}),
            "miss uri-miss",
            "shared personal",
        ),
        (
            json!({"url": "http://a.test/kept", "fields": ["Authorization: a"]}),
            "miss uri-miss",
            "shared authorization",
        ),
        (
            json!({"url": "http://a.test/kept", "fields": ["Cache-Control: no-store"]}),
            "bypass no-store",
            "never no-store",
        ),
        (
            json!({"url": "http://a.test/kept", "fields": ["Cache-Control: only-if-cached"]}),
            "only-if-cached nothing-usable",
            "allowed ",
        ),
        (
            json!({"url": "http://a.test/kept", "fields": ["Content-Length: 9"]}),
            "bypass content",
            "never content",
        ),
        (json!({"url": "http://a.test/kept", "method": "PUT"}), "bypass method", "never method"),
        (
            json!({"url": "http://a.test/staff", "peer": "192.0.2.1"}),
            "miss uri-miss",
            "shared personal",
        ),
    ] {
        let mut question = question;
        question["listener"] = "web".into();
        if question["method"].is_null() {
            question["method"] = "GET".into();
        }
        let told = explained(question.clone()).await.unwrap().cache.expect("a cache");
        assert!(told.on && told.stored.is_empty(), "{question}");
        assert_eq!(format!("{} {}", told.look_up, told.reason), look_up, "{question}");
        let why = told.storage_reason.unwrap_or_default();
        assert_eq!(format!("{} {why}", told.storage), storage, "{question}");
        let key = told.key.expect("a key");
        assert!(key.space.starts_with("gateway/") && key.authority == "a.test", "{key:?}");
    }
}

#[tokio::test]
async fn a_question_that_is_none() {
    for (question, reason) in [
        (json!({"method": "G T", "url": "/"}), "`G T` is not a method"),
        (json!({"method": "GET", "url": "a.test"}), "`a.test` is not a URL"),
        (json!({"method": "GET", "url": "/", "fields": ["a b: c"]}), "`a b: c` is not a field"),
        (
            json!({"method": "GET", "url": "/", "listener": "x"}),
            "no listener is named `x`; there are `",
        ),
    ] {
        let error = explained(question).await.unwrap_err().to_string();
        assert!(error.starts_with(reason), "{error}");
    }
    let unknown = serde_json::from_value::<Question>(json!({"method": "GET", "url": "/", "x": 1}));
    assert!(unknown.is_err());
}

#[tokio::test]
async fn an_explanation_travels_as_json() {
    let told = explained(json!({"method": "GET", "url": "https://a.test/kept"})).await.unwrap();
    assert_eq!(told.notes, ["the listener speaks clear text: asked as http"]);
    let text = serde_json::to_string(&told).unwrap();
    assert_eq!(serde_json::from_str::<Explanation>(&text).unwrap(), told);
}

//! Which requests come to which slot, and what holds there.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::extract::ConnectInfo;
use http::Request;
use proxy_core::{Body, Exchange};
use tower::ServiceExt;
use tower::util::MapRequestLayer;

use super::*;
use crate::config::tests::Folder;

const FILE: &str = r#"
[listeners.web]
address = "127.0.0.1:8080"
role = "gateway"

[upstreams.app]
endpoints = ["http://127.0.0.1:1"]

[[filter.rules]]
id = "no-uploads"
match = { methods = ["PUT"] }
action = "deny"

[[routes]]
name = "fixed"
match = { paths = ["/fixed"] }
respond = { status = 200 }

[[routes]]
name = "staff"
match = { paths = ["/staff"] }
upstream = "app"
allow_clients = ["10.0.0.0/8"]

[[routes]]
name = "all"
upstream = "app"
rewrite = { strip_prefix = "/api" }
compress = true
"#;

type Seen = Arc<Mutex<Vec<String>>>;

/// Writes down slot, path and route of each request.
fn witness(builder: StackBuilder, slot: Slot, seen: &Seen) -> StackBuilder {
    let seen = Arc::clone(seen);
    let layer = MapRequestLayer::new(move |request: Request<Body>| {
        let exchange = Exchange::of(&request).expect("a record");
        let route = exchange.route().map_or("-", |route| &**route);
        let client = exchange.client().is_known();
        let line = format!("{slot:?} {} {route} {client}", request.uri().path());
        seen.lock().expect("a lock").push(line);
        request
    });
    builder.layer(slot, layer)
}

#[tokio::test]
async fn each_slot_sees_what_its_place_says() {
    let folder = Folder::new(&[("proxyd.toml", FILE)]);
    let seen = Seen::default();
    let builder = [Slot::Content, Slot::Delivered, Slot::Permitted, Slot::Arrived]
        .into_iter()
        .fold(Stack::builder(), |builder, slot| witness(builder, slot, &seen));
    let stack = builder.from_file(folder.path("proxyd.toml")).expect("a stack");
    let service = stack.service("web").expect("a listener");
    assert!(stack.service("other").is_none());
    for (method, path, status, expected) in [
        ("GET", "/a/../fixed", 200, &["Arrived /fixed - true", "Permitted /fixed fixed true"][..]),
        ("PUT", "/x", 403, &["Arrived /x - true"]),
        ("GET", "/staff", 403, &["Arrived /staff - true"]),
        (
            "GET",
            "/api/x",
            502,
            &[
                "Arrived /api/x - true",
                "Permitted /api/x all true",
                "Delivered /x all true",
                "Content /x all true",
            ],
        ),
    ] {
        let from = ConnectInfo(SocketAddr::from(([192, 0, 2, 1], 50_000)));
        let request = Request::builder().method(method).uri(path).header("host", "a.test");
        let request = request.extension(from).body(Body::empty()).expect("a request");
        let answer = service.clone().oneshot(request).await.expect("an answer");
        assert_eq!(answer.status().as_u16(), status, "{method} {path}");
        assert_eq!(*seen.lock().expect("a lock"), expected, "{method} {path}");
        seen.lock().expect("a lock").clear();
    }
}

#[tokio::test]
async fn programs_are_not_started_unasked() {
    let routes = "[[routes]]\nname = \"run\"\nexec = { program = \"/bin/true\" }\n";
    let (front, _) = FILE.split_once("[[filter").expect("two parts");
    let folder = Folder::new(&[("proxyd.toml", &format!("{front}{routes}"))]);
    let error = Stack::builder().from_file(folder.path("proxyd.toml")).expect_err("programs");
    assert!(matches!(error, StackError::Programs), "{error}");
}

//! Another service decides: `forward_auth`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use proxyd_tests::client::{self, Client};
use proxyd_tests::configured;
use proxyd_tests::h2_origin::H2Origin;
use proxyd_tests::h2_wire::Event;
use proxyd_tests::origin::{Act, Origin, Script, ok, response};
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{ports, wire};

use super::{asking, counted, get};

#[test]
fn who_is_let_in_comes_with_what_the_service_says() {
    let app = Origin::saying("served");
    let auth = Origin::answering(|request, _| {
        let well = request.field("cookie") == Some("sid=good");
        let fields = [("Remote-User", "ann"), ("Set-Cookie", "sid=new"), ("X-Secret", "s")];
        match well {
            true => vec![response("200 OK", &fields, "")],
            false => vec![response(
                "302 Found",
                &[("Location", "https://sign.test/in"), ("X-Secret", "s")],
                "sign in",
            )],
        }
    });
    let keys = "copy_fields = [\"Remote-User\", \"Remote-Groups\"], \
                response_fields = [\"Set-Cookie\"], user_field = \"Remote-User\"";
    let proxy = asking(&app, &auth.url(), keys, "").start();
    let forged = "Remote-Groups: admin\r\nRemote_User: root\r\nX-Forwarded-Uri: /public\r\n\
                  X-Forwarded-Method: OPTIONS\r\nTE: trailers\r\nIf-None-Match: \"x\"\r\n";
    let passed = get(&proxy, &format!("Cookie: sid=good\r\n{forged}"));
    assert_eq!((passed.status(), passed.text().as_str()), (200, "served"));
    assert_eq!(passed.field("set-cookie"), Some("sid=new"));
    let told = app.last();
    assert_eq!(told.field("remote-user"), Some("ann"));
    assert_eq!((told.field("remote-groups"), told.field("remote_user")), (None, None));
    assert_eq!(told.field("x-secret"), None);

    let question = auth.last();
    assert_eq!(question.line(), "GET /verify?x=1");
    for (name, expected) in [
        ("host", Some("app.test")),
        ("x-forwarded-method", Some("GET")),
        ("x-forwarded-uri", Some("/a/b?c")),
        ("x-forwarded-host", Some("app.test")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("cookie", Some("sid=good")),
        ("remote-groups", None),
        ("remote_user", None),
        ("if-none-match", None),
    ] {
        assert_eq!(question.field(name), expected, "{name}");
    }

    let refused = get(&proxy, "");
    assert_eq!((refused.status(), refused.text().as_str()), (302, "sign in"));
    assert_eq!(refused.field("location"), Some("https://sign.test/in"));
    assert_eq!(
        (refused.field("x-secret"), refused.field("cache-control")),
        (None, Some("no-store"))
    );
    assert_eq!(app.requests().len(), 1, "nothing of it came to the application");
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() == 2).then_some(log)
    });
    assert!(log.contains("forward_auth") && log.contains("authorization_required"), "{log}");
    let series = "proxy_filter_forward_auth_requests_total{service=\"auth\",outcome=\"allowed\"} 1";
    counted(&proxy, series);
    counted(&proxy, "proxy_filter_forward_auth_duration_seconds_count{");
}

/// A request that names one host and comes to another must not pass by the rules of the first.
#[test]
fn behind_a_trusted_proxy_it_is_asked_about_the_host_that_is_served() {
    let (app, auth) = (
        Origin::saying("served"),
        Origin::answering(|_, _| vec![response("204 No Content", &[], "")]),
    );
    let routes = format!(
        "forward_auth = {{ upstream = \"auth\", send_fields = [\"Cookie\"] }}\n\n\
         [upstreams.auth]\nendpoints = [\"{}\"]\n",
        auth.url()
    );
    let listener = "trusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = configured::gateway(&app.url(), listener, &routes).start();
    let raw = "GET /a HTTP/1.1\r\nHost: admin.test\r\nCookie: a=b\r\n\
               X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\
               X-Forwarded-Host: public.test\r\nX-Original-URL: /public\r\n\
               X-Forwarded-Uri: /public\r\nX-Request-Id: id-1\r\nX-Other: 1\r\n\r\n";
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    // The application hears what the proxy in front says, and is served by its `Host`.
    let told = app.last();
    assert_eq!(told.field("host"), Some("admin.test"));
    assert_eq!(told.field("x-forwarded-host"), Some("public.test"));
    let question = auth.last();
    for (name, expected) in [
        ("host", Some("admin.test")),
        ("x-forwarded-host", Some("admin.test")),
        ("x-forwarded-proto", Some("https")),
        ("x-forwarded-uri", Some("/a")),
        ("x-forwarded-for", told.field("x-forwarded-for")),
        ("x-request-id", Some("id-1")),
        ("traceparent", told.field("traceparent")),
        ("via", told.field("via")),
        ("cookie", Some("a=b")),
        ("x-original-url", None),
        ("x-other", None),
    ] {
        assert_eq!(question.field(name), expected, "{name}");
    }
    assert!(told.field("x-forwarded-for").is_some_and(|list| list.starts_with("192.0.2.7")));
    assert!(told.field("traceparent").is_some() && told.field("via").is_some());
    let forwarded = question.field("forwarded").expect("Forwarded");
    assert!(forwarded.contains("192.0.2.7") && !forwarded.contains("public.test"), "{forwarded}");
}

/// What is at the end of a request is as little believed as what is at its begin.
#[test]
fn nothing_that_the_service_says_comes_as_a_trailer() {
    let raw = "POST / HTTP/1.1\r\nHost: app.test\r\nTransfer-Encoding: chunked\r\n\
               Trailer: Remote-User, X-Sum\r\nTrailer: remote_user\r\n\r\n2\r\nhi\r\n0\r\n\
               Remote-User: root\r\nRemote_User: root\r\nX-Sum: 1\r\n\r\n";
    let auth = Origin::answering(|_, _| vec![response("204 No Content", &[], "")]);
    let keys = "copy_fields = [\"Remote_User\"]";
    let app = Origin::saying("served");
    let proxy = asking(&app, &auth.url(), keys, "").start();
    assert_eq!(client::exchange(proxy.address(), "POST", raw).text(), "served");
    let told = app.last();
    assert_eq!(told.field("trailer"), Some("X-Sum"));
    let trailers = ["x-sum", "remote-user", "remote_user"].map(|name| told.trailers.get(name));
    assert_eq!(trailers, [Some("1"), None, None]);

    let app = H2Origin::start(|mut connection| {
        let Some(asked) = connection.request() else { return };
        let trailers = loop {
            match connection.link.event() {
                Event::Fields { fields, end: true, .. } => break fields,
                Event::Data { end: true, .. } | Event::Closed => break Vec::new(),
                _ => {}
            }
        };
        let names: Vec<_> = trailers.iter().map(|(name, _)| name.as_str()).collect();
        connection.answer(asked.stream, &names.join(","));
    });
    let rest = format!(
        "[[routes]]\nname = \"all\"\nupstream = \"two\"\n\
         forward_auth = {{ upstream = \"auth\", {keys} }}\n\n\
         [upstreams.two]\nendpoints = [\"{}\"]\nprotocol = \"h2\"\n\n\
         [upstreams.auth]\nendpoints = [\"{}\"]\n",
        app.url(),
        auth.url()
    );
    let proxy = configured::gateway_routes("http://127.0.0.1:9", "", &rest).start();
    assert_eq!(client::exchange(proxy.address(), "POST", raw).text(), "x-sum");
}

/// A preflight comes without credentials (Fetch, section 4.8): it is not asked about, and what is
/// refused says so in a way that a script of the other site can read.
#[test]
fn preflights_of_scripts_pass_unasked_where_a_route_says_so() {
    let app = Origin::answering(|request, _| {
        vec![response("204 No Content", &[("X-Line", &request.line())], "")]
    });
    let auth = Origin::answering(|_, _| {
        let fields = [("Access-Control-Allow-Origin", "https://a.test"), ("X-Secret", "s")];
        vec![response("401 Unauthorized", &fields, "")]
    });
    let routes = format!(
        "[[routes]]\nname = \"preflight\"\nupstream = \"app\"\n\
         match = {{ methods = [\"OPTIONS\"] }}\nforward_auth = false\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n\n\
         [defaults]\nforward_auth = {{ upstream = \"auth\" }}\n\n\
         [upstreams.auth]\nendpoints = [\"{}\"]\n",
        auth.url()
    );
    let proxy = configured::gateway_routes(&app.url(), "", &routes).start();
    let ask = |method: &str| {
        let raw = format!(
            "{method} /a HTTP/1.1\r\nHost: app.test\r\nOrigin: https://a.test\r\n\
             Access-Control-Request-Method: PUT\r\nContent-Length: 0\r\n\r\n"
        );
        client::exchange(proxy.address(), method, raw)
    };
    let preflight = ask("OPTIONS");
    assert_eq!((preflight.status(), preflight.field("x-line")), (204, Some("OPTIONS /a")));
    assert_eq!(auth.requests().len(), 0);
    let refused = ask("PUT");
    assert_eq!(refused.status(), 401);
    assert_eq!(refused.field("access-control-allow-origin"), Some("https://a.test"));
    assert_eq!((refused.field("x-secret"), app.requests().len()), (None, 1));
}

#[test]
fn content_waits_for_the_decision_and_is_whole() {
    let (app, gate) = (Origin::answering(|request, _| ok(&request.content)), Gate::new());
    let opened = gate.clone();
    let script = Script::new().on_request(move |_, _| {
        [vec![Act::Until(opened.clone())], vec![response("204 No Content", &[], "")]].concat()
    });
    let auth = Origin::start(script);
    let proxy = asking(&app, &auth.url(), "", "").start();
    let mut client = Client::connect(proxy.address());
    client.send("POST /up HTTP/1.1\r\nHost: app.test\r\nContent-Length: 7\r\n\r\ncontent");
    auth.wait_received(0, "\r\n\r\n");
    assert_eq!(app.links(), 0);
    let question = wire::latin1(&auth.bytes(0)).to_ascii_lowercase();
    assert!(!question.contains("content-length") && !question.contains("\r\n\r\nc"), "{question}");
    gate.open();
    assert_eq!(client.expect("POST").text(), "content");
}

#[test]
fn without_a_decision_nobody_passes() {
    let app = Origin::saying("served");
    let refused = |auth: &str, keys: &str| {
        let proxy = asking(&app, auth, keys, "").start();
        let answer = get(&proxy, "");
        assert_eq!(answer.status(), 503, "{}", answer.text());
        assert_eq!(answer.field("retry-after"), Some("1"));
        assert!(answer.text().contains("authorization_unavailable"), "{}", answer.text());
        let unavailable = "outcome=\"unavailable\"} 1";
        counted(&proxy, unavailable);
    };
    // Nobody is there.
    refused(&format!("http://{}", ports::free()), "");
    // Nobody answers.
    let silent = Origin::start(Script::new().on_request(|_, _| vec![Act::AwaitEnd]));
    refused(&silent.url(), "timeout = \"100ms\"");
    // It breaks off, or answers what is no decision.
    let broken = Origin::start(Script::new().on_request(|_, _| vec![Act::Reset]));
    refused(&broken.url(), "");
    let lost = Origin::answering(|_, _| vec![response("500 Oops", &[], "secret")]);
    refused(&lost.url(), "");
    assert_eq!(app.requests().len(), 0);
}

#[test]
fn an_answer_without_end_is_cut_off_whole() {
    let app = Origin::saying("served");
    let auth = Origin::start(Script::new().on_request(|_, _| {
        let head = "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\n\r\n";
        let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
        [vec![Act::send(head)], vec![Act::send(piece); 10], vec![Act::AwaitEnd]].concat()
    }));
    let proxy = asking(&app, &auth.url(), "", "").start();
    let answer = get(&proxy, "");
    assert_eq!((answer.status(), answer.content.len()), (403, 0));
    assert_eq!(app.requests().len(), 0);
    // The connection that was left in mid-answer is closed.
    auth.wait_ended(0);
}

#[test]
fn stored_answers_and_routes_without_upstream_are_asked_about_too() {
    let app = Origin::answering(|_, _| {
        vec![response("200 OK", &[("Cache-Control", "public, max-age=600")], "kept")]
    });
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let auth = Origin::answering(move |_, _| match count.fetch_add(1, Ordering::SeqCst) {
        0..=1 => vec![response("204 No Content", &[], "")],
        _ => vec![response("401 Unauthorized", &[("WWW-Authenticate", "Basic")], "")],
    });
    let routes = format!(
        "[defaults]\nforward_auth = {{ upstream = \"auth\" }}\n\n\
         [[routes]]\nname = \"open\"\nmatch = {{ path_prefixes = [\"/in\"] }}\n\
         respond = {{ body = \"sign in\" }}\nforward_auth = false\n\n\
         [[routes]]\nname = \"fixed\"\nmatch = {{ path_prefixes = [\"/fixed\"] }}\n\
         respond = {{ body = \"for some\" }}\n\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\ncache = true\n\n\
         [upstreams.auth]\nendpoints = [\"{}\"]\n",
        auth.url()
    );
    let proxy = configured::gateway_routes(&app.url(), "", &routes).start();
    let get = |path| client::get(proxy.address(), "app.test", path);
    assert_eq!((get("/").text().as_str(), get("/").text().as_str()), ("kept", "kept"));
    assert_eq!(app.requests().len(), 1);
    let refused = get("/");
    assert_eq!((refused.status(), refused.field("www-authenticate")), (401, Some("Basic")));
    assert_eq!(get("/fixed").status(), 401);
    assert_eq!(get("/in").text(), "sign in");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

//! Each policy as a table: what passes, what does not, and with which status.

use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use http::{HeaderName, Method, Request};
use proxy_core::matching::ValueTest;
use proxy_core::{ClientAddr, IpSet, RequestHead, ServerName, Tags};

use super::*;
use crate::{Asked, Policy, Verdict};

fn get(uri: &str) -> Request<()> {
    Request::get(uri).body(()).unwrap()
}

/// 0 where it passes, else the status.
fn status(policy: &dyn Policy, request: &Request<()>) -> u16 {
    match policy.judge(&Asked::new(RequestHead::of(request))) {
        Verdict::Allow => 0,
        Verdict::Deny(refusal) => refusal.status.as_u16(),
        other => panic!("{other:?}"),
    }
}

fn networks(list: &[&str]) -> IpSet {
    list.iter().map(|network| network.parse().unwrap()).collect()
}

#[test]
fn clients() {
    let from = |ip: Option<&str>| {
        let mut request = get("/");
        if let Some(ip) = ip {
            request.extensions_mut().insert(ClientAddr::new(ip.parse().unwrap()));
        }
        request
    };
    let inner = || networks(&["10.0.0.0/8", "2001:db8::/32"]);
    let both = ClientPolicy::allow(inner()).but_deny(networks(&["10.1.0.0/16"]));
    let cases: [(&dyn Policy, Option<&str>, u16); 9] = [
        (&ClientPolicy::allow(inner()), Some("10.2.3.4"), 0),
        (&ClientPolicy::allow(inner()), Some("::ffff:10.2.3.4"), 0),
        (&ClientPolicy::allow(inner()), Some("11.2.3.4"), 403),
        (&ClientPolicy::allow(inner()), None, 403),
        (&ClientPolicy::deny(inner()), Some("2001:db8::1"), 403),
        (&ClientPolicy::deny(inner()), Some("::1"), 0),
        (&ClientPolicy::deny(IpSet::default()), None, 0),
        (&both, Some("10.1.0.1"), 403),
        (&both, Some("10.2.0.1"), 0),
    ];
    for (policy, ip, expected) in cases {
        assert_eq!(status(policy, &from(ip)), expected, "{ip:?}");
    }
}

#[test]
fn hosts() {
    let allow = HostPolicy::allow(["x.test", "*.y.test", "=z.test"]).unwrap();
    let deny = HostPolicy::deny(["ads.test"]).unwrap();
    for (policy, host, expected) in [
        (&allow, "x.test", 0),
        (&allow, "a.X.test.:8080", 0),
        (&allow, "y.test", 403),
        (&allow, "a.y.test", 0),
        (&allow, "a.z.test", 403),
        (&deny, "a.ads.test", 403),
        (&deny, "bads.test", 0),
    ] {
        let mut request = get("/");
        request.headers_mut().insert("host", host.parse().unwrap());
        assert_eq!(status(policy, &request), expected, "{host}");
        assert_eq!(status(policy, &get(&format!("http://{host}/"))), expected, "{host}");
        let authority = if host.contains(':') { host.to_owned() } else { format!("{host}:443") };
        let connect = Request::connect(authority).body(()).unwrap();
        assert_eq!(status(policy, &connect), expected, "{host}");
    }
    assert_eq!(status(&allow, &get("/")), 403, "no host at all");
}

#[test]
fn methods() {
    let allow = MethodPolicy::allow([Method::GET, Method::HEAD]).rule("reading");
    let post = Request::post("/").body(()).unwrap();
    assert_eq!(status(&allow, &get("/")), 0);
    let Verdict::Deny(refusal) = allow.judge(&Asked::new(RequestHead::of(&post))) else {
        panic!("a denial")
    };
    assert_eq!(refusal.status, 405);
    assert_eq!(refusal.fields.as_ref().unwrap()["allow"], "GET, HEAD");
    assert_eq!(refusal.rule_id.as_deref(), Some("reading"));
    assert_eq!(status(&MethodPolicy::deny([Method::POST]), &post), 403);
}

#[test]
fn paths() {
    let deny = PathPolicy::deny(["/internal", "/a/b/"]).unwrap();
    for (path, expected) in
        [("/internal", 403), ("/internal/x", 403), ("/internals", 0), ("/a/b", 403), ("/a", 0)]
    {
        assert_eq!(status(&deny, &get(path)), expected, "{path}");
    }
    assert_eq!(status(&PathPolicy::allow(["/open"]).unwrap(), &get("/closed")), 403);
    assert!(PathPolicy::deny(["/a/../b"]).is_err());
}

#[test]
fn queries_and_fields() {
    let query = QueryPolicy::deny("debug", ValueTest::Present(true));
    assert_eq!(status(&query, &get("/?a=1&%64ebug")), 403);
    assert_eq!(status(&query, &get("/?a=debug")), 0);
    let name = HeaderName::from_static("user-agent");
    let field = FieldPolicy::deny(name, ValueTest::regex("(?i)bad.*").unwrap());
    let mut request = get("/");
    assert_eq!(status(&field, &request), 0);
    request.headers_mut().append("user-agent", "good".parse().unwrap());
    request.headers_mut().append("user-agent", "BadBot/1".parse().unwrap());
    assert_eq!(status(&field, &request), 403, "one of several lines is enough");
}

#[test]
fn ports() {
    let allow = PortPolicy::allow([80..=80, 8000..=8099]);
    for (uri, expected) in [
        ("http://x.test/", 0),
        ("http://x.test:8080/", 0),
        ("http://x.test:22/", 403),
        ("https://x.test/", 403),
    ] {
        assert_eq!(status(&allow, &get(uri)), expected, "{uri}");
    }
}

#[test]
fn server_names() {
    let deny = ServerNamePolicy::deny(["bad.test"]).unwrap();
    let allow = ServerNamePolicy::allow(["good.test"]).unwrap();
    let or_none = allow.clone().or_none();
    let mut request = get("/");
    assert_eq!(
        [&deny, &allow, &or_none].map(|policy| status(policy, &request)),
        [0, 403, 0],
        "without a name"
    );
    request.extensions_mut().insert(ServerName("a.bad.test".into()));
    assert_eq!([&deny, &allow, &or_none].map(|policy| status(policy, &request)), [403, 403, 403]);
    request.extensions_mut().insert(ServerName("good.test".into()));
    assert_eq!([&deny, &allow, &or_none].map(|policy| status(policy, &request)), [0, 0, 0]);
}

#[test]
fn tags() {
    let mut request = get("/");
    assert_eq!(status(&TagPolicy::allow("seen"), &request), 403);
    request.extensions_mut().insert(Tags([Arc::from("seen")].into()));
    assert_eq!(status(&TagPolicy::allow("seen"), &request), 0);
    assert_eq!(status(&TagPolicy::deny("seen"), &request), 403);
}

/// 2026-11-23 is a Monday.
fn monday(hour: u64, minute: u64) -> std::time::SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_392_000 + hour * 3600 + minute * 60)
}

#[test]
fn windows_of_time() {
    for (window, hour, minute, expected) in [
        ("mon-fri 08:00-18:00", 8, 0, true),
        ("mon-fri 08:00-18:00", 17, 59, true),
        ("mon-fri 08:00-18:00", 18, 0, false),
        ("sat,sun 08:00-18:00", 12, 0, false),
        ("mon", 23, 59, true),
        ("tue", 23, 59, false),
        ("fri-mon 12:00-13:00", 12, 30, true),
        ("00:00-24:00", 0, 0, true),
        // The wall time is ahead of UTC: Monday 23:30 is Tuesday there.
        ("tue +01:00", 23, 30, true),
        ("mon 00:00-01:00 -02:30", 3, 0, true),
        ("mon 00:00-01:00 -02:30", 2, 0, false),
        // Over midnight, belonging to Sunday.
        ("sun 22:00-06:00", 5, 59, true),
        ("sun 22:00-06:00", 6, 0, false),
        ("sun 22:00-06:00", 23, 0, false),
        ("mon 22:00-06:00", 5, 0, false),
    ] {
        let parsed: TimeWindow = window.parse().unwrap();
        assert_eq!(parsed.contains(monday(hour, minute)), expected, "{window} at {hour}:{minute}");
    }
    for wrong in ["", "mo", "8-18", "08:00-08:00", "25:00-26:00", "24:00-02:00", "+15:00", "mon-"] {
        assert!(wrong.parse::<TimeWindow>().is_err(), "{wrong}");
    }
}

#[test]
fn times() {
    let clock = proxy_testkit::ManualClock::new();
    clock.set_wall(monday(12, 0));
    let noon: TimeWindow = "12:00-12:01".parse().unwrap();
    let policy = TimePolicy::deny([noon], Arc::new(clock.clone()));
    assert_eq!(status(&policy, &get("/")), 403);
    clock.advance(Duration::from_secs(60));
    assert_eq!(status(&policy, &get("/")), 0);
}

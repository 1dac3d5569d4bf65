//! Traces: what a collector of OpenTelemetry is sent, and what goes to upstreams in `traceparent`;
//! one request is found by its ids in all that is written about it.

use std::collections::BTreeMap;
use std::fs;

use proxyd_tests::client::{self, Answer};
use proxyd_tests::origin::{Origin, ok};
use proxyd_tests::protobuf::Message;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::{configured, waiting};
use serde_json::Value;

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const TRACE_ID: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

/// A span, as `trace.proto` of OpenTelemetry numbers its fields.
#[derive(Clone, Debug)]
struct Span {
    trace_id: String,
    id: String,
    parent: Option<String>,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    attributes: BTreeMap<String, String>,
    events: Vec<(String, BTreeMap<String, String>, u64)>,
    failed: bool,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Span {
    fn read(span: &Message) -> Self {
        let events = span.messages(11);
        Self {
            trace_id: hex(span.all(1)[0]),
            id: hex(span.all(2)[0]),
            parent: span.all(4).first().map(|id| hex(id)),
            name: span.text(5).expect("a name"),
            kind: span.number(6).expect("a kind"),
            start: span.number(7).expect("a start"),
            end: span.number(8).expect("an end"),
            attributes: span.attributes(9),
            events: events
                .iter()
                .map(|own| {
                    let name = own.text(2).expect("a name");
                    (name, own.attributes(3), own.number(1).expect("a time"))
                })
                .collect(),
            failed: span.messages(15).iter().any(|status| status.number(3) == Some(2)),
        }
    }
}

/// Everything that a collector has received so far.
fn spans(collector: &Origin) -> Vec<Span> {
    let mut spans = Vec::new();
    for request in collector.requests() {
        assert_eq!(request.head.method, "POST");
        assert_eq!(request.head.target, "/v1/traces");
        assert_eq!(request.head.fields.get("content-type"), Some("application/x-protobuf"));
        let request = Message::read(&request.content).expect("protobuf");
        for resource_spans in request.messages(1) {
            let resource = &resource_spans.messages(1)[0];
            assert_eq!(resource.attributes(1)["service.name"], "edge");
            for scope_spans in resource_spans.messages(2) {
                assert_eq!(scope_spans.messages(1)[0].text(1).as_deref(), Some("proxy_observe"));
                spans.extend(scope_spans.messages(2).iter().map(Span::read));
            }
        }
    }
    spans
}

fn traced(origin: &Origin, collector: &Origin, listener: &str, rest: &str) -> Proxyd {
    let traces = format!(
        "[traces]\nendpoint = \"{}/v1/traces\"\ninterval = \"50ms\"\nservice_name = \"edge\"\n{rest}",
        collector.url()
    );
    configured::gateway(&origin.url(), listener, &traces).start()
}

fn get(proxy: &Proxyd, path: &str, fields: &str) -> Answer {
    let raw = format!("GET {path} HTTP/1.1\r\nHost: shop.test\r\n{fields}\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

fn of<'a>(spans: &'a [Span], path: &str) -> Option<&'a Span> {
    spans.iter().find(|span| span.attributes.get("url.path").is_some_and(|own| own == path))
}

/// The spans around one, the innermost first.
fn around<'a>(spans: &'a [Span], inner: &Span) -> Vec<&'a Span> {
    let parent = |of: &Span| {
        let id = of.parent.as_ref()?;
        spans.iter().find(|span| span.trace_id == of.trace_id && span.id == *id)
    };
    std::iter::successors(parent(inner), |span| parent(span)).collect()
}

#[test]
fn each_layer_that_works_has_a_span() {
    let (origin, collector) = (Origin::saying("hello"), Origin::answering(|_, _| ok("")));
    let rest = format!(
        "cache = true\ncompress = true\n\
         [[filter.concurrency_limits]]\nid = \"together\"\nmax = 10\n\
         [traces]\nendpoint = \"{}/v1/traces\"\ninterval = \"50ms\"\nservice_name = \"edge\"\n",
        collector.url()
    );
    let proxy = configured::gateway(&origin.url(), "", &rest).start();
    assert_eq!(get(&proxy, "/x", "").status(), 200);
    let names = waiting::until("the spans", || {
        let seen = spans(&collector);
        let attempt = seen.iter().find(|span| span.kind == 3)?;
        let around = around(&seen, attempt);
        let names: Vec<String> = around.iter().map(|span| span.name.clone()).collect();
        (names.last()? == "GET all").then_some(names)
    });
    assert_eq!(names, ["cache", "decode", "compress", "concurrency", "hygiene", "GET all"]);
}

#[test]
fn a_request_and_its_attempt_are_spans() {
    let (origin, collector) = (Origin::saying("hello"), Origin::answering(|_, _| ok("")));
    let rest = "[[filter.rules]]\nid = \"no-secrets\"\naction = \"deny\"\n\
                match = { path_prefixes = [\"/secret\"] }\n";
    let proxy = traced(&origin, &collector, "", rest);
    assert_eq!(get(&proxy, "/x?a=1", &format!("traceparent: {PARENT}\r\n")).status(), 200);
    assert_eq!(get(&proxy, "/secret", "").status(), 403);
    let seen = waiting::until("the spans", || {
        let seen = spans(&collector);
        let attempt = seen.iter().find(|span| span.kind == 3)?;
        let whole = around(&seen, attempt).len() == 3 && of(&seen, "/secret").is_some();
        whole.then_some(seen)
    });
    let own = of(&seen, "/x").expect("the request");
    assert_eq!((own.trace_id.as_str(), own.kind, own.failed), (TRACE_ID, 2, false));
    assert_eq!((own.parent.as_deref(), own.name.as_str()), (Some("00f067aa0ba902b7"), "GET all"));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "5"),
        ("http.route", "all"),
        ("url.query", "a=1"),
        ("url.scheme", "http"),
        ("server.address", "shop.test"),
        ("client.address", "127.0.0.1"),
        ("network.protocol.version", "1.1"),
        ("proxy.termination", "--"),
    ] {
        assert_eq!(own.attributes.get(key).map(String::as_str), Some(value), "{key}");
    }
    let attempt = seen.iter().find(|span| span.kind == 3).expect("one");
    assert_eq!(attempt.trace_id, TRACE_ID);
    // The layers at work lie between the two, each within the one around it.
    let layers = around(&seen, attempt);
    let names: Vec<&str> = layers.iter().map(|span| span.name.as_str()).collect();
    assert_eq!(names, ["filter", "hygiene", "GET all"]);
    assert_eq!(layers[2].id, own.id);
    let mut inner = attempt;
    for layer in layers {
        assert!(layer.start <= inner.start && inner.end <= layer.end, "{layer:?} {inner:?}");
        inner = layer;
    }
    assert_eq!(attempt.attributes["proxy.upstream"], "app");
    assert_eq!(attempt.attributes["network.peer.port"], origin.address().port().to_string());
    assert_eq!(attempt.attributes["http.response.status_code"], "200");
    assert!(own.start <= attempt.start && attempt.start <= attempt.end && attempt.end <= own.end);
    // What the upstream was told is our span, so that its own are below it.
    let told = origin.last().head.fields.get("traceparent").expect("it").to_owned();
    assert_eq!(told, format!("00-{TRACE_ID}-{}-01", own.id));

    let refused = of(&seen, "/secret").expect("the refused request");
    assert_eq!((refused.parent.as_deref(), refused.failed), (None, false));
    let (layer, why, when) = refused.events.last().expect("its decision");
    assert_eq!((layer.as_str(), why["rule"].as_str()), ("filter", "no-secrets"));
    assert!(refused.start <= *when && *when <= refused.end);
}

#[test]
fn who_decides_what_is_recorded() {
    let sampled = |flag: &str| format!("traceparent: 00-{TRACE_ID}-00f067aa0ba902b7-{flag}\r\n");
    // The last request is there when the others would be.
    for (listener, keys, expected) in [
        ("", "sample = \"0%\"\nparent = \"always\"\n", vec!["/yes", "/last"]),
        ("", "sample = \"0%\"\n", vec![]),
        ("trusted_proxies = [\"127.0.0.1/32\"]\n", "sample = \"0%\"\n", vec!["/yes", "/last"]),
        ("", "parent = \"never\"\n", vec!["/yes", "/no", "/none", "/last"]),
        ("", "", vec!["/yes", "/no", "/none", "/last"]),
        ("", "parent = \"always\"\n", vec!["/yes", "/none", "/last"]),
    ] {
        let (origin, collector) = (Origin::saying("hello"), Origin::answering(|_, _| ok("")));
        let proxy = traced(&origin, &collector, listener, keys);
        for (path, fields) in [
            ("/yes", sampled("01")),
            ("/no", sampled("00")),
            ("/none", String::new()),
            ("/last", sampled("01")),
        ] {
            assert_eq!(get(&proxy, path, &fields).status(), 200);
            // Whether it is recorded is what the upstream is told.
            let told = origin.last().head.fields.get("traceparent").expect("it").to_owned();
            let flag = if expected.contains(&path) { "-01" } else { "-00" };
            assert!(told.ends_with(flag), "{keys:?} {path}: {told}");
        }
        waiting::until("the spans", || {
            let seen = spans(&collector);
            let paths = ["/yes", "/no", "/none", "/last"];
            let found = paths.into_iter().filter(|path| of(&seen, path).is_some());
            (found.collect::<Vec<_>>() == expected).then_some(())
        });
    }
}

#[test]
fn a_collector_that_is_away_costs_nothing_but_its_spans() {
    let (origin, gone) = (Origin::saying("hello"), Origin::saying("never"));
    let endpoint = format!("http://127.0.0.1:{}", proxyd_tests::ports::free().port());
    let traces =
        format!("[traces]\nendpoint = \"{endpoint}/v1/traces\"\ninterval = \"20ms\"\nqueue = 4\n");
    let proxy = configured::gateway(&origin.url(), "", &traces).start();
    drop(gone);
    waiting::until("lost spans", || {
        assert_eq!(get(&proxy, "/x", "").status(), 200);
        let page = proxy.ask_admin("/metrics").text();
        let name = "proxy_observe_span_requests_failed_total ";
        let failed = page.lines().find_map(|line| line.strip_prefix(name))?;
        (failed != "0").then_some(())
    });
}

#[test]
fn a_forward_proxy_leaves_the_context_alone() {
    let origin = Origin::saying("hello");
    let keys = "[forward]\nallow_private_destinations = true\n";
    let proxy = configured::forward("", keys).start();
    let target = format!("{}/x", origin.url());
    let host = origin.address();
    let raw = format!(
        "GET {target} HTTP/1.1\r\nHost: {host}\r\ntraceparent: {PARENT}\r\ntracestate: a=b\r\n\r\n"
    );
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    let fields = origin.last().head.fields;
    assert_eq!(fields.get("traceparent"), Some(PARENT));
    assert_eq!(fields.get("tracestate"), Some("a=b"));
    let raw = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 200);
    assert_eq!(origin.last().head.fields.get("traceparent"), None);
}

#[test]
fn one_request_is_found_in_all_that_is_written() {
    let (origin, collector) = (Origin::saying("hello"), Origin::answering(|_, _| ok("")));
    let rest = "[log.audit]\npath = \"audit.log\"\n\
                [[filter.rules]]\nid = \"no-secrets\"\naction = \"deny\"\n\
                match = { path_prefixes = [\"/secret\"] }\n";
    let proxy = traced(&origin, &collector, "", rest);
    let answer = get(&proxy, "/secret", &format!("traceparent: {PARENT}\r\n"));
    let page: Value = serde_json::from_slice(&answer.content).expect("a problem");
    let id = page["request_id"].as_str().expect("its id").to_owned();
    let line = |text: &str| -> Option<Value> {
        let line = text.lines().find(|line| line.contains(&id))?;
        serde_json::from_str(line).ok()
    };
    let logged = waiting::until("the line", || line(&proxy.log()));
    assert_eq!((&logged["id"], &logged["trace_id"]), (&id.as_str().into(), &TRACE_ID.into()));
    assert_eq!(logged["rule"], "no-secrets");
    let audited = waiting::until("the record", || {
        line(&fs::read_to_string(proxy.folder().join("audit.log")).unwrap_or_default())
    });
    assert_eq!(audited["rule"], "no-secrets", "{audited}");
    let seen = waiting::until("the span", || {
        let seen = spans(&collector);
        of(&seen, "/secret").is_some().then_some(seen)
    });
    let span = of(&seen, "/secret").expect("the span");
    assert_eq!(span.attributes["proxy.exchange.id"], id);
    assert_eq!(span.trace_id, TRACE_ID);
}

//! INTERFACE "Trust": each field, from trusted and untrusted peers, in every spelling.

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use http::{HeaderMap, Request, Response};
use tower::{Layer, ServiceExt, service_fn};

use super::*;
use crate::exchange::ConnectionInfo;

async fn seen(peer: &str, source: AddressSource, lines: &[(&str, &str)]) -> (HeaderMap, Exchange) {
    let trusted: IpSet = ["10.0.0.0/8".parse().expect("net")].into_iter().collect();
    let peer = ClientAddr::new(peer.parse().expect("an address"));
    let exchange = Exchange::new(
        0xabc,
        Arc::new(ConnectionInfo {
            id: 1,
            listener: "web".into(),
            peer,
            peer_trusted: peer.is_in(&trusted),
            local: None,
            scheme: "http",
            tls: None,
            parent: None,
            accepted: Instant::now(),
            activity: Arc::default(),
        }),
        Instant::now(),
        SystemTime::UNIX_EPOCH,
        None,
    );
    let fields = Arc::new(Mutex::new(HeaderMap::new()));
    let sink = Arc::clone(&fields);
    let inner = service_fn(move |request: Request<()>| {
        *sink.lock().expect("lock") = request.headers().clone();
        async { Ok::<_, std::convert::Infallible>(Response::new(())) }
    });
    let mut request = Request::builder().header("host", "a.test");
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let request = request.extension(exchange.clone()).body(()).expect("a request");
    ClientAddrLayer::new(trusted, source).layer(inner).oneshot(request).await.expect("infallible");
    let fields = fields.lock().expect("lock").clone();
    (fields, exchange)
}

const CLAIMS: &[(&str, &str)] = &[
    ("forwarded", "for=6.6.6.6"),
    ("x-forwarded-for", "6.6.6.6"),
    ("x-forwarded-host", "evil.test"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-prefix", "/evil"),
    ("x-real-ip", "6.6.6.6"),
    ("true-client-ip", "6.6.6.6"),
    ("x-original-url", "/admin"),
    ("x-rewrite-url", "/admin"),
    ("client-cert", ":AA==:"),
    ("client-cert-chain", ":AA==:"),
    ("x-forwarded-client-cert", "By=x"),
    ("proxy", "http://evil.test"),
    ("x-request-id", "evil"),
];

fn text(fields: &HeaderMap) -> String {
    fields.iter().map(|(n, v)| format!("{n}: {}\n", v.to_str().expect("text"))).collect()
}

#[tokio::test]
async fn an_untrusted_peer_claims_nothing() {
    for (name, value) in CLAIMS {
        for spelling in [(*name).to_owned(), name.replace('-', "_"), name.replacen('-', "_", 1)] {
            let (fields, exchange) =
                seen("192.0.2.1", AddressSource::default(), &[(spelling.as_str(), value)]).await;
            let text = text(&fields);
            for evil in ["6.6.6.6", "evil", "/admin", "AA==", "By=x", "proto=https"] {
                assert!(!text.contains(evil), "{spelling} came through:\n{text}");
            }
            assert_eq!(exchange.client().view(AddressPrivacy::Full).to_string(), "192.0.2.1");
        }
    }
}

#[tokio::test]
async fn a_trusted_peer_is_believed_in_one_field_only() {
    for (name, value) in CLAIMS {
        let (fields, exchange) = seen("10.0.0.1", AddressSource::default(), &[(name, value)]).await;
        let client = exchange.client().view(AddressPrivacy::Full).to_string();
        let believed = *name == "x-forwarded-for";
        assert_eq!(client, if believed { "6.6.6.6" } else { "10.0.0.1" }, "{name}");
        assert_eq!(text(&fields).contains("6.6.6.6"), believed, "{name}: {}", text(&fields));
        let underscored = name.replace('-', "_");
        if underscored != *name {
            let (fields, _) =
                seen("10.0.0.1", AddressSource::default(), &[(underscored.as_str(), value)]).await;
            assert!(!fields.contains_key(underscored.as_str()), "{underscored} came through");
        }
    }
    let (fields, exchange) = seen("10.0.0.1", AddressSource::default(), CLAIMS).await;
    assert_eq!(exchange.id().to_string(), "evil");
    assert_eq!(fields["x-forwarded-proto"], "https");
    assert_eq!(fields["x-forwarded-host"], "evil.test");
    assert_eq!(fields["client-cert"], ":AA==:");
    assert!(!fields.contains_key("proxy"));
}

#[tokio::test]
async fn the_walk_is_from_the_right() {
    for (chain, client, forwarded) in [
        ("6.6.6.6, 203.0.113.9, 10.0.0.7", "203.0.113.9", "203.0.113.9, 10.0.0.7, 10.0.0.1"),
        ("10.0.0.8, 10.0.0.7", "10.0.0.8", "10.0.0.8, 10.0.0.7, 10.0.0.1"),
        ("6.6.6.6, junk, 10.0.0.7", "-", "10.0.0.7, 10.0.0.1"),
        ("junk", "-", "10.0.0.1"),
        ("\u{e9}, 203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("203.0.113.9:4711", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        ("[2001:db8::1]:80", "2001:db8::1", "2001:db8::1, 10.0.0.1"),
    ] {
        let (fields, exchange) =
            seen("10.0.0.1", AddressSource::default(), &[("x-forwarded-for", chain)]).await;
        assert_eq!(exchange.client().view(AddressPrivacy::Full).to_string(), client, "{chain}");
        assert_eq!(fields["x-forwarded-for"], forwarded, "{chain}");
    }
}

#[tokio::test]
async fn the_source_can_be_another_field() {
    let lines =
        [("forwarded", "for=\"[2001:db8::7]:123\";proto=https"), ("x-forwarded-for", "6.6.6.6")];
    let (fields, _) = seen("10.0.0.1", AddressSource::Forwarded, &lines).await;
    assert_eq!(fields["forwarded"], "for=\"[2001:db8::7]\";proto=https;host=a.test, for=10.0.0.1");
    assert_eq!(fields["x-forwarded-proto"], "https");
    let source = AddressSource::Field(HeaderName::from_static("x-real-ip"));
    let (_, exchange) = seen("10.0.0.1", source, &[("x-real-ip", "192.0.2.9")]).await;
    let own = AddressSource::Field(HeaderName::from_static("x-my-ip"));
    let lines = [("x-my-ip", "6.6.6.6"), ("x_my_ip", "6.6.6.6")];
    let (fields, _) = seen("192.0.2.1", own.clone(), &lines).await;
    assert!(!text(&fields).contains("6.6.6.6"), "{}", text(&fields));
    let (_, twice) = seen("10.0.0.1", own, &[("x-my-ip", "1.1.1.1"), ("x-my-ip", "2.2.2.2")]).await;
    assert!(!twice.client().is_known());
    assert_eq!(exchange.client().view(AddressPrivacy::Full).to_string(), "192.0.2.9");
}

#[tokio::test]
async fn a_trace_is_kept_or_begun() {
    let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let (fields, _) = seen("192.0.2.1", AddressSource::default(), &[("traceparent", sound)]).await;
    assert_eq!(fields["traceparent"], sound);
    for broken in ["", "00-0-0-0", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"] {
        let lines = [("traceparent", broken), ("tracestate", "x=y")];
        let (fields, _) = seen("192.0.2.1", AddressSource::default(), &lines).await;
        assert!(fields["traceparent"].to_str().expect("text").starts_with("00-"));
        assert_eq!(fields["traceparent"].len(), 55);
        assert!(!fields.contains_key("tracestate"));
    }
}

//! Which destinations go through a parent, and what it may answer.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use proxy_core::{Body, HeadLimits, ProxyError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tower_service::Service as _;

use super::*;
use crate::dial::{DialConfig, DialTarget, Dialer, Trust};
use crate::forward::{ForwardProxy, ForwardTimeouts};
use crate::guard::{Guard, GuardConfig, PortPolicy, parse_host};
use crate::pool::{Destinations, PoolConfig};
use crate::resolve::{Resolver, Resolving, StaticResolver};

fn config() -> ParentConfig {
    ParentConfig::new("corp", ParentKind::Http, "192.0.2.1", 3128)
}

#[test]
fn this_machine_and_what_is_excepted_is_reached_without_it() {
    let mut config = config();
    config.bypass_names = ["intern.test", "=one.test", "198.51.100.7"]
        .into_iter()
        .map(|pattern| pattern.parse::<proxy_core::NamePattern>().unwrap())
        .collect();
    config.bypass_networks = vec!["10.0.0.0/8".parse().unwrap()];
    let parent = Parent::new(config, None);
    for (host, expected) in [
        ("x.test", true),
        ("a.one.test", true),
        ("192.0.2.7", true),
        ("[2001:db8::1]", true),
        ("intern.test", false),
        ("A.Intern.Test.", false),
        ("one.test", false),
        ("10.1.2.3", false),
        ("0x0a.1", false),
        ("[::ffff:10.0.0.1]", false),
        ("198.51.100.7", false),
        ("localhost", false),
        ("a.localhost", false),
        ("127.1", false),
        ("[::1]", false),
        ("0.0.0.0", false),
        ("x.onion", false),
    ] {
        assert_eq!(parent.is_for(&parse_host(host).unwrap()), expected, "{host}");
    }
}

#[test]
fn credentials_are_checked_and_never_shown() {
    for (name, password, expected) in [
        ("user", "pass:word", true),
        ("user", "", true),
        ("", "x", false),
        ("us:er", "x", false),
        ("user\n", "x", false),
        ("user", "x\r\ny", false),
        (&*"u".repeat(256), "x", false),
    ] {
        assert_eq!(ParentCredentials::new(name, password).is_some(), expected, "{name:?}");
    }
    let config = ParentConfig { credentials: ParentCredentials::new("me", "hush"), ..config() };
    let parent = Parent::new(config, None);
    assert_eq!(parent.authorization().unwrap(), "Basic bWU6aHVzaA==");
    let shown = format!("{parent:?} {:?}", parent.authorization());
    assert!(!shown.contains("hush") && !shown.contains("bWU6"), "{shown}");
}

/// What a parent that says `answer` to all comes to, with what it was sent and what is left in the
/// socket.
async fn asked(
    kind: ParentKind,
    credentials: Option<ParentCredentials>,
    host: &str,
    answer: &[u8],
) -> (Result<(), ProxyError>, Vec<u8>, Vec<u8>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: SocketAddr = listener.local_addr().unwrap();
    let answer = answer.to_vec();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        // Byte by byte: no answer may depend on how it is cut.
        stream.set_nodelay(true).unwrap();
        for byte in answer {
            stream.write_all(&[byte]).await.unwrap();
        }
        stream.shutdown().await.unwrap();
        let mut got = Vec::new();
        stream.read_to_end(&mut got).await.unwrap();
        got
    });
    let config = ParentConfig { kind, credentials, ..config() };
    let mut stream = DialedStream::from(TcpStream::connect(address).await.unwrap());
    let beyond = Beyond { host: parse_host(host).unwrap(), port: 443 };
    let result = Parent::new(config, None).ask(&mut stream, &beyond, None).await;
    let mut left = Vec::new();
    stream.read_to_end(&mut left).await.unwrap();
    drop(stream);
    (result, serving.await.unwrap(), left)
}

fn word(result: Result<(), ProxyError>) -> String {
    match result {
        Ok(()) => "connected".to_owned(),
        Err(error) => {
            assert_eq!(error.retry_safety(), Retry::NothingSent);
            error.to_string()
        }
    }
}

#[tokio::test]
async fn what_follows_the_answer_to_connect_is_the_destinations() {
    for (answer, left) in [
        ("HTTP/1.1 200 OK\r\n\r\nSSH-2.0", "SSH-2.0"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 Connection established\r\nA: b\r\n\r\n", ""),
        // A length means nothing here (RFC 9110 section 9.3.6).
        ("HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", "abc"),
    ] {
        let (result, sent, rest) =
            asked(ParentKind::Http, None, "X.test.", answer.as_bytes()).await;
        assert_eq!((word(result).as_str(), &*rest), ("connected", left.as_bytes()));
        assert_eq!(sent, b"CONNECT x.test:443 HTTP/1.1\r\nHost: x.test:443\r\n\r\n");
    }
}

#[tokio::test]
async fn what_is_no_tunnel_says_why() {
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "x".repeat(20_000));
    for (answer, expected) in [
        ("HTTP/1.1 407 Who\r\n\r\n", "proxy_configuration_error: parent_credentials"),
        ("HTTP/1.1 403 No\r\n\r\npage", "connection_refused: parent_refused"),
        ("HTTP/1.1 504 Late\r\n\r\n", "connection_timeout: parent_timeout"),
        ("HTTP/1.1 101 Other\r\n\r\n", "http_protocol_error: parent_protocol"),
        ("nonsense\r\n\r\n", "http_protocol_error: parent_protocol"),
        (&*long, "http_protocol_error: parent_protocol"),
        ("HTTP/1.1 200 O", "connection_terminated: parent_closed"),
        ("", "connection_terminated: parent_closed"),
    ] {
        let (result, ..) = asked(ParentKind::Http, None, "x.test", answer.as_bytes()).await;
        assert_eq!(word(result), expected, "{answer:.40}");
    }
}

#[tokio::test]
async fn socks_is_spoken_as_it_is_written() {
    let me = || ParentCredentials::new("me", "hush");
    let well = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x04\x38rest";
    let (result, sent, left) = asked(ParentKind::Socks5, None, "x.test", well).await;
    assert_eq!((word(result).as_str(), &*left), ("connected", &b"rest"[..]));
    assert_eq!(sent, b"\x05\x01\x00\x05\x01\x00\x03\x06x.test\x01\xbb");
    let named = b"\x05\x02\x01\x00\x05\x00\x00\x03\x04name\x00\x50";
    let (result, sent, _) = asked(ParentKind::Socks5, me(), "192.0.2.9", named).await;
    assert_eq!(word(result), "connected");
    assert_eq!(sent, b"\x05\x01\x02\x01\x02me\x04hush\x05\x01\x00\x01\xc0\x00\x02\x09\x01\xbb");
    for (answer, credentials, expected) in [
        (&b"\x05\xff"[..], None, "proxy_configuration_error: parent_credentials"),
        (b"\x05\x00", me(), "proxy_configuration_error: parent_credentials"),
        (b"\x05\x02\x01\x01", me(), "proxy_configuration_error: parent_credentials"),
        (b"\x05\x00\x05\x05\x00\x01", None, "connection_refused: parent_refused"),
        (b"\x05\x00\x05\x04\x00\x01", None, "destination_ip_unroutable: parent_unroutable"),
        (b"\x05\x00\x05\x06\x00\x01", None, "connection_timeout: parent_timeout"),
        (b"\x05\x00\x05\x00\x00\x09", None, "http_protocol_error: parent_protocol"),
        (b"HTTP/1.1 400 Bad", None, "http_protocol_error: parent_protocol"),
        (b"\x05\x00\x05\x00", None, "connection_terminated: parent_closed"),
    ] {
        let (result, ..) = asked(ParentKind::Socks5, credentials, "x.test", answer).await;
        assert_eq!(word(result), expected, "{answer:?}");
    }
}

/// One place never answers, another does not exist.
struct Names;

impl Resolver for Names {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let gone = name == "gone.test";
        Box::pin(async move {
            match gone {
                true => std::future::pending().await,
                false => Err(ProxyError::new(ErrorKind::DnsError)),
            }
        })
    }
}

/// However little time there is, a place where nobody answers does not take all of it.
#[tokio::test(start_paused = true)]
async fn all_places_of_a_parent_are_reached_in_the_time_there_is() {
    for (seconds, first) in [(1, 500), (10, 2_000)] {
        let mut config = ParentConfig::new("corp", ParentKind::Http, "gone.test", 1);
        config.places.push(ParentPlace::new("other.test", 3128));
        let guard = Guard::new(GuardConfig::default());
        let dialer = Dialer::new(std::sync::Arc::new(Names), guard, DialConfig::default());
        let dialer = dialer.with_parent(Parent::new(config, None));
        let trust = Trust::Operator;
        let target = DialTarget { host: "x.test", port: 443, trust, exchange: None };
        let start = tokio::time::Instant::now();
        let error = dialer.dial_within(target, Duration::from_secs(seconds)).await;
        assert_eq!(error.expect_err("nobody is there").kind(), ErrorKind::DnsError);
        assert_eq!(start.elapsed(), Duration::from_millis(first));
    }
}

/// Places where nobody answers, and destinations that the guard judges only on the direct way.
struct Blackhole;

impl Resolver for Blackhole {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        if name == "gone.test" {
            return Box::pin(std::future::pending());
        }
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        let known = StaticResolver::new().with(name, [address]);
        Box::pin(async move { known.resolve(name).await })
    }
}

/// Who drops packets takes a share of the time, and only once in a while; the guard judges then.
#[tokio::test(start_paused = true)]
async fn the_direct_way_has_a_share_of_the_time_too() {
    let config = ParentConfig::new("corp", ParentKind::Http, "gone.test", 1);
    let config = ParentConfig { direct: true, ..config };
    let guard = Guard::new(GuardConfig::default());
    let dialer = Dialer::new(std::sync::Arc::new(Blackhole), guard, DialConfig::default());
    let dialer = dialer.with_parent(Parent::new(config, None));
    let dial = async || {
        let trust = Trust::Client;
        let target = DialTarget { host: "x.test", port: 443, trust, exchange: None };
        let start = tokio::time::Instant::now();
        let error = dialer.dial_within(target, Duration::from_secs(3)).await.unwrap_err();
        (error.kind(), start.elapsed().as_millis())
    };
    assert_eq!(dial().await, (ErrorKind::DestinationIpProhibited, 1_500));
    // Those that follow do not wait for what is known.
    assert_eq!(dial().await, (ErrorKind::DestinationIpProhibited, 0));
    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(dial().await, (ErrorKind::DestinationIpProhibited, 1_500));

    let request = |proxy: &ForwardProxy| {
        let request = http::Request::get("http://x.test/").body(Body::empty()).unwrap();
        proxy.clone().call(request)
    };
    tokio::time::advance(Duration::from_secs(10)).await;
    let proxy = forward(dialer.clone());
    for due in [2_000, 0] {
        let start = tokio::time::Instant::now();
        let error = request(&proxy).await.unwrap_err();
        let taken = start.elapsed().as_millis();
        assert_eq!((error.kind(), taken), (ErrorKind::DestinationIpProhibited, due));
    }
}

fn forward(dialer: Dialer) -> ForwardProxy {
    ForwardProxy::new(
        dialer,
        PortPolicy::http(),
        Destinations::new(PoolConfig::default(), 8),
        ForwardTimeouts::default(),
        HeadLimits::default(),
    )
}

/// Nobody learns the parent's credentials there, and no connection outlives what it was made for.
#[tokio::test]
async fn what_goes_directly_is_neither_kept_nor_told_who_we_are() {
    for kind in [ParentKind::Http, ParentKind::Socks5] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let heads = std::sync::Arc::new(Mutex::new(Vec::new()));
        let heard = std::sync::Arc::clone(&heads);
        tokio::spawn(async move {
            for link in 0.. {
                let (mut stream, _) = listener.accept().await.unwrap();
                let heard = std::sync::Arc::clone(&heard);
                tokio::spawn(async move {
                    let mut head = Vec::new();
                    while let Ok(byte) = stream.read_u8().await {
                        head.push(byte);
                        if head.ends_with(b"\r\n\r\n") {
                            let text = String::from_utf8(std::mem::take(&mut head)).unwrap();
                            heard.lock().unwrap().push((link, text));
                            let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                            stream.write_all(answer).await.unwrap();
                        }
                    }
                });
            }
        });
        let credentials = ParentCredentials::new("me", "hush");
        let config = ParentConfig::new("corp", kind, "127.0.0.1", 1);
        let config = ParentConfig { direct: true, credentials, ..config };
        let names = StaticResolver::new().with("x.test", ["127.0.0.1".parse::<IpAddr>().unwrap()]);
        let guard = Guard::new(GuardConfig { allow_private: true, ..GuardConfig::default() });
        let dialer = Dialer::new(std::sync::Arc::new(names), guard, DialConfig::default());
        let dialer = dialer.with_parent(Parent::new(config, None));
        let target = DialTarget { host: "x.test", port, trust: Trust::Client, exchange: None };
        assert!(dialer.dial(target).await.expect("a tunnel").around);
        let mut proxy = forward(dialer);
        for _ in 0..3 {
            let uri = format!("http://x.test:{port}/a");
            let request = http::Request::get(uri).header("host", "x.test");
            let answer = proxy.call(request.body(Body::empty()).unwrap()).await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        let heads = heads.lock().unwrap();
        assert_eq!(heads.len(), 3);
        for (_, head) in &*heads {
            assert!(head.starts_with("GET /a ") && !head.to_lowercase().contains("authoriz"));
        }
        // With SOCKS the pool is that of connections through the parent.
        let links: std::collections::BTreeSet<_> = heads.iter().map(|(link, _)| link).collect();
        assert!(kind == ParentKind::Http || links.len() == 3, "{links:?}");
    }
}

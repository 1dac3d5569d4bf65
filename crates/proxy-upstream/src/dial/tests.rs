//! Dialling over loopback listeners, with answers made up here.

use super::*;
use crate::guard::{GuardConfig, OwnListeners};
use crate::resolve::{Resolved, Resolving, StaticResolver};
use proxy_core::names::NameSet;
use proxy_core::{FoundName, NameSource};
use socket2::SockRef;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::{TcpListener, TcpSocket};

const PERMITTED: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 1));
const FORBIDDEN: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

fn dialer(resolver: impl Resolver, config: GuardConfig) -> Dialer {
    Dialer::new(Arc::new(resolver), Guard::new(config), DialConfig::default())
}

/// 127.0.0.1 alone is open, of all that is not global.
fn one_open() -> GuardConfig {
    let waived_networks = vec!["127.0.0.1/32".parse().unwrap()];
    GuardConfig { waived_networks, ..GuardConfig::default() }
}

fn open() -> GuardConfig {
    GuardConfig { allow_private: true, ..GuardConfig::default() }
}

fn client(host: &str, port: u16) -> DialTarget<'_> {
    DialTarget { host, port, trust: Trust::Client, exchange: None }
}

fn operator(host: &str, port: u16) -> DialTarget<'_> {
    DialTarget { host, port, trust: Trust::Operator, exchange: None }
}

/// A listener on each of the addresses, all on one port.
async fn listeners<const N: usize>(addresses: [IpAddr; N]) -> ([TcpListener; N], u16) {
    'ports: loop {
        let first = TcpListener::bind((addresses[0], 0)).await.unwrap();
        let port = first.local_addr().unwrap().port();
        let mut bound = vec![first];
        for address in &addresses[1..] {
            let Ok(listener) = TcpListener::bind((*address, port)).await else {
                continue 'ports;
            };
            bound.push(listener);
        }
        return (bound.try_into().unwrap(), port);
    }
}

async fn kind(dialer: &Dialer, target: DialTarget<'_>) -> ErrorKind {
    let error = dialer.dial(target).await.expect_err(target.host);
    assert_eq!(error.retry_safety(), Retry::NothingSent, "{}", target.host);
    error.kind()
}

fn nobody_came(listener: &TcpListener) {
    let came = futures_util::FutureExt::now_or_never(listener.accept());
    assert!(came.is_none(), "a connection came to {:?}", listener.local_addr());
}

#[tokio::test]
async fn a_name_is_resolved_judged_and_dialled() {
    let ([listener], port) = listeners([PERMITTED]).await;
    let dialer = dialer(StaticResolver::new().with("x.test", [PERMITTED]), open());
    for host in ["x.test", "X.TEST.", "127.0.0.1", "127.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let dialed = dialer.dial(client(host, port)).await.expect(host);
        assert_eq!(dialed.address, SocketAddr::new(PERMITTED, port), "{host}");
        assert_eq!(dialed.stream.socket().peer_addr().unwrap(), dialed.address, "{host}");
        let (_, peer) = listener.accept().await.unwrap();
        assert_eq!(peer, dialed.stream.local_addr().unwrap());
    }
}

#[tokio::test]
async fn a_connection_has_nodelay_and_keepalive_and_keeps_little_unsent() {
    let ([_listener], port) = listeners([PERMITTED]).await;
    let dialed = dialer(StaticResolver::new(), open()).dial(client("127.1", port)).await.unwrap();
    assert!(dialed.stream.socket().nodelay().unwrap());
    let socket = SockRef::from(dialed.stream.socket());
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(60));
    assert_eq!(socket.tcp_notsent_lowat().unwrap(), 512 * 1024);
    assert_eq!(dialed.dns, Duration::ZERO);
}

/// A name with a permitted and a forbidden address is dialled only at the permitted one.
#[tokio::test]
async fn a_time_without_end_is_a_time() {
    let ([_listener], port) = listeners([PERMITTED]).await;
    let config = DialConfig { connect_timeout: Duration::MAX, ..DialConfig::default() };
    let dialer = Dialer::new(Arc::new(StaticResolver::new()), Guard::new(open()), config);
    let target = client("127.0.0.1", port);
    dialer.dial(target).await.expect("somebody is there");
    dialer.dial_within(target, Duration::MAX).await.expect("somebody is there");
}

#[tokio::test]
async fn guard_mixed_answer_is_dialled_at_the_permitted_address_only() {
    let ([permitted, forbidden], port) = listeners([PERMITTED, FORBIDDEN]).await;
    let mapped = |ip: IpAddr| match ip {
        IpAddr::V4(v4) => IpAddr::V6(v4.to_ipv6_mapped()),
        v6 => v6,
    };
    let metadata: IpAddr = "169.254.169.254".parse().unwrap();
    for answer in [
        vec![FORBIDDEN, PERMITTED],
        vec![PERMITTED, FORBIDDEN],
        vec![metadata, mapped(FORBIDDEN), FORBIDDEN, mapped(PERMITTED)],
    ] {
        let dialer = dialer(StaticResolver::new().with("x.test", answer), one_open());
        let dialed = dialer.dial(client("x.test", port)).await.unwrap();
        assert_eq!(dialed.address, SocketAddr::new(PERMITTED, port));
        permitted.accept().await.unwrap();
        nobody_came(&permitted);
        nobody_came(&forbidden);
    }
}

#[tokio::test]
async fn guard_forbidden_destination_is_never_dialled_and_never_shown() {
    let ([listener], port) = listeners([FORBIDDEN]).await;
    let dialer = dialer(StaticResolver::new().with("x.test", [FORBIDDEN]), one_open());
    let spellings = ["x.test", "127.0.0.2", "127.2", "0x7f000002", "[::ffff:127.0.0.2]"];
    for host in spellings {
        let error = dialer.dial(client(host, port)).await.expect_err(host);
        assert_eq!(error.kind(), ErrorKind::DestinationIpProhibited, "{host}");
        assert_eq!(error.status(), 403);
        assert_eq!(error.retry_safety(), Retry::NothingSent);
        assert_eq!(error.detail_str(), Some("loopback"));
        assert!(!format!("{error:?}").contains("127."), "{error:?}");
    }
    nobody_came(&listener);
    // To the operator, the same destination is open.
    dialer.dial(operator("x.test", port)).await.unwrap();
    dialer.dial(operator("127.0.0.2", port)).await.unwrap();
}

/// Answers with the next address each time it is asked.
struct Rebinding {
    answers: Vec<IpAddr>,
    asked: AtomicUsize,
}

impl Resolver for Rebinding {
    fn resolve<'a>(&'a self, _: &'a str) -> Resolving<'a> {
        let index = self.asked.fetch_add(1, Ordering::SeqCst);
        let addresses = vec![self.answers[index % self.answers.len()]];
        Box::pin(async move { Ok(Resolved { addresses, ..Resolved::default() }) })
    }
}

/// A name that changes its answer: what was judged is what is dialled, on every attempt.
#[tokio::test]
async fn guard_judges_the_address_dialled_when_a_name_rebinds() {
    let ([permitted, forbidden], port) = listeners([PERMITTED, FORBIDDEN]).await;
    let answers = vec![PERMITTED, FORBIDDEN];
    let dialer = dialer(Rebinding { answers, asked: AtomicUsize::new(0) }, one_open());
    for _ in 0..3 {
        let dialed = dialer.dial(client("x.test", port)).await.unwrap();
        assert_eq!(dialed.address, SocketAddr::new(PERMITTED, port));
        permitted.accept().await.unwrap();
        let refused = kind(&dialer, client("x.test", port)).await;
        assert_eq!(refused, ErrorKind::DestinationIpProhibited);
    }
    nobody_came(&permitted);
    nobody_came(&forbidden);
}

/// INTERFACE, "Guard": our own listeners are never reachable, whatever is waived.
#[tokio::test]
async fn guard_own_listener_is_refused_to_everybody() {
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let port = address.port();
    let everything: Vec<ipnet::IpNet> =
        ["0.0.0.0/0", "::/0"].iter().map(|network| network.parse().unwrap()).collect();
    let config = GuardConfig {
        allow_private: true,
        waived_networks: everything,
        waived_names: NameSet::parse(["x.test"]).unwrap(),
        own: OwnListeners::new([address]),
        report_only: false,
    };
    let resolver = StaticResolver::new().with("x.test", [PERMITTED, "::1".parse().unwrap()]);
    let dialer = dialer(resolver, config);
    for host in [
        "x.test",
        "127.0.0.1",
        "127.0.0.9",
        "0.0.0.0",
        "0",
        "[::]",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[::ffff:0.0.0.0]",
    ] {
        for target in [client(host, port), operator(host, port)] {
            let error = dialer.dial(target).await.expect_err(host);
            assert_eq!(error.kind(), ErrorKind::DestinationIpProhibited, "{host}");
            assert_eq!(error.detail_str(), Some("own_listener"), "{host}");
        }
    }
    nobody_came(&listener);
}

#[tokio::test]
async fn guard_name_waiver_holds_for_the_name_alone() {
    let ([_listener], port) = listeners([PERMITTED]).await;
    let waived_names = NameSet::parse(["lab.test"]).unwrap();
    let config = GuardConfig { waived_names, ..GuardConfig::default() };
    let metadata: IpAddr = "169.254.169.254".parse().unwrap();
    let resolver = StaticResolver::new()
        .with("a.lab.test", [PERMITTED])
        .with("x.test", [PERMITTED])
        .with("metadata.lab.test", [metadata]);
    let dialer = dialer(resolver, config);
    dialer.dial(client("A.lab.test", port)).await.unwrap();
    for host in ["x.test", "127.0.0.1", "metadata.lab.test"] {
        let refused = kind(&dialer, client(host, port)).await;
        assert_eq!(refused, ErrorKind::DestinationIpProhibited, "{host}");
    }
}

#[tokio::test]
async fn the_next_address_is_tried_when_one_refuses() {
    let ([listener], port) = listeners([PERMITTED]).await;
    // Nobody listens on the first two, at this port.
    let answer = ["::1", "127.0.0.77", "127.0.0.1"].map(|ip| ip.parse().unwrap());
    let dialer = dialer(StaticResolver::new().with("x.test", answer), open());
    let dialed = dialer.dial(client("x.test", port)).await.unwrap();
    assert_eq!(dialed.address.ip(), PERMITTED);
    listener.accept().await.unwrap();
}

#[tokio::test]
async fn what_fails_has_its_word() {
    let ([listener], port) = listeners([PERMITTED]).await;
    drop(listener);
    let resolver = StaticResolver::new().with("x.test", [PERMITTED]).with("empty.test", []);
    let dialer = dialer(resolver, open());
    let cases = [
        (client("x.test", port), ErrorKind::ConnectionRefused),
        (client("127.0.0.1", port), ErrorKind::ConnectionRefused),
        (client("y.test", port), ErrorKind::DnsError),
        (client("empty.test", port), ErrorKind::DnsError),
        (client("127.0.0.256", port), ErrorKind::HttpRequestError),
        (client("x.test:80", port), ErrorKind::HttpRequestError),
        (operator("[fe80::1%lo]", port), ErrorKind::ProxyConfigurationError),
        // Multicast and broadcast can not be connected to.
        (operator("224.0.0.1", port), ErrorKind::DestinationIpUnroutable),
    ];
    for (target, expected) in cases {
        assert_eq!(kind(&dialer, target).await, expected, "{target:?}");
    }
}

struct Nameless;

impl Resolver for Nameless {
    fn resolve<'a>(&'a self, name: &'a str) -> Resolving<'a> {
        let answer = match name {
            "slow.test" => Err(ProxyError::new(ErrorKind::DnsTimeout)),
            _ => Ok(Resolved::default()),
        };
        Box::pin(std::future::ready(answer))
    }
}

#[tokio::test]
async fn a_resolver_that_says_nothing_of_retries_is_still_unsent() {
    let dialer = dialer(Nameless, open());
    assert_eq!(kind(&dialer, client("slow.test", 80)).await, ErrorKind::DnsTimeout);
    assert_eq!(kind(&dialer, client("none.test", 80)).await, ErrorKind::DnsError);
}

/// A listener whose queue is full does not answer: the timeout is for all attempts together.
#[tokio::test]
async fn connecting_ends_at_its_timeout() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(PERMITTED, 0)).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let config = DialConfig { connect_timeout: Duration::from_millis(300), ..Default::default() };
    let dialer = Dialer::new(Arc::new(StaticResolver::new()), Guard::new(open()), config);
    let host = address.ip().to_string();
    let mut held = Vec::new();
    for _ in 0..64 {
        match dialer.dial(client(&host, address.port())).await {
            Ok(dialed) => held.push(dialed),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionTimeout);
                assert_eq!(error.retry_safety(), Retry::NothingSent);
                return;
            }
        }
    }
    panic!("the queue never filled: {}", held.len());
}

/// Refuses one name, and reports another.
struct Names;

impl NamePolicy for Names {
    fn judge_name(&self, found: &FoundName<'_>, _: Option<&Exchange>) -> Vec<proxy_core::Finding> {
        assert_eq!(found.source, NameSource::Alias);
        match found.name {
            "tracker.test" => vec![proxy_core::Finding::refuse("blocked", "domain_blocked")],
            "maybe.test" => vec![proxy_core::Finding::report("tried", "domain_blocked")],
            _ => vec![],
        }
    }
}

fn exchange() -> Exchange {
    let info = proxy_core::ConnectionInfo {
        id: 1,
        listener: "web".into(),
        peer: proxy_core::ClientAddr::unknown(),
        peer_trusted: false,
        local: None,
        scheme: "http",
        tls: None,
        parent: None,
        accepted: std::time::Instant::now(),
        activity: Arc::default(),
    };
    let now = std::time::SystemTime::UNIX_EPOCH;
    Exchange::new(7, Arc::new(info), std::time::Instant::now(), now, None)
}

/// `layer verdict rule`, for each decision.
fn decided(exchange: &Exchange) -> Vec<String> {
    let line = |d: &proxy_core::Decision| {
        format!("{} {} {}", d.layer, d.verdict.token(), d.rule.as_deref().unwrap_or_default())
    };
    exchange.with_decisions(|all| all.iter().map(line).collect())
}

/// A name that is an alias of a blocked one is blocked: also where another alias stands between.
#[tokio::test]
async fn aliases_are_judged_by_the_policy_of_names() {
    let ([listener], port) = listeners([PERMITTED]).await;
    let answer = |aliases: &[&str]| Resolved {
        addresses: vec![PERMITTED],
        names: aliases.iter().map(|alias| (*alias).to_owned()).collect(),
        expires: None,
    };
    let resolver = StaticResolver::new()
        .with_answer("x.test", answer(&["cdn.test", "maybe.test"]))
        .with_answer("y.test", answer(&["a.test", "tracker.test", "b.test"]));
    let dialer = dialer(resolver, open()).with_name_policy(Arc::new(Names));
    let exchange = exchange();
    let target = DialTarget { exchange: Some(&exchange), ..client("x.test", port) };
    dialer.dial(target).await.unwrap();
    listener.accept().await.unwrap();
    assert_eq!(decided(&exchange), ["guard report tried"]);
    let error = dialer.dial(client("y.test", port)).await.unwrap_err();
    assert_eq!((error.kind(), error.status().as_u16()), (ErrorKind::HttpRequestDenied, 403));
    assert_eq!(error.detail_str(), Some("domain_blocked"));
    assert_eq!(error.decision().map(|(layer, rule)| (layer, &**rule)), Some(("guard", "blocked")));
    nobody_came(&listener);
    // What the operator configured is no client's choice.
    dialer.dial(operator("y.test", port)).await.unwrap();
}

#[test]
fn a_refusal_names_its_rule() {
    let own: SocketAddr = "127.0.0.9:80".parse().unwrap();
    let dialer = dialer(
        StaticResolver::new(),
        GuardConfig { own: OwnListeners::new([own]), ..GuardConfig::default() },
    );
    for (host, rule) in [
        ("127.0.0.1", "guard:loopback"),
        ("10.0.0.1", "guard:private"),
        ("169.254.169.254", "guard:metadata"),
        ("[fe80::1]", "guard:link-local"),
        ("127.0.0.9", "guard:own-listener"),
    ] {
        let error = dialer.foresee(client(host, 80)).unwrap_err();
        assert_eq!(error.decision().map(|(_, rule)| &**rule), Some(rule), "{host}");
    }
}

#[test]
fn a_guard_that_only_reports_refuses_only_ourselves() {
    let own: SocketAddr = "127.0.0.9:80".parse().unwrap();
    let config = GuardConfig {
        own: OwnListeners::new([own]),
        report_only: true,
        waived_networks: vec!["127.0.0.1/32".parse().unwrap()],
        ..GuardConfig::default()
    };
    let dialer = dialer(StaticResolver::new(), config);
    let exchange = exchange();
    let on_behalf = |host| DialTarget { exchange: Some(&exchange), ..client(host, 80) };
    let metadata: SocketAddr = "169.254.169.254:80".parse().unwrap();
    assert_eq!(dialer.foresee(on_behalf("169.254.169.254")).unwrap(), [metadata]);
    assert_eq!(decided(&exchange), ["guard report guard:metadata"]);
    let error = dialer.foresee(on_behalf("127.0.0.9")).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DestinationIpProhibited);
    // What enforcing would do is done where it would not refuse: the permitted address alone.
    let answer = [FORBIDDEN, PERMITTED];
    let tried = dialer.permitted(&on_behalf("x.test"), Some("x.test"), &answer).unwrap();
    assert_eq!(tried, [SocketAddr::new(PERMITTED, 80)]);
    assert_eq!(decided(&exchange).len(), 1);
    // A connection that was kept is reported for whoever uses it.
    dialer.report_kept(&on_behalf("169.254.169.254"), metadata);
    assert_eq!(decided(&exchange).len(), 2);
}

#[test]
fn only_so_many_addresses_of_an_answer_are_tried() {
    let answer: Vec<IpAddr> = (1..=100).map(|n| Ipv4Addr::new(198, 41, 0, n).into()).collect();
    let dialer = dialer(StaticResolver::new(), GuardConfig::default());
    let target = client("x.test", 80);
    let tried = dialer.permitted(&target, Some("x.test"), &answer).unwrap();
    assert_eq!(tried.len(), 16);
    let twice = [answer[0], answer[0], "::ffff:198.41.0.1".parse().unwrap()];
    assert_eq!(dialer.permitted(&target, None, &twice).unwrap().len(), 1);
}

#[test]
fn the_error_that_says_most_is_reported() {
    use io::ErrorKind as Io;
    for (errors, expected) in [
        (vec![Io::NetworkUnreachable, Io::ConnectionRefused], ErrorKind::ConnectionRefused),
        (vec![Io::ConnectionRefused, Io::NetworkUnreachable], ErrorKind::ConnectionRefused),
        (vec![Io::HostUnreachable, Io::TimedOut], ErrorKind::ConnectionTimeout),
        (vec![Io::NetworkUnreachable], ErrorKind::DestinationIpUnroutable),
        (vec![Io::HostUnreachable], ErrorKind::DestinationIpUnroutable),
        (vec![Io::TimedOut, Io::ConnectionReset], ErrorKind::ConnectionTimeout),
        (vec![], ErrorKind::ProxyInternalError),
    ] {
        let error = best(errors.iter().map(|kind| io::Error::from(*kind)).collect());
        assert_eq!(error.kind(), expected, "{errors:?}");
    }
}

#[test]
fn what_is_known_without_asking_is_foreseen() {
    let dialer = dialer(StaticResolver::new(), one_open());
    let of = |target| dialer.foresee(target).map_err(|error| error.kind());
    let address = SocketAddr::new(PERMITTED, 80);
    assert_eq!(of(client("127.0.0.1", 80)).as_deref(), Ok(&[address][..]));
    assert_eq!(of(client("localhost", 80)).as_deref(), Ok(&[address][..]));
    let prohibited = Err(ErrorKind::DestinationIpProhibited);
    assert_eq!(of(client("127.0.0.2", 80)), prohibited);
    assert_eq!(of(operator("127.0.0.2", 80)).map(|all| all.len()), Ok(1));
    // Nobody is asked about any other name.
    assert_eq!(of(client("x.test", 80)), Ok(vec![]));
    assert_eq!(of(client("x.invalid", 80)), Err(ErrorKind::DnsError));
    assert_eq!(of(client("a b", 80)), Err(ErrorKind::HttpRequestError));
}

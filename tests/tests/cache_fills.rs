//! Fills of the cache that others read while they come, that lose their clients or their origin,
//! and an origin that is gone altogether.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use proxyd_tests::client::{self, Answer, Client, Ending};
use proxyd_tests::configured;
use proxyd_tests::origin::{Act, MARK, Origin, response};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::wire::Framing;

/// Enough memory for the largest object here, which may take an eighth of it.
const CACHED: &str = "cache = true\n\n[cache]\nmemory = \"256MiB\"\n";

/// Content in two halves.
const FIRST: &str = "0123456789";
const SECOND: &str = "abcdefghij";

fn before(origin: &Origin) -> Proxyd {
    configured::gateway(&origin.url(), "", CACHED).start()
}

/// An origin whose answer to everything is a cacheable response whose second half waits.
fn halved(gate: &Gate, end: Act) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |_, _| {
        let length = FIRST.len() + SECOND.len();
        let head = format!(
            "HTTP/1.1 200 OK\r\n{MARK}: yes\r\nCache-Control: max-age=3600\r\nETag: \"a\"\r\n\
             Content-Length: {length}\r\n\r\n{FIRST}"
        );
        let mut acts = vec![Act::send(head), Act::Until(gate.clone())];
        acts.push(end.clone());
        acts
    })
}

fn ask(to: SocketAddr, extra: &str) -> Client {
    let mut client = Client::connect(to);
    client.send(format!("GET /a HTTP/1.1\r\nHost: cache.test\r\n{extra}\r\n"));
    client
}

fn rest(client: &mut Client, count: usize) -> (String, Ending) {
    let framing = Framing::Length(count.try_into().expect("a length"));
    let (content, _, ending) = client.content(framing).expect("content");
    (String::from_utf8_lossy(&content).into_owned(), ending)
}

/// RFC 9111, section 4: the first bytes reach every client while the last are not there yet.
#[test]
fn a_fill_is_read_by_all_while_it_comes() {
    let gate = Gate::new();
    let origin = halved(&gate, Act::send(SECOND));
    let proxy = before(&origin);
    let mut clients: Vec<Client> = (0..5).map(|_| ask(proxy.address(), "")).collect();
    for client in &mut clients {
        assert_eq!(client.head().expect("a head").status, 200);
        assert_eq!(client.take(FIRST.len()), FIRST.as_bytes());
    }
    // One more, that comes when half of it is there.
    let mut late = ask(proxy.address(), "");
    assert_eq!(late.head().expect("a head").status, 200);
    assert_eq!(late.take(FIRST.len()), FIRST.as_bytes());
    gate.open();
    for client in clients.iter_mut().chain([&mut late]) {
        assert_eq!(rest(client, SECOND.len()), (SECOND.to_owned(), Ending::Complete));
    }
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// RFC 9110, section 14.2: a range that is there already need not wait for the rest.
#[test]
fn a_range_is_served_during_a_fill() {
    let gate = Gate::new();
    let origin = halved(&gate, Act::send(SECOND));
    let proxy = before(&origin);
    let mut filling = ask(proxy.address(), "");
    assert_eq!(filling.head().expect("a head").status, 200);
    let mut partial = ask(proxy.address(), "Range: bytes=2-4\r\n");
    let mut spanning = ask(proxy.address(), "Range: bytes=8-11\r\n");
    let early = partial.expect("GET");
    assert_eq!((early.status(), early.text().as_str()), (206, "234"), "{early:?}");
    assert_eq!(early.field("content-range"), Some("bytes 2-4/20"));
    gate.open();
    let late = spanning.expect("GET");
    assert_eq!((late.status(), late.text().as_str()), (206, "89ab"), "{late:?}");
    assert_eq!(rest(&mut filling, 20), (format!("{FIRST}{SECOND}"), Ending::Complete));
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// HEAD and conditions need no content at all.
#[test]
fn head_and_conditions_are_answered_during_a_fill() {
    let gate = Gate::new();
    let origin = halved(&gate, Act::send(SECOND));
    let proxy = before(&origin);
    let mut filling = ask(proxy.address(), "");
    assert_eq!(filling.head().expect("a head").status, 200);
    let unchanged = ask(proxy.address(), "If-None-Match: \"a\"\r\n").expect("GET");
    assert_eq!(unchanged.status(), 304);
    let mut head = Client::connect(proxy.address());
    let head = head.ask("HEAD", "HEAD /a HTTP/1.1\r\nHost: cache.test\r\n\r\n");
    assert_eq!((head.status(), head.field("content-length")), (200, Some("20")));
    gate.open();
    assert_eq!(rest(&mut filling, 20).1, Ending::Complete);
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// The client that began the fill leaves; those who read with it do not notice.
#[test]
fn a_fill_outlives_the_client_that_began_it() {
    let gate = Gate::new();
    let origin = halved(&gate, Act::send(SECOND));
    let proxy = before(&origin);
    let mut leader = ask(proxy.address(), "");
    assert_eq!(leader.head().expect("a head").status, 200);
    let mut follower = ask(proxy.address(), "");
    assert_eq!(follower.head().expect("a head").status, 200);
    assert_eq!(follower.take(FIRST.len()), FIRST.as_bytes());
    leader.reset();
    gate.open();
    assert_eq!(rest(&mut follower, SECOND.len()), (SECOND.to_owned(), Ending::Complete));
    let next = ask(proxy.address(), "").expect("GET");
    assert_eq!(next.text(), format!("{FIRST}{SECOND}"));
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// The client that began the fill leaves before there is an answer; those who wait get one.
#[test]
fn a_fill_without_a_head_outlives_the_client_that_began_it() {
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let mut acts = vec![Act::Until(inside.clone())];
        acts.push(Act::send(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: 2\r\n\r\nok",
        ));
        acts
    });
    let proxy = before(&origin);
    let leader = ask(proxy.address(), "");
    origin.wait_received(0, "GET /a");
    let mut follower = ask(proxy.address(), "");
    leader.reset();
    gate.open();
    assert_eq!(follower.expect("GET").text(), "ok");
}

/// RFC 9111, section 3.3: all clients leave; what the next one gets is whole.
#[test]
fn a_fill_without_clients_leaves_nothing_broken() {
    let gate = Gate::new();
    let origin = halved(&gate, Act::send(SECOND));
    let proxy = before(&origin);
    let mut only = ask(proxy.address(), "");
    assert_eq!(only.head().expect("a head").status, 200);
    only.reset();
    gate.open();
    let next = ask(proxy.address(), "").expect("GET");
    assert_eq!((next.status(), next.text()), (200, format!("{FIRST}{SECOND}")));
}

/// RFC 9111, section 3.3: a fill that is cut off is whole for nobody, and the next client begins
/// anew.
#[test]
fn a_broken_fill_is_broken_for_all_and_stored_for_none() {
    for end in [Act::Close, Act::Reset] {
        let gate = Gate::new();
        let origin = halved(&gate, end);
        let proxy = before(&origin);
        let mut clients: Vec<Client> = (0..3).map(|_| ask(proxy.address(), "")).collect();
        for client in &mut clients {
            assert_eq!(client.head().expect("a head").status, 200);
        }
        gate.open();
        for client in &mut clients {
            let (content, ending) = rest(client, 20);
            assert_eq!(ending, Ending::Truncated, "{content}");
            assert!(FIRST.starts_with(&content), "{content}");
        }
        let answer = ask(proxy.address(), "").answer("GET").expect("an answer");
        assert!(!answer.is_whole() || answer.status() == 502, "{answer:?}");
    }
}

/// The head of an uncacheable answer releases those who wait, long before its content ends.
#[test]
fn an_uncacheable_answer_releases_those_who_wait() {
    let (heads, ends) = (Gate::new(), Gate::new());
    let (head, end) = (heads.clone(), ends.clone());
    let origin = Origin::answering(move |_, _| {
        vec![
            Act::Until(head.clone()),
            Act::send("HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 4\r\n\r\nab"),
            Act::Until(end.clone()),
            Act::send("cd"),
        ]
    });
    let proxy = before(&origin);
    let mut clients: Vec<Client> = (0..4).map(|_| ask(proxy.address(), "")).collect();
    origin.wait_links(1);
    heads.open();
    // Each has its own request, though none has ended.
    for client in &mut clients {
        assert_eq!(client.head().expect("a head").status, 200);
    }
    origin.wait_links(4);
    ends.open();
    for client in &mut clients {
        assert_eq!(rest(client, 4), ("abcd".to_owned(), Ending::Complete));
    }
    // It is remembered: the next ones do not even wait for one another.
    assert_eq!(ask(proxy.address(), "").expect("GET").text(), "abcd");
}

/// A client that reads nothing does not keep the others from reading all.
#[test]
fn a_slow_client_of_a_fill_stalls_no_other() {
    const SIZE: usize = 12 << 20;
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {SIZE}\r\n\r\n"
        );
        vec![Act::send(head), Act::Until(inside.clone()), Act::Send(vec![b'x'; SIZE])]
    });
    let proxy = before(&origin);
    let mut slow = Client::connect_narrow(proxy.address(), 4096);
    slow.send("GET /a HTTP/1.1\r\nHost: cache.test\r\n\r\n");
    assert_eq!(slow.head().expect("a head").status, 200);
    let mut fast: Vec<Client> = (0..3).map(|_| ask(proxy.address(), "")).collect();
    for client in &mut fast {
        assert_eq!(client.head().expect("a head").status, 200);
    }
    gate.open();
    std::thread::scope(|scope| {
        for client in &mut fast {
            scope.spawn(|| {
                let (content, ending) = rest(client, SIZE);
                assert_eq!((content.len(), ending), (SIZE, Ending::Complete));
            });
        }
    });
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// Many clients, one object: one request, and each has its first byte before the origin goes on.
#[test]
fn many_clients_are_one_request() {
    const SIZE: usize = 2_000_000;
    const CLIENTS: usize = 200;
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=3600\r\nContent-Length: {SIZE}\r\n\r\nfirst"
        );
        vec![Act::send(head), Act::Until(inside.clone()), Act::Send(vec![b'x'; SIZE - 5])]
    });
    let proxy = before(&origin);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| ask(proxy.address(), "")).collect();
    for client in &mut clients {
        assert_eq!(client.head().expect("a head").status, 200);
        assert_eq!(client.take(5), b"first");
    }
    gate.open();
    std::thread::scope(|scope| {
        for mut client in clients {
            scope.spawn(move || {
                let (content, ending) = rest(&mut client, SIZE - 5);
                assert_eq!((content.len(), ending), (SIZE - 5, Ending::Complete));
            });
        }
    });
    assert_eq!(origin.lines(), ["GET /a"]);
}

/// An origin that was there and is gone: connections to it are refused.
#[test]
fn stale_responses_are_served_when_connections_are_refused() {
    // RFC 9111, section 4.2.4: unless a directive forbids it.
    let rules = [
        ("max-age=1", true),
        ("max-age=1, stale-if-error=60", true),
        ("public, max-age=1", true),
        ("max-age=3600", true),
        ("max-age=1, must-revalidate", false),
        ("max-age=1, proxy-revalidate", false),
        ("s-maxage=1", false),
        ("max-age=3600, no-cache", false),
        ("no-store", false),
        ("private, max-age=3600", false),
    ];
    let directives: Arc<Vec<&str>> = Arc::new(rules.iter().map(|(text, _)| *text).collect());
    let origin = Origin::answering(move |request, _| {
        let number: usize = request.head.target[1..].parse().unwrap_or(0);
        let raw = format!(
            "HTTP/1.1 200 OK\r\nCache-Control: {}\r\nETag: \"a\"\r\nConnection: close\r\n\
             Content-Length: 2\r\n\r\nok",
            directives[number]
        );
        vec![Act::send(raw), Act::Close]
    });
    let address = origin.address();
    let proxy = before(&origin);
    let get = |number: usize| client::get(proxy.address(), "cache.test", &format!("/{number}"));
    for number in 0..rules.len() {
        assert_eq!(get(number).status(), 200);
    }
    drop(origin);
    waiting::until("connections are refused", || std::net::TcpStream::connect(address).err());
    // What is to be stale by then.
    std::thread::sleep(Duration::from_millis(1200));
    for (number, (directives, served)) in rules.into_iter().enumerate() {
        let answer: Answer = get(number);
        if served {
            assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "{directives}");
            assert!(answer.field("age").is_some(), "{directives}: {answer:?}");
        } else {
            assert!(matches!(answer.status(), 502..=504), "{directives}: {answer:?}");
        }
    }
}

/// An origin that says nothing within the time it has is as good as gone.
#[test]
fn stale_responses_are_served_when_the_origin_is_too_slow() {
    let origin = Origin::answering(move |_, turn| {
        if turn.link + turn.nth == 0 {
            let fields = [("Cache-Control", "max-age=1")];
            return vec![response("200 OK", &fields, "ok")];
        }
        vec![Act::AwaitEnd]
    });
    let rest = format!("timeouts = {{ first_byte = \"400ms\" }}\n{CACHED}");
    let proxy = configured::gateway(&origin.url(), "", &rest).start();
    assert_eq!(ask(proxy.address(), "").expect("GET").text(), "ok");
    std::thread::sleep(Duration::from_millis(1200));
    let answer = ask(proxy.address(), "").expect("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "ok"), "{answer:?}");
}

/// Nothing is stored of what an uncached route passes on.
#[test]
fn a_route_without_a_cache_has_none() {
    let origin = Origin::answering(|_, _| {
        vec![response("200 OK", &[("Cache-Control", "public, max-age=3600")], "ok")]
    });
    let proxy = configured::gateway(&origin.url(), "", "cache = false\n").start();
    for _ in 0..2 {
        let answer = ask(proxy.address(), "").expect("GET");
        assert_eq!((answer.text().as_str(), answer.field("cache-status")), ("ok", None));
    }
    assert_eq!(origin.lines().len(), 2);
}

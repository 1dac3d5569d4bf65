//! Against a name server made up here.

use super::config::{at, build, name_servers};
use super::*;
use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, SOA};
use hickory_resolver::proto::rr::{RData, Record};
use std::fs;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;
use std::sync::Mutex;
use tokio::runtime::Builder;

/// What the name server was asked, as `name type`.
type Asked = Arc<Mutex<Vec<String>>>;

/// A name server on a thread of its own, over UDP.
fn name_server() -> (SocketAddr, Asked) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let asked = Asked::default();
    let record = Arc::clone(&asked);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, client)) = socket.recv_from(&mut buffer) {
            let request = Message::from_vec(&buffer[..length]).unwrap();
            let query = request.queries[0].clone();
            let name = query.name().to_ascii();
            record.lock().unwrap().push(format!("{name} {}", query.query_type()));
            let (socket, later) = (socket.try_clone().unwrap(), late(&name, query.query_type()));
            let answer = answer(request.metadata.id, query);
            thread::spawn(move || {
                thread::sleep(later);
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer.to_vec().unwrap(), client);
                }
            });
        }
    });
    (address, asked)
}

/// The families that answer late.
fn late(name: &str, of: RecordType) -> Duration {
    match (name, of) {
        ("late6.test.", RecordType::AAAA) | ("late4.test.", RecordType::A) => {
            Duration::from_millis(400)
        }
        _ => Duration::ZERO,
    }
}

/// `None`: silence.
fn answer(id: u16, query: Query) -> Option<Message> {
    let name = query.name().clone();
    let of = query.query_type();
    let mut message = Message::response(id, OpCode::Query);
    message.metadata.recursion_available = true;
    message.add_query(query);
    let v4 = |name: &Name, last| {
        Record::from_rdata(name.clone(), 60, RData::A(A(Ipv4Addr::new(192, 0, 2, last))))
    };
    let v6 = |name: &Name, last| {
        let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, last);
        Record::from_rdata(name.clone(), 30, RData::AAAA(AAAA(address)))
    };
    let alias = |from: &str, to: &str| {
        let [from, to] = [from, to].map(|name| Name::from_str(name).unwrap());
        Record::from_rdata(from, 20, RData::CNAME(CNAME(to)))
    };
    let zone = Name::from_str("test.").unwrap();
    let soa = SOA::new(zone.clone(), zone.clone(), 1, 1, 1, 1, 15);
    let soa = Record::from_rdata(zone, 15, RData::SOA(soa));
    match (name.to_ascii().as_str(), of) {
        ("x.test." | "late6.test." | "late4.test.", RecordType::A) => {
            message.add_answers([v4(&name, 1), v4(&name, 2)]);
        }
        ("x.test." | "late6.test." | "late4.test.", RecordType::AAAA) => {
            message.add_answer(v6(&name, 1));
        }
        ("once.test.", RecordType::A) => {
            let mut record = v4(&name, 3);
            record.ttl = 0;
            message.add_answer(record);
        }
        ("www.test.", RecordType::A) => {
            let end = Name::from_str("End.CDN.test.").unwrap();
            let elsewhere = Name::from_str("elsewhere.test.").unwrap();
            message.add_answers([
                alias("www.test.", "cdn.test."),
                alias("cdn.test.", "End.CDN.test."),
                v4(&end, 4),
                v4(&elsewhere, 99),
            ]);
        }
        ("half.test.", RecordType::A) => {
            message.add_answer(v4(&name, 5));
        }
        ("half.test.", _) | ("broken.test.", _) => {
            message.metadata.response_code = ResponseCode::ServFail;
        }
        ("silent.test.", _) => return None,
        ("once.test." | "www.test." | "mail.test.", _) => {
            message.add_authority(soa);
        }
        _ => {
            message.metadata.response_code = ResponseCode::NXDomain;
            message.add_authority(soa);
        }
    }
    Some(message)
}

fn config(server: SocketAddr) -> HickoryConfig {
    HickoryConfig {
        name_servers: NameServers::List(vec![server]),
        hosts_file: None,
        ..HickoryConfig::default()
    }
}

fn count(asked: &Asked, entry: &str) -> usize {
    asked.lock().unwrap().iter().filter(|asked| *asked == entry).count()
}

async fn addresses(resolver: &HickoryResolver, name: &str) -> Vec<String> {
    let answer = resolver.resolve(name).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    answer.addresses.iter().map(IpAddr::to_string).collect()
}

#[tokio::test]
async fn both_families_are_asked_for_and_kept() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    // On a busy machine one family may come too late for who asks first; what is kept has both.
    resolver.resolve("x.test").await.unwrap();
    while resolver.shared.cache.get("x.test", Instant::now()).is_none() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for _ in 0..3 {
        let answer = resolver.resolve("x.test").await.unwrap();
        let expected = ["2001:db8::1", "192.0.2.1", "192.0.2.2"];
        let expected: Vec<IpAddr> = expected.iter().map(|ip| ip.parse().unwrap()).collect();
        assert_eq!(answer.addresses, expected);
        // The shorter of the two times to live.
        let left = answer.expires.unwrap() - Instant::now();
        assert!(left <= Duration::from_secs(30) && left > Duration::from_secs(20), "{left:?}");
    }
    assert_eq!(count(&asked, "x.test. A"), 1);
    assert_eq!(count(&asked, "x.test. AAAA"), 1);
}

#[tokio::test]
async fn an_answer_that_holds_for_no_time_is_not_kept() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    for _ in 0..2 {
        assert_eq!(addresses(&resolver, "once.test").await, ["192.0.2.3"]);
    }
    assert_eq!(count(&asked, "once.test. A"), 2);
}

#[tokio::test]
async fn aliases_are_followed_and_told_and_strays_dropped() {
    let (server, _) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    let answer = resolver.resolve("www.test").await.unwrap();
    assert_eq!(answer.names, ["cdn.test", "end.cdn.test"]);
    assert_eq!(answer.addresses, ["192.0.2.4".parse::<IpAddr>().unwrap()]);
    assert!(answer.expires.unwrap() <= Instant::now() + Duration::from_secs(20));
}

#[tokio::test]
async fn what_is_not_there_is_an_error_and_kept() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    for name in ["missing.test", "mail.test"] {
        for _ in 0..3 {
            let error = resolver.resolve(name).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::DnsError, "{name}");
        }
        assert_eq!(count(&asked, &format!("{name}. A")), 1);
    }
    let error = resolver.resolve("broken.test").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DnsError);
}

/// No search suffix is added, and names of few dots are asked for as they are.
#[tokio::test]
async fn a_name_is_asked_for_as_it_is() {
    let (server, asked) = name_server();
    let file = Scratch::new("search corp.test\ndomain corp.test\noptions ndots:5\n");
    // The suffixes of resolv.conf, and the server of this test.
    let mut config = config(server);
    let (_, options) = name_servers(&HickoryConfig {
        name_servers: NameServers::ResolvConf(file.with("nameserver 127.0.0.1\n")),
        ..config.clone()
    })
    .unwrap();
    assert_eq!(options.ndots, 5);
    config.timeout = Duration::from_secs(2);
    let dns = Some(build(vec![at(server)], options, &config).unwrap());
    let resolver = HickoryResolver::start(config.clone()).unwrap();
    let mut shared = Arc::try_unwrap(resolver.shared).ok().unwrap();
    shared.dns = dns;
    let resolver = HickoryResolver { shared: Arc::new(shared), _thread: resolver._thread };
    for name in ["intranet", "www.intranet", "_under.score"] {
        assert!(resolver.resolve(name).await.is_err());
        assert_eq!(count(&asked, &format!("{name}. A")), 1, "{asked:?}");
    }
    assert!(asked.lock().unwrap().iter().all(|asked| !asked.contains("corp")), "{asked:?}");
}

#[tokio::test]
async fn silence_is_a_timeout() {
    let (server, _) = name_server();
    let config = HickoryConfig { timeout: Duration::from_millis(300), ..config(server) };
    let resolver = HickoryResolver::start(config).unwrap();
    let error = resolver.resolve("silent.test").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::DnsTimeout);
    assert_eq!(error.status(), 504);
}

#[tokio::test]
async fn one_family_that_fails_leaves_the_other() {
    let (server, _) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    assert_eq!(addresses(&resolver, "half.test").await, ["192.0.2.5"]);
}

/// RFC 8305 section 3: the late family is not waited for, and is there the next time.
#[tokio::test]
async fn a_late_family_is_not_waited_for() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    let all = ["2001:db8::1", "192.0.2.1", "192.0.2.2"];
    for (name, early) in [("late6.test", &all[1..]), ("late4.test", &all[..1])] {
        assert_eq!(addresses(&resolver, name).await, early);
        let mut answer = Vec::new();
        for _ in 0..200 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            answer = addresses(&resolver, name).await;
            if answer.len() == all.len() {
                break;
            }
        }
        assert_eq!(answer, all, "{name}");
    }
    drop(asked);
}

/// Lookups go on when the runtime that asked first has ended, or stands still.
#[test]
fn one_resolver_serves_many_runtimes() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let first = runtime();
    assert!(!first.block_on(addresses(&resolver, "x.test")).is_empty());
    // From here on, nobody runs the first one.
    let second = runtime();
    assert_eq!(second.block_on(addresses(&resolver, "once.test")), ["192.0.2.3"]);
    drop(first);
    assert_eq!(second.block_on(addresses(&resolver, "once.test")), ["192.0.2.3"]);
    drop(second);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let resolver = resolver.clone();
            thread::spawn(move || {
                let runtime = runtime();
                for _ in 0..20 {
                    runtime.block_on(addresses(&resolver, "once.test"));
                    runtime.block_on(addresses(&resolver, "x.test"));
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    assert_eq!(count(&asked, "x.test. A"), 1);
}

/// A runtime that is given and has ended is an error, not a wait without end.
#[test]
fn a_resolver_whose_runtime_has_ended_says_so() {
    let (server, _) = name_server();
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let given = runtime();
    let resolver = HickoryResolver::on(config(server), given.handle().clone());
    // On a busy machine one family may come later than the other.
    while given.block_on(addresses(&resolver, "x.test")).len() < 3 {
        thread::sleep(Duration::from_millis(10));
    }
    drop(given);
    let other = runtime();
    // What is in the cache is still known.
    assert_eq!(other.block_on(addresses(&resolver, "x.test")).len(), 3);
    let error = other.block_on(resolver.resolve("www.test")).unwrap_err();
    assert_eq!(error.detail_str(), Some("the resolver has stopped"));
}

#[tokio::test]
async fn dropping_the_caller_is_no_harm() {
    let (server, asked) = name_server();
    let resolver = HickoryResolver::start(config(server)).unwrap();
    for _ in 0..3 {
        let _ = tokio::time::timeout(Duration::ZERO, resolver.resolve("x.test")).await;
    }
    assert_eq!(addresses(&resolver, "x.test").await.len(), 3);
    assert!(count(&asked, "x.test. A") >= 1);
}

#[tokio::test]
async fn the_hosts_file_comes_before_dns() {
    let (server, asked) = name_server();
    let file = Scratch::new(
        "# comment\n192.0.2.77 X.test alias.x.test # more\n2001:db8::77 six.test x.test\nbad\n",
    );
    let config = HickoryConfig { hosts_file: Some(file.0.clone()), ..config(server) };
    let resolver = HickoryResolver::start(config).unwrap();
    assert_eq!(addresses(&resolver, "x.test").await, ["2001:db8::77", "192.0.2.77"]);
    assert_eq!(addresses(&resolver, "alias.x.test").await, ["192.0.2.77"]);
    assert_eq!(addresses(&resolver, "six.test").await, ["2001:db8::77"]);
    assert_eq!(addresses(&resolver, "a.localhost").await, ["::1", "127.0.0.1"]);
    assert!(asked.lock().unwrap().is_empty(), "{asked:?}");
    assert_eq!(addresses(&resolver, "once.test").await, ["192.0.2.3"]);
}

#[tokio::test]
async fn without_name_servers_the_hosts_file_and_localhost_work() {
    let hosts = Scratch::new("192.0.2.77 x.test\n");
    let empty = Scratch::new("# nothing\n");
    for path in [empty.0.clone(), "/nonexistent/resolv.conf".into()] {
        let config = HickoryConfig {
            name_servers: NameServers::ResolvConf(path),
            hosts_file: Some(hosts.0.clone()),
            ..HickoryConfig::default()
        };
        let resolver = HickoryResolver::start(config).unwrap();
        assert_eq!(addresses(&resolver, "x.test").await, ["192.0.2.77"]);
        assert_eq!(addresses(&resolver, "localhost").await, ["::1", "127.0.0.1"]);
        let error = resolver.resolve("y.test").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::DnsError);
        assert_eq!(error.detail_str(), Some("no name server is configured"));
    }
}

/// A file that goes when the test does.
struct Scratch(PathBuf);

impl Scratch {
    fn new(text: &str) -> Self {
        static NUMBER: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let name = format!("proxy-upstream-resolve-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        Self(path)
    }

    /// Appends a text.
    fn with(&self, text: &str) -> PathBuf {
        let mut file = fs::OpenOptions::new().append(true).open(&self.0).unwrap();
        file.write_all(text.as_bytes()).unwrap();
        self.0.clone()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

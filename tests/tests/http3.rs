//! HTTP/3 at a listener with TLS: the same layers, limits and logs as the other versions.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use http::Request;
use proxyd_tests::chromium::Chromium;
use proxyd_tests::h3_client::H3Client;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::Pki;
use proxyd_tests::proxyd::{Launch, Proxyd};
use proxyd_tests::script::response;
use proxyd_tests::successors::{Successors, signal};
use proxyd_tests::{configured, waiting};

/// A gateway that speaks all three, with more keys of its listener.
fn edge(origin: &str, pki: &Pki, listener: &str) -> Proxyd {
    edge_launch(origin, pki, listener).start()
}

fn edge_launch(origin: &str, pki: &Pki, listener: &str) -> Launch {
    let pair = pki.leaf(&["a.test", "localhost"]);
    let listener = format!(
        "protocols = [\"h1\", \"h2\", \"h3\"]\n{listener}\n\
         [listeners.web.tls]\ncertificates = [{}]\n",
        pair.table()
    );
    configured::gateway(origin, &listener, "").env(RUNTIME.0, RUNTIME.1)
}

fn connect(proxy: &Proxyd, pki: &Pki) -> Result<H3Client, String> {
    H3Client::connect(proxy.address(), "a.test", &pki.ca())
}

fn url(proxy: &Proxyd, path: &str) -> String {
    format!("https://a.test:{}{path}", proxy.address().port())
}

#[test]
fn requests_pass_and_are_logged() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let proxy = edge(&origin.url(), &pki, "");
    let mut client = connect(&proxy, &pki).expect("a connection");
    let get = Request::get(url(&proxy, "/x?y")).body(()).expect("a request");
    let answer = client.ask(get, b"");
    assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
    assert!(answer.head.headers().get("alt-svc").is_none());
    let post = Request::post(url(&proxy, "/")).body(()).expect("a request");
    assert_eq!(client.ask(post, &[b'x'; 100_000]).head.status(), 200);
    let seen = origin.last();
    assert_eq!(seen.field("x-forwarded-proto"), Some("https"));
    assert!(
        seen.field("via").is_some_and(|via| via.starts_with("3.0 ")),
        "{:?}",
        seen.field("via")
    );
    let line = waiting::until("two lines in the log", || {
        let log = proxy.log();
        (log.lines().count() == 2).then(|| log.lines().next().map(str::to_owned))?
    });
    assert!(line.contains("HTTP/3"), "{line}");
    assert!(line.contains("\"server_name\":\"a.test\""), "{line}");
    waiting::until("the handshake in the metrics", || {
        let metrics = proxy.ask_admin("/metrics").text();
        metrics.contains("proxy_server_tls_handshakes_total{kind=\"full\"} 1").then_some(())
    });
    // A name that the handshake was not for.
    let other = Request::get("https://b.test/").body(()).expect("a request");
    assert_eq!(client.ask(other, b"").head.status(), 421);
}

/// RFC 7838: clients of the other versions are told where to find it.
#[test]
fn it_is_advertised() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    for (quic, due) in [("", true), ("quic = { advertise = \"none\" }", false)] {
        let proxy = edge(&origin.url(), &pki, quic);
        let port = proxy.address().port();
        let resolve = format!("a.test:{port}:127.0.0.1");
        for version in ["--http1.1", "--http2"] {
            let url = url(&proxy, "/");
            let output = pki.curl(&[version, "--head", "--resolve", &resolve, &url]);
            let head = String::from_utf8_lossy(&output.stdout).to_lowercase();
            let says = head.contains(&format!("alt-svc: h3=\":{port}\"; ma=86400"));
            assert_eq!(says, due, "{head}");
        }
    }
}

/// A page, its script and what the script fetches, all over QUIC, by a browser that has the authority
/// in its certificate store.
#[test]
fn a_browser_loads_a_page_over_quic() {
    const PAGE: &str = "<!doctype html><html><head><link rel=icon href=data:,></head><body>\
        <p id=said>not yet</p><script src=own.js></script></body></html>";
    const SCRIPT: &str = "fetch('/data', { method: 'POST', body: 'x'.repeat(100000) })\
        .then(answer => answer.text()).then(text => {\
        document.getElementById('said').textContent = 'said ' + text; });";
    let (pki, origin) = (
        Pki::new(),
        Origin::answering(|request, _| {
            let (kind, content) = match &*request.head.target {
                "/" => ("text/html", PAGE.to_owned()),
                "/own.js" => ("text/javascript", SCRIPT.to_owned()),
                _ => ("text/plain", request.content.len().to_string()),
            };
            vec![response("200 OK", &[("Content-Type", kind)], &content)]
        }),
    );
    let proxy = edge(&origin.url(), &pki, "");
    let port = proxy.address().port();
    let dom = Chromium::new().trusting(&pki.ca()).page(
        &format!("https://localhost:{port}/"),
        &[
            "--no-proxy-server",
            "--virtual-time-budget=20000",
            &format!("--origin-to-force-quic-on=localhost:{port}"),
            // It names both addresses, and we listen at one.
            "--host-resolver-rules=MAP localhost 127.0.0.1",
        ],
    );
    assert!(dom.contains("said 100000"), "{dom}");
    for target in ["/", "/own.js", "/data"] {
        let target = format!("\"target\":\"{target}\"");
        let line = waiting::until("its line in the log", || {
            let log = proxy.log();
            log.lines().find(|line| line.contains(&target)).map(str::to_owned)
        });
        assert!(line.contains("HTTP/3"), "{line}");
    }
}

#[test]
fn what_is_under_way_is_finished_in_a_drain() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let mut proxy = edge(&origin.url(), &pki, "");
    let mut client = connect(&proxy, &pki).expect("a connection");
    let post = Request::post(url(&proxy, "/")).body(()).expect("a request");
    let sent = client.begin(post);
    // It has come: what is sent behind it has.
    let get = Request::get(url(&proxy, "/")).body(()).expect("a request");
    assert_eq!(client.ask(get, b"").head.status(), 200);
    proxy.sigterm();
    waiting::until("the end of accepting", || connect(&proxy, &pki).err());
    let answer = client.finish(sent, b"content");
    assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
    let closed = client.closed();
    assert!(closed.contains("256"), "{closed}");
    assert!(proxy.wait_exit().success());
}

/// A request on a connection of its own.
fn get(proxy: &Proxyd, pki: &Pki) -> Result<u16, String> {
    let mut client = connect(proxy, pki)?;
    let get = Request::get(url(proxy, "/")).body(()).expect("a request");
    Ok(client.ask(get, b"").head.status().as_u16())
}

#[test]
fn it_is_switched_off_and_on_and_renamed_by_reloads() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let proxy = edge(&origin.url(), &pki, "");
    let mut early = connect(&proxy, &pki).expect("a connection");
    let post = || Request::post(url(&proxy, "/")).body(()).expect("a request");
    let sent = early.begin(post());
    let (all, less) = ("[\"h1\", \"h2\", \"h3\"]", "[\"h1\", \"h2\"]");
    operator::edit(&proxy, all, less);
    operator::reload(&proxy);
    let refused = get(&proxy, &pki).expect_err("it is off");
    assert!(!refused.contains("too slow"), "{refused}");
    // Somebody is still there, on the same socket.
    operator::edit(&proxy, less, all);
    operator::reload(&proxy);
    assert_eq!(get(&proxy, &pki), Ok(200));
    let mut later = connect(&proxy, &pki).expect("a connection");
    let second = later.begin(post());
    // Another listener at the same address, with settings of its own.
    let quic = "[listeners.other.tls]";
    operator::edit(&proxy, "[listeners.web]", "[listeners.other]");
    operator::edit(&proxy, "[listeners.web.tls]", quic);
    operator::edit(&proxy, all, &format!("{all}\nquic = {{ retry = \"always\" }}"));
    operator::reload(&proxy);
    assert_eq!(get(&proxy, &pki), Ok(200));
    for (mut client, sent) in [(early, sent), (later, second)] {
        let answer = client.finish(sent, b"content");
        assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
    }
    waiting::until("the listeners in the log", || {
        let log = proxy.log();
        (log.contains("\"other\"") && log.contains("\"web\"")).then_some(())
    });
    // With nobody left on it the socket is closed, and can be had again.
    operator::edit(&proxy, all, less);
    operator::edit(&proxy, "quic = { retry = \"always\" }", "");
    operator::reload(&proxy);
    waiting::until("the socket is closed", || {
        std::net::UdpSocket::bind(proxy.address()).is_ok().then_some(())
    });
    operator::edit(&proxy, less, all);
    operator::reload(&proxy);
    assert_eq!(get(&proxy, &pki), Ok(200));
}

/// New connections are those of the new process at once, and those of each old one go on there.
#[test]
fn connections_go_on_while_one_process_follows_another() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let (launch, successors) = Successors::mark(edge_launch(&origin.url(), &pki, ""));
    let mut proxy = launch.start();
    let post = || Request::post(url(&proxy, "/")).body(()).expect("a request");
    let mut first = connect(&proxy, &pki).expect("a connection");
    let sent_first = first.begin(post());
    let id = proxy.id();
    let next = successors.upgrade(&proxy, id);
    let mut second = waiting::until("the new process", || connect(&proxy, &pki).ok());
    let sent_second = second.begin(post());
    // Once more, while the first one is there still.
    let last = successors.upgrade(&proxy, next);
    assert_ne!(next, last);
    assert_eq!(waiting::until("the newest process", || get(&proxy, &pki).ok()), 200);
    assert!(proxy.is_running(), "somebody is still with the first one");
    for (client, sent) in [(&mut second, sent_second), (&mut first, sent_first)] {
        let answer = client.finish(sent, &[b'x'; 100_000]);
        assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
    }
    // They are told to go, and nobody is left behind.
    for client in [&first, &second] {
        let closed = client.closed();
        assert!(closed.contains("256"), "{closed}");
    }
    assert_eq!(proxy.wait_exit().code(), Some(0));
    successors.wait_end(next);
    assert_eq!(get(&proxy, &pki), Ok(200));
}

/// Packets come to the one that is left.
#[test]
fn connections_go_on_where_the_new_process_ends() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let (launch, successors) = Successors::mark(edge_launch(&origin.url(), &pki, ""));
    let mut proxy = launch.start();
    let post = Request::post(url(&proxy, "/")).body(()).expect("a request");
    let mut client = connect(&proxy, &pki).expect("a connection");
    let sent = client.begin(post);
    let id = proxy.id();
    let next = successors.upgrade(&proxy, id);
    waiting::until("the new process", || get(&proxy, &pki).ok());
    signal(next, "KILL");
    successors.wait_end(next);
    let answer = client.finish(sent, &[b'x'; 100_000]);
    assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// Connections that are left at a socket which no listener names keep the next process neither from
/// it, nor from doing without it.
#[test]
fn a_socket_whose_listener_has_gone_is_handed_over_too() {
    for is_named_again in [true, false] {
        let (pki, origin) = (Pki::new(), Origin::saying("hello"));
        let (launch, successors) = Successors::mark(edge_launch(&origin.url(), &pki, ""));
        let mut proxy = launch.start();
        let mut early = connect(&proxy, &pki).expect("a connection");
        let sent = early.begin(Request::post(url(&proxy, "/")).body(()).expect("a request"));
        let (all, less) = ("[\"h1\", \"h2\", \"h3\"]", "[\"h1\", \"h2\"]");
        operator::edit(&proxy, all, less);
        operator::reload(&proxy);
        if is_named_again {
            operator::edit(&proxy, less, all);
        }
        let id = proxy.id();
        let _ = successors.upgrade(&proxy, id);
        if is_named_again {
            assert_eq!(waiting::until("the new process", || get(&proxy, &pki).ok()), 200);
        }
        let answer = early.finish(sent, &[b'x'; 100_000]);
        assert_eq!((answer.head.status().as_u16(), answer.text()), (200, "hello".to_owned()));
        assert!(early.closed().contains("256"));
        assert_eq!(proxy.wait_exit().code(), Some(0));
    }
}

#[test]
fn clients_are_judged_before_they_are_answered() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let limits = "quic = { retry = \"always\" }\nlimits = { connections_per_client = 1 }";
    let proxy = edge(&origin.url(), &pki, limits);
    // The one place may still be that of who waited for the start.
    let client = waiting::until("a connection", || connect(&proxy, &pki).ok());
    let refused = connect(&proxy, &pki).err().expect("no place");
    assert!(!refused.contains("too slow"), "{refused}");
    waiting::until("the refusal in the metrics", || {
        let metrics = proxy.ask_admin("/metrics").text();
        let line = "proxy_server_connections_refused_total{reason=\"client_limit\"}";
        metrics.contains(line).then_some(())
    });
    drop(client);
}

#[test]
fn clients_are_known_by_their_certificates() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let elsewhere = Pki::new();
    let (good, stranger) = (pki.leaf(&["good.test"]), elsewhere.leaf(&["stranger.test"]));
    let listener = format!(
        "protocols = [\"h1\", \"h2\", \"h3\"]\n\
         [listeners.web.tls]\ncertificates = [{}]\n\
         client_certificates = {{ ca = \"{}\", mode = \"required\", forward = true }}\n",
        pair.table(),
        pki.ca().display()
    );
    let proxy = configured::gateway(&origin.url(), &listener, "").start();
    let connect = |own| H3Client::connect_as(proxy.address(), "a.test", &pki.ca(), own);
    let mut client = connect(Some(&good)).expect("a connection");
    let spoofed = Request::get(url(&proxy, "/")).header("client-cert", ":AAAA:");
    let answer = client.ask(spoofed.body(()).expect("a request"), b"");
    assert_eq!(answer.head.status(), 200);
    let told = origin.last().field("client-cert").map(str::to_owned).expect("told");
    assert!(told.starts_with(":MII"), "{told}");
    for own in [None, Some(&stranger)] {
        if let Ok(client) = connect(own) {
            client.closed();
        }
    }
    assert_eq!(origin.lines().len(), 1);
    for reason in ["client_certificate_missing", "client_certificate_unknown_issuer"] {
        let line = format!("proxy_server_tls_handshakes_failed_total{{reason=\"{reason}\"}} 1");
        waiting::until("the failures in the metrics", || {
            proxy.ask_admin("/metrics").text().contains(&line).then_some(())
        });
    }
}

/// A Python environment with aioquic, where one can be made.
fn aioquic() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("aioquic");
    let python = folder.join("bin/python");
    let has = |python: &Path| {
        let mut command = Command::new(python);
        command.args(["-c", "import aioquic"]).stdin(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if has(&python) {
        return Some(python);
    }
    let run = |program: &Path, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    };
    let made = run(Path::new("python3"), &["-m", "venv", &folder.to_string_lossy()])
        && run(&python, &["-m", "pip", "install", "--quiet", "--timeout", "20", "aioquic"]);
    (made && has(&python)).then_some(python)
}

#[allow(clippy::print_stderr, reason = "who runs the tests should know")]
fn print_skipped() {
    eprintln!("skipped: aioquic could not be installed");
}

/// An independent stack. It comes from PyPI: where that can not be reached the other tests have to
/// do, which is said.
#[test]
fn aioquic_loads_pages() {
    let Some(python) = aioquic() else {
        print_skipped();
        return;
    };
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let proxy = edge(&origin.url(), &pki, "");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("data/http3/aioquic_get.py");
    let address: SocketAddr = proxy.address();
    let output = Command::new(python)
        .arg(script)
        .arg(address.port().to_string())
        .arg(pki.ca())
        .stdin(Stdio::null())
        .output()
        .expect("python");
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert_eq!(said, "200 hello\n200 hello\n", "{wrong}");
}

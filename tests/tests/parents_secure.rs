//! Parent proxies that are reached over TLS: who they must prove to be, who we are, and TLS within
//! it. The parent is a second proxy, so that both ends are the real thing; what is behind it plays
//! the rest of the world.

use std::fs;
use std::net::SocketAddr;

use proxyd_tests::client::{self, Client};
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::{Pair, Pki};
use proxyd_tests::proxyd::{Launch, Proxyd};
use proxyd_tests::scripted_parent::{leading_to, parent};
use proxyd_tests::{configured, waiting};

/// A forward proxy that speaks TLS, of which what is behind `next` is the world.
fn secure(next: SocketAddr, pair: &Pair, tls: &str) -> Proxyd {
    let listener = format!("[listeners.web.tls]\ncertificates = [{}]\n{tls}", pair.table());
    let rest =
        format!("[parents.world]\nurl = \"http://{next}\"\n\n[forward]\nparent = \"world\"\n");
    configured::forward(&listener, &rest).start()
}

/// The table of a parent that is this proxy.
fn table(parent: &Proxyd, tls: &str) -> String {
    let port = parent.address().port();
    format!("[parents.corp]\nurl = \"https://localhost:{port}\"\ntls = {{ {tls} }}\n\n")
}

fn forward(parent: &Proxyd, tls: &str) -> Launch {
    let rest = format!("{}[forward]\nparent = \"corp\"\n", table(parent, tls));
    configured::forward("", &rest)
}

fn ca(pki: &Pki) -> String {
    format!("ca = \"{}\"", pki.ca().display())
}

const GET: &str = "GET http://a.test/x HTTP/1.1\r\nHost: a.test\r\n\r\n";

#[test]
fn requests_and_tunnels_go_to_the_parent_encrypted() {
    let (pki, world) = (Pki::new(), Origin::saying("the world"));
    let corp = secure(world.address(), &pki.leaf(&["localhost"]), "");
    let proxy = forward(&corp, &ca(&pki)).start();
    for at in 0..3 {
        let raw = format!("GET http://{at}.test/x HTTP/1.1\r\nHost: {at}.test\r\n\r\n");
        let answer = client::exchange(proxy.address(), "GET", raw);
        assert_eq!((answer.status(), answer.text().as_str()), (200, "the world"));
    }
    assert_eq!(world.last().line(), "GET http://2.test/x");
    let accepted = "proxy_server_tls_handshakes_total{kind=\"full\"} 1";
    waiting::until("one connection leads to all destinations", || {
        corp.ask_admin("/metrics").text().contains(accepted).then_some(())
    });

    let (world, heard) = parent("HTTP/1.1 200 OK\r\n\r\nhello ");
    let corp = secure(world, &pki.leaf(&["localhost"]), "");
    let proxy = forward(&corp, &ca(&pki)).start();
    let mut client = Client::connect(proxy.address());
    let raw = "CONNECT far.test:443 HTTP/1.1\r\nHost: far.test:443\r\n\r\n";
    assert_eq!(client.ask("CONNECT", raw).status(), 200);
    // What comes behind the answer of the parent is the destination's, and is not lost.
    assert!(client.send("there"));
    assert_eq!(client.take(11), b"hello there");
    let much = vec![b'x'; 300_000];
    assert!(client.send(&much));
    assert!(client.take(much.len()) == much, "content passes whole");
    assert!(heard.lock().expect("heard")[0].starts_with("CONNECT far.test:443 "));
}

#[test]
fn a_parent_proves_who_it_is_and_so_do_we() {
    let (pki, elsewhere, world) = (Pki::new(), Pki::new(), Origin::saying("the world"));
    let asks = format!("client_certificates = {{ ca = \"{}\" }}", pki.ca().display());
    let (own, me) = (pki.leaf(&["localhost"]), pki.leaf(&["me.test"]));
    let other = pki.leaf(&["other.test"]);
    let open = secure(world.address(), &own, "");
    let named = secure(world.address(), &other, "");
    let closed = secure(world.address(), &own, &asks);
    let with = |pair: &Pair| {
        format!(
            "client_cert = \"{}\", client_key = \"{}\"",
            pair.cert.display(),
            pair.key.display()
        )
    };
    let stranger = elsewhere.leaf(&["me.test"]);
    let pin = "pins = [\"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]";
    let trusted = ca(&pki);
    for (parent, tls, due) in [
        (&open, trusted.clone(), None),
        (&open, ca(&elsewhere), Some("tls_certificate_error")),
        (&open, format!("{trusted}, {pin}"), Some("tls_certificate_error")),
        (&named, trusted.clone(), Some("tls_certificate_error")),
        (&named, format!("{trusted}, server_name = \"other.test\""), None),
        (&closed, format!("{trusted}, {}", with(&me)), None),
        (&closed, trusted.clone(), Some("")),
        (&closed, format!("{trusted}, {}", with(&stranger)), Some("")),
    ] {
        let proxy = forward(parent, &tls).start();
        let answer = client::exchange(proxy.address(), "GET", GET);
        let told = answer.field("proxy-status").unwrap_or_default();
        match due {
            None => assert_eq!(answer.text(), "the world", "{tls}"),
            Some(error) => {
                assert_eq!(answer.status(), 502, "{tls}: {}", answer.text());
                assert!(told.contains(error), "{tls}: {told}");
            }
        }
    }
}

/// Whoever forges a certificate does not choose the way.
#[test]
fn nobody_goes_around_a_parent_that_does_not_prove_who_it_is() {
    let (pki, elsewhere, world) = (Pki::new(), Pki::new(), Origin::saying("the world"));
    let corp = secure(world.address(), &pki.leaf(&["localhost"]), "");
    let port = corp.address().port();
    let rest = format!(
        "[parents.corp]\nurl = \"https://localhost:{port}\"\ndirect = true\n\
         fallbacks = [\"https://127.0.0.1:{port}\"]\ntls = {{ {} }}\n\n\
         [forward]\nparent = \"corp\"\n",
        ca(&elsewhere)
    );
    let proxy = configured::forward("", &rest).start();
    let tunnel = "CONNECT a.test:443 HTTP/1.1\r\nHost: a.test:443\r\n\r\n";
    for (method, raw) in [("GET", GET), ("CONNECT", tunnel), ("GET", GET), ("CONNECT", tunnel)] {
        let answer = client::exchange(proxy.address(), method, raw);
        let told = answer.field("proxy-status").unwrap_or_default();
        assert_eq!(answer.status(), 502);
        assert!(told.contains("tls_certificate_error"), "{method}: {told}");
    }
}

/// To an `https://` endpoint, over HTTP/1.1 and HTTP/2: what the parent passes on it can not read.
#[test]
fn tls_goes_within_tls() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["far.test"]);
    let edge = format!("[listeners.web.tls]\ncertificates = [{}]", pair.table());
    let far = configured::gateway(&origin.url(), &edge, "").start();
    for protocol in ["h1", "h2"] {
        let (world, heard) = leading_to(far.address());
        let corp = secure(world, &pki.leaf(&["localhost"]), "");
        let routes = format!(
            "[[routes]]\nname = \"far\"\nupstream = \"far\"\n\n\
             [upstreams.far]\nendpoints = [\"https://far.test\"]\nhost = \"upstream\"\n\
             protocol = \"{protocol}\"\nparent = \"corp\"\ntls = {{ {} }}\n\n{}",
            ca(&pki),
            table(&corp, &ca(&pki))
        );
        let proxy = configured::gateway_routes("http://127.0.0.1:9", "", &routes).start();
        for _ in 0..3 {
            let answer = client::get(proxy.address(), "app.test", "/x");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"), "{protocol}");
        }
        let heard = heard.lock().expect("heard");
        assert_eq!(heard.len(), 1, "{protocol}: the connection was kept");
        assert!(heard[0].starts_with("CONNECT far.test:443 "), "{}", heard[0]);
    }
    assert_eq!(origin.requests().len(), 6);
}

/// Who vouches for a parent may change, also behind a reload that has changed something else.
#[test]
fn files_towards_parents_are_watched() {
    let (pki, elsewhere, world) = (Pki::new(), Pki::new(), Origin::saying("the world"));
    let corp = secure(world.address(), &pki.leaf(&["localhost"]), "");
    let text = |pki: &Pki| fs::read_to_string(pki.ca()).expect("a CA");
    let launch = forward(&corp, "ca = \"who.pem\"").env(RUNTIME.0, RUNTIME.1);
    let proxy = launch.file("who.pem", &text(&elsewhere)).start();
    let status = || client::exchange(proxy.address(), "GET", GET).status();
    assert_eq!(status(), 502);
    operator::edit(&proxy, "path = \"access.log\"", "path = \"other.log\"");
    operator::reload(&proxy);
    fs::write(proxy.folder().join("who.pem"), text(&pki)).expect("written");
    waiting::until("the parent is trusted", || (status() == 200).then_some(()));
    let swapped = "proxy_upstream_parent_tls_reloads_total{parent=\"corp\",outcome=\"swapped\"} 1";
    waiting::until(swapped, || proxy.ask_admin("/metrics").text().contains(swapped).then_some(()));
}

//! TLS at both ends, with curl and OpenSSL as clients.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Output, Stdio};
use std::sync::Arc;

use proxyd_tests::configured;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::{Pki, s_client};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::{programs, waiting};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// A gateway whose listener speaks TLS, with these keys in its table.
fn edge(origin: &str, tls: &str, rest: &str) -> Proxyd {
    configured::gateway(origin, &format!("[listeners.web.tls]\n{tls}"), rest).start()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// The URL of a path under a name, and how curl finds it.
fn at(proxy: &Proxyd, name: &str, path: &str) -> (String, String) {
    let port = proxy.address().port();
    (format!("https://{name}:{port}{path}"), format!("{name}:{port}:127.0.0.1"))
}

const SHOWN: &str = "\n%{http_version} %{http_code}";

#[test]
fn the_handshake_decides_the_protocol_and_origins_learn_the_scheme() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let tls = format!("certificates = [{}]\nhsts = {{ max_age = \"1h\" }}", pair.table());
    let proxy = edge(&origin.url(), &tls, "match = { schemes = [\"https\"] }\n");
    let (url, resolve) = at(&proxy, "a.test", "/");
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = pki.curl(&[option, "--resolve", &resolve, "-w", SHOWN, &url]);
        assert_eq!(said(&output), format!("hello\n{version} 200"));
        assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
    }
    let head = said(&pki.curl(&["--head", "--resolve", &resolve, &url]));
    assert!(head.to_lowercase().contains("strict-transport-security: max-age=3600"), "{head}");
    let line = waiting::until("a line in the log", || {
        let log = proxy.log();
        log.lines().last().filter(|_| log.lines().count() == 3).map(str::to_owned)
    });
    assert!(line.contains("\"scheme\":\"https\""), "{line}");
    assert!(line.contains("\"tls\":{\"version\":\"TLSv1.3\",\"cipher\":\"TLS_AES_256"), "{line}");
    assert!(line.contains("\"server_name\":\"a.test\""), "{line}");
    let metrics = proxy.ask_admin("/metrics").text();
    assert!(metrics.contains("proxy_server_tls_handshakes_total{kind=\"full\"} 3"), "{metrics}");
    let expiry = "proxy_server_certificate_expiry_timestamp_seconds{listener=\"web\"}";
    assert!(metrics.contains(expiry), "{metrics}");
}

#[test]
fn each_name_has_its_certificate() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let (first, star) = (pki.leaf(&["a.test"]), pki.leaf(&["*.x.test"]));
    let pairs = format!("certificates = [{}, {}]\n", first.table(), star.table());
    let subject = |proxy: &Proxyd, name: &str| {
        let text = s_client(&proxy.address().to_string(), &["-servername", name]);
        let line = text.lines().find_map(|line| line.trim().strip_prefix("subject="));
        line.map(|line| line.replace("CN = ", "CN=")).ok_or(text)
    };
    let proxy = edge(&origin.url(), &pairs, "");
    for (name, due) in
        [("a.test", "CN=a.test"), ("B.x.test", "CN=*.x.test"), ("c.test", "CN=a.test")]
    {
        assert_eq!(subject(&proxy, name).as_deref(), Ok(due), "{name}");
    }
    let strict = edge(&origin.url(), &format!("{pairs}unknown_names = \"refuse\""), "");
    assert_eq!(subject(&strict, "b.x.test").as_deref(), Ok("CN=*.x.test"));
    let refused = subject(&strict, "c.test").expect_err("unknown");
    assert!(refused.contains("unrecognized name"), "{refused}");
    let line = "proxy_server_tls_handshakes_failed_total{reason=\"unknown_name\"} 1";
    waiting::until("the failure in the metrics", || {
        strict.ask_admin("/metrics").text().contains(line).then_some(())
    });
}

#[test]
fn host_must_be_what_the_handshake_was_for() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test", "b.test"]);
    let proxy = edge(&origin.url(), &format!("certificates = [{}]", pair.table()), "");
    let (url, resolve) = at(&proxy, "a.test", "/");
    for (version, host, due) in [
        ("--http1.1", "A.test", "200"),
        ("--http1.1", "b.test", "421"),
        ("--http2", "c.test", "421"),
        // A browser may use its connection for other names of the certificate.
        ("--http2", "b.test", "200"),
    ] {
        let host_field = format!("Host: {host}");
        let output =
            pki.curl(&[version, "--resolve", &resolve, "-H", &host_field, "-w", SHOWN, &url]);
        assert!(said(&output).ends_with(&format!(" {due}")), "{version} {host}: {}", said(&output));
    }
}

#[test]
fn versions_below_the_oldest_and_clear_text_are_refused() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let address = |proxy: &Proxyd| proxy.address().to_string();
    let proxy = edge(&origin.url(), &format!("certificates = [{}]", pair.table()), "");
    let two = s_client(&address(&proxy), &["-tls1_2"]);
    assert!(two.contains("Protocol  : TLSv1.2") || two.contains("New, TLSv1.2"), "{two}");
    let one = s_client(&address(&proxy), &["-tls1_1", "-cipher", "ALL:@SECLEVEL=0"]);
    assert!(one.contains("Cipher is (NONE)"), "{one}");
    let tls = format!("certificates = [{}]\nmin_version = \"1.3\"", pair.table());
    let strict = edge(&origin.url(), &tls, "");
    let two = s_client(&address(&strict), &["-tls1_2"]);
    assert!(two.contains("Cipher is (NONE)"), "{two}");
    let plain = strict_clear_text(&strict);
    assert!(plain.contains("400") && plain.contains("clear_text_to_tls"), "{plain}");
}

fn strict_clear_text(proxy: &Proxyd) -> String {
    let answer = proxyd_tests::client::get(proxy.address(), "a.test", "/");
    format!("{} {}", answer.status(), answer.text())
}

#[test]
fn a_session_goes_on_with_any_worker() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let tls = format!("certificates = [{}]", pair.table());
    let proxy = edge(&origin.url(), &tls, "[server]\nworkers = 2\n");
    let session = pki.folder().join("session").display().to_string();
    let address = proxy.address().to_string();
    let ask = |arguments: &[&str]| {
        // TLS 1.2: its ticket comes within the handshake, so that no answer need be waited for.
        s_client(&address, &[&["-tls1_2", "-servername", "a.test"], arguments].concat())
    };
    assert!(ask(&["-sess_out", &session]).contains("New, TLSv1.2"));
    for _ in 0..4 {
        let again = ask(&["-sess_in", &session]);
        assert!(again.contains("Reused, TLSv1.2"), "{again}");
    }
    // It is good for its name only.
    let other = s_client(&address, &["-tls1_2", "-servername", "b.test", "-sess_in", &session]);
    assert!(other.contains("New, TLSv1.2"), "{other}");
    let line = "proxy_server_tls_handshakes_total{kind=\"resumed\"} 4";
    waiting::until("the sessions in the metrics", || {
        proxy.ask_admin("/metrics").text().contains(line).then_some(())
    });
}

#[test]
fn clients_are_known_by_their_certificates() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let good = pki.numbered("good", &["good.test"], 7);
    let revoked = pki.numbered("revoked", &["revoked.test"], 8);
    let crl = pki.revoked(&[8]);
    let elsewhere = Pki::new();
    let stranger = elsewhere.leaf(&["stranger.test"]);
    let tls = |mode: &str| {
        format!(
            "certificates = [{}]\nclient_certificates = {{ ca = \"{}\", crl = [\"{}\"], \
             mode = \"{mode}\", forward = true }}",
            pair.table(),
            pki.ca().display(),
            crl.display()
        )
    };
    let ask = |proxy: &Proxyd, who: Option<&proxyd_tests::pki::Pair>| {
        let (url, resolve) = at(proxy, "a.test", "/");
        let mut arguments = vec!["--resolve", &resolve, "-H", "Client-Cert: :AAAA:", "-w", SHOWN];
        let files = who.map(|p| (p.cert.display().to_string(), p.key.display().to_string()));
        if let Some((cert, key)) = &files {
            arguments.extend(["--cert", cert, "--key", key]);
        }
        arguments.push(&url);
        said(&pki.curl(&arguments))
    };
    let proxy = edge(&origin.url(), &tls("required"), "");
    assert!(ask(&proxy, Some(&good)).ends_with(" 200"));
    let told = origin.last().field("client-cert").map(str::to_owned).expect("told");
    assert!(told.starts_with(":MII") && told.ends_with(':'), "{told}");
    for who in [None, Some(&revoked), Some(&stranger)] {
        let refused = ask(&proxy, who);
        assert!(refused.ends_with(" 000") || refused.contains("curl: ("), "{who:?}: {refused}");
    }
    for reason in [
        "client_certificate_missing",
        "client_certificate_revoked",
        "client_certificate_unknown_issuer",
    ] {
        let line = format!("proxy_server_tls_handshakes_failed_total{{reason=\"{reason}\"}} 1");
        waiting::until("the failures in the metrics", || {
            proxy.ask_admin("/metrics").text().contains(&line).then_some(())
        });
    }
    // A rule can ask who it is.
    let rule = "[[filter.rules]]\nid = \"good-only\"\naction = \"allow\"\n\
                match = { client_certificates = [\"good.test\"] }\n\
                [filter]\ndefault = \"deny\"\n";
    let ruled = edge(&origin.url(), &tls("optional"), rule);
    assert!(ask(&ruled, Some(&good)).ends_with(" 200"));
    assert!(ask(&ruled, None).ends_with(" 403"));
    let open = edge(&origin.url(), &tls("optional"), "");
    assert!(ask(&open, None).ends_with(" 200"));
    // What a client claims itself goes no further.
    assert_eq!(origin.last().field("client-cert"), None);
    assert!(ask(&open, Some(&good)).ends_with(" 200"));
    assert!(origin.last().field("client-cert").is_some());
    // Nobody comes back without being asked who they are.
    let session = pki.folder().join("session").display().to_string();
    let address = open.address().to_string();
    let first = s_client(&address, &["-tls1_2", "-sess_out", &session]);
    assert!(first.contains("New, TLSv1.2"), "{first}");
    let again = s_client(&address, &["-tls1_2", "-sess_in", &session]);
    assert!(!again.contains("Reused"), "{again}");
}

/// A connection that OpenSSL holds open.
struct Held {
    child: Child,
    input: ChildStdin,
    output: BufReader<std::process::ChildStdout>,
}

impl Held {
    fn open(proxy: &Proxyd) -> Self {
        let mut child = Command::new(programs::require("openssl"))
            .args(["s_client", "-quiet", "-servername", "a.test", "-connect"])
            .arg(proxy.address().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("openssl");
        let input = child.stdin.take().expect("piped");
        let output = BufReader::new(child.stdout.take().expect("piped"));
        Self { child, input, output }
    }

    fn status(&mut self) -> String {
        self.input.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").expect("open");
        let mut line = String::new();
        self.output.read_line(&mut line).expect("an answer");
        let mut rest = String::new();
        while rest.trim() != "hello" {
            rest.clear();
            assert!(self.output.read_line(&mut rest).expect("an answer") > 0, "it ended");
        }
        line.trim().to_owned()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Swaps a link, as Kubernetes does with a mounted secret.
fn link(folder: &Path, target: &str) {
    let next = folder.join("next");
    std::os::unix::fs::symlink(target, &next).expect("a link");
    fs::rename(next, folder.join("data")).expect("swapped");
}

#[test]
fn certificates_change_while_connections_go_on() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello\n"));
    let folder = pki.folder();
    for version in ["old", "new"] {
        let pair = pki.numbered(version, &["a.test", &format!("{version}.test")], 0);
        fs::create_dir(folder.join(format!("{version}.d"))).expect("a folder");
        fs::rename(&pair.cert, folder.join(format!("{version}.d/tls.crt"))).expect("moved");
        fs::rename(&pair.key, folder.join(format!("{version}.d/tls.key"))).expect("moved");
    }
    link(folder, "old.d");
    let data = folder.join("data").display().to_string();
    let tls = format!("certificates = [{{ cert = \"{data}/tls.crt\", key = \"{data}/tls.key\" }}]");
    let proxy = edge(&origin.url(), &tls, "");
    let names = || {
        let text = s_client(&proxy.address().to_string(), &["-servername", "a.test", "-showcerts"]);
        // The names are in the certificate: asking for one that it has tells.
        let (url, resolve) = at(&proxy, "new.test", "/");
        let new = pki.curl(&["--resolve", &resolve, "-o", "/dev/null", &url]).status.success();
        assert!(text.contains("BEGIN CERTIFICATE"), "{text}");
        new
    };
    let mut held = Held::open(&proxy);
    assert_eq!(held.status(), "HTTP/1.1 200 OK");
    assert!(!names());
    // A key that does not fit changes nothing.
    let key = folder.join("old.d/tls.key");
    let good = fs::read(&key).expect("a key");
    fs::write(&key, fs::read(folder.join("new.d/tls.key")).expect("a key")).expect("written");
    let kept = "proxy_server_certificate_reloads_total{listener=\"web\",outcome=\"kept\"} 1";
    waiting::until("the bad files are noticed", || {
        proxy.ask_admin("/metrics").text().contains(kept).then_some(())
    });
    assert_eq!(held.status(), "HTTP/1.1 200 OK");
    fs::write(&key, good).expect("written");
    link(folder, "new.d");
    waiting::until("the new certificate is shown", || names().then_some(()));
    assert_eq!(held.status(), "HTTP/1.1 200 OK");
}

#[test]
fn upstreams_are_verified() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["localhost"]);
    let secure = edge(&origin.url(), &format!("certificates = [{}]", pair.table()), "");
    let port = secure.address().port();
    let through = |url: &str, tls: &str| {
        gateway_to(url, "host = \"localhost\"", &format!("[upstreams.app.tls]\n{tls}\n"))
    };
    let url = format!("https://localhost:{port}");
    let ca = format!("ca = \"{}\"", pki.ca().display());
    for protocol in ["h1", "h2"] {
        let proxy = gateway_to(
            &url,
            &format!("host = \"upstream\"\nprotocol = \"{protocol}\""),
            &format!("[upstreams.app.tls]\n{ca}\n"),
        );
        for _ in 0..3 {
            let answer = proxyd_tests::client::get(proxy.address(), "a.test", "/");
            assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"), "{protocol}");
        }
        // All over one connection, and one handshake.
        let log = waiting::until("lines in the log", || {
            Some(proxy.log()).filter(|log| log.lines().count() == 3)
        });
        assert_eq!(log.matches("\"reused\":true").count(), 2, "{log}");
        assert_eq!(log.matches("\"tls_us\":").count(), 1, "{log}");
    }
    let other_name = format!("https://127.0.0.1:{port}");
    for (url, tls, due) in [
        (&url, "", 502),
        (&other_name, ca.as_str(), 502),
        (&other_name, &format!("{ca}\nserver_name = \"localhost\""), 200),
        (&url, "verify = false", 200),
        (
            &url,
            "verify = false\npins = [\"sha256//47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\"]",
            502,
        ),
    ] {
        let proxy = through(url, tls);
        let answer = proxyd_tests::client::get(proxy.address(), "a.test", "/");
        assert_eq!(answer.status(), due, "{url} {tls}: {}", answer.text());
        if due == 502 {
            assert!(answer.text().contains("tls_certificate_error"), "{}", answer.text());
        }
    }
}

/// Who vouches for an upstream may change, also behind a reload that has changed nothing.
#[test]
fn files_towards_upstreams_are_watched() {
    let (pki, elsewhere, origin) = (Pki::new(), Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["localhost"]);
    let secure = edge(&origin.url(), &format!("certificates = [{}]", pair.table()), "");
    let url = format!("https://localhost:{}", secure.address().port());
    let text = |pki: &Pki| fs::read_to_string(pki.ca()).expect("a CA");
    let launch = configured::gateway(&url, "", "[upstreams.app.tls]\nca = \"who.pem\"\n");
    let launch = launch.env(RUNTIME.0, RUNTIME.1).file("who.pem", &text(&elsewhere));
    let proxy = launch.start();
    let status = || proxyd_tests::client::get(proxy.address(), "localhost", "/").status();
    assert_eq!(status(), 502);
    operator::reload(&proxy);
    let file = proxy.folder().join("who.pem");
    fs::write(&file, text(&pki)).expect("written");
    waiting::until("the upstream is trusted", || (status() == 200).then_some(()));
    fs::write(&file, "nobody").expect("written");
    let kept = "proxy_upstream_tls_reloads_total{upstream=\"app\",outcome=\"kept\"} 1";
    waiting::until("the bad file is noticed", || {
        proxy.ask_admin("/metrics").text().contains(kept).then_some(())
    });
    assert_eq!(status(), 200);
}

/// A gateway with more keys of its upstream.
fn gateway_to(url: &str, keys: &str, rest: &str) -> Proxyd {
    let address = proxyd_tests::ports::free();
    let config = format!(
        "[log.access]\npath = \"access.log\"\n\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\n\
         [upstreams.app]\nendpoints = [\"{url}\"]\n{keys}\n{rest}\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n"
    );
    proxyd::run(address, &config).start()
}

#[test]
fn one_line_is_enough() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let proxy = proxyd::reverse(&origin.url())
        .arg("--tls-cert")
        .arg(&pair.cert)
        .arg("--tls-key")
        .arg(&pair.key)
        .start();
    let (url, resolve) = at(&proxy, "a.test", "/");
    let output = pki.curl(&["--resolve", &resolve, "-w", SHOWN, &url]);
    assert_eq!(said(&output), "hello\n2 200");
}

/// A client's side of TLS over this socket, which answers with what came.
fn over_tls(socket: TcpStream, pki: &Pki, name: &'static str) -> Result<String, std::io::Error> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(pki.ca()).expect("the CA")).expect("a CA");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = name.try_into().expect("a name");
    let session = rustls::ClientConnection::new(Arc::new(config), name).expect("a session");
    let mut stream = rustls::StreamOwned::new(session, socket);
    let request = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    match stream.read_to_string(&mut answer) {
        Err(error) if answer.is_empty() => Err(error),
        _ => Ok(answer),
    }
}

#[test]
fn the_proxy_protocol_stands_before_the_handshake() {
    let (pki, origin) = (Pki::new(), Origin::saying("hello"));
    let pair = pki.leaf(&["a.test"]);
    let listener = format!(
        "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n\
         [listeners.web.tls]\ncertificates = [{}]\n",
        pair.table()
    );
    let proxy = configured::gateway(&origin.url(), &listener, "").start();
    let ask = |header: &[u8]| {
        let mut socket = TcpStream::connect(proxy.address()).expect("the proxy listens");
        socket.set_read_timeout(Some(waiting::PATIENCE)).expect("a timeout");
        socket.write_all(header).expect("sent");
        over_tls(socket, &pki, "a.test")
    };
    let second = [
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c".as_slice(),
        &[192, 0, 2, 8, 127, 0, 0, 1, 18, 103, 1, 187],
    ]
    .concat();
    for (header, client) in [
        (b"PROXY TCP4 192.0.2.7 127.0.0.1 4711 443\r\n".as_slice(), "192.0.2.7"),
        (&second, "192.0.2.8"),
    ] {
        let answer = ask(header).expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert_eq!(origin.last().field("x-forwarded-for"), Some(client));
        assert_eq!(origin.last().field("x-forwarded-proto"), Some("https"));
    }
    assert!(ask(b"").is_err(), "a handshake without a header");
    assert_eq!(origin.lines().len(), 2);
}

#[test]
fn check_knows_certificates_that_do_not_fit() {
    let pki = Pki::new();
    let (a, b) = (pki.leaf(&["a.test"]), pki.leaf(&["b.test"]));
    let config = |cert: &Path, key: &Path| {
        format!(
            "[listeners.web]\naddress = \"127.0.0.1:1\"\nrole = \"gateway\"\n\
             [listeners.web.tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200 }}\n",
            cert.display(),
            key.display()
        )
    };
    let check = |text: &str| {
        fs::write(pki.folder().join("proxyd.toml"), text).expect("written");
        proxyd::run_to_end(pki.folder(), &["check", "--config", "proxyd.toml"])
    };
    let sound = check(&config(&a.cert, &a.key));
    assert_eq!(sound.code, Some(0), "{}", sound.stderr);
    let wrong = check(&config(&a.cert, &b.key));
    assert_eq!(wrong.code, Some(2));
    let place = "proxyd.toml:5:";
    assert!(
        wrong.stderr.contains(place)
            && wrong.stderr.contains(
                "the key is not the one of the first certificate, which is for `CN=a.test`"
            ),
        "{}",
        wrong.stderr
    );
    // The CA comes behind the certificate, not before it.
    let chain = |parts: [&Path; 2]| {
        let text: String =
            parts.iter().map(|part| fs::read_to_string(part).expect("PEM")).collect();
        let path = pki.folder().join("chain.pem");
        fs::write(&path, text).expect("written");
        check(&config(&path, &a.key))
    };
    assert_eq!(chain([&a.cert, &pki.ca()]).code, Some(0));
    let reversed = chain([&b.cert, &a.cert]);
    assert_eq!(reversed.code, Some(2));
    assert!(
        reversed.stderr.contains("each must be followed by the one that vouches for it"),
        "{}",
        reversed.stderr
    );
}

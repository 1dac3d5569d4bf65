//! Interception: a client that trusts our authority, through a forward proxy, to an origin server
//! that speaks TLS.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use proxyd_tests::chromium::Chromium;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::{Pki, s_client};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::script::response;
use proxyd_tests::{configured, programs, waiting};
use serde_json::Value;

const AUDIT: &str = "\n[log.audit]\npath = \"audit.jsonl\"\n";

/// An origin server with TLS, and a forward proxy that opens tunnels to it.
struct Stage {
    /// What is behind the TLS of the origin server.
    origin: Origin,
    /// Its TLS, with a certificate for `localhost` and `*.localhost`.
    tls: Proxyd,
    /// Who vouches for it.
    pki: Pki,
    /// Where our own authority is.
    folder: Scratch,
}

impl Stage {
    fn new() -> Self {
        let (pki, origin) = (Pki::new(), Origin::saying("hello"));
        let pair = pki.leaf(&["localhost", "*.localhost"]);
        let tls = format!("[listeners.web.tls]\ncertificates = [{}]\n", pair.table());
        let tls = configured::gateway(&origin.url(), &tls, "").start();
        let folder = Scratch::new("authority");
        let made = run_to_end(folder.path(), &["ca", "init"]);
        assert_eq!(made.code, Some(0), "{made:?}");
        Self { origin, tls, pki, folder }
    }

    fn port(&self) -> u16 {
        self.tls.address().port()
    }

    fn url(&self, host: &str, path: &str) -> String {
        format!("https://{host}:{}{path}", self.port())
    }

    fn authority(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// A proxy that opens what `names` say.
    fn proxy(&self, listener: &str, forward: &str, names: &str, rest: &str) -> Proxyd {
        let rest = format!(
            "[forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n{forward}\n\
             [forward.intercept]\nca_cert = \"{}\"\nca_key = \"{}\"\norigin_ca = \"{}\"\n{names}\n\
             {rest}\n",
            self.port(),
            self.authority().display(),
            self.folder.join("ca.key").display(),
            self.pki.ca().display(),
        );
        configured::forward(listener, &rest).env(RUNTIME.0, RUNTIME.1).start()
    }

    /// What curl says that trusts our authority and nobody else.
    fn curl(&self, proxy: &Proxyd, arguments: &[&str]) -> Output {
        Command::new(programs::require("curl"))
            .args(["--silent", "--show-error", "--max-time", "20", "--cacert"])
            .arg(self.authority())
            .args(["--proxy", &proxy.url()])
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("curl")
    }
}

const SHOWN: &str = "\n%{http_version} %{http_code}";

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn record(proxy: &Proxyd, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = proxy.folder().join("audit.jsonl");
    waiting::until("a record in the audit trail", || {
        let trail = fs::read_to_string(&path).ok()?;
        let mut records = trail.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        records.find(&wanted)
    })
}

#[test]
fn what_is_inside_goes_through_the_same_layers() {
    let stage = Stage::new();
    let rules = "[[filter.rules]]\nid = \"no-secrets\"\nmatch = { paths = [\"/secret\"] }\n\
                 action = \"deny\"\n";
    let proxy = stage.proxy(
        "",
        "inspect = true",
        "names = [\"localhost\"]",
        &format!("{rules}[filter.inspect]\nmode = \"enforce\"\n{AUDIT}"),
    );
    let url = stage.url("localhost", "/a?b=c");
    for (option, version) in [("--http1.1", "1.1"), ("--http2", "2")] {
        let output = stage.curl(&proxy, &[option, "-w", SHOWN, &url]);
        assert_eq!(said(&output), format!("hello\n{version} 200"));
    }
    assert_eq!(stage.origin.last().line(), "GET /a?b=c");
    for (path, why) in [("/secret", "no-secrets"), ("/?q=1'%20union%20select%201,2--", "sqli")] {
        let output = stage.curl(&proxy, &["-w", SHOWN, &stage.url("localhost", path)]);
        let text = said(&output);
        assert!(text.ends_with(" 403") && text.contains(why), "{path}: {text}");
    }
    // One record for each tunnel, one for each refusal; the log shows what was asked inside.
    let opened = record(&proxy, |own| own["layer"] == "intercept");
    assert_eq!((&opened["verdict"], &opened["rule"]), (&"intercept".into(), &"localhost".into()));
    record(&proxy, |own| own["rule"] == "no-secrets" && own["verdict"] == "deny");
    waiting::until("the request in the log", || {
        let log = proxy.log();
        let inside = |line: &&str| {
            line.contains("\"scheme\":\"https\"") && line.contains("\"target\":\"/a?b=c\"")
        };
        log.lines().find(inside).map(|_| ())
    });
}

#[test]
fn only_what_is_listed_is_opened() {
    let stage = Stage::new();
    let names = "names = [\"localhost\"]\nexcept = [\"bank.localhost\"]";
    let proxy = stage.proxy("", "", names, "");
    let issuer = |host: &str| {
        let at = format!("{host}:{}", stage.port());
        let through = proxy.address().to_string();
        let shown = s_client(&at, &["-proxy", &through, "-servername", host]);
        let line = shown.lines().find_map(|line| line.trim().strip_prefix("issuer="));
        line.unwrap_or(&shown).replace("CN = ", "CN=")
    };
    assert!(issuer("localhost").contains("proxyd interception"), "{}", issuer("localhost"));
    assert!(issuer("www.localhost").contains("proxyd interception"));
    assert!(issuer("bank.localhost").contains("Test CA"), "{}", issuer("bank.localhost"));
}

#[test]
fn a_tunnel_is_for_the_host_that_it_was_opened_to() {
    let stage = Stage::new();
    let proxy = stage.proxy("", "", "names = [\"localhost\"]", AUDIT);
    let url = stage.url("localhost", "/");
    for option in ["--http1.1", "--http2"] {
        let output = stage.curl(&proxy, &[option, "-H", "Host: other.test", "-w", SHOWN, &url]);
        assert!(said(&output).ends_with(" 421"), "{option}: {}", said(&output));
    }
    assert_eq!(stage.origin.links(), 0);
    // To ask for an address, and mean a listed name, is no way around.
    let at = format!("127.0.0.1:{}", stage.port());
    let through = proxy.address().to_string();
    let shown = s_client(&at, &["-proxy", &through, "-servername", "localhost"]);
    assert!(!shown.contains("BEGIN CERTIFICATE"), "{shown}");
    record(&proxy, |own| own["reason"] == "server_name_intercepted");
}

#[test]
fn a_server_that_can_not_be_verified_is_an_error_page_and_never_trusted() {
    let stage = Stage::new();
    let stranger = Pki::new();
    let proxy = {
        let rest = format!(
            "[forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n\
             [forward.intercept]\nca_cert = \"{}\"\nca_key = \"{}\"\norigin_ca = \"{}\"\n\
             names = [\"localhost\"]\n",
            stage.port(),
            stage.authority().display(),
            stage.folder.join("ca.key").display(),
            stranger.ca().display(),
        );
        configured::forward("", &rest).start()
    };
    let output = stage.curl(&proxy, &["-w", SHOWN, &stage.url("localhost", "/")]);
    let text = said(&output);
    assert!(text.ends_with(" 502") && text.contains("tls_certificate_error"), "{text}");
    assert_eq!(stage.origin.links(), 0);
}

#[test]
fn the_user_of_the_tunnel_is_the_user_inside() {
    let stage = Stage::new();
    let users = stage
        .folder
        .write("users", "anna:$2y$04$5aEJbT4019DqEQG4/E3pr.nzS/KGtwWnyszFN7cDyA0XpU6Ih/6Yi\n");
    let rules = "[[filter.rules]]\nid = \"not-anna\"\nmatch = { users = [\"anna\"], \
                 paths = [\"/b\"] }\naction = \"deny\"\n";
    let listener = format!("credentials = {{ file = \"{}\" }}", users.display());
    let proxy = stage.proxy(&listener, "", "names = [\"localhost\"]", rules);
    let ask = |user: &[&str], path: &str| {
        let url = stage.url("localhost", path);
        said(&stage.curl(&proxy, &[user, &["-w", SHOWN, &url]].concat()))
    };
    let anna = ["--proxy-user", "anna:secret"];
    assert!(ask(&anna, "/a").ends_with(" 200"), "{}", ask(&anna, "/a"));
    let refused = ask(&anna, "/b");
    assert!(refused.ends_with(" 403") && refused.contains("not-anna"), "{refused}");
    assert!(ask(&[], "/a").contains("407"), "{}", ask(&[], "/a"));
    let fields = &stage.origin.last().head.fields;
    assert!(fields.all("proxy-authorization").is_empty(), "{fields:?}");
}

#[test]
fn nobody_inside_speaks_for_another_client() {
    let stage = Stage::new();
    let rules = "[[filter.rules]]\nid = \"not-ten\"\nmatch = { clients = [\"10.0.0.0/8\"] }\n\
                 action = \"deny\"\n";
    // The tunnel comes through a trusted proxy, which says nothing of its client.
    let listener = "trusted_proxies = [\"127.0.0.0/8\"]";
    let proxy = stage.proxy(listener, "", "names = [\"localhost\"]", rules);
    let url = stage.url("localhost", "/");
    let claim = ["-H", "X-Forwarded-For: 10.0.0.9", "-w", SHOWN, &url];
    let output = stage.curl(&proxy, &claim);
    assert!(said(&output).ends_with(" 200"), "{}", said(&output));
    assert!(stage.origin.last().field("x-forwarded-for").is_none_or(|own| !own.contains("10.0")));
}

#[test]
fn what_is_inside_is_stored_only_if_asked() {
    for (asked, hits) in [("", false), ("cache = true\n", true)] {
        let mut stage = Stage::new();
        stage.origin = Origin::answering(|_, _| {
            vec![response("200 OK", &[("Cache-Control", "max-age=60")], "hello")]
        });
        let pair = stage.pki.leaf(&["localhost"]);
        let tls = format!("[listeners.web.tls]\ncertificates = [{}]\n", pair.table());
        stage.tls = configured::gateway(&stage.origin.url(), &tls, "").start();
        let names = format!("names = [\"localhost\"]\n{asked}");
        let proxy = stage.proxy("", "cache = true", &names, "");
        let ask = || said(&stage.curl(&proxy, &["--include", &stage.url("localhost", "/a.js")]));
        assert!(ask().contains("200"));
        assert_eq!(ask().contains("proxyd; hit"), hits, "{}", ask());
    }
}

/// Our authority is in the browser's certificate store, and the origin server's is not.
#[test]
fn a_browser_sees_a_refusal_inside_https_and_a_cached_asset() {
    const PAGE: &str = "<!doctype html><html><head><link rel=icon href=data:,></head><body>\
        <p id=said>not yet</p><script src=own.js></script></body></html>";
    const SCRIPT: &str = "document.getElementById('said').textContent = 'loaded';";
    let mut stage = Stage::new();
    stage.origin = Origin::answering(|request, _| {
        vec![match &*request.head.target {
            "/own.js" => response(
                "200 OK",
                &[("Content-Type", "text/javascript"), ("Cache-Control", "max-age=600")],
                SCRIPT,
            ),
            _ => response("200 OK", &[("Content-Type", "text/html")], PAGE),
        }]
    });
    let pair = stage.pki.leaf(&["localhost"]);
    let tls = format!("[listeners.web.tls]\ncertificates = [{}]\n", pair.table());
    stage.tls = configured::gateway(&stage.origin.url(), &tls, "").start();
    let rules = "[[filter.rules]]\nid = \"no-secrets\"\nmatch = { paths = [\"/secret\"] }\n\
                 action = \"deny\"\n";
    let proxy = stage.proxy("", "cache = true", "names = [\"localhost\"]\ncache = true\n", rules);
    let through = format!("--proxy-server={}", proxy.url());
    let options = [&*through, "--proxy-bypass-list=<-loopback>", "--virtual-time-budget=20000"];
    // With a cache of its own that is empty.
    let browse = |path: &str| {
        let browser = Chromium::new().trusting(&stage.authority());
        browser.page(&stage.url("localhost", path), &options)
    };
    for _ in 0..2 {
        let page = browse("/");
        assert!(page.contains("loaded"), "{page}");
    }
    let asked = stage.origin.lines().iter().filter(|line| line.contains("/own.js")).count();
    assert_eq!(asked, 1, "the second browser's came from the cache");
    waiting::until("the hit in the log", || {
        let log = proxy.log();
        let hit = |line: &&str| line.contains("/own.js") && line.contains("\"cache\":\"hit\"");
        log.lines().find(hit).map(|_| ())
    });
    let page = browse("/secret");
    assert!(page.contains("no-secrets") && page.contains("403"), "{page}");
    // One that does not know our authority shows nothing.
    let refused = Chromium::new().load(&stage.url("localhost", "/"), &options);
    assert!(refused.is_err_and(|complaint| complaint.contains("CERT_AUTHORITY_INVALID")));
}

#[test]
fn a_key_that_others_can_read_is_not_used() {
    let stage = Stage::new();
    let key = stage.folder.join("ca.key");
    let config = stage.folder.write(
        "proxyd.toml",
        "[listeners.a]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\
         [forward.intercept]\nca_cert = \"ca.pem\"\nca_key = \"ca.key\"\nnames = [\"a.test\"]\n",
    );
    let check = || {
        run_to_end(stage.folder.path(), &["check", "--config", config.to_str().expect("a path")])
    };
    assert_eq!(check().code, Some(0), "{:?}", check());
    fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).expect("a mode");
    let refused = check();
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("make it 0600"), "{refused:?}");
    assert!(!refused.stderr.contains("PRIVATE KEY"));
}

/// What is asked in a tunnel that stands is judged by the rules in effect, as long as it is opened
/// at all.
#[test]
fn a_tunnel_that_stands_has_the_rules_of_a_reload_and_ends_with_interception() {
    let stage = Stage::new();
    let rule = "[[filter.rules]]\nid = \"no-secrets\"\nmatch = { paths = [\"/secret\"] }\n\
                action = \"deny\"\n";
    let proxy = stage.proxy("", "", "names = [\"localhost\"]", "");
    let at = format!("localhost:{}", stage.port());
    let mut child = Command::new(programs::require("openssl"))
        .args(["s_client", "-quiet", "-servername", "localhost", "-connect", &at, "-CAfile"])
        .arg(stage.authority())
        .args(["-proxy", &proxy.address().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl");
    let mut to = child.stdin.take().expect("piped");
    let mut from = child.stdout.take().expect("piped");
    let mut ask = |path: &str| {
        let raw = format!("GET {path} HTTP/1.1\r\nHost: {at}\r\n\r\n");
        to.write_all(raw.as_bytes()).and_then(|()| to.flush()).is_ok()
    };
    let mut seen = String::new();
    let mut read_up_to = |what: &str| {
        let mut piece = [0; 4096];
        while !seen.contains(what) {
            let read = from.read(&mut piece).expect("the client's output");
            assert!(read > 0, "{what} is not in {seen}");
            seen += &String::from_utf8_lossy(&piece[..read]);
        }
        std::mem::take(&mut seen)
    };
    ask("/a");
    assert!(read_up_to("hello").starts_with("HTTP/1.1 200"));
    let config = operator::config(&proxy);
    operator::configure(&proxy, &format!("{config}{rule}"));
    operator::reload(&proxy);
    ask("/secret");
    assert!(read_up_to("no-secrets").starts_with("HTTP/1.1 403"));
    let (before, _) = config.split_once("[forward.intercept]").expect("it is there");
    operator::configure(&proxy, before);
    operator::reload(&proxy);
    // It waited, and is closed; nothing that is asked there is answered.
    ask("/b");
    let mut rest = String::new();
    from.read_to_string(&mut rest).expect("the client's output");
    assert!(!rest.contains("HTTP/1.1"), "{rest}");
    let _ = child.kill();
    child.wait().expect("openssl");
    assert_eq!(stage.origin.last().line(), "GET /a");
}

//! Programs that read what a URL names: fetched by the proxy, behind the guard of destinations.

use std::fmt::Write as _;
use std::net::SocketAddr;

use proxyd_tests::client::{self, Client};
use proxyd_tests::origin::{Act, Origin, ok, response};
use proxyd_tests::pki::Pki;
use proxyd_tests::ports;
use proxyd_tests::proxyd::{self, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting::{self, Gate};

/// A route that shouts what a URL names, and then says its arguments.
const SHOUT: &str = r#"
[[routes]]
name = "shout"
match = { paths = ["/shout"], methods = ["GET"] }
[routes.exec]
program = "sh"
args = ["-c", "tr a-z A-Z; echo \"$@\"", "sh", "{query.word}"]
params.from = { in = "query", type = "url", fetch = true }
params.word = { in = "query", type = "string", pattern = "[a-z]*", default = "" }
limits = { fetch = "1KiB" }
"#;

fn with(rest: &str) -> Proxyd {
    let address = ports::free();
    let config =
        format!("[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n{rest}\n{SHOUT}");
    proxyd::run(address, &config).start()
}

/// The target that asks for a URL.
fn target(url: &str) -> String {
    let mut target = "/shout?word=x&from=".to_owned();
    for byte in url.bytes() {
        let _ = match byte {
            b'0'..=b'9' | b'a'..=b'z' => write!(target, "{}", byte as char),
            _ => write!(target, "%{byte:02X}"),
        };
    }
    target
}

fn get(proxy: &Proxyd, url: &str) -> client::Answer {
    client::get(proxy.address(), "localhost", &target(url))
}

#[test]
fn a_program_reads_what_was_fetched() {
    let origin = Origin::saying("what the origin says");
    let proxy = with("[exec]\nallow_destinations = [\"127.0.0.1\"]");
    let answer = get(&proxy, &format!("{}/a?b=c", origin.url()));
    assert_eq!((answer.status(), answer.text()), (200, "WHAT THE ORIGIN SAYSx\n".to_owned()));
    let seen = origin.last();
    assert_eq!(seen.line(), "GET /a?b=c");
    assert_eq!(seen.head.fields.get("host"), Some(&*origin.address().to_string()));
    assert_eq!(seen.head.fields.get("accept-encoding"), Some("identity"));
    assert!(seen.head.fields.has("via"));
    // Nothing of the client's request goes there.
    assert!(!seen.head.fields.has("forwarded") && !seen.head.fields.has("x-forwarded-for"));
}

#[test]
fn nobody_reaches_what_the_guard_keeps() {
    let origin = Origin::saying("secret");
    let proxy = with("");
    for url in [
        origin.url(),
        format!("http://localhost:{}/", origin.address().port()),
        format!("http://[::ffff:127.0.0.1]:{}/", origin.address().port()),
        format!("http://0x7f.1:{}/", origin.address().port()),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ] {
        let answer = get(&proxy, &url);
        // As where nobody is, or no name is known: what is behind the guard is not to be found out.
        assert!(matches!(answer.status(), 400 | 502), "{url}: {}", answer.status());
        assert!(answer.status() == 400 || answer.text().contains("url_not_fetched"), "{url}");
        assert!(!answer.text().contains("SECRET"), "{url}");
    }
    // Nor a port that is none of the web's, nor the proxy itself, whatever is open.
    let proxy = with("[exec]\nallow_destinations = [\"127.0.0.0/8\"]");
    for url in ["http://127.0.0.1:25/".to_owned(), proxy.url(), format!("{}/shout", proxy.url())] {
        let answer = get(&proxy, &url);
        assert_eq!(answer.status(), 502, "{url}: {}", answer.text());
        assert!(answer.text().contains("url_not_fetched"), "{url}: {}", answer.text());
    }
    assert_eq!(origin.links(), 0);
}

#[test]
fn a_name_that_is_blocked_is_not_fetched() {
    let origin = Origin::saying("x");
    let proxy = with(
        "[exec]\nallow_destinations = [\"127.0.0.0/8\"]\n[filter]\nblock_domains = [\"localhost\"]",
    );
    // Clients may ask the proxy under this name all the same: the list is about hosts that are
    // asked for.
    let answer = client::get(
        proxy.address(),
        "127.0.0.1",
        &target(&format!("http://localhost:{}/", origin.address().port())),
    );
    assert_eq!(answer.status(), 403, "{}", answer.text());
    assert_eq!(origin.links(), 0);
}

#[test]
fn what_is_no_plain_answer_is_not_read() {
    let elsewhere = Origin::saying("elsewhere");
    let location = elsewhere.url();
    let origin = Origin::answering(move |request, _| match &*request.head.target {
        "/redirect" => vec![response("302 Found", &[("Location", &location)], "")],
        "/missing" => vec![response("404 Not Found", &[], "a page")],
        "/coded" => vec![response("200 OK", &[("Content-Encoding", "gzip")], "xx")],
        "/large" => ok("x".repeat(1025)),
        "/broken" => {
            vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nsome"), Act::Close]
        }
        _ => ok("fine"),
    });
    let proxy = with(
        "[exec]\nallow_destinations = [\"127.0.0.1\"]\n[log.access]\npath = \"access.log\"\n\
         [log.audit]\npath = \"audit.log\"\n",
    );
    for (path, reason) in [
        ("/redirect", "url_status"),
        ("/missing", "url_status"),
        ("/coded", "url_coding"),
        ("/large", "url_too_large"),
    ] {
        let answer = get(&proxy, &format!("{}{path}", origin.url()));
        assert_eq!(answer.status(), 502, "{path}");
        assert!(answer.text().contains(reason), "{path}: {}", answer.text());
    }
    assert_eq!(elsewhere.links(), 0);
    let broken = get(&proxy, &format!("{}/broken", origin.url()));
    // The program has written what came of it, or nothing yet; it is never whole.
    assert!(broken.status() == 502 || !broken.is_whole(), "{} {}", broken.status(), broken.text());
    assert_eq!(get(&proxy, &origin.url()).text(), "FINEx\n");
    waiting::until("the log says why", || {
        let log = proxy.log();
        (log.contains("not_fetched") && log.contains("fetch_broke")).then_some(())
    });
    let said = format!(" < {}", origin.url());
    waiting::until("the audit trail says what was read", || {
        let trail = std::fs::read_to_string(proxy.folder().join("audit.log")).unwrap_or_default();
        trail.contains(&said).then_some(())
    });
}

/// It has a place of its own program, and none of all programs.
#[test]
fn a_server_that_does_not_answer_keeps_no_other_program_from_running() {
    let gate = Gate::new();
    let opened = gate.clone();
    let origin = Origin::answering(move |_, _| {
        let mut acts = vec![Act::Until(opened.clone())];
        acts.extend(ok("late"));
        acts
    });
    let proxy = with(
        "[exec]\nruns = 1\nallow_destinations = [\"127.0.0.1\"]\n\
         [log.access]\npath = \"access.log\"\n\
         [[routes]]\nname = \"other\"\nmatch = { paths = [\"/other\"] }\n\
         [routes.exec]\nprogram = \"echo\"\nargs = [\"runs\"]\n",
    );
    let ask = || {
        let mut client = Client::connect(proxy.address());
        let target = target(&origin.url());
        client.send(format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        client
    };
    let mut waits = ask();
    origin.wait_received(0, "GET /");
    let other = client::get(proxy.address(), "localhost", "/other");
    assert_eq!((other.status(), other.text()), (200, "runs\n".to_owned()));
    // One who leaves meanwhile is counted.
    let leaves = ask();
    origin.wait_received(1, "GET /");
    drop(leaves);
    waiting::until("the one who has left in the log", || {
        proxy.log().contains("client_left").then_some(())
    });
    gate.open();
    assert_eq!(waits.expect("GET").text(), "LATEx\n");
}

/// What is hidden in the log is not found there by the address that it leads to.
#[test]
fn where_a_secret_leads_is_one_too() {
    let origin = Origin::saying("hidden");
    let proxy = with(
        "[exec]\nallow_destinations = [\"127.0.0.1\"]\n[privacy]\nredact_query = [\"from\"]\n\
         [log.access]\npath = \"access.log\"\n",
    );
    assert_eq!(get(&proxy, &origin.url()).text(), "HIDDENx\n");
    let log = waiting::until("the log", || Some(proxy.log()).filter(|log| !log.is_empty()));
    assert!(!log.contains(&origin.address().port().to_string()), "{log}");
}

#[test]
fn what_is_encrypted_is_verified() {
    let pki = Pki::new();
    let pair = pki.leaf(&["localhost"]);
    let folder = Scratch::new("fetch-tls");
    std::fs::write(folder.path().join("page"), "over tls").expect("a file");
    let to: SocketAddr = ports::free();
    let origin = proxyd::run(
        to,
        &format!(
            "[listeners.web]\naddress = \"{to}\"\nrole = \"gateway\"\n\
             [listeners.web.tls]\ncertificates = [{{ cert = \"{}\", key = \"{}\" }}]\n\
             [[routes]]\nname = \"page\"\nmatch = {{ hosts = [\"localhost\"] }}\n\
             respond = {{ status = 200, body = \"over tls\" }}\n",
            pair.cert.display(),
            pair.key.display()
        ),
    )
    .start();
    let address = ports::free();
    let config = format!(
        "[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [exec]\nallow_destinations = [\"127.0.0.0/8\"]\n{SHOUT}"
    );
    let url = format!("https://localhost:{}/", to.port());
    let strange = proxyd::run(address, &config).start();
    let answer = get(&strange, &url);
    assert_eq!(answer.status(), 502, "{}", answer.text());
    drop(strange);
    let ca = pki.ca();
    let proxy =
        proxyd::run(address, &config).env("SSL_CERT_FILE", ca.to_str().expect("text")).start();
    let answer = get(&proxy, &url);
    assert_eq!((answer.status(), answer.text()), (200, "OVER TLSx\n".to_owned()));
    drop(origin);
}

#[test]
fn check_says_who_fetches() {
    let scratch = Scratch::new("fetch-check");
    let check = |exec: &str| {
        let config = format!(
            "[listeners.web]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n[[routes]]\n\
             name = \"a\"\n[routes.exec]\n{exec}"
        );
        std::fs::write(scratch.path().join("proxyd.toml"), config).expect("a file");
        run_to_end(scratch.path(), &["check", "--config", "proxyd.toml"])
    };
    let fetched = "params.from = { in = \"query\", type = \"url\", fetch = true }\n";
    let sound = check(&format!("program = \"cat\"\n{fetched}"));
    assert_eq!(sound.code, Some(0), "{}", sound.stderr);
    assert!(!format!("{}{}", sound.stdout, sound.stderr).contains("by itself"));
    for exec in [
        format!("program = \"curl\"\nargs = [\"{{query.from}}\"]\n{fetched}"),
        "program = \"curl\"\nargs = [\"{query.from}\"]\n\
         params.from = { in = \"query\", type = \"url\" }\n"
            .to_owned(),
    ] {
        let warned = check(&exec);
        assert!(format!("{}{}", warned.stdout, warned.stderr).contains("by itself"), "{exec}");
    }
    let code = check(&format!("program = \"python3\"\n{fetched}"));
    assert_ne!(code.code, Some(0));
    assert!(format!("{}{}", code.stdout, code.stderr).contains("params.from.fetch"));
}

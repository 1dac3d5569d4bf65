//! The place: three endpoints that die and return, one that stays, and the proxy in front of them.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};

use proxyd_tests::client::{self, Client};
use proxyd_tests::nginx::Nginx;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::pki::Pki;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::{ports, waiting};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;

use crate::secrets::{Mounted, Plain};

/// What the origin servers do. A POST is taken whole and answered with its length.
const SERVER: &str = "location /cached/ { add_header Cache-Control \"max-age=1\"; }
    location /put/ { dav_methods PUT; create_full_put_path on; }
    location = /post {
        client_body_buffer_size 64k;
        proxy_pass http://$server_addr:$server_port/length;
    }
    location = /length { return 200 \"$content_length\"; }";

/// How many small stored things there are.
pub(crate) const STORED: u64 = 200;

/// Content that is told apart from any other, and that compresses.
pub(crate) fn content(name: &str, size: usize) -> Vec<u8> {
    let lines = (0..).map(|number| format!("{name} {number} of a text that repeats itself\n"));
    lines.flat_map(String::into_bytes).take(size).collect()
}

/// The sizes of what is served, by path.
pub(crate) const SMALL: (&str, usize) = ("small", 1_000);
pub(crate) const TEXT: (&str, usize) = ("text", 60_000);
pub(crate) const LARGE: (&str, usize) = ("large", 1_000_000);
pub(crate) const SIPPED: (&str, usize) = ("cached/sipped", 256_000);
pub(crate) const EACH_STORED: usize = 4_000;

pub(crate) struct Site {
    pub(crate) proxy: Proxyd,
    pub(crate) endpoints: Mutex<[Nginx; 3]>,
    pub(crate) steady: Nginx,
    pub(crate) echo: Origin,
    pub(crate) web: SocketAddr,
    pub(crate) tls: SocketAddr,
    pub(crate) out: SocketAddr,
    pub(crate) fifo: PathBuf,
    pub(crate) pki: Pki,
    pub(crate) mounted: Mutex<Mounted>,
    pub(crate) plain: Mutex<Plain>,
    parts: Parts,
    _folder: Scratch,
}

/// What the configuration is made of.
struct Parts {
    admin: SocketAddr,
    extra: SocketAddr,
    urls: String,
    certificates: String,
}

/// An nginx with all of it, and `more`.
fn serving(more: &str) -> Nginx {
    let nginx = Nginx::start(&format!("{SERVER}\n{more}"));
    for (name, size) in [SMALL, TEXT, LARGE] {
        nginx.file(name, content(name, size));
    }
    fs::create_dir_all(nginx.root().join("cached")).expect("a folder");
    nginx.file(SIPPED.0, content(SIPPED.0, SIPPED.1));
    for number in 0..STORED {
        let name = format!("cached/{number}");
        nginx.file(&name, content(&name, EACH_STORED));
    }
    nginx
}

impl Site {
    pub(crate) fn start() -> Self {
        let endpoints = [(); 3].map(|()| serving(""));
        // The proxy keeps idle connections to destinations for a minute: here the origin ends them.
        let steady = serving("keepalive_timeout 3s;");
        let echo = Origin::echoing();
        let pki = Pki::new();
        let folder = Scratch::new("soak");
        let fifo = folder.join("fifo");
        let made = Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
        assert!(made.success());
        let mounted = Mounted::new(&folder, &pki, "a.test");
        let plain = Plain::new(&folder, &pki, "b.test");
        let (web, tls, out) = (ports::free(), ports::free(), ports::free());
        let parts = Parts {
            admin: ports::free(),
            extra: ports::free(),
            urls: endpoints.each_ref().map(|own| format!("\"{}\"", own.url())).join(", "),
            certificates: format!("{}, {}", mounted.pair().table(), plain.pair().table()),
        };
        let config = parts.config(web, tls, out, &fifo, echo.address(), 0);
        let launch = proxyd::run(web, &config).admin(parts.admin).env(RUNTIME.0, RUNTIME.1);
        let proxy = launch.start();
        let (endpoints, mounted, plain) =
            (Mutex::new(endpoints), Mutex::new(mounted), Mutex::new(plain));
        let site = Self {
            proxy,
            endpoints,
            steady,
            echo,
            web,
            tls,
            out,
            fifo,
            pki,
            mounted,
            plain,
            parts,
            _folder: folder,
        };
        site.wait_in_service();
        site
    }

    /// Writes the configuration of this turn. It differs from the one before by what `/mark`
    /// answers; every fifth by a listener; every tenth by how the upstream is dealt with.
    pub(crate) fn configure(&self, turn: u64) {
        let Self { web, tls, out, fifo, echo, parts, .. } = self;
        let config = parts.config(*web, *tls, *out, fifo, echo.address(), turn);
        operator::configure(&self.proxy, &config);
    }

    /// What answers say of the configuration by which they were made.
    pub(crate) fn mark(&self) -> String {
        client::get(self.web, "localhost", "/mark").text()
    }

    /// Waits until every endpoint is in service, by the checks of the proxy.
    pub(crate) fn wait_in_service(&self) {
        waiting::until_within(waiting::PATIENCE * 3, "every endpoint is healthy", || {
            let all: Value =
                serde_json::from_slice(&self.proxy.ask_admin("/upstreams").content).ok()?;
            let endpoints = all[0]["endpoints"].as_array()?;
            endpoints.iter().all(|own| own["state"] == "healthy").then_some(())
        });
    }

    /// A client's view of TLS here; with `tickets` it goes on with sessions.
    pub(crate) fn trust(&self, tickets: bool) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_file(self.pki.ca()).expect("a certificate");
        roots.add(ca).expect("a CA");
        let mut config = ClientConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
        if !tickets {
            config.resumption = rustls::client::Resumption::disabled();
        }
        Arc::new(config)
    }

    /// The proxy's own count of reloads: all took effect.
    pub(crate) fn check_reloads(&self, due: u64) {
        let name = "proxy_config_reloads_total{outcome=\"applied\"}";
        // It is seen in answers before it is counted.
        waiting::until("every reload is counted", || {
            (operator::metric(&self.proxy, name) >= due as f64).then_some(())
        });
        assert_eq!(operator::metric(&self.proxy, name), due as f64);
        assert_eq!(operator::metric(&self.proxy, "proxy_config_last_reload_successful"), 1.0);
    }

    /// Ends the proxy in good order.
    pub(crate) fn end(mut self) {
        self.proxy.sigterm();
        let status = self.proxy.wait_exit();
        assert!(status.success(), "{status}: {}", self.proxy.stderr());
    }

    /// A tunnel to who sends everything back.
    pub(crate) fn tunnel(&self) -> Client {
        let mut client = Client::connect(self.out);
        let at = self.echo.address();
        let answer = client.ask("CONNECT", format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{answer:?}");
        client
    }
}

impl Parts {
    fn config(
        &self,
        web: SocketAddr,
        tls: SocketAddr,
        out: SocketAddr,
        fifo: &std::path::Path,
        echo: SocketAddr,
        turn: u64,
    ) -> String {
        let Self { admin, extra, urls, certificates } = self;
        let more = match (turn / 5) % 2 {
            0 => String::new(),
            _ => format!("[listeners.extra]\naddress = \"{extra}\"\nrole = \"gateway\"\n"),
        };
        let slow_start = 2 + (turn / 10) % 2;
        let fifo = fifo.display();
        let connect_port = echo.port();
        format!(
            r#"
[admin]
address = "{admin}"
[log.access]
path = "access.log"
[server]
drain_timeout = "20s"
[cache]
memory = "4MiB"

[listeners.web]
address = "{web}"
role = "gateway"
protocols = ["h1", "h2"]
[listeners.tls]
address = "{tls}"
role = "gateway"
[listeners.tls.tls]
certificates = [{certificates}]
[listeners.out]
address = "{out}"
role = "forward"
{more}
[forward]
connect_ports = [{connect_port}]
allow_private_destinations = true

[upstreams.app]
endpoints = [{urls}]
balance = "least_requests"
slow_start = "{slow_start}s"
pool = {{ idle_timeout = "2s" }}
outlier = {{ eject_for = "1s", max_eject_for = "2s" }}
retry = {{ retries = 2, on = ["connect", "reset"] }}
health_check = {{ path = "/small", interval = "500ms", timeout = "5s", healthy_after = 2, unhealthy_after = 2 }}

[[routes]]
name = "mark"
match = {{ paths = ["/mark"] }}
respond = {{ status = 200, body = "{turn}" }}
[[routes]]
name = "echo"
match = {{ paths = ["/echo"] }}
[routes.exec]
program = "cat"
stdin = true
[[routes]]
name = "run"
match = {{ paths = ["/run"] }}
[routes.exec]
program = "cat"
args = ["{fifo}"]
[[routes]]
name = "cached"
match = {{ path_prefixes = ["/cached/"] }}
upstream = "app"
cache = true
[[routes]]
name = "text"
match = {{ paths = ["/text"] }}
upstream = "app"
compress = true
[[routes]]
name = "all"
upstream = "app"

[[filter.rate_limits]]
id = "many"
rate = "1000000/s"
"#
        )
    }
}

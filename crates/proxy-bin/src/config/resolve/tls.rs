//! TLS of listeners and towards upstreams: files read, names and times checked.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use proxy_server::tls as server;
use proxy_upstream::tls::{Identity, Pin, Roots, UpstreamTls, UpstreamTlsConfig, UpstreamTlsError};

use super::{Resolver, plain};
use crate::config::path::KeyPath;
use crate::config::raw::{self, ClientCertificateMode, TlsVersion};
use crate::config::resolved::{Limits, ListenerTls, TowardsTls};
use crate::config::units::Period;
use crate::files::Stamp;
use crate::tls::{CertificateFile, ClientFiles, TlsFiles, TlsPart, UpstreamTlsFiles};

impl Resolver<'_> {
    /// Reads the certificates. `protocols`: HTTP/1.1 and HTTP/2, whether they are spoken.
    pub(super) fn listener_tls(
        &mut self,
        path: &KeyPath,
        raw: &raw::ListenerTls,
        protocols: (bool, bool),
        handshake: Period,
        limits: &Limits,
    ) -> Option<ListenerTls> {
        let files = self.tls_files(path, raw);
        let timeout = handshake.duration();
        let hsts = raw.hsts.as_ref().map(|own| self.hsts(&path.key("hsts"), own));
        let read = files.paths().map(Stamp::of).collect();
        let material = match files.load() {
            Ok(material) => material,
            Err(faults) => {
                for fault in faults {
                    self.error(&place(path, fault.part), fault.message);
                }
                return None;
            }
        };
        self.doubts(path, material.certificates.certificates());
        let options = server::TlsOptions {
            minimum: match raw.min_version {
                TlsVersion::V12 => server::TlsVersion::V12,
                TlsVersion::V13 => server::TlsVersion::V13,
            },
            protocols: [(protocols.1, "h2"), (protocols.0, "http/1.1")]
                .into_iter()
                .filter_map(|(spoken, name)| spoken.then_some(name))
                .collect(),
            tickets: raw.session_tickets,
            timeout,
            handshakes: limits.handshakes,
        };
        let edge = self.take(path, server::TlsEdge::new(options, material))?;
        Some(ListenerTls { files, read, edge: Arc::new(edge), hsts })
    }

    fn tls_files(&self, path: &KeyPath, raw: &raw::ListenerTls) -> TlsFiles {
        let file = |path: KeyPath, name: &str| self.origins.folder(&path).join(name);
        let certificates = raw.certificates.iter().enumerate().map(|(at, own)| {
            let path = path.key("certificates").index(at);
            CertificateFile {
                cert: file(path.key("cert"), &own.cert),
                key: file(path.key("key"), &own.key),
                ocsp: own.ocsp.as_ref().map(|own| file(path.key("ocsp"), own)),
            }
        });
        let clients = raw.client_certificates.as_ref().map(|own| {
            let path = path.key("client_certificates");
            let lists = own.crl.iter().enumerate();
            ClientFiles {
                ca: file(path.key("ca"), &own.ca),
                crl: lists.map(|(at, own)| file(path.key("crl").index(at), own)).collect(),
                mode: own.mode,
                forward: own.forward,
            }
        });
        let unknown_names = match raw.unknown_names {
            raw::UnknownNames::Default => server::UnknownNames::Default,
            raw::UnknownNames::Refuse => server::UnknownNames::Refuse,
        };
        TlsFiles { certificates: certificates.collect(), unknown_names, clients }
    }

    /// Warns of certificates that clients may not take.
    fn doubts(&mut self, path: &KeyPath, certificates: &[server::Certificate]) {
        let now = SystemTime::now();
        for (at, certificate) in certificates.iter().enumerate() {
            let path = path.key("certificates").index(at);
            for doubt in certificate.doubts(now) {
                let message = match certificate.names().to_string() {
                    names if names.is_empty() => format!("the certificate {doubt}"),
                    names => format!("the certificate for {names} {doubt}"),
                };
                self.warning(&path.key("cert"), message);
            }
        }
    }

    /// What says something of the server behind, which in the forward role is anybody.
    pub(super) fn not_of_gateways(&mut self, path: &KeyPath, raw: &raw::ListenerTls) {
        if raw.hsts.is_some() {
            let message = "only a gateway's responses are its own; remove it";
            self.error_on_key(&path.key("hsts"), message);
        }
        if raw.client_certificates.as_ref().is_some_and(|own| own.forward) {
            let message = "would tell every destination who the client is; remove it";
            self.error(&path.key("client_certificates").key("forward"), message);
        }
    }

    fn hsts(&mut self, path: &KeyPath, raw: &raw::Hsts) -> HeaderValue {
        let age = raw.max_age.duration().as_secs();
        if raw.preload && (age < 365 * 24 * 3600 || !raw.include_subdomains) {
            let message = "browsers' lists need a `max_age` of 365d and `include_subdomains`";
            self.warning(&path.key("preload"), message);
        }
        let mut text = format!("max-age={age}");
        if raw.include_subdomains {
            text.push_str("; includeSubDomains");
        }
        if raw.preload {
            text.push_str("; preload");
        }
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("max-age=0"))
    }

    /// TLS towards the endpoints of an upstream; `None` where something of it is wrong.
    pub(super) fn upstream_tls(
        &mut self,
        path: &KeyPath,
        raw: &raw::UpstreamTls,
    ) -> Option<TowardsTls> {
        let file = |key: &str, name: &Option<String>| -> Option<PathBuf> {
            Some(self.origins.folder(&path.key(key)).join(name.as_ref()?))
        };
        let pair = (file("client_cert", &raw.client_cert), file("client_key", &raw.client_key));
        let mut files = UpstreamTlsFiles {
            ca: file("ca", &raw.ca),
            identity: pair.0.zip(pair.1),
            server_name: raw.server_name.clone(),
            verify: raw.verify,
            pins: Vec::new(),
            tls12: raw.min_version == TlsVersion::V12,
        };
        let read = files.paths().map(Stamp::of).collect();
        let roots = match &raw.ca {
            Some(ca) => {
                let at = path.key("ca");
                let (file, pem) = self.tls_file(&at, ca)?;
                let roots = Roots::from_pem(&pem);
                self.take(&at, roots.map_err(|e| format!("{}: {e}", file.display())))?
            }
            None if !raw.verify => Roots::none(),
            None => Roots::system(),
        };
        let pins = self.list(&path.key("pins"), &raw.pins, str::parse::<Pin>);
        let identity = self.identity(path, raw)?;
        if !raw.verify && raw.ca.is_some() {
            self.warning(&path.key("ca"), "has no effect with `verify = false`");
        }
        if !raw.verify && pins.is_empty() {
            let message = "anybody on the way can pose as the upstream; \
                           give its `ca`, or `pins` of its keys, instead";
            self.warning(&path.key("verify"), message);
        }
        let config = UpstreamTlsConfig {
            server_name: raw.server_name.clone(),
            verify: raw.verify,
            pins: pins.clone(),
            identity,
            tls12: files.tls12,
            ..UpstreamTlsConfig::new(roots)
        };
        files.pins = pins;
        UpstreamTls::new(config)
            .map(|tls| TowardsTls { tls, files, read, kept: Arc::default() })
            .map_err(|error| {
                let at = match &error {
                    UpstreamTlsError::ServerName(_) => path.key("server_name"),
                    UpstreamTlsError::Identity(_) => path.key("client_cert"),
                    _ => path.clone(),
                };
                self.error(&at, error.to_string());
            })
            .ok()
    }

    /// `None`: something is wrong.
    #[allow(clippy::option_option, reason = "wrong, none or one")]
    fn identity(&mut self, path: &KeyPath, raw: &raw::UpstreamTls) -> Option<Option<Identity>> {
        let (cert, key) = match (&raw.client_cert, &raw.client_key) {
            (None, None) => return Some(None),
            (Some(cert), Some(key)) => (cert, key),
            (Some(_), None) => {
                self.error(&path.key("client_cert"), "needs `client_key`");
                return None;
            }
            (None, Some(_)) => {
                self.error(&path.key("client_key"), "needs `client_cert`");
                return None;
            }
        };
        let (cert_path, key_path) = (path.key("client_cert"), path.key("client_key"));
        let (cert_file, cert) = self.tls_file(&cert_path, cert)?;
        let (key_file, key) = self.tls_file(&key_path, key)?;
        match Identity::from_pem(&cert, &key) {
            Ok(identity) => Some(Some(identity)),
            Err(error) => {
                let (path, file) = match error {
                    UpstreamTlsError::NoKey => (key_path, key_file),
                    _ => (cert_path, cert_file),
                };
                self.error(&path, format!("{}: {error}", file.display()));
                None
            }
        }
    }

    fn tls_file(&mut self, path: &KeyPath, name: &str) -> Option<(PathBuf, Vec<u8>)> {
        let file = self.origins.folder(path).join(name);
        let read = fs::read(&file);
        let read = read.map_err(|e| format!("cannot read {}: {}", file.display(), plain(&e)));
        let bytes = self.take(path, read)?;
        self.note_file(path, &bytes);
        Some((file, bytes))
    }

    /// Whether a forward listener is closed to whoever has no certificate.
    pub(super) fn has_client_certificates(raw: &raw::Listener) -> bool {
        let asked = raw.tls.as_ref().and_then(|tls| tls.client_certificates.as_ref());
        asked.is_some_and(|own| own.mode == ClientCertificateMode::Required)
    }
}

fn place(path: &KeyPath, part: TlsPart) -> KeyPath {
    let certificate = |at: usize, key: &str| path.key("certificates").index(at).key(key);
    match part {
        TlsPart::Cert(at) => certificate(at, "cert"),
        TlsPart::Key(at) => certificate(at, "key"),
        TlsPart::Ocsp(at) => certificate(at, "ocsp"),
        TlsPart::Ca => path.key("client_certificates").key("ca"),
        TlsPart::Crl(at) => path.key("client_certificates").key("crl").index(at),
    }
}

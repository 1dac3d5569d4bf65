//! What TLS says about a connection: shared by all its exchanges, and free of any TLS library.
//!
//! The server writes it once the handshake is over. Hygiene compares it with `Host`, policies ask
//! it who the client is, logs and metrics show it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderValue, Version};

/// A connection's TLS, as it was agreed upon.
#[derive(Clone, Debug)]
pub struct TlsInfo {
    /// `TLSv1.3` or `TLSv1.2`.
    pub version: &'static str,
    /// The cipher suite's name in the IANA registry.
    pub cipher: &'static str,
    /// The key exchange, such as `X25519MLKEM768`; none where a session was resumed without one.
    pub group: Option<&'static str>,
    /// The protocol that was agreed upon (RFC 7301), `h2` or `http/1.1`; none where the client
    /// offered none.
    pub alpn: Option<&'static str>,
    /// The name that the client asked for (RFC 6066 section 3), in lower case.
    pub server_name: Option<Box<str>>,
    /// Whether an earlier session went on.
    pub resumed: bool,
    /// The names of the certificate that was shown.
    pub names: Arc<CertificateNames>,
    /// Who the client is, where it showed a certificate that was verified.
    pub client: Option<Arc<ClientCertificate>>,
}

impl TlsInfo {
    /// Whether a request for `host` (a name, or an address without brackets) may come over this
    /// connection; 421 otherwise (RFC 9110 section 15.5.20).
    ///
    /// It may if the client asked for this name. An HTTP/2 client may also use the connection for
    /// other names of the certificate (RFC 9113 section 9.1.1), and where it asked for none, any
    /// name that the certificate has, or an address, is as good.
    pub fn answers_for(&self, host: &str, version: Version) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        match &self.server_name {
            Some(name) if name.eq_ignore_ascii_case(host) => true,
            Some(_) => version >= Version::HTTP_2 && self.names.cover(host),
            None => is_address(host) || self.names.cover(host),
        }
    }
}

fn is_address(host: &str) -> bool {
    host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok()
}

/// The names and addresses for which a certificate is good (RFC 5280 section 4.2.1.6).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CertificateNames {
    /// Names in lower case; `*.x.test` is any one label in front of `x.test`.
    pub dns: Vec<Box<str>>,
    /// Addresses.
    pub addresses: Vec<IpAddr>,
}

impl CertificateNames {
    /// Whether a name or an address is among them. A `*` stands for one whole label
    /// (RFC 9525 section 6.3).
    pub fn cover(&self, host: &str) -> bool {
        let host = host.strip_suffix('.').unwrap_or(host);
        if let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.addresses.contains(&address);
        }
        self.dns.iter().any(|name| match name.strip_prefix("*.") {
            Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
                !label.is_empty() && rest.eq_ignore_ascii_case(parent)
            }),
            None => name.eq_ignore_ascii_case(host),
        })
    }
}

impl fmt::Display for CertificateNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let addresses = self.addresses.iter().map(ToString::to_string);
        let names = self.dns.iter().map(ToString::to_string).chain(addresses);
        f.write_str(&names.collect::<Vec<_>>().join(", "))
    }
}

/// A client's certificate that was verified.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The distinguished name of whom it was made for (RFC 4514), such as `CN=worker-7,O=Example`.
    pub subject: Box<str>,
    /// The distinguished name of who made it.
    pub issuer: Box<str>,
    /// Its serial number, in hexadecimal digits.
    pub serial: Box<str>,
    /// SHA-256 of it, in lower hexadecimal digits.
    pub fingerprint: Box<str>,
    /// Its alternative names: DNS names, addresses, URIs and mail addresses, as text.
    pub names: Vec<Box<str>>,
    /// What upstreams are told (RFC 9440), where they are.
    pub forwarded: Option<ForwardedCertificate>,
}

impl ClientCertificate {
    /// Whether a rule means this one: by one of its [`names`](Self::names) or its whole
    /// [`subject`](Self::subject), by `sha256:` and its [`fingerprint`](Self::fingerprint), or by
    /// `*`.
    pub fn is(&self, meant: &str) -> bool {
        meant == "*"
            || *meant == *self.subject
            || self.names.iter().any(|name| **name == *meant)
            || meant
                .strip_prefix("sha256:")
                .is_some_and(|digits| digits.eq_ignore_ascii_case(&self.fingerprint))
    }
}

/// The fields of RFC 9440.
#[derive(Clone, Debug)]
pub struct ForwardedCertificate {
    /// `Client-Cert`: the certificate.
    pub certificate: HeaderValue,
    /// `Client-Cert-Chain`: those that the client sent along.
    pub chain: Option<HeaderValue>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(dns: &[&str]) -> Arc<CertificateNames> {
        let addresses = vec!["192.0.2.1".parse().expect("an address")];
        Arc::new(CertificateNames { dns: dns.iter().map(|n| (*n).into()).collect(), addresses })
    }

    #[test]
    fn a_star_is_one_label() {
        let names = names(&["*.x.test", "y.test"]);
        for (host, covered) in [
            ("a.x.test", true),
            ("A.X.TEST.", true),
            ("x.test", false),
            ("a.b.x.test", false),
            (".x.test", false),
            ("y.test", true),
            ("a.y.test", false),
            ("192.0.2.1", true),
            ("192.0.2.2", false),
        ] {
            assert_eq!(names.cover(host), covered, "{host}");
        }
    }

    #[test]
    fn host_and_server_name_agree() {
        let info = |server_name: Option<&str>| TlsInfo {
            version: "TLSv1.3",
            cipher: "TLS_AES_256_GCM_SHA384",
            group: None,
            alpn: None,
            server_name: server_name.map(Into::into),
            resumed: false,
            names: names(&["a.test", "b.test"]),
            client: None,
        };
        let (one, two) = (Version::HTTP_11, Version::HTTP_2);
        for (asked, host, version, due) in [
            (Some("a.test"), "A.test", one, true),
            (Some("a.test"), "a.test.", one, true),
            (Some("a.test"), "b.test", one, false),
            // A connection of HTTP/2 may be shared by the names of the certificate.
            (Some("a.test"), "b.test", two, true),
            (Some("a.test"), "c.test", two, false),
            // Asked for by a name that the certificate does not have, and answered all the same.
            (Some("c.test"), "c.test", two, true),
            (None, "a.test", one, true),
            (None, "c.test", one, false),
            (None, "192.0.2.9", one, true),
            (None, "::1", one, true),
        ] {
            assert_eq!(info(asked).answers_for(host, version), due, "{asked:?} {host}");
        }
    }
}

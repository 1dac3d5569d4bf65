//! TLS of listeners and towards upstreams.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::Period;

/// `tls` of a listener. Its files are read again when they change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTls {
    /// The certificates; each is shown for the names in it. The first is shown to clients that
    /// ask for no name.
    #[schemars(length(min = 1))]
    pub certificates: Vec<CertificateFiles>,
    /// A client that asks for a name which no certificate has: `"default"` shows it the first one,
    /// `"refuse"` ends the handshake.
    #[serde(default)]
    pub unknown_names: UnknownNames,
    /// The oldest version that is spoken: `"1.2"` or `"1.3"`.
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Whether clients get tickets by which they come back without a full handshake. Where clients
    /// can show certificates there are none.
    #[serde(default = "yes")]
    pub session_tickets: bool,
    /// Asks clients for certificates. None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificates: Option<ClientCertificates>,
    /// `Strict-Transport-Security` of responses (RFC 6797). None by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
}

fn yes() -> bool {
    true
}

/// A certificate with its key. Paths are relative to the configuration file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateFiles {
    /// File with the certificate and behind it those that vouch for it, in PEM form.
    pub cert: String,
    /// File with its private key, in PEM form and without a password.
    pub key: String,
    /// File with an OCSP response in DER form that clients get along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ocsp: Option<String>,
}

/// What becomes of a name that no certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownNames {
    /// The first certificate is shown.
    #[default]
    Default,
    /// The handshake is refused.
    Refuse,
}

/// A version of TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum TlsVersion {
    /// TLS 1.2.
    #[default]
    #[serde(rename = "1.2")]
    V12,
    /// TLS 1.3.
    #[serde(rename = "1.3")]
    V13,
}

/// `client_certificates` of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientCertificates {
    /// File with the certificates of those who vouch for clients, in PEM form.
    pub ca: String,
    /// `"required"` refuses clients without one, `"optional"` serves them too.
    #[serde(default)]
    pub mode: ClientCertificateMode,
    /// Files with revocation lists in PEM form. Where there are any, one of each issuer in a
    /// client's chain is needed, and none may be out of date.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub crl: Vec<String>,
    /// Tells upstreams in `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    #[serde(default)]
    pub forward: bool,
}

/// Whether clients need a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificateMode {
    /// They do.
    #[default]
    Required,
    /// They can show one.
    Optional,
}

/// `hsts` of a listener's TLS.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hsts {
    /// How long browsers come by HTTPS only; `"0s"` takes it back.
    pub max_age: Period,
    /// Whether that holds for all names below.
    #[serde(default)]
    pub include_subdomains: bool,
    /// Whether browsers may ship it in their own lists.
    #[serde(default)]
    pub preload: bool,
}

/// `tls` of an upstream whose endpoints are `https://`, or of such a parent proxy. Without it they
/// are verified by the system's roots. Its files are read again when they change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamTls {
    /// File with the certificates of those who vouch for the endpoints, in PEM form. Default: the
    /// system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<String>,
    /// The name that the endpoints must prove, and that they are asked for. Default: the host of
    /// their URL.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_name: Option<String>,
    /// Whether they must prove it at all.
    pub verify: bool,
    /// Their own key must be one of these: `sha256//` and the base64 of the SHA-256 of the public
    /// key, as curl's `--pinnedpubkey` has it. Empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pins: Vec<String>,
    /// File with our own certificate for endpoints that ask who we are, in PEM form. Needs
    /// `client_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_cert: Option<String>,
    /// File with its key, in PEM form.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_key: Option<String>,
    /// The oldest version that is spoken: `"1.2"` or `"1.3"`.
    pub min_version: TlsVersion,
}

impl Default for UpstreamTls {
    fn default() -> Self {
        Self {
            ca: None,
            server_name: None,
            verify: true,
            pins: Vec::new(),
            client_cert: None,
            client_key: None,
            min_version: TlsVersion::V12,
        }
    }
}

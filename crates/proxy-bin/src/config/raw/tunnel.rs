//! The guard's mode, and what tunnels may begin with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Port;
use crate::config::units::{Period, Size};

/// Whether a policy refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// It refuses.
    #[default]
    Enforce,
    /// It records what it would refuse, and refuses nothing.
    Report,
}

/// `[forward.tunnel]`: what a client may begin a tunnel with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tunnel {
    /// The server name in the ClientHello: `"lists"` judges it like the host
    /// of CONNECT, by `only_domains` and the lists and rules of names;
    /// `"match"` demands also that it is that host; `"off"` does not look.
    pub sni: ServerNames,
    /// Ports to which a tunnel must be TLS.
    pub require_tls_ports: Vec<Port>,
    /// Whether a ClientHello with an encrypted part (ECH) is refused. Current
    /// browsers send one to every server.
    pub encrypted_hello: EncryptedHello,
    /// What becomes of a tunnel whose client has said nothing for
    /// `hello_timeout`. What it says later is judged all the same.
    pub on_silence: OnSilence,
    /// How long a client may take to its first byte, and from there to the
    /// end of its ClientHello.
    pub hello_timeout: Period,
    /// The largest ClientHello.
    pub hello_size: Size,
    /// `"report"` records what would be refused here, and refuses nothing.
    pub mode: Mode,
}

impl Default for Tunnel {
    fn default() -> Self {
        Self {
            sni: ServerNames::Lists,
            require_tls_ports: Vec::new(),
            encrypted_hello: EncryptedHello::Allow,
            on_silence: OnSilence::Pass,
            hello_timeout: Period::from_secs(10),
            hello_size: Size::from_bytes(16 * 1024),
            mode: Mode::Enforce,
        }
    }
}

/// What is asked of server names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ServerNames {
    /// Nothing.
    Off,
    /// What is asked of hosts.
    Lists,
    /// The same, and that it is the host of CONNECT.
    Match,
}

/// What becomes of an encrypted ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EncryptedHello {
    /// Its outer part is judged.
    Allow,
    /// It is refused.
    Refuse,
}

/// What becomes of a silent tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnSilence {
    /// It stands.
    Pass,
    /// It is closed.
    Refuse,
}

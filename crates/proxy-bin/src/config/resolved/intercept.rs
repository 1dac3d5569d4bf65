//! Interception of TLS.

use proxy_filter::domains::{DomainLists, Listed};
use proxy_server::intercept::Minter;
use proxy_upstream::tls::UpstreamTls;

use super::ListFile;

/// Whose TLS is opened, and who signs for them.
#[derive(Clone, Debug)]
pub struct Intercept {
    /// Makes the certificates.
    pub minter: Minter,
    /// The names: those that are blocked here are intercepted.
    pub names: DomainLists,
    /// The lists that come from files.
    pub files: Vec<ListFile>,
    /// Verifies the origin servers.
    pub tls: UpstreamTls,
    /// Whether what is found inside may be stored in memory.
    pub cache: bool,
}

impl Intercept {
    /// Whether a host is intercepted: it is listed, not excepted, and our authority may sign for
    /// it. Gives the name that says so.
    pub fn asks_for<'h>(&self, host: &'h str) -> Option<&'h str> {
        match self.names.judge(host, false) {
            Listed::Blocked { name, .. } if self.minter.authority().permits(host) => Some(name),
            _ => None,
        }
    }
}

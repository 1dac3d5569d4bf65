//! The files of the TLS towards upstreams: who vouches for their servers, and who we are.

use proxy_upstream::tls::UpstreamTls;

use super::{Content, Kept, Registry, Watched};
use crate::config::resolved::Resolved;
use crate::tls::{UpstreamTlsFault, UpstreamTlsFiles};

/// Times that the files of an upstream's TLS were read again; labels `upstream` and `outcome`
/// (`swapped`, `kept`).
const RELOADS: &str = "proxy_upstream_tls_reloads_total";

struct Towards {
    files: UpstreamTlsFiles,
    tls: UpstreamTls,
}

/// Those of each upstream that has some.
pub(super) fn watched<'c>(
    config: &'c Resolved,
    recorder: Registry<'c>,
) -> impl Iterator<Item = Watched> + 'c {
    config.upstreams.values().filter_map(move |upstream| {
        let own = upstream.tls.as_ref().filter(|own| !own.read.is_empty())?;
        let content = Towards { files: own.files.clone(), tls: own.tls.clone() };
        let paths = own.files.paths().map(ToOwned::to_owned);
        let files: Vec<_> = paths.zip(own.read.iter().copied()).collect();
        let watched = Watched::new(files, content);
        Some(watched.counted(recorder, RELOADS, ("upstream", &upstream.name)))
    })
}

impl Content for Towards {
    fn renew(&mut self) -> Result<String, Kept> {
        let config = self.files.load().map_err(|fault| match fault {
            UpstreamTlsFault::Unreadable(message) => Kept::Unreadable(message),
            UpstreamTlsFault::Wrong(message) => Kept::Refused(message),
        })?;
        self.tls.renew(config).map_err(|error| Kept::Refused(error.to_string()))?;
        Ok("for connections from now on".to_owned())
    }
}

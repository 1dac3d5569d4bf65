//! The files of the TLS towards upstreams and parent proxies: who vouches for them, and who we are.

use proxy_upstream::tls::UpstreamTls;

use super::{Content, Kept, Registry, Watched};
use crate::config::resolved::{Resolved, TowardsTls};
use crate::tls::{UpstreamTlsFault, UpstreamTlsFiles};

/// Times that the files of an upstream's TLS were read again; labels `upstream` and `outcome`
/// (`swapped`, `kept`).
const RELOADS: &str = "proxy_upstream_tls_reloads_total";

struct Towards {
    files: UpstreamTlsFiles,
    tls: UpstreamTls,
}

/// The same of a parent proxy; labels `parent` and `outcome`.
const PARENT_RELOADS: &str = "proxy_upstream_parent_tls_reloads_total";

/// Those of each upstream and each parent proxy that has some.
pub(super) fn watched<'c>(
    config: &'c Resolved,
    recorder: Registry<'c>,
) -> impl Iterator<Item = Watched> + 'c {
    let upstreams = config.upstreams.values().filter_map(move |upstream| {
        let watched = towards(upstream.tls.as_ref()?)?;
        Some(watched.counted(recorder, RELOADS, ("upstream", &upstream.name)))
    });
    let parents = config.parents.iter().filter_map(move |(name, parent)| {
        let watched = towards(parent.tls.as_ref()?)?;
        Some(watched.counted(recorder, PARENT_RELOADS, ("parent", name)))
    });
    upstreams.chain(parents)
}

fn towards(own: &TowardsTls) -> Option<Watched> {
    let content = Towards { files: own.files.clone(), tls: own.in_use().clone() };
    let paths = own.files.paths().map(ToOwned::to_owned);
    let files: Vec<_> = paths.zip(own.read.iter().copied()).collect();
    (!files.is_empty()).then(|| Watched::new(files, content))
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

//! Where URLs of programs' parameters may lead.

use proxy_upstream::tls::{Roots, UpstreamTls, UpstreamTlsConfig};

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::Config;
use crate::config::resolved::ExecFetch;

impl Resolver<'_> {
    /// What fetches them, where any is fetched.
    pub(super) fn exec_fetch(&mut self, config: &Config) -> Option<ExecFetch> {
        let own = KeyPath::of("exec.allow_destinations");
        let waivers = config.exec.as_ref().map_or(&[][..], |exec| &exec.allow_destinations);
        let (allow_names, allow_networks) = self.waivers(&own, waivers);
        let parent = config.exec.as_ref().and_then(|exec| exec.parent.as_deref());
        let parent = self.parent_named(&KeyPath::of("exec"), parent);
        let programs = config.routes.iter().filter_map(|route| route.exec.as_ref());
        if !programs.flat_map(|exec| exec.params.values()).any(|param| param.fetch) {
            if parent.is_some() {
                let own = KeyPath::of("exec.parent");
                self.warning(&own, "without effect: no parameter has `fetch = true`");
            }
            if !waivers.is_empty() {
                self.warning(&own, "without effect: no parameter has `fetch = true`");
            }
            return None;
        }
        let tls = UpstreamTls::new(UpstreamTlsConfig::new(Roots::system()));
        let tls = self.take(&KeyPath::of("exec"), tls.map_err(|error| error.to_string()))?;
        Some(ExecFetch { allow_names, allow_networks, parent, tls })
    }
}

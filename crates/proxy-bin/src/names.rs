//! Names that turn up on the way, and who judges them: aliases in DNS, and server names in tunnels.

use std::sync::Arc;

use proxy_core::NamePolicy;
use proxy_filter::tunnel::ServerNamesBy;

use crate::config::raw::Role;
use crate::filter::Filters;

/// Whoever judges names in the forward role.
pub struct Names {
    servers: Vec<Arc<dyn NamePolicy>>,
    aliases: Option<Arc<dyn NamePolicy>>,
}

impl Names {
    /// Those of the filter: a server name is judged by all that judges the host of CONNECT. An
    /// alias is judged by what is blocked only: what `only_domains` permits is often an alias of
    /// what it does not name.
    pub fn of(filters: &Filters) -> Self {
        let of = |role| filters.names(role).map(|lists| lists as Arc<dyn NamePolicy>);
        let rules = filters.rules().map(|rules| Arc::new(ServerNamesBy::new(rules)) as _);
        let servers = of(Role::Forward).into_iter().chain(rules).collect();
        Self { servers, aliases: of(Role::Gateway) }
    }

    /// For server names in tunnels.
    pub fn of_servers(&self) -> Vec<Arc<dyn NamePolicy>> {
        self.servers.clone()
    }

    /// For aliases; `None` where nobody asks, and no answer of DNS is looked into.
    pub fn of_aliases(&self) -> Option<Arc<dyn NamePolicy>> {
        self.aliases.clone()
    }
}

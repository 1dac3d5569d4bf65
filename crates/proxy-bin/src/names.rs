//! Names that turn up on the way, and who judges them: aliases in DNS, and server names in tunnels.

use std::sync::Arc;

use proxy_core::{Exchange, Finding, FoundName, NamePolicy, NameSet, NameSource};

use crate::config::resolved::Resolved;

/// Whoever judges names in the forward role.
pub struct Names {
    /// Asked about server names only: what `only_domains` permits is often an alias of what it does
    /// not name.
    servers: Vec<Arc<dyn NamePolicy>>,
    /// Asked about both.
    lists: Vec<Arc<dyn NamePolicy>>,
}

impl Names {
    /// Those that a configuration asks for.
    pub fn of(config: &Resolved) -> Self {
        let mut servers: Vec<Arc<dyn NamePolicy>> = Vec::new();
        if !config.forward.only_domains.is_empty() {
            let only = config.forward.only_domains.iter().cloned().collect();
            servers.push(Arc::new(OnlyDomains(only)));
        }
        Self { servers, lists: Vec::new() }
    }

    /// For server names in tunnels.
    pub fn of_servers(&self) -> Vec<Arc<dyn NamePolicy>> {
        self.servers.iter().chain(&self.lists).cloned().collect()
    }

    /// For aliases; `None` where nobody asks, and no answer of DNS is looked into.
    pub fn of_aliases(&self) -> Option<Arc<dyn NamePolicy>> {
        (!self.lists.is_empty()).then(|| Arc::new(All(self.lists.clone())) as _)
    }
}

/// `only_domains`, of a server name.
struct OnlyDomains(NameSet);

impl NamePolicy for OnlyDomains {
    fn judge_name(&self, found: &FoundName<'_>, _: Option<&Exchange>) -> Vec<Finding> {
        let refused = found.source == NameSource::ServerName && !self.0.contains(found.name);
        refused.then(|| Finding::refuse("only_domains", "domain_not_allowed")).into_iter().collect()
    }
}

/// Several, one after the other.
struct All(Vec<Arc<dyn NamePolicy>>);

impl NamePolicy for All {
    fn judge_name(&self, found: &FoundName<'_>, exchange: Option<&Exchange>) -> Vec<Finding> {
        self.0.iter().flat_map(|policy| policy.judge_name(found, exchange)).collect()
    }
}

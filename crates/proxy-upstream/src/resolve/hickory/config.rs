//! What the resolver is told, and hickory made of it.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::parse_resolv_conf;
use hickory_resolver::{Hosts, Resolver as Hickory, TokioResolver};

use super::MAX_LOOKUPS;

/// Where to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameServers {
    /// The servers of a file in the form of resolv.conf(5), read once. Its `search`, `domain` and
    /// `ndots` are ignored. Where it can not be read or names no server, every name but those
    /// of the hosts file and `localhost` is an error that says so.
    ResolvConf(PathBuf),
    /// These, over UDP, and over TCP where an answer is too long.
    List(Vec<SocketAddr>),
}

/// What a [`HickoryResolver`](super::HickoryResolver) is told.
#[derive(Clone, Debug)]
pub struct HickoryConfig {
    /// Default: `/etc/resolv.conf`.
    pub name_servers: NameServers,
    /// A file in the form of hosts(5), read once; a name in it is not asked for in DNS. Default:
    /// `/etc/hosts`. Where it can not be read, there is none.
    pub hosts_file: Option<PathBuf>,
    /// How long a lookup may take, all attempts together. Default: 5 s.
    pub timeout: Duration,
    /// How many names the cache holds; 0 for no cache. Default: 8192.
    pub cache_entries: usize,
    /// The longest time for which an answer with addresses is kept. Default: 1 h.
    pub max_ttl: Duration,
    /// The longest time for which "no such name" and "no address" are kept, where the answer says
    /// how long they hold (RFC 2308 section 5). Default: 60 s.
    pub negative_max_ttl: Duration,
}

impl Default for HickoryConfig {
    fn default() -> Self {
        Self {
            name_servers: NameServers::ResolvConf("/etc/resolv.conf".into()),
            hosts_file: Some("/etc/hosts".into()),
            timeout: Duration::from_secs(5),
            cache_entries: 8192,
            max_ttl: Duration::from_secs(3600),
            negative_max_ttl: Duration::from_secs(60),
        }
    }
}

impl HickoryConfig {
    /// Hickory, with the name servers; none where there is none to ask.
    pub(super) fn dns(&self) -> Option<TokioResolver> {
        let dns = name_servers(self).and_then(|(servers, options)| build(servers, options, self));
        dns.inspect_err(|error| tracing::warn!(%error, "no DNS: only the hosts file is known")).ok()
    }

    /// What the hosts file says.
    pub(super) fn hosts(&self) -> Hosts {
        let mut hosts = Hosts::default();
        if let Some(path) = &self.hosts_file
            && let Err(error) = fs::File::open(path).and_then(|file| hosts.read_hosts_conf(file))
        {
            tracing::debug!(%error, path = %path.display(), "no hosts file");
        }
        hosts
    }
}

/// The servers, with the options that came with them.
pub(super) fn name_servers(
    config: &HickoryConfig,
) -> io::Result<(Vec<NameServerConfig>, ResolverOpts)> {
    let (servers, mut options) = match &config.name_servers {
        NameServers::ResolvConf(path) => {
            let (system, options) = parse_resolv_conf(fs::read(path)?).map_err(io::Error::other)?;
            (system.into_parts().2, options)
        }
        NameServers::List(servers) => {
            (servers.iter().map(|server| at(*server)).collect(), ResolverOpts::default())
        }
    };
    if servers.is_empty() {
        return Err(io::Error::other("no name server is configured"));
    }
    options.timeout = options.timeout.min(config.timeout);
    Ok((servers, options))
}

pub(super) fn at(server: SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = server.port();
        connection
    });
    NameServerConfig::new(server.ip(), true, connections.into())
}

pub(super) fn build(
    servers: Vec<NameServerConfig>,
    mut options: ResolverOpts,
    config: &HickoryConfig,
) -> io::Result<TokioResolver> {
    options.ndots = 0;
    // The cache and the hosts file are ours: they see both families together.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.preserve_intermediates = true;
    options.max_active_requests = 2 * MAX_LOOKUPS;
    options.positive_max_ttl = Some(config.max_ttl);
    let servers = ResolverConfig::from_name_servers(servers);
    let mut builder = Hickory::builder_with_config(servers, TokioRuntimeProvider::default());
    *builder.options_mut() = options;
    builder.build().map_err(io::Error::other)
}

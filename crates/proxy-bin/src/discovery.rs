//! Endpoints of upstreams that are found: in files, which are watched, and in DNS.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy_core::{Clock, SystemClock};
use proxy_upstream::{Discovering, Discovery, DiscoveryConfig, DnsDiscovery, Endpoint};

use crate::compose::Resources;
use crate::config::endpoints_of;
use crate::config::resolved::{self, Discover};
use crate::files::Stamp;

/// How often a file is looked at.
const INTERVAL: Duration = Duration::from_secs(1);

/// How the endpoints of an upstream are found; none where they are written down.
pub fn of(own: &resolved::Upstream, resources: &Resources) -> Option<DiscoveryConfig> {
    let clock = || Arc::new(SystemClock) as Arc<dyn Clock>;
    let source: Arc<dyn Discovery> = match own.discover.as_ref()? {
        Discover::File(path, stamp) => Arc::new(FileDiscovery {
            path: path.clone(),
            secure: own.tls.is_some(),
            read: Mutex::new(*stamp),
            clock: clock(),
        }),
        Discover::Dns(what) => {
            Arc::new(DnsDiscovery::new(what.clone(), Arc::clone(&resources.resolver), clock()))
        }
    };
    Some(DiscoveryConfig { source, recorder: resources.recorder.clone() })
}

/// An endpoint as an upstream knows it.
pub fn endpoint(own: &resolved::Endpoint) -> Endpoint {
    Endpoint {
        weight: own.weight,
        backup: own.backup,
        zone: own.zone.clone(),
        socket: own.socket.clone(),
        ..Endpoint::new(&*own.host, own.port)
    }
}

/// A file of endpoints, read again when it changes.
struct FileDiscovery {
    path: PathBuf,
    secure: bool,
    /// As it was when it was read last.
    read: Mutex<Stamp>,
    clock: Arc<dyn Clock>,
}

impl FileDiscovery {
    /// Ends when it is another file than was read last, and has rested for an interval: what is
    /// being written is not read.
    async fn changed(&self) -> Stamp {
        let mut seen = None;
        loop {
            self.clock.sleep_until(self.clock.now() + INTERVAL).await;
            let stamp = Stamp::of(&self.path);
            let read = *self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if stamp != read && seen == Some(stamp) {
                return stamp;
            }
            seen = Some(stamp);
        }
    }
}

impl Discovery for FileDiscovery {
    fn next(&self) -> Discovering<'_> {
        Box::pin(async {
            let stamp = self.changed().await;
            // Whatever is in it, it is read once.
            *self.read.lock().unwrap_or_else(PoisonError::into_inner) = stamp;
            let path = self.path.clone();
            let read = tokio::task::spawn_blocking(move || endpoints_of(&path)).await;
            let (secure, endpoints) = read.map_err(|error| error.to_string())??;
            if secure != self.secure {
                let scheme = if self.secure { "https" } else { "http" };
                return Err(format!("expected only `{scheme}://` endpoints, as before").into());
            }
            Ok(endpoints.iter().map(endpoint).collect())
        })
    }
}

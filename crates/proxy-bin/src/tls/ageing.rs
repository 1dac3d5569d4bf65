//! Certificates that grow old are spoken of before clients find out.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use proxy_core::Clock;
use proxy_server::tls::{CertificateDoubt, TlsEdge};

use crate::config::resolved::Resolved;

/// How often it is said that a certificate grows old.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);

/// Warns of them once a day; at start, the check of the configuration does.
pub struct Ageing {
    listeners: Vec<(String, Arc<TlsEdge>)>,
    clock: Arc<dyn Clock>,
}

impl Ageing {
    /// Looks at the certificates of all listeners; none where none speaks TLS.
    pub fn of(config: &Resolved, clock: Arc<dyn Clock>) -> Option<Self> {
        let listeners = config.listeners.iter();
        let listeners: Vec<_> = listeners
            .filter_map(|own| Some((own.name.clone(), Arc::clone(&own.tls.as_ref()?.edge))))
            .collect();
        (!listeners.is_empty()).then_some(Self { listeners, clock })
    }

    /// Goes on for ever.
    pub async fn run(self) {
        loop {
            self.clock.sleep_until(self.clock.now() + INTERVAL).await;
            for line in self.warnings(self.clock.wall()) {
                tracing::warn!("{line}");
            }
        }
    }

    fn warnings(&self, now: SystemTime) -> Vec<String> {
        let mut lines = Vec::new();
        for (listener, edge) in &self.listeners {
            for certificate in edge.certificates().certificates() {
                for doubt in certificate.doubts(now) {
                    use CertificateDoubt as D;
                    if matches!(doubt, D::Expired(_) | D::ExpiresSoon(_) | D::NotYet(_)) {
                        let names = certificate.names();
                        lines.push(format!(
                            "listener {listener}: the certificate for {names} {doubt}"
                        ));
                    }
                }
            }
        }
        lines
    }
}

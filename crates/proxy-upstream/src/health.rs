//! Active checks: asking endpoints how they are, whether or not anybody else asks them anything.
//!
//! [`HealthChecks`] is a future that the program runs beside its work; nothing is spawned here. It
//! checks every endpoint of a [cluster](crate::cluster) at an interval with a little jitter, and
//! tells the cluster. How an endpoint is checked is a [`Probe`]: [`HttpProbe`] sends a request,
//! [`TcpProbe`] and [`LocalProbe`] only connect. Redirects are not followed, and no more of an answer is read than
//! [`MAX_CONTENT`].

mod http;
mod tcp;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use ::http::{HeaderName, Method, StatusCode};
use futures_util::future::join_all;
use proxy_core::clock::later;

use crate::cluster::Cluster;

pub use http::{HttpProbe, MAX_CONTENT};
pub use tcp::{LocalProbe, TcpProbe};

/// What a check found out: why it failed, in a few words for operators.
pub type Checked = Result<(), Box<str>>;

/// The future of a check.
pub type Checking<'a> = Pin<Box<dyn Future<Output = Checked> + Send + 'a>>;

/// Checks one endpoint.
pub trait Probe: Send + Sync + 'static {
    /// One check. It has no time limit of its own.
    fn check(&self) -> Checking<'_>;
}

/// How endpoints are checked.
#[derive(Clone, Debug, PartialEq)]
pub struct HealthCheckConfig {
    /// What is asked of them; `None`: nothing, it is enough that they take a connection.
    pub http: Option<HttpCheck>,
    /// The port that is asked, where it is not the endpoint's own.
    pub port: Option<u16>,
    /// From the end of one check to the next, a tenth more or less. Default: 5 s.
    pub interval: Duration,
    /// How long a check may take. Default: 2 s.
    pub timeout: Duration,
    /// Checks that pass in a row before an endpoint that was down is back. Default: 2.
    pub healthy_after: u32,
    /// Checks that fail in a row before an endpoint is down. Default: 3.
    pub unhealthy_after: u32,
}

impl Default for HealthCheckConfig {
    fn default() -> Self {
        Self {
            http: None,
            port: None,
            interval: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            healthy_after: 2,
            unhealthy_after: 3,
        }
    }
}

/// A request, and the answer that is expected.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpCheck {
    /// The target in origin-form. Default: `/`.
    pub target: String,
    /// The method. Default: GET.
    pub method: Method,
    /// The `Host`, where it is not the one that requests get, or the endpoint's own.
    pub host: Option<String>,
    /// The statuses of a healthy endpoint; empty: 2xx and 3xx.
    pub statuses: Vec<StatusCode>,
    /// A field, and a text that its value must contain.
    pub field: Option<(HeaderName, String)>,
    /// A text that the first [`MAX_CONTENT`] bytes of the content must contain.
    pub content: Option<String>,
}

impl Default for HttpCheck {
    fn default() -> Self {
        Self {
            target: "/".to_owned(),
            method: Method::GET,
            host: None,
            statuses: Vec::new(),
            field: None,
            content: None,
        }
    }
}

/// See the [module](self).
pub struct HealthChecks {
    cluster: Arc<Cluster>,
    probes: Vec<Box<dyn Probe>>,
    config: HealthCheckConfig,
}

impl HealthChecks {
    /// Checks the endpoints of a cluster by one probe for each, in order.
    pub fn new(
        cluster: Arc<Cluster>,
        probes: Vec<Box<dyn Probe>>,
        config: HealthCheckConfig,
    ) -> Self {
        cluster.set_checked();
        Self { cluster, probes, config }
    }

    /// Checks for ever. The first checks are spread over a tenth of the interval.
    pub async fn run(self) {
        let watches = self.probes.iter().enumerate();
        join_all(watches.map(|(index, probe)| self.watch(index, &**probe))).await;
    }

    async fn watch(&self, index: usize, probe: &dyn Probe) {
        let jitter = || self.config.interval.mul_f64(self.cluster.random().fraction() / 5.0);
        self.sleep(jitter() / 2).await;
        loop {
            let result = tokio::select! {
                biased;
                result = probe.check() => result,
                () = self.sleep(self.config.timeout) => Err("no answer in time".into()),
            };
            let HealthCheckConfig { healthy_after, unhealthy_after, .. } = self.config;
            self.cluster.checked(index, result, healthy_after, unhealthy_after);
            self.sleep(self.config.interval.mul_f64(0.9).saturating_add(jitter())).await;
        }
    }

    async fn sleep(&self, time: Duration) {
        let clock = self.cluster.clock();
        clock.sleep_until(later(clock.now(), time)).await;
    }
}

impl std::fmt::Debug for HealthChecks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HealthChecks").field("config", &self.config).finish_non_exhaustive()
    }
}

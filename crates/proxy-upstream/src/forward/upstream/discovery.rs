//! Endpoints that come and go: who says which there are, and the change from one set to the next.

use std::fmt;
use std::future::{Future, pending};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};
use tokio::sync::Notify;

use super::{Endpoint, Generation, Now, Upstream};

/// Changes of an upstream's endpoints; labels `upstream`, `outcome` (`changed`, `unchanged`,
/// `failed`).
const FOUND: &str = "proxy_upstream_discoveries_total";

/// The most endpoints that an upstream may have.
const MAX_ENDPOINTS: usize = 4096;

/// The future of one look: the endpoints that there are, or why nobody knows.
pub type Discovering<'a> =
    Pin<Box<dyn Future<Output = Result<Vec<Endpoint>, Box<str>>> + Send + 'a>>;

/// Says which endpoints an upstream has.
///
/// What it says that is empty, or an error, changes nothing: the last that were found stay.
pub trait Discovery: Send + Sync + 'static {
    /// Waits until there may be something new (the first time for nothing), and says what there
    /// is. Of several endpoints of one name the first counts.
    fn next(&self) -> Discovering<'_>;
}

/// How the endpoints of an upstream are found.
#[derive(Clone)]
pub struct DiscoveryConfig {
    /// Who says which there are.
    pub source: Arc<dyn Discovery>,
    /// Where endpoints that are new count, if anywhere.
    pub recorder: Option<Arc<dyn Recorder + Send + Sync>>,
}

impl fmt::Debug for DiscoveryConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DiscoveryConfig")
    }
}

/// The endpoints that were found last.
pub(super) struct Discovered {
    config: DiscoveryConfig,
    now: ArcSwap<Generation>,
    changing: Mutex<()>,
    changed: Notify,
}

impl Discovered {
    pub(super) fn new(config: DiscoveryConfig, first: Arc<Generation>) -> Self {
        let (changing, changed) = (Mutex::default(), Notify::new());
        Self { config, now: ArcSwap::new(first), changing, changed }
    }

    pub(super) fn now(&self) -> Arc<Generation> {
        self.now.load_full()
    }

    /// `false` where these are there already.
    fn replace(&self, found: Vec<Endpoint>) -> bool {
        let mut endpoints: Vec<Endpoint> = Vec::with_capacity(found.len());
        for endpoint in found {
            if !endpoints.iter().any(|own| own.name() == endpoint.name()) {
                endpoints.push(endpoint);
            }
        }
        // Their order says nothing.
        endpoints.sort_by_cached_key(Endpoint::name);
        endpoints.truncate(MAX_ENDPOINTS);
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.now.load_full();
        if before.shared.config.endpoints == endpoints {
            return false;
        }
        let names: Vec<String> = endpoints.iter().map(Endpoint::name).collect();
        let upstream = &*before.shared.config.name;
        tracing::info!(upstream, endpoints = names.join(" "), "the endpoints have changed");
        let recorder = self.config.recorder.as_deref().map(|recorder| recorder as &dyn Recorder);
        self.now.store(Arc::new(before.succeed(endpoints, recorder)));
        self.changed.notify_waiters();
        true
    }
}

impl Upstream {
    /// Finds out which endpoints there are and checks them, for ever; `None` where it does
    /// neither. Run it beside the service, once.
    pub fn upkeep(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        match &self.now {
            Now::Fixed(generation, _) => {
                let checks = generation.health_checks()?;
                Some(Box::pin(checks.run()))
            }
            Now::Found(found) => {
                let (found, meters) = (Arc::clone(found), Meters::new(self.name(), found));
                Some(Box::pin(async move {
                    tokio::join!(discover(&found, &meters), check(&found));
                }))
            }
        }
    }
}

async fn discover(found: &Discovered, meters: &Meters) {
    let mut was_well = true;
    loop {
        let problem = match found.config.source.next().await {
            Ok(endpoints) if endpoints.is_empty() => Box::from("there are none"),
            Ok(endpoints) => {
                was_well = true;
                meters.count(if found.replace(endpoints) { 0 } else { 1 });
                continue;
            }
            Err(problem) => problem,
        };
        meters.count(2);
        // Once, and not every few seconds.
        if std::mem::take(&mut was_well) {
            let upstream = &*found.now().shared.config.name;
            tracing::warn!(upstream, problem, "endpoints are not known; the last ones stay");
        }
    }
}

/// Checks whichever endpoints there are.
async fn check(found: &Discovered) {
    loop {
        let mut changed = pin!(found.changed.notified());
        // From here on no change is missed.
        changed.as_mut().enable();
        let checks = found.now().health_checks();
        let checking = async {
            match checks {
                Some(checks) => checks.run().await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = checking => {}
        }
    }
}

struct Meters(Option<[Counter; 3]>);

impl Meters {
    fn new(upstream: &str, found: &Discovered) -> Self {
        let Some(recorder) = &found.config.recorder else { return Self(None) };
        let what = SharedString::const_str("Looks for the endpoints of an upstream, by outcome.");
        recorder.describe_counter(KeyName::from_const_str(FOUND), Some(Unit::Count), what);
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        Self(Some(["changed", "unchanged", "failed"].map(|outcome| {
            let upstream = Label::new("upstream", upstream.to_owned());
            let labels = vec![upstream, Label::from_static_parts("outcome", outcome)];
            recorder.register_counter(&Key::from_parts(FOUND, labels), &metadata)
        })))
    }

    fn count(&self, outcome: usize) {
        if let Some(counters) = &self.0 {
            counters[outcome].increment(1);
        }
    }
}

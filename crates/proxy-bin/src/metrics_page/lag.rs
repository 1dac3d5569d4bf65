//! How late a worker is: the longer its tasks compute between two waits, the later its timers.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use proxy_server::Workers;
use tokio::time::Instant;

/// How often a worker is looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// How many looks are remembered.
const LOOKS: usize = 16;

/// How late the workers are. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Lag(Arc<Mutex<Vec<Arc<AtomicU64>>>>);

impl Lag {
    /// The longest of all workers.
    pub fn seconds(&self) -> f64 {
        let workers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = workers.iter().map(|own| own.load(Ordering::Relaxed)).max();
        micros.unwrap_or(0) as f64 / 1e6
    }

    fn worker(&self) -> Arc<AtomicU64> {
        let own = Arc::new(AtomicU64::new(0));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&own));
        own
    }
}

/// Looks at each worker once a second, as long as there are workers.
pub fn watch(workers: &Workers) -> Lag {
    let lag = Lag::default();
    let watched = lag.clone();
    workers.on_each(move || {
        let own = watched.worker();
        async move {
            let mut looks = [0; LOOKS];
            for at in (0..LOOKS).cycle() {
                let due = Instant::now() + INTERVAL;
                tokio::time::sleep_until(due).await;
                let late = Instant::now().saturating_duration_since(due);
                looks[at] = u64::try_from(late.as_micros()).unwrap_or(u64::MAX);
                own.store(looks.iter().copied().max().unwrap_or(0), Ordering::Relaxed);
            }
        }
    });
    lag
}

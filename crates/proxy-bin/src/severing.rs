//! Severing: tunnels that the rules in effect would not open any more are closed, those too that are
//! being opened at the moment.
//!
//! A tunnel was judged when it was asked for, and opens when its destination has answered. So there
//! is a number that goes up with each severing: who has asked under another number is judged again
//! before his tunnel opens, and one that opens at that very moment finds that the number has changed.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use proxy_core::Exchange;
use proxy_server::Drain;

use crate::generation::Generation;
use crate::sever::is_permitted;

/// Tunnels that are judged before other tasks have their turn.
const AT_A_TIME: usize = 32;

/// Judges tunnels again. A clone is the same.
#[derive(Clone, Debug, Default)]
pub struct Severing(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    times: AtomicU64,
    by: Mutex<(Weak<Generation>, Drain)>,
}

impl Severing {
    /// Tunnels of this drain are judged by these rules from now on.
    pub fn judge_by(&self, generation: &Arc<Generation>, drain: &Drain) {
        let by = (Arc::downgrade(generation), drain.clone());
        *self.0.by.lock().unwrap_or_else(PoisonError::into_inner) = by;
    }

    fn by(&self) -> (Option<Arc<Generation>>, Drain) {
        let (generation, drain) = &*self.0.by.lock().unwrap_or_else(PoisonError::into_inner);
        (generation.upgrade(), drain.clone())
    }

    /// How often tunnels were judged again.
    pub fn times(&self) -> u64 {
        self.0.times.load(Ordering::SeqCst)
    }

    /// Whether a tunnel that was asked for when this was the number may be opened still; gives the
    /// number under which that holds.
    pub async fn permits(&self, mut asked: u64, tunnel: &Exchange) -> Option<u64> {
        loop {
            let times = self.times();
            if times == asked {
                return Some(asked);
            }
            let (generation, _) = self.by();
            if !is_permitted(&*generation?, tunnel).await {
                return None;
            }
            asked = times;
        }
    }

    /// Judges open tunnels by the rules in effect, as if each were asked for now by the client that
    /// has opened it, and closes those that would be refused. Says how many that were.
    ///
    /// What their clients have shown to be who they are is not asked for again, and the addresses
    /// that were dialled are not judged again.
    pub async fn judge_again(&self) -> usize {
        // First: what opens from here on is judged there.
        self.0.times.fetch_add(1, Ordering::SeqCst);
        let (Some(generation), drain) = self.by() else { return 0 };
        let (mut severed, mut judged) = (0, 0);
        for live in drain.connections() {
            let Some(tunnel) = live.tunnel().and_then(|own| own.exchange()) else { continue };
            if !is_permitted(&generation, tunnel).await {
                live.end();
                severed += 1;
            }
            judged += 1;
            if judged % AT_A_TIME == 0 {
                tokio::task::yield_now().await;
            }
        }
        severed
    }
}

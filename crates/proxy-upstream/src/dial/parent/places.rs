//! Which of a parent's places is asked, and which were not there of late.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::{Parent, ParentConfig};
use crate::BalanceKind;
use crate::balance::hash_of;
use crate::cluster::{Cluster, ClusterConfig, MemberConfig, OutlierConfig, Permit};
use crate::forward::{Means, balancer};
use crate::guard::HostKind;

/// How long one place is tried where there are others.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a place where nobody was is left alone, the first time and the longest.
pub(super) const AVOIDED: [Duration; 2] = [Duration::from_secs(10), Duration::from_secs(60)];

/// The places of a parent as a cluster: one that can not be connected to is ejected at once.
pub(super) fn cluster(config: &ParentConfig, means: &Means<'_>) -> Cluster {
    let members = config.places.iter().map(|place| MemberConfig {
        weight: place.weight,
        backup: place.backup,
        ..MemberConfig::new(&place.name())
    });
    let outlier = OutlierConfig {
        consecutive_failures: 1,
        eject_for: AVOIDED[0],
        max_eject_for: AVOIDED[1],
        max_ejected: 1.0,
        // What a parent answers is about destinations.
        statuses: Vec::new(),
        ..OutlierConfig::default()
    };
    let cluster = ClusterConfig {
        outlier: Some(outlier),
        slow_start: Duration::ZERO,
        ..ClusterConfig::new(&format!("parent:{}", config.name), members.collect())
    };
    let (clock, random) = (Arc::clone(&means.clock), Arc::clone(&means.random));
    // Of a single place there is nothing to tell.
    let recorder = means.recorder.filter(|_| config.places.len() > 1);
    Cluster::new(cluster, balancer(&config.balance), clock, random, recorder)
}

/// What a destination is hashed by, where it is: the same over CONNECT and in absolute-form.
pub(super) fn key_of(config: &ParentConfig, host: &HostKind<'_>) -> Option<u64> {
    let is_hashed = matches!(config.balance, BalanceKind::Hash { .. });
    is_hashed.then(|| match host {
        HostKind::Name(name) => hash_of(name.as_bytes()),
        HostKind::Address(ip) => hash_of(ip.to_canonical().to_string().as_bytes()),
    })
}

/// The places of a parent, one after the other, on behalf of one request.
pub(crate) struct Search {
    parent: Parent,
    key: Option<u64>,
    deadline: Instant,
    tried: Vec<usize>,
}

impl Search {
    /// For a destination; the caller waits until `deadline`.
    pub(crate) fn new(parent: &Parent, host: &HostKind<'_>, deadline: Instant) -> Self {
        let key = key_of(parent.config(), host);
        Self { parent: parent.clone(), key, deadline, tried: Vec::new() }
    }

    /// The next place, each only once: by the balancer first those that are in service, then
    /// those that were not there of late, unless destinations may be reached directly instead.
    pub(crate) fn next(&mut self) -> Option<Permit> {
        if self.parent.is_left_alone() {
            return None;
        }
        let cluster = &self.parent.shared.cluster;
        let admitted = cluster.admit(self.key, None, &self.tried).ok();
        let admitted = admitted.filter(|permit| !self.tried.contains(&permit.index()));
        let left_out = || match self.parent.config().direct {
            true => None,
            false => cluster.admit_left_out(&self.tried),
        };
        let permit = admitted.or_else(left_out)?;
        self.tried.push(permit.index());
        Some(permit)
    }

    /// Whether any was tried.
    pub(crate) fn has_tried(&self) -> bool {
        !self.tried.is_empty()
    }

    /// How long the place that came last may take to be connected to. The caller's time is for all
    /// of them, and for the direct way, where there is one: nobody is to use up what others need.
    pub(crate) fn patience(&self) -> Duration {
        match self.others() + u32::from(self.parent.config().direct) {
            0 => self.left(),
            others => PATIENCE.min(self.left() / others.saturating_add(1)),
        }
    }

    /// How long it may take to answer then. Its time is also the destination's, which may be far:
    /// an equal part of what is left.
    pub(crate) fn patience_for_answer(&self) -> Duration {
        self.left() / self.others().saturating_add(1)
    }

    /// Those that were not tried.
    fn others(&self) -> u32 {
        let others = self.parent.config().places.len().saturating_sub(self.tried.len());
        u32::try_from(others).unwrap_or(u32::MAX - 1)
    }

    fn left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use std::iter::from_fn;

    use super::super::{ParentKind, ParentPlace};
    use super::*;
    use crate::cluster::Outcome;
    use crate::dispatch::tests::PausedClock;
    use crate::guard::parse_host;

    fn parent(balance: BalanceKind, backups: &[bool]) -> Parent {
        let place = |(at, backup): (usize, &bool)| ParentPlace {
            backup: *backup,
            ..ParentPlace::new(format!("p{at}.test"), 3128)
        };
        let places = backups.iter().enumerate().map(place).collect();
        let config = ParentConfig::new("corp", ParentKind::Http, "p0.test", 3128);
        let means = Means { clock: Arc::new(PausedClock), ..Means::default() };
        Parent::with(ParentConfig { places, balance, ..config }, &means)
    }

    fn search(parent: &Parent, host: &str) -> Search {
        let deadline = Instant::now() + Duration::from_secs(10);
        Search::new(parent, &parse_host(host).unwrap(), deadline)
    }

    /// The order in which places are tried by one request.
    fn order(parent: &Parent) -> Vec<usize> {
        let mut search = search(parent, "x.test");
        from_fn(|| search.next()).map(|own| own.index()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn where_nobody_was_is_tried_last_for_a_while() {
        let parent = parent(BalanceKind::First, &[false; 3]);
        assert_eq!(order(&parent), [0, 1, 2]);
        let missed = |place: usize| {
            let mut search = search(&parent, "x.test");
            let found = from_fn(|| search.next()).find(|own| own.index() == place);
            found.unwrap().report(Outcome::Failed);
        };
        missed(0);
        assert_eq!(order(&parent), [1, 2, 0]);
        missed(1);
        assert_eq!(order(&parent), [2, 0, 1]);
        // The last one stays, whatever is said of it.
        missed(2);
        assert_eq!(order(&parent), [2, 0, 1]);
        // One that answers although nobody expected it is back at once.
        parent.reached(1);
        assert_eq!(order(&parent), [1, 2, 0]);
        tokio::time::advance(AVOIDED[0]).await;
        assert_eq!(order(&parent), [0, 1, 2]);
    }

    #[tokio::test(start_paused = true)]
    async fn backups_come_after_all_others() {
        let parent = parent(BalanceKind::RoundRobin, &[true, false, false]);
        for _ in 0..4 {
            assert_eq!(order(&parent).last(), Some(&0));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_destination_has_its_place() {
        let above = 0.25;
        let kind = BalanceKind::Hash { key: crate::balance::HashKey::Host, above };
        let parent = parent(kind, &[false; 3]);
        let first = |host: &str| search(&parent, host).next().unwrap().index();
        let mut found = [0; 3];
        for at in 0..300 {
            let host = format!("{at}.test");
            found[first(&host)] += 1;
            assert_eq!(first(&host), first(&format!("{}.", host.to_uppercase())), "{host}");
        }
        assert!(found.iter().all(|count| *count > 60), "{found:?}");
    }
}

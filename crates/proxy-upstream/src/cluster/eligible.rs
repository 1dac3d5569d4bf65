//! Who is in service: made anew when that changes, read by every request.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use proxy_core::clock::later;

use super::member::{Member, MemberConfig};
use super::{CheckState, Cluster};
use crate::balance::{Candidate, View, schedule};

/// Endpoints of our zone, and of others.
type NearAndFar = (Box<[u16]>, Box<[u16]>);

#[derive(Debug, Default)]
pub(super) struct Eligible {
    /// The endpoints that get requests, as indices of members.
    pub(super) positions: Box<[u16]>,
    pub(super) schedule: Box<[u16]>,
    /// Backups that are well, for requests that the others failed.
    pub(super) reserve: Box<[u16]>,
    pub(super) reserve_schedule: Box<[u16]>,
    /// When an ejection or a slow start ends.
    until: Option<Instant>,
    pub(super) warming: bool,
    pub(super) panic: bool,
    /// Only those of our zone are among the positions; the reserve has the others.
    pub(super) is_local: bool,
}

impl Cluster {
    pub(super) fn eligible_at(&self, now: Instant) -> arc_swap::Guard<Arc<Eligible>> {
        let eligible = self.eligible.load();
        match eligible.until {
            Some(until) if until <= now => {
                drop(eligible);
                self.refresh(now);
                self.eligible.load()
            }
            _ => eligible,
        }
    }

    /// Finds anew who is in service.
    pub(super) fn refresh(&self, now: Instant) {
        self.decide(now);
        if let Some(next) = self.successor.get() {
            return next.refresh(now);
        }
        // Nobody else tells those who wait that there is room, or that there is none for long.
        self.call_those_who_fit();
    }

    /// Calls as many of those who wait as may come now.
    pub(crate) fn call_those_who_fit(&self) {
        // A limit that was raised, say, comes before the look at the queue: whoever enters it later
        // sees what there is (see `Waiting::enter`).
        fence(Ordering::SeqCst);
        if self.queue.len() > 0 {
            self.queue.fill(self.room());
        }
    }

    /// How many requests may come now; all, where each is refused at once.
    fn room(&self) -> usize {
        let eligible = self.eligible.load();
        let most = self.config.most_in_flight();
        if eligible.positions.is_empty() {
            return usize::MAX;
        }
        let free = |index: &u16| {
            let member = &self.members[usize::from(*index)];
            member.limit(most).saturating_sub(member.in_flight.load(Ordering::Acquire))
        };
        // Those of other zones take what ours do not.
        let far = eligible.is_local.then_some(&eligible.reserve).into_iter().flatten();
        eligible.positions.iter().chain(far).map(free).fold(0, usize::saturating_add)
    }

    fn decide(&self, now: Instant) {
        let _deciding = self.lock();
        let before = self.eligible.load();
        let mut until: Option<Instant> = None;
        let mut note = |at: Instant| until = Some(until.map_or(at, |before| before.min(at)));
        let mut warming = false;
        for member in &self.members {
            let mut condition = member.condition();
            match condition.ejected_until {
                Some(end) if end <= now => {
                    condition.ejected_until = None;
                    condition.changed = now;
                    drop(condition);
                    self.welcome(member, now);
                }
                Some(end) => note(end),
                None => {}
            }
            let since = member.warm_since.load(Ordering::Relaxed);
            if since > 0 {
                let began = self.begun + Duration::from_nanos(since - 1);
                let end = later(began, self.config.slow_start);
                if end <= now {
                    member.warm_since.store(0, Ordering::Relaxed);
                } else {
                    warming = true;
                    note(end);
                }
            }
        }
        let tier = |backup: bool, healthy: bool| -> Box<[u16]> {
            let own = self.members.iter().zip(0_u16..);
            own.filter(|(member, _)| member.config.backup == backup && member.config.weight > 0)
                .filter(|(member, _)| !healthy || member.is_in_service(now))
                .map(|(_, index)| index)
                .collect()
        };
        let (all, well, reserve) = (tier(false, false), tier(false, true), tier(true, true));
        let share = well.len() as f64 / all.len().max(1) as f64;
        let panic = !all.is_empty() && share < self.config.panic_threshold;
        let (positions, reserve) = match (panic, well.is_empty()) {
            // Backups that are well are better than guessing.
            (_, true) if !reserve.is_empty() => (reserve, Box::default()),
            (true, _) => (all, reserve),
            (false, _) => (well, reserve),
        };
        let (positions, reserve, is_local) = match self.of_our_zone(&positions).filter(|_| !panic) {
            // Backups are for when there is no other, and there are others.
            Some((near, far)) => (near, far, true),
            None => (positions, reserve, false),
        };
        let weigh = |indices: &[u16]| {
            let weight = |index: &u16| self.members[usize::from(*index)].config.weight;
            schedule(&indices.iter().map(weight).collect::<Vec<_>>())
        };
        if before.panic != panic {
            tracing::warn!(upstream = &*self.config.name, panic, "panic threshold crossed");
        }
        self.eligible.store(Arc::new(Eligible {
            schedule: weigh(&positions),
            positions,
            reserve_schedule: weigh(&reserve),
            reserve,
            until,
            warming,
            panic,
            is_local,
        }));
    }

    /// The endpoints of our zone, and the others; `None` where they are not told apart: nobody says
    /// where we are, all or none are near, or too few of those near are in service to take it all.
    fn of_our_zone(&self, positions: &[u16]) -> Option<NearAndFar> {
        let zone = self.config.zone.as_ref()?;
        let is_near = |member: &MemberConfig| member.zone.as_ref() == Some(zone);
        let (near, far): (Vec<u16>, Vec<u16>) =
            positions.iter().partition(|index| is_near(&self.members[usize::from(**index)].config));
        let takes = |member: &&Arc<Member>| {
            is_near(&member.config) && !member.config.backup && member.config.weight > 0
        };
        let all = self.members.iter().filter(takes).count();
        let enough = !near.is_empty() && !far.is_empty() && near.len() * 2 >= all;
        enough.then(|| (near.into(), far.into()))
    }

    /// An endpoint comes back.
    pub(super) fn welcome(&self, member: &Member, now: Instant) {
        member.latency.forget();
        member.window.clear();
        // The next failure says that it was too early.
        let threshold = self.config.outlier.as_ref().map_or(0, |own| own.consecutive_failures);
        let had = member.condition().ejections > 0;
        let credit = if had { threshold.saturating_sub(1) } else { 0 };
        member.consecutive.store(credit, Ordering::Relaxed);
        if !self.config.slow_start.is_zero() {
            member.warm_since.store(self.nanos(now), Ordering::Relaxed);
        }
        if member.condition().check != CheckState::Unhealthy {
            tracing::info!(
                upstream = &*self.config.name,
                endpoint = &*member.config.name,
                "an endpoint is back in service"
            );
        }
    }
}

/// What is offered to a balancer.
pub(super) struct Offer<'a> {
    pub(super) members: &'a [Arc<Member>],
    pub(super) indices: &'a [u16],
    pub(super) avoid: &'a [usize],
    /// Requests that any may have at a time; its own limit may be lower.
    pub(super) limit: usize,
    /// Nanoseconds of the cluster, where that matters.
    pub(super) now: u64,
    /// How long a slow start takes, where one of them may be in it.
    pub(super) slow_start: Option<Duration>,
}

impl Offer<'_> {
    fn member(&self, position: usize) -> &Member {
        &self.members[usize::from(self.indices[position])]
    }

    /// Whether a member is among those offered, and open.
    pub(super) fn takes(&self, index: usize) -> bool {
        self.indices.iter().any(|own| usize::from(*own) == index)
            && !self.avoid.contains(&index)
            && self.has_room(&self.members[index])
    }

    fn has_room(&self, member: &Member) -> bool {
        member.in_flight.load(Ordering::Relaxed) < member.limit(self.limit)
    }

    fn weight(&self, position: usize) -> f64 {
        f64::from(self.member(position).config.weight) * self.warmth(position)
    }
}

impl View for Offer<'_> {
    fn candidate(&self, position: usize) -> Candidate {
        let member = self.member(position);
        Candidate {
            is_open: self.is_open(position),
            weight: self.weight(position),
            in_flight: member.in_flight.load(Ordering::Relaxed),
            latency: View::latency(self, position),
        }
    }

    fn is_open(&self, position: usize) -> bool {
        let index = usize::from(self.indices[position]);
        self.has_room(&self.members[index]) && !self.avoid.contains(&index)
    }

    fn load(&self, position: usize) -> f64 {
        let in_flight = self.member(position).in_flight.load(Ordering::Relaxed);
        in_flight as f64 / self.weight(position)
    }

    fn weight(&self, position: usize) -> f64 {
        Offer::weight(self, position)
    }

    fn in_flight(&self, position: usize) -> usize {
        self.member(position).in_flight.load(Ordering::Relaxed)
    }

    fn latency(&self, position: usize) -> Option<Duration> {
        // Where nobody wants to know, nobody says what time it is.
        if self.now == 0 { None } else { self.member(position).latency.get(self.now) }
    }

    fn identity(&self, position: usize) -> u64 {
        self.member(position).identity
    }

    fn warmth(&self, position: usize) -> f64 {
        self.slow_start.map_or(1.0, |whole| self.member(position).warmth(self.now, whole))
    }
}

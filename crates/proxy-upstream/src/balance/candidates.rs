//! What a balancer sees of the endpoints.

use std::time::Duration;

/// The endpoints that may be chosen now: those in service of the best tier that has any.
///
/// Positions count from 0 to [`len`](Self::len); they hold for one choice only.
#[derive(Clone, Copy)]
pub struct Candidates<'a> {
    pub(crate) view: &'a dyn View,
    pub(crate) schedule: &'a [u16],
    pub(crate) len: usize,
}

/// Where [`Candidates`] come from.
pub(crate) trait View {
    fn candidate(&self, position: usize) -> Candidate;
    fn is_open(&self, position: usize) -> bool;
    fn load(&self, position: usize) -> f64;
    /// The weight of a candidate, without the rest of it.
    fn weight(&self, position: usize) -> f64 {
        self.candidate(position).weight
    }
    /// Its requests under way, without the rest of it.
    fn in_flight(&self, position: usize) -> usize {
        self.candidate(position).in_flight
    }
    /// How long it takes, without the rest of it.
    fn latency(&self, position: usize) -> Option<Duration> {
        self.candidate(position).latency
    }
    /// A hash of the name of the endpoint.
    fn identity(&self, position: usize) -> u64;
    /// The share of its weight that it has while it warms up.
    fn warmth(&self, _position: usize) -> f64 {
        1.0
    }
}

/// What is known of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// Whether it may be chosen: this request was not sent to it before, and its limits have room.
    pub is_open: bool,
    /// Its weight, less while it [warms up](crate::cluster::ClusterConfig::slow_start).
    pub weight: f64,
    /// Requests whose response is not whole.
    pub in_flight: usize,
    /// The time to a response's head, peaks kept for a while; faded by
    /// age; `None` before the first one, and long after the last, and where nobody
    /// [wants](crate::balance::Balancer::wants_latency) to know.
    pub latency: Option<Duration>,
}

impl Candidates<'_> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What is known of the one at `position`.
    pub fn get(&self, position: usize) -> Candidate {
        self.view.candidate(position)
    }

    /// [`Candidate::is_open`] of the one at `position`.
    pub fn is_open(&self, position: usize) -> bool {
        self.view.is_open(position)
    }

    /// [`Candidate::weight`] of the one at `position`: cheaper than all of it.
    pub fn weight(&self, position: usize) -> f64 {
        self.view.weight(position)
    }

    /// [`Candidate::in_flight`] of the one at `position`: cheaper than all of it.
    pub fn in_flight(&self, position: usize) -> usize {
        self.view.in_flight(position)
    }

    /// [`Candidate::latency`] of the one at `position`: cheaper than all of it.
    pub fn latency(&self, position: usize) -> Option<Duration> {
        self.view.latency(position)
    }

    /// Its requests in flight by its weight.
    pub fn load(&self, position: usize) -> f64 {
        self.view.load(position)
    }

    /// A hash of its name: the same for every process that knows the endpoint.
    pub fn identity(&self, position: usize) -> u64 {
        self.view.identity(position)
    }

    /// Positions in an order in which each comes as often as its weight says. Begin anywhere, and
    /// go round.
    pub fn schedule(&self) -> &[u16] {
        self.schedule
    }

    /// The positions of the schedule, from turn `start` on and once round.
    pub(crate) fn turns(&self, start: usize) -> impl Iterator<Item = usize> {
        let begin = if self.schedule.is_empty() { 0 } else { start % self.schedule.len() };
        let (before, after) = self.schedule.split_at(begin);
        after.iter().chain(before).map(|position| usize::from(*position))
    }

    /// The open position at turn `start` or after it.
    pub(crate) fn open_from(&self, start: usize) -> Option<usize> {
        self.turns(start).find(|position| self.is_open(*position))
    }
}

impl std::fmt::Debug for Candidates<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries((0..self.len).map(|position| self.get(position))).finish()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Candidates that a test makes up.
    #[derive(Clone, Debug)]
    pub(in super::super) struct Made(pub(in super::super) Vec<Candidate>);

    impl Made {
        pub(in super::super) fn of(weights: &[u32]) -> Self {
            let candidate = |weight: &u32| Candidate {
                is_open: true,
                weight: f64::from(*weight),
                in_flight: 0,
                latency: None,
            };
            Self(weights.iter().map(candidate).collect())
        }

        pub(in super::super) fn with<T>(&self, see: impl FnOnce(&Candidates<'_>) -> T) -> T {
            let weights: Vec<u32> = self.0.iter().map(|own| own.weight as u32).collect();
            let schedule = super::super::schedule(&weights);
            see(&Candidates { view: self, schedule: &schedule, len: self.0.len() })
        }
    }

    impl View for Made {
        fn candidate(&self, position: usize) -> Candidate {
            self.0[position]
        }
        fn is_open(&self, position: usize) -> bool {
            self.0[position].is_open
        }
        fn load(&self, position: usize) -> f64 {
            self.0[position].in_flight as f64 / self.0[position].weight
        }
        fn identity(&self, position: usize) -> u64 {
            super::super::hash_of(format!("endpoint-{position}").as_bytes())
        }
    }
}

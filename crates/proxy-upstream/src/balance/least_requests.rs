//! Whoever has the least to do, by its weight.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Balancer, Candidates, Random};

/// The endpoint with the fewest requests in flight for its weight. Those that have equally few
/// take turns, as their weights say.
#[derive(Debug, Default)]
pub struct LeastRequests {
    turn: AtomicUsize,
}

impl Balancer for LeastRequests {
    fn choose(&self, candidates: &Candidates<'_>, _: Option<u64>, _: &dyn Random) -> Option<usize> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let open = (0..candidates.len()).filter(|position| candidates.is_open(*position));
        let least = open.map(|position| candidates.load(position)).fold(f64::INFINITY, f64::min);
        // Meanwhile others choose as well: what was the least may not be so any more.
        let is_least =
            |position: &usize| candidates.is_open(*position) && candidates.load(*position) <= least;
        candidates.turns(start).find(is_least).or_else(|| candidates.open_from(start))
    }

    fn name(&self) -> &'static str {
        "least_requests"
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeededRandom;
    use super::super::candidates::tests::Made;
    use super::*;

    #[test]
    fn the_least_loaded_by_weight_and_turns_among_equals() {
        let random = SeededRandom::new(1);
        let own = LeastRequests::default();
        let choose = |made: &Made| made.with(|own_view| own.choose(own_view, None, &random));
        let mut made = Made::of(&[1, 2]);
        let idle: Vec<_> = (0..6).filter_map(|_| choose(&made)).collect();
        assert_eq!(idle.iter().filter(|position| **position == 1).count(), 4, "{idle:?}");
        (made.0[0].in_flight, made.0[1].in_flight) = (1, 3);
        assert_eq!(choose(&made), Some(0));
        made.0[0].in_flight = 2;
        assert_eq!(choose(&made), Some(1));
        made.0[1].is_open = false;
        assert_eq!(choose(&made), Some(0));
    }
}

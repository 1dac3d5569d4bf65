//! One after the other, each as often as its weight says.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Balancer, Candidates, Random};

/// Smooth weighted round robin.
#[derive(Debug, Default)]
pub struct RoundRobin {
    turn: AtomicUsize,
}

impl Balancer for RoundRobin {
    fn choose(&self, candidates: &Candidates<'_>, _: Option<u64>, _: &dyn Random) -> Option<usize> {
        candidates.open_from(self.turn.fetch_add(1, Ordering::Relaxed))
    }

    fn name(&self) -> &'static str {
        "round_robin"
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
    fn turns_follow_the_weights_and_pass_over_closed_ones() {
        let random = SeededRandom::new(1);
        let mut made = Made::of(&[2, 1]);
        let own = RoundRobin::default();
        let turn = |made: &Made| made.with(|candidates| own.choose(candidates, None, &random));
        let turns: Vec<_> = (0..6).filter_map(|_| turn(&made)).collect();
        assert_eq!(turns, [0, 1, 0, 0, 1, 0]);
        made.0[0].is_open = false;
        assert!((0..6).all(|_| turn(&made) == Some(1)));
        made.0[1].is_open = false;
        assert_eq!(turn(&made), None);
    }
}

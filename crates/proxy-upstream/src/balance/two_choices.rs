//! The better of two that chance names.

use super::{Balancer, Candidates, Random};

/// Two endpoints at random, as their weights say; of these the one with fewer requests in flight.
#[derive(Debug, Default)]
pub struct TwoChoices;

impl Balancer for TwoChoices {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &dyn Random,
    ) -> Option<usize> {
        let [one, other] = two(candidates, random)?;
        Some(if candidates.load(other) < candidates.load(one) { other } else { one })
    }

    fn name(&self) -> &'static str {
        "two_choices"
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

/// Two open positions, different ones if there are.
pub(super) fn two(candidates: &Candidates<'_>, random: &dyn Random) -> Option<[usize; 2]> {
    let schedule = candidates.schedule();
    let one = candidates.open_from(random.below(schedule.len()))?;
    let start = random.below(schedule.len());
    let other = candidates
        .turns(start)
        .find(|position| *position != one && candidates.is_open(*position))
        .unwrap_or(one);
    Some([one, other])
}

#[cfg(test)]
mod tests {
    use super::super::SeededRandom;
    use super::super::candidates::tests::Made;
    use super::*;

    #[test]
    fn the_busier_of_two_is_never_chosen() {
        let random = SeededRandom::new(3);
        let choose = |made: &Made| made.with(|view| TwoChoices.choose(view, None, &random));
        let mut made = Made::of(&[1, 1]);
        made.0[0].in_flight = 5;
        assert!((0..100).all(|_| choose(&made) == Some(1)));
        made.0[1].is_open = false;
        assert_eq!(choose(&made), Some(0));
        made.0[0].is_open = false;
        assert_eq!(choose(&made), None);
    }

    #[test]
    fn idle_ones_are_chosen_by_weight() {
        let random = SeededRandom::new(4);
        let made = Made::of(&[1, 3]);
        let heavy = (0..10_000)
            .filter(|_| made.with(|view| TwoChoices.choose(view, None, &random)) == Some(1))
            .count();
        assert!((7_300..7_700).contains(&heavy), "{heavy}");
    }
}

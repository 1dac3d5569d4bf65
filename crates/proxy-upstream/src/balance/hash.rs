//! The same endpoint for the same key, as long as it is not overloaded.
//!
//! Rendezvous hashing: each endpoint has a score for the key, and the highest wins. Where an
//! endpoint comes or goes, only its own keys move, and they spread over all others. With a bound
//! on the load (Mirrokni, Thorup, Zadimoghaddam: "Consistent Hashing with Bounded Loads", 2016) a
//! key whose endpoint has much more to do than the mean goes to the next in its order.

use super::random::mix;
use super::{Balancer, Candidates, Random, TwoChoices};

/// Weighted rendezvous hashing with bounded loads.
#[derive(Debug)]
pub struct BoundedHash {
    /// So many times the mean load, at most.
    bound: f64,
}

impl BoundedHash {
    /// An endpoint may have `above` more to do than the mean, as a share of it: 0.25 is a quarter.
    pub fn new(above: f64) -> Self {
        Self { bound: 1.0 + above.max(0.0) }
    }
}

impl Default for BoundedHash {
    fn default() -> Self {
        Self::new(0.25)
    }
}

impl Balancer for BoundedHash {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &dyn Random,
    ) -> Option<usize> {
        // Without a value there is nothing to be faithful to.
        let Some(key) = key else { return TwoChoices.choose(candidates, None, random) };
        let (mut weights, mut requests) = (0.0, 1.0);
        let (mut first, mut are_equal, mut best) = (None, true, None);
        for position in open(candidates) {
            let weight = candidates.weight(position);
            are_equal &= *first.get_or_insert(weight) == weight;
            weights += weight;
            requests += candidates.in_flight(position) as f64;
            // Of equals, the order needs no logarithm.
            if are_equal {
                raise(&mut best, uniform(key, candidates.identity(position)), position);
            }
        }
        let (_, home) = best?;
        // In requests for a weight of 1; what is about to be added counts.
        let most = requests / f64::max(weights, f64::MIN_POSITIVE) * self.bound;
        if are_equal && has_room(candidates, home, most) {
            return Some(home);
        }
        in_order(candidates, key, most)
    }

    fn name(&self) -> &'static str {
        "hash"
    }

    fn wants_latency(&self) -> bool {
        false
    }
}

/// Those that may be chosen.
fn open(candidates: &Candidates<'_>) -> impl Iterator<Item = usize> {
    (0..candidates.len()).filter(|position| candidates.is_open(*position))
}

/// Whether an endpoint may have one more, of so many for a weight of 1. At least one request fits
/// everywhere, however few there are.
fn has_room(candidates: &Candidates<'_>, position: usize, most: f64) -> bool {
    let requests = candidates.in_flight(position) as f64;
    requests <= (candidates.weight(position) * most).ceil() - 1.0
}

/// The first in the order of a key that has room, or the first.
fn in_order(candidates: &Candidates<'_>, key: u64, most: f64) -> Option<usize> {
    let (mut best, mut best_with_room) = (None, None);
    for position in open(candidates) {
        // The higher, the better; an endpoint of twice the weight wins twice as many keys.
        let uniform = uniform(key, candidates.identity(position));
        let weight = candidates.weight(position);
        // Who has no weight comes after all that have.
        let score = if weight > 0.0 { -weight / uniform.ln() } else { uniform - 1.0 };
        raise(&mut best, score, position);
        if has_room(candidates, position, most) {
            raise(&mut best_with_room, score, position);
        }
    }
    best_with_room.or(best).map(|(_, position)| position)
}

/// A number of a key and an endpoint, above 0 and below 1.
fn uniform(key: u64, identity: u64) -> f64 {
    let bits = mix(key ^ identity) >> 11;
    (bits as f64 + 0.5) / (1_u64 << 53) as f64
}

/// Takes the position if its score is higher, or as high as that of one before.
fn raise(best: &mut Option<(f64, usize)>, score: f64, position: usize) {
    if best.is_none_or(|(highest, _)| score >= highest) {
        *best = Some((score, position));
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeededRandom;
    use super::super::candidates::tests::Made;
    use super::super::hash_of;
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    const KEYS: usize = 30_000;

    fn homes(made: &Made) -> Vec<usize> {
        let (random, own) = (SeededRandom::new(1), BoundedHash::default());
        let keys = (0..KEYS).map(|n| hash_of(&n.to_le_bytes()));
        made.with(|view| keys.filter_map(|key| own.choose(view, Some(key), &random)).collect())
    }

    fn share(homes: &[usize], position: usize) -> f64 {
        homes.iter().filter(|home| **home == position).count() as f64 / homes.len() as f64
    }

    #[test]
    fn keys_spread_by_weight() {
        let homes = homes(&Made::of(&[1, 1, 2]));
        for (position, ideal) in [0.25, 0.25, 0.5].into_iter().enumerate() {
            let found = share(&homes, position);
            assert!((found / ideal - 1.0).abs() < 0.05, "{position}: {found}");
        }
    }

    #[test]
    fn keys_spread_where_nobody_has_a_weight() {
        let homes = homes(&Made::of(&[0, 0, 0]));
        for position in 0..3 {
            let found = share(&homes, position);
            assert!((found * 3.0 - 1.0).abs() < 0.05, "{position}: {found}");
        }
    }

    #[test]
    fn only_the_keys_of_one_that_is_gone_move() {
        let mut made = Made::of(&[1, 1, 1, 1]);
        let before = homes(&made);
        made.0[2].is_open = false;
        let after = homes(&made);
        for (before, after) in before.iter().zip(&after) {
            assert!(*before == 2 || before == after);
            assert_ne!(*after, 2);
        }
        for position in [0, 1, 3] {
            let found = share(&after, position);
            assert!((found * 3.0 - 1.0).abs() < 0.05, "{position}: {found}");
        }
    }

    #[test]
    fn one_key_alone_can_not_overload_its_endpoint() {
        let (random, own) = (SeededRandom::new(1), BoundedHash::new(0.25));
        let mut made = Made::of(&[1, 1, 1, 1]);
        let key = Some(hash_of(b"hot"));
        let first = made.with(|view| own.choose(view, key, &random)).expect("one");
        for _ in 0..100 {
            let home = made.with(|view| own.choose(view, key, &random)).expect("one");
            made.0[home].in_flight += 1;
        }
        assert_eq!(made.0.iter().map(|own| own.in_flight).max(), Some(32));
        assert_eq!(made.0[first].in_flight, 32);
    }

    proptest! {
        /// Most keys are at home where they are looked for first; the others are as in the order.
        #[test]
        fn nobody_goes_elsewhere_for_being_found_sooner(
            endpoints in vec((1u32..4, 0usize..5, prop::bool::weighted(0.8)), 1..6),
            are_equal in any::<bool>(),
            key in any::<u64>(),
        ) {
            let weight = |weight: u32| if are_equal { 1 } else { weight };
            let mut made = Made::of(&endpoints.iter().map(|own| weight(own.0)).collect::<Vec<_>>());
            for (made, own) in made.0.iter_mut().zip(&endpoints) {
                (made.in_flight, made.is_open) = (own.1, own.2);
            }
            let open = || made.0.iter().filter(|own| own.is_open);
            let requests = 1.0 + open().map(|own| own.in_flight as f64).sum::<f64>();
            let most = requests / open().map(|own| own.weight).sum::<f64>() * 1.25;
            let (random, own) = (SeededRandom::new(1), BoundedHash::default());
            let chosen = made.with(|view| own.choose(view, Some(key), &random));
            prop_assert_eq!(chosen, made.with(|view| in_order(view, key, most)));
        }
    }
}

//! The faster of two that chance names, by latency and requests in flight.

use super::two_choices::two;
use super::{Balancer, Candidates, Random};

/// What an endpoint with requests in flight and no answer so far is taken for, in seconds.
const UNKNOWN: f64 = 1.0;

/// Two endpoints at random; of these the one whose latency, times what it has to do, is the
/// lower. Latency rises at once with a peak and falls slowly (the peak EWMA of Finagle).
#[derive(Debug, Default)]
pub struct PeakEwma;

impl Balancer for PeakEwma {
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        _: Option<u64>,
        random: &dyn Random,
    ) -> Option<usize> {
        let [one, other] = two(candidates, random)?;
        let is_cheaper = cost(candidates, other) < cost(candidates, one);
        Some(if is_cheaper { other } else { one })
    }

    fn name(&self) -> &'static str {
        "peak_ewma"
    }
}

fn cost(candidates: &Candidates<'_>, position: usize) -> f64 {
    let in_flight = candidates.in_flight(position);
    let latency = match candidates.latency(position) {
        Some(latency) => latency.as_secs_f64(),
        // One request finds out.
        None if in_flight == 0 => return 0.0,
        None => UNKNOWN,
    };
    latency * (in_flight + 1) as f64 / candidates.weight(position).max(f64::MIN_POSITIVE)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::candidates::tests::Made;
    use super::super::{Candidate, SeededRandom};
    use super::*;

    #[test]
    fn the_cheaper_of_two_is_chosen() {
        let random = SeededRandom::new(5);
        let choose = |made: &Made| made.with(|view| PeakEwma.choose(view, None, &random));
        let mut made = Made::of(&[1, 1]);
        made.0[0].latency = Some(Duration::from_millis(10));
        made.0[1].latency = Some(Duration::from_millis(30));
        assert!((0..50).all(|_| choose(&made) == Some(0)));
        made.0[0].in_flight = 3;
        assert!((0..50).all(|_| choose(&made) == Some(1)));
        // Who is not known is asked once.
        made.0[0] = Candidate { latency: None, in_flight: 0, ..made.0[0] };
        assert_eq!(choose(&made), Some(0));
        made.0[0].in_flight = 1;
        assert_eq!(choose(&made), Some(1));
    }
}

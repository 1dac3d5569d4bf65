//! The first of them, as long as it is there and has room.

use super::{Balancer, Candidates, Random};

/// Always the first open one, in the order of the configuration: the others are for when it is gone
/// or at its limit.
#[derive(Debug, Default)]
pub struct First;

impl Balancer for First {
    fn choose(&self, candidates: &Candidates<'_>, _: Option<u64>, _: &dyn Random) -> Option<usize> {
        (0..candidates.len()).find(|position| candidates.is_open(*position))
    }

    fn name(&self) -> &'static str {
        "first"
    }
}

#[cfg(test)]
mod tests {
    use super::super::SeededRandom;
    use super::super::candidates::tests::Made;
    use super::*;

    #[test]
    fn the_first_that_is_open_takes_all() {
        let random = SeededRandom::new(1);
        let mut made = Made::of(&[1, 5, 1]);
        let first = |made: &Made| made.with(|candidates| First.choose(candidates, None, &random));
        assert_eq!((first(&made), first(&made)), (Some(0), Some(0)));
        made.0[0].is_open = false;
        assert_eq!(first(&made), Some(1));
        made.0.iter_mut().for_each(|own| own.is_open = false);
        assert_eq!(first(&made), None);
    }
}

//! Weights as an order: in which turn each endpoint comes.

/// Positions in an order in which each comes as often as its weight says, spread as evenly as can
/// be (the smooth weighted round robin of nginx, one whole turn of it).
pub(crate) fn schedule(weights: &[u32]) -> Box<[u16]> {
    let divisor = weights.iter().copied().fold(0, gcd).max(1);
    let weights: Vec<i64> = weights.iter().map(|weight| i64::from(weight / divisor)).collect();
    let total: i64 = weights.iter().sum();
    let mut current = vec![0_i64; weights.len()];
    (0..total)
        .map(|_| {
            let mut best = 0;
            for (position, weight) in weights.iter().enumerate() {
                current[position] += weight;
                if current[position] > current[best] {
                    best = position;
                }
            }
            current[best] -= total;
            u16::try_from(best).unwrap_or(u16::MAX)
        })
        .collect()
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_smooth() {
        for (weights, expected) in [
            (&[1, 1, 1][..], &[0, 1, 2][..]),
            (&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]),
            (&[2, 4], &[1, 0, 1]),
            (&[0, 3], &[1]),
            (&[256, 256], &[0, 1]),
            (&[], &[]),
            (&[0], &[]),
        ] {
            assert_eq!(&*schedule(weights), expected, "{weights:?}");
        }
    }
}

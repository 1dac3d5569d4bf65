//! Happy eyeballs, version 2 (RFC 8305 sections 4 and 5): the order of addresses, and the race.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};

/// IPv6 first, then the families in turn, each in its own order.
pub(super) fn interleave(addresses: impl IntoIterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (v6, v4): (Vec<_>, Vec<_>) = addresses.into_iter().partition(SocketAddr::is_ipv6);
    let mut order = Vec::with_capacity(v6.len() + v4.len());
    let (mut v6, mut v4) = (v6.into_iter(), v4.into_iter());
    loop {
        let pair = [v6.next(), v4.next()];
        if pair == [None, None] {
            return order;
        }
        order.extend(pair.into_iter().flatten());
    }
}

/// Connects to the addresses in order, one every `delay` and at once after one that failed, and
/// returns the first that stands; the others are dropped. With none, every error in the order in
/// which they came.
pub(super) async fn race<T, E, F>(
    addresses: &[SocketAddr],
    delay: Duration,
    connect: impl Fn(SocketAddr) -> F,
) -> Result<(SocketAddr, T), Vec<E>>
where
    F: Future<Output = Result<T, E>>,
{
    let mut waiting = addresses.iter().copied();
    let mut attempts = FuturesUnordered::new();
    let mut errors = Vec::new();
    let attempt = |address| {
        let connecting = connect(address);
        async move { (address, connecting.await) }
    };
    loop {
        let next = waiting.next();
        let is_last = next.is_none();
        attempts.extend(next.map(attempt));
        let patience = async {
            if is_last {
                std::future::pending::<()>().await;
            }
            tokio::time::sleep(delay).await;
        };
        let mut patience = std::pin::pin!(patience);
        tokio::select! {
            biased;
            ended = attempts.next() => match ended {
                Some((address, Ok(connected))) => return Ok((address, connected)),
                Some((_, Err(error))) => errors.push(error),
                None => return Err(errors),
            },
            () = &mut patience => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::time::{Instant, sleep};

    fn sockets(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 80)).collect()
    }

    #[test]
    fn families_take_turns_and_ipv6_begins() {
        let cases: &[(&[&str], &[&str])] = &[
            (&[], &[]),
            (&["192.0.2.1"], &["192.0.2.1"]),
            (&["192.0.2.1", "::1"], &["::1", "192.0.2.1"]),
            (
                &["192.0.2.1", "192.0.2.2", "192.0.2.3", "::1", "::2"],
                &["::1", "192.0.2.1", "::2", "192.0.2.2", "192.0.2.3"],
            ),
            (&["::1", "::2", "::3", "192.0.2.1"], &["::1", "192.0.2.1", "::2", "::3"]),
        ];
        for (given, expected) in cases {
            assert_eq!(interleave(sockets(given)), sockets(expected));
        }
    }

    /// What one address does: after so many milliseconds it connects, or fails.
    #[derive(Clone, Copy)]
    struct Plan(u64, bool);

    /// Runs a race over the plans. Returns the winner, when it ended, when each attempt began, and
    /// how many attempts were dropped before they ended.
    async fn run(plans: &[Plan]) -> (Option<usize>, u64, Vec<u64>, usize) {
        let addresses: Vec<SocketAddr> = (0..plans.len())
            .map(|index| SocketAddr::from(([192, 0, 2, 0], index as u16)))
            .collect();
        let start = Instant::now();
        let elapsed = || u64::try_from(start.elapsed().as_millis()).unwrap();
        let began = Mutex::new(Vec::new());
        let running = AtomicUsize::new(0);
        let winner = race(&addresses, Duration::from_millis(250), |address| {
            began.lock().unwrap().push(elapsed());
            let Plan(after, connects) = plans[usize::from(address.port())];
            running.fetch_add(1, Ordering::Relaxed);
            let running = &running;
            async move {
                sleep(Duration::from_millis(after)).await;
                running.fetch_sub(1, Ordering::Relaxed);
                if connects { Ok(()) } else { Err(()) }
            }
        })
        .await;
        let winner = winner.ok().map(|(address, ())| usize::from(address.port()));
        let began = began.into_inner().unwrap();
        (winner, elapsed(), began, running.into_inner())
    }

    const NEVER: Plan = Plan(1_000_000, true);

    /// The plans, and what [`run`] returns for them.
    type Case = (&'static [Plan], Option<usize>, u64, &'static [u64], usize);

    /// RFC 8305 section 5.
    #[tokio::test(start_paused = true)]
    async fn the_first_that_connects_wins() {
        let cases: &[Case] = &[
            // The first answers in time: no other is tried.
            (&[Plan(10, true), Plan(1, true)], Some(0), 10, &[0], 0),
            (&[Plan(249, true), Plan(1, true)], Some(0), 249, &[0], 0),
            // It does not: the next is tried after 250 ms, and the first goes on.
            (&[NEVER, Plan(10, true)], Some(1), 260, &[0, 250], 1),
            (&[Plan(300, true), Plan(100, true)], Some(0), 300, &[0, 250], 1),
            (&[NEVER, NEVER, NEVER, Plan(5, true)], Some(3), 755, &[0, 250, 500, 750], 3),
            // A failure starts the next at once, and the delay anew.
            (&[Plan(0, false), Plan(10, true)], Some(1), 10, &[0, 0], 0),
            (&[Plan(20, false), NEVER, Plan(5, true)], Some(2), 275, &[0, 20, 270], 1),
            (&[NEVER, Plan(30, false), Plan(5, true)], Some(2), 285, &[0, 250, 280], 1),
            // A failure while others run, and none waits: it goes on with those.
            (&[Plan(900, true), Plan(30, false)], Some(0), 900, &[0, 250], 0),
            // None connects.
            (&[Plan(5, false), Plan(5, false)], None, 10, &[0, 5], 0),
            (&[], None, 0, &[], 0),
        ];
        for (number, &(plans, winner, end, began, dropped)) in cases.iter().enumerate() {
            let expected = (winner, end, began.to_vec(), dropped);
            assert_eq!(run(plans).await, expected, "case {number}");
        }
    }
}

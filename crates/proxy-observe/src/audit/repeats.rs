//! Repeated events become one record and a count, so that a client can not fill the disk.
//!
//! The first sixteen of a kind are recorded at once, each with its own target. What is like them (the same client's network, and the
//! same in everything but time, exchange, method and target) is counted while a window lasts that
//! began with the first; when it is over one more record says how many there were. So a client
//! makes at most seventeen records a window for each way to be refused, and two while many clients
//! are refused: then only the first is recorded whole.
//!
//! The table is bounded. What finds no place is counted together with others of its kind, whoever
//! their clients are; and where that finds none either, with all others.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::{Duration, Instant, SystemTime};

use proxy_core::ClientKey;

/// What is counted as one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kind {
    /// None: the clients that found no place.
    client: Option<ClientKey>,
    /// What a record says beside client, time, exchange and target. None: everything else.
    rest: Option<Box<[u8]>>,
}

/// How often something happened after it was recorded.
#[derive(Clone, Debug)]
pub(super) struct Repeated {
    /// What the records say that were counted; empty where they differ in that.
    pub(super) rest: Vec<u8>,
    /// Their client as it is shown, where it is one.
    pub(super) client: Option<Vec<u8>>,
    /// How many, without those that were recorded.
    pub(super) count: u64,
    /// Those that were recorded.
    whole: u32,
    /// The first and the last of them.
    pub(super) first: SystemTime,
    pub(super) last: SystemTime,
    /// Bytes that tunnels carried, together.
    pub(super) carried: Option<(u64, u64)>,
    began: Instant,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Repeats {
    window: Duration,
    limit: usize,
    table: HashMap<Kind, Repeated>,
}

/// Of one kind so many are recorded, each by itself, before they are counted,
const WHOLE: u32 = 16;
/// while no more than this share of the table is taken: what many clients do together must not
/// fill the disk either.
const WHOLE_SHARE: usize = 16;

/// Kinds that may be counted without their client.
const OTHERS: usize = 256;

/// One event that may be a repetition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Happening<'a> {
    pub(super) client: ClientKey,
    /// As it is shown.
    pub(super) shown: &'a [u8],
    pub(super) rest: &'a [u8],
    pub(super) time: SystemTime,
    pub(super) carried: Option<(u64, u64)>,
}

impl Repeats {
    /// A window of 0 counts nothing: each event is recorded.
    pub(super) fn new(window: Duration, limit: usize) -> Self {
        Self { window, limit, table: HashMap::new() }
    }

    /// Whether it was counted. One that was not is to be recorded, and the next are counted.
    pub(super) fn count(&mut self, event: &Happening<'_>, now: Instant) -> bool {
        if self.window.is_zero() {
            return false;
        }
        let mut kind = Kind { client: Some(event.client), rest: Some(event.rest.into()) };
        if self.table.len() >= self.limit && !self.table.contains_key(&kind) {
            kind.client = None;
            if self.table.len() >= self.limit + OTHERS && !self.table.contains_key(&kind) {
                kind.rest = None;
            }
        }
        let whole = match kind.client {
            Some(_) if self.table.len() <= self.limit / WHOLE_SHARE => WHOLE,
            _ => 1,
        };
        let entry = match self.table.entry(kind) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let kind = entry.key();
                let repeated = Repeated {
                    rest: kind.rest.as_deref().map(<[u8]>::to_vec).unwrap_or_default(),
                    client: kind.client.map(|_| event.shown.to_vec()),
                    count: 0,
                    whole: 1,
                    first: event.time,
                    last: event.time,
                    carried: None,
                    began: now,
                };
                entry.insert(repeated);
                return false;
            }
        };
        if entry.count == 0 && entry.whole < whole {
            entry.whole += 1;
            return false;
        }
        if entry.count == 0 {
            entry.first = event.time;
        }
        entry.count += 1;
        entry.last = event.time;
        if let Some((sent, received)) = event.carried {
            let (sum_sent, sum_received) = entry.carried.unwrap_or_default();
            entry.carried =
                Some((sum_sent.saturating_add(sent), sum_received.saturating_add(received)));
        }
        true
    }

    /// Takes out what is over; at the end all.
    pub(super) fn take_over(&mut self, now: Instant, all: bool) -> Vec<Repeated> {
        let window = self.window;
        let over = |_: &Kind, entry: &mut Repeated| {
            all || now.saturating_duration_since(entry.began) >= window
        };
        let taken = self.table.extract_if(over).map(|(_, entry)| entry);
        let mut taken: Vec<_> = taken.filter(|entry| entry.count > 0).collect();
        if self.table.is_empty() {
            self.table.shrink_to(64);
        }
        taken.sort_by_key(|entry| entry.first);
        taken
    }
}

#[cfg(test)]
mod tests {
    use proxy_core::ClientAddr;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(10);

    fn event(client: u32, rest: &'static [u8]) -> Happening<'static> {
        Happening {
            client: ClientAddr::new(std::net::Ipv4Addr::from(client).into()).key(32, 64),
            shown: b"c",
            rest,
            time: SystemTime::UNIX_EPOCH,
            carried: Some((1, 2)),
        }
    }

    #[test]
    fn the_first_is_recorded_and_the_rest_is_counted() {
        let start = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 8);
        assert!(!repeats.count(&event(1, b"a"), start));
        assert!(!repeats.count(&event(1, b"b"), start), "another rule");
        assert!(!repeats.count(&event(2, b"a"), start), "another client");
        for _ in 0..3 {
            assert!(repeats.count(&event(1, b"a"), start));
        }
        assert!(repeats.take_over(start, false).is_empty());
        let over = repeats.take_over(start + WINDOW, false);
        assert_eq!(over.len(), 1, "what was not repeated needs no second record");
        assert_eq!((over[0].count, over[0].carried), (3, Some((3, 6))));
        assert!(!repeats.count(&event(1, b"a"), start + WINDOW), "a new window");
    }

    #[test]
    fn while_few_are_refused_the_first_of_them_are_recorded_whole() {
        let start = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 64);
        let recorded = (0..100).filter(|_| !repeats.count(&event(1, b"a"), start)).count();
        assert_eq!(recorded, 16);
        for client in 2..10 {
            assert!(!repeats.count(&event(client, b"a"), start));
        }
        assert!(repeats.count(&event(9, b"a"), start), "many are refused now");
        let over = repeats.take_over(start + WINDOW, false);
        assert_eq!(over.iter().map(|entry| entry.count).sum::<u64>(), 100 - 16 + 1);
    }

    #[test]
    fn however_many_clients_there_are_the_table_is_bounded() {
        let start = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 8);
        let recorded = (0..10_000).filter(|n| !repeats.count(&event(*n, b"a"), start)).count();
        assert_eq!(recorded, 9, "one for each that had a place, one for all others");
        let over = repeats.take_over(start, true);
        assert_eq!(over.len(), 1);
        assert_eq!((over[0].count, over[0].client.as_ref()), (10_000 - 9, None));
    }

    #[test]
    fn however_many_kinds_there_are_too() {
        let start = Instant::now();
        let mut repeats = Repeats::new(WINDOW, 8);
        let kinds: Vec<&'static [u8]> = (0..1000)
            .map(|n| &*Box::leak(format!("{n}").into_bytes().into_boxed_slice()))
            .collect();
        let recorded = kinds.iter().filter(|kind| !repeats.count(&event(1, kind), start)).count();
        assert_eq!(recorded, 8 + OTHERS + 1);
        let over = repeats.take_over(start, true);
        assert_eq!(over.iter().map(|entry| entry.count).sum::<u64>(), 1000 - recorded as u64);
        assert!(over.last().expect("one").rest.is_empty());
    }
}

//! How long a stored response is fresh, and how old it is (RFC 9111 section 4.2).

use std::time::{Duration, SystemTime};

use super::dates::since;

/// Where a freshness lifetime comes from, the strongest first (RFC 9111 section 4.2.1, RFC 9213).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshnessSource {
    /// A targeted field, such as `CDN-Cache-Control`.
    Targeted,
    /// `s-maxage` in `Cache-Control`.
    SMaxAge,
    /// `max-age` in `Cache-Control`.
    MaxAge,
    /// `Expires` less `Date`.
    Expires,
    /// A share of the time since `Last-Modified` (section 4.2.2).
    Heuristic,
    /// The operator's, where the response says nothing.
    Default,
    /// Nothing: it is stale from the start.
    None,
}

impl FreshnessSource {
    /// One word, for logs.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Targeted => "targeted",
            Self::SMaxAge => "s-maxage",
            Self::MaxAge => "max-age",
            Self::Expires => "expires",
            Self::Heuristic => "heuristic",
            Self::Default => "default",
            Self::None => "none",
        }
    }

    /// Whether the response said it itself, in so many words.
    pub const fn is_explicit(self) -> bool {
        matches!(self, Self::Targeted | Self::SMaxAge | Self::MaxAge | Self::Expires)
    }
}

/// All that decides on the reuse of a stored response, computed once when it is stored or
/// validated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lifetime {
    /// When the response was received.
    pub response_time: SystemTime,
    /// How old it was then: `corrected_initial_age` of section 4.2.3.
    pub initial_age: Duration,
    /// For how long after its creation it is fresh: `freshness_lifetime` of section 4.2.
    pub freshness: Duration,
    /// Where `freshness` comes from.
    pub source: FreshnessSource,
    /// How long after that it may be served while it is validated (RFC 5861 section 3).
    pub stale_while_revalidate: Option<Duration>,
    /// How long after that it may be served in place of an error (RFC 5861 section 4).
    pub stale_if_error: Option<Duration>,
    /// It must not be served stale: `must-revalidate`, `proxy-revalidate`, `s-maxage`, `no-cache`
    /// (sections 4.2.4, 5.2.2.10).
    pub no_stale: bool,
    /// It must be validated whenever it is used: `no-cache` without field names.
    pub always_validate: bool,
    /// It does not change while it is fresh (RFC 8246).
    pub immutable: bool,
    /// It was declared stale by [`expire`](Self::expire) or [`invalidate`](Self::invalidate),
    /// whatever its age.
    pub expired: bool,
}

impl Lifetime {
    /// How old the response is: `current_age` of section 4.2.3. The field `Age` is its whole
    /// seconds. A clock that went back counts as one that stood still.
    pub fn age(&self, now: SystemTime) -> Duration {
        self.initial_age.saturating_add(since(now, self.response_time))
    }

    /// Whole seconds of freshness that are left, rounded down; negative when it is stale, which is
    /// the `ttl` of RFC 9211 section 2.4.
    pub fn ttl(&self, now: SystemTime) -> i64 {
        let age = self.age(now);
        let ttl = match self.freshness.checked_sub(age) {
            Some(left) => signed(left.as_secs()),
            None => {
                let past = age - self.freshness;
                -signed(past.as_secs().saturating_add(u64::from(past.subsec_nanos() > 0)))
            }
        };
        if self.expired { ttl.min(-1) } else { ttl }
    }

    /// Whether its age is less than its freshness lifetime (section 4.2). It may have to be
    /// validated all the same.
    pub fn is_fresh(&self, now: SystemTime) -> bool {
        !self.expired && self.age(now) < self.freshness
    }

    /// For how long it has been stale by its age; zero while it would be fresh.
    pub fn staleness(&self, now: SystemTime) -> Duration {
        self.age(now).saturating_sub(self.freshness)
    }

    /// Makes it stale from now on (a soft purge): it is used only after validation, or, where the
    /// response allows it, in place of an error.
    pub fn expire(&mut self) {
        self.expired = true;
    }

    /// Marks it invalid (RFC 9111 section 4.4): "in need of a mandatory validation", so it does not
    /// even stand in for an error.
    pub fn invalidate(&mut self) {
        self.expired = true;
        self.no_stale = true;
    }
}

fn signed(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX)
}

const FORMAT: u8 = 1;
/// Format, source, flags, time, two durations, two that may be absent.
const LEN: usize = 3 + 12 + 2 * 12 + 2 * 12;
/// Nanoseconds that no duration has: there is none.
const ABSENT: u32 = u32::MAX;

impl Lifetime {
    /// For a store that keeps bytes; [`from_bytes`](Self::from_bytes) reads them.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN);
        let flags = [self.no_stale, self.always_validate, self.immutable, self.expired];
        bytes.push(FORMAT);
        bytes.push(self.source as u8);
        bytes.push(flags.iter().rev().fold(0, |all, &flag| all << 1 | u8::from(flag)));
        let (seconds, nanos) = match self.response_time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => (signed(after.as_secs()), after.subsec_nanos()),
            // Before 1970 whole seconds are enough: no response was received then.
            Err(before) => (-signed(before.duration().as_secs()), 0),
        };
        bytes.extend_from_slice(&seconds.to_be_bytes());
        bytes.extend_from_slice(&nanos.to_be_bytes());
        let durations = [
            Some(self.initial_age),
            Some(self.freshness),
            self.stale_while_revalidate,
            self.stale_if_error,
        ];
        for duration in durations {
            let (seconds, nanos) =
                duration.map_or((0, ABSENT), |d| (d.as_secs(), d.subsec_nanos()));
            bytes.extend_from_slice(&seconds.to_be_bytes());
            bytes.extend_from_slice(&nanos.to_be_bytes());
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote. None for anything else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; LEN] = bytes.try_into().ok()?;
        let (&[format, source, flags], rest) = bytes.split_first_chunk()?;
        let source = *[
            FreshnessSource::Targeted,
            FreshnessSource::SMaxAge,
            FreshnessSource::MaxAge,
            FreshnessSource::Expires,
            FreshnessSource::Heuristic,
            FreshnessSource::Default,
            FreshnessSource::None,
        ]
        .get(usize::from(source))?;
        if format != FORMAT || flags >= 1 << 4 {
            return None;
        }
        let (seconds, rest) = rest.split_first_chunk()?;
        let (nanos, mut rest) = rest.split_first_chunk()?;
        let (seconds, nanos) = (i64::from_be_bytes(*seconds), u32::from_be_bytes(*nanos));
        let distance = duration(seconds.unsigned_abs(), nanos)??;
        let response_time = if seconds < 0 {
            SystemTime::UNIX_EPOCH.checked_sub(distance)
        } else {
            SystemTime::UNIX_EPOCH.checked_add(distance)
        }?;
        let mut durations = [None; 4];
        for slot in &mut durations {
            let (seconds, tail) = rest.split_first_chunk()?;
            let (nanos, tail) = tail.split_first_chunk()?;
            *slot = duration(u64::from_be_bytes(*seconds), u32::from_be_bytes(*nanos))?;
            rest = tail;
        }
        let [initial_age, freshness, stale_while_revalidate, stale_if_error] = durations;
        let flag = |bit: u8| flags & (1 << bit) != 0;
        Some(Self {
            response_time,
            initial_age: initial_age?,
            freshness: freshness?,
            source,
            stale_while_revalidate,
            stale_if_error,
            no_stale: flag(0),
            always_validate: flag(1),
            immutable: flag(2),
            expired: flag(3),
        })
    }
}

/// Outer none: no such thing was written. Inner none: an absent one was.
fn duration(seconds: u64, nanos: u32) -> Option<Option<Duration>> {
    match nanos {
        ABSENT => (seconds == 0).then_some(None),
        0..1_000_000_000 => Some(Some(Duration::new(seconds, nanos))),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in super::super) fn at(seconds: f64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000) + Duration::from_secs_f64(seconds)
    }

    /// Received at time 0, and fresh for so many seconds.
    pub(in super::super) fn fresh_for(seconds: u64) -> Lifetime {
        Lifetime {
            response_time: at(0.0),
            initial_age: Duration::ZERO,
            freshness: Duration::from_secs(seconds),
            source: FreshnessSource::MaxAge,
            stale_while_revalidate: None,
            stale_if_error: None,
            no_stale: false,
            always_validate: false,
            immutable: false,
            expired: false,
        }
    }

    #[test]
    fn age_and_ttl_follow_time() {
        // (initial age, now, age, ttl, fresh) of a response that is fresh for 10 s
        const CASES: &[(u64, f64, f64, i64, bool)] = &[
            (0, 0.0, 0.0, 10, true), // RFC 9111 4.2.3
            (0, 0.5, 0.5, 9, true),
            (0, 9.5, 9.5, 0, true),
            (0, 10.0, 10.0, 0, false), // 4.2: fresh while the lifetime is greater than the age
            (0, 10.5, 10.5, -1, false),
            (0, 11.0, 11.0, -1, false),
            (4, 6.5, 10.5, -1, false),
            (30, 0.0, 30.0, -20, false),
        ];
        for &(initial_age, now, age, ttl, fresh) in CASES {
            let lifetime =
                Lifetime { initial_age: Duration::from_secs(initial_age), ..fresh_for(10) };
            assert_eq!(lifetime.age(at(now)), Duration::from_secs_f64(age), "{initial_age} {now}");
            assert_eq!(lifetime.ttl(at(now)), ttl, "{initial_age} {now}");
            assert_eq!(lifetime.is_fresh(at(now)), fresh, "{initial_age} {now}");
        }
        let earlier = at(0.0) - Duration::from_secs(50); // the clock went back
        assert_eq!(fresh_for(10).age(earlier), Duration::ZERO);
    }

    #[test]
    fn what_is_expired_is_stale_at_any_age() {
        let mut lifetime = fresh_for(10);
        lifetime.expire();
        assert_eq!((lifetime.is_fresh(at(0.0)), lifetime.ttl(at(0.0))), (false, -1));
        assert_eq!(lifetime.ttl(at(20.0)), -10);
        assert!(!lifetime.no_stale);
        lifetime.invalidate();
        assert!(lifetime.no_stale); // RFC 9111 4.4
    }

    #[test]
    fn the_greatest_values_do_not_overflow() {
        let lifetime =
            Lifetime { initial_age: Duration::MAX, freshness: Duration::ZERO, ..fresh_for(0) };
        assert_eq!(lifetime.age(at(5.0)), Duration::MAX);
        assert_eq!(lifetime.ttl(at(5.0)), -i64::MAX);
        let lifetime = Lifetime { freshness: Duration::MAX, ..fresh_for(0) };
        assert_eq!(lifetime.ttl(at(5.0)), i64::MAX);
    }

    proptest! {
        #[test]
        fn bytes_are_read_as_they_were_written(
            time in 0..u64::from(u32::MAX),
            nanos in 0..1_000_000_000_u32,
            numbers in prop::array::uniform4((any::<u64>(), 0..1_000_000_000_u32)),
            absent in prop::array::uniform2(any::<bool>()),
            source in 0..7_u8,
            flags in 0..16_u8,
        ) {
            let [a, b, c, d] = numbers.map(|(seconds, nanos)| Duration::new(seconds, nanos));
            let lifetime = Lifetime {
                response_time: SystemTime::UNIX_EPOCH + Duration::new(time, nanos),
                initial_age: a,
                freshness: b,
                stale_while_revalidate: absent[0].then_some(c),
                stale_if_error: absent[1].then_some(d),
                ..fresh_for(0)
            };
            let mut bytes = lifetime.to_bytes();
            prop_assert_eq!(Lifetime::from_bytes(&bytes), Some(lifetime));
            (bytes[1], bytes[2]) = (source, flags);
            let other = Lifetime::from_bytes(&bytes).unwrap();
            prop_assert_eq!(other.to_bytes(), bytes);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), LEN - 1..LEN + 2)) {
            if let Some(lifetime) = Lifetime::from_bytes(&bytes) {
                let _ = (lifetime.age(at(0.0)), lifetime.ttl(at(0.0)));
            }
        }
    }
}

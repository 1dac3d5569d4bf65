//! Pseudonyms: short names in the place of addresses, keyed by a salt that may change with time.
//!
//! The name is the first 60 bits of a keyed BLAKE3 of the address, in lower-case base 32, after an
//! underscore: an obfuscated identifier of RFC 7239 section 6.3, so that it can stand wherever an
//! address can. Who has no salt can neither read nor make one. Who has it can: there are only 2^32
//! IPv4 addresses to try, so the salt is a secret, and this is pseudonymity, not anonymity. It ends
//! when the salt is gone.
//!
//! With an interval the key of a pseudonym is derived from the salt and the number of the interval
//! since 1970. Replicas that share a salt agree on it without a word between them, and names of
//! different intervals can not be told to be of one client.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;

use crate::clock::Clock;

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const CONTEXT: &str = "proxyd 2026 pseudonyms of client addresses";

/// Makes the pseudonyms of one salt. A clone makes the same.
#[derive(Clone)]
pub struct Pseudonyms(Arc<Shared>);

struct Shared {
    salt: [u8; 32],
    /// With the clock that tells which interval it is.
    rotation: Option<(Duration, Arc<dyn Clock>)>,
    current: ArcSwap<Key>,
}

struct Key {
    epoch: u64,
    key: [u8; 32],
}

impl Pseudonyms {
    /// Pseudonyms that hold as long as the salt, which may have any length.
    pub fn new(salt: &[u8]) -> Self {
        Self::build(salt, None)
    }

    /// Pseudonyms that change each interval, counted from 1970 in UTC. An interval of 0 is none.
    pub fn rotating(salt: &[u8], interval: Duration, clock: Arc<dyn Clock>) -> Self {
        Self::build(salt, (!interval.is_zero()).then_some((interval, clock)))
    }

    fn build(salt: &[u8], rotation: Option<(Duration, Arc<dyn Clock>)>) -> Self {
        let salt = blake3::derive_key(CONTEXT, salt);
        let epoch = epoch(rotation.as_ref());
        Self(Arc::new(Shared {
            salt,
            rotation,
            current: ArcSwap::from_pointee(Key { epoch, key: key(&salt, epoch) }),
        }))
    }

    /// The number of the interval that it is now; 0 where the salt holds for ever.
    pub fn epoch(&self) -> u64 {
        epoch(self.0.rotation.as_ref())
    }

    /// The name of an address.
    pub(super) fn of(&self, ip: IpAddr) -> Pseudonym {
        let address = match ip {
            IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
            IpAddr::V6(v6) => v6.octets(),
        };
        let epoch = self.epoch();
        let current = self.0.current.load();
        let hash = if current.epoch == epoch {
            blake3::keyed_hash(&current.key, &address)
        } else {
            let key = key(&self.0.salt, epoch);
            self.0.current.store(Arc::new(Key { epoch, key }));
            blake3::keyed_hash(&key, &address)
        };
        let mut name = [b'_'; LEN];
        let bits = hash.as_bytes().iter().take(8).fold(0u64, |all, b| all << 8 | u64::from(*b));
        for (at, letter) in name[1..].iter_mut().enumerate() {
            *letter = LETTERS[(bits >> (59 - 5 * at) & 31) as usize];
        }
        Pseudonym(name)
    }
}

fn epoch(rotation: Option<&(Duration, Arc<dyn Clock>)>) -> u64 {
    let Some((interval, clock)) = rotation else { return 0 };
    let since = clock.wall().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    (since.as_nanos() / interval.as_nanos().max(1)) as u64
}

fn key(salt: &[u8; 32], epoch: u64) -> [u8; 32] {
    *blake3::keyed_hash(salt, &epoch.to_be_bytes()).as_bytes()
}

/// Salts and keys are not shown; two are equal if they are the same.
impl fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pseudonyms(..)")
    }
}

impl PartialEq for Pseudonyms {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Pseudonyms {}

const LEN: usize = 13;

/// One name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pseudonym([u8; LEN]);

impl Pseudonym {
    pub(super) fn as_str(&self) -> &str {
        // Letters and digits alone.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Mutex;
    use std::time::Instant;

    use super::*;
    use crate::client_address::{AddressPrivacy, ClientAddr};
    use crate::clock::Sleep;

    struct Wall(Mutex<SystemTime>);

    impl Clock for Wall {
        fn now(&self) -> Instant {
            Instant::now()
        }
        fn wall(&self) -> SystemTime {
            *self.0.lock().expect("no panic")
        }
        fn sleep_until(&self, _: Instant) -> Sleep {
            Box::pin(std::future::pending())
        }
    }

    fn name(pseudonyms: &Pseudonyms, ip: &str) -> String {
        let privacy = AddressPrivacy::Pseudonym(pseudonyms.clone());
        ClientAddr::new(ip.parse().expect("an address")).view(privacy).to_string()
    }

    #[test]
    fn a_name_is_stable_short_and_fit_for_forwarded() {
        let here = Pseudonyms::new(b"salt");
        let there = Pseudonyms::new(b"salt");
        let own = name(&here, "192.0.2.77");
        assert_eq!(own, name(&there, "192.0.2.77"), "replicas agree");
        assert_eq!(own, name(&here, "::ffff:192.0.2.77"), "one client, two spellings");
        assert_ne!(own, name(&Pseudonyms::new(b"other"), "192.0.2.77"));
        assert_eq!(own.len(), LEN);
        assert!(own.starts_with('_') && own[1..].bytes().all(|b| LETTERS.contains(&b)), "{own}");
        let all: HashSet<String> = (0..=255).map(|n| name(&here, &format!("10.0.0.{n}"))).collect();
        assert_eq!(all.len(), 256);
        let view = ClientAddr::new("2001:db8::1".parse().expect("an address"))
            .view(AddressPrivacy::Pseudonym(here));
        assert_eq!(view.forwarded_node(), view.to_string(), "no quotes, no brackets");
        assert!(view.is_shown());
    }

    #[test]
    fn with_each_interval_names_change_and_replicas_still_agree() {
        let start = SystemTime::UNIX_EPOCH + Duration::from_secs(7 * 3600);
        let clock = Arc::new(Wall(Mutex::new(start)));
        let hour = Duration::from_secs(3600);
        let make = || Pseudonyms::rotating(b"salt", hour, Arc::<Wall>::clone(&clock) as _);
        let here = make();
        let first = name(&here, "192.0.2.77");
        *clock.0.lock().expect("no panic") += hour - Duration::from_nanos(1);
        assert_eq!(name(&here, "192.0.2.77"), first);
        let epoch = here.epoch();
        *clock.0.lock().expect("no panic") += Duration::from_nanos(1);
        let second = name(&here, "192.0.2.77");
        assert_ne!(second, first);
        assert_eq!(here.epoch(), epoch + 1);
        assert_eq!(name(&make(), "192.0.2.77"), second, "one that started later agrees");
        *clock.0.lock().expect("no panic") = start;
        assert_eq!(name(&here, "192.0.2.77"), first, "it is the time that decides");
    }

    #[test]
    fn nothing_shows_the_salt() {
        assert_eq!(format!("{:?}", Pseudonyms::new(b"salt")), "Pseudonyms(..)");
    }
}

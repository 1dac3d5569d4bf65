//! The cheap check before a route is matched in full.
//!
//! A gate compares two numbers: what all paths of the route begin with, up to eight bytes, and a
//! summary of the names of its hosts. It may let a request pass that the route does not match,
//! never the reverse.

use proxy_core::names::NamePattern;

use super::matcher::Matcher;

/// The check of one route.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gate {
    mask: u64,
    word: u64,
    hosts: HostBits,
}

/// What a request shows to the gates, made once for all of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateKey {
    word: u64,
    hosts: HostBits,
}

impl GateKey {
    pub(super) fn of(path: &str, host: &str) -> Self {
        Self { word: first_word(path.as_bytes()), hosts: HostBits::of_host(host) }
    }
}

impl Gate {
    pub(super) fn of(matcher: &Matcher) -> Self {
        let common = matcher.path().beginnings().and_then(|mut beginnings| {
            let first = beginnings.next()?;
            Some(beginnings.fold(first.as_bytes(), common_beginning))
        });
        let common = common.unwrap_or_default();
        let common = &common[..common.len().min(8)];
        Self {
            mask: first_word(&[0xff; 8][..common.len()]),
            word: first_word(common),
            hosts: matcher.host_bits(),
        }
    }

    pub(super) fn admits(self, key: GateKey) -> bool {
        key.word & self.mask == self.word && self.hosts.meet(key.hosts)
    }
}

fn common_beginning<'a>(common: &'a [u8], other: &str) -> &'a [u8] {
    let same = common.iter().zip(other.as_bytes()).take_while(|(a, b)| a == b).count();
    &common[..same]
}

/// The first eight bytes as a number, padded with zeros.
fn first_word(bytes: &[u8]) -> u64 {
    let mut word = [0; 8];
    let count = bytes.len().min(8);
    word[..count].copy_from_slice(&bytes[..count]);
    u64::from_le_bytes(word)
}

/// One bit of 64 for each name of a pattern, and for each suffix of labels of a host: a pattern
/// that matches a host has a bit in common with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct HostBits(u64);

impl HostBits {
    /// Meets every host.
    pub(super) const ALL: Self = Self(u64::MAX);

    /// An address has many spellings, so that its bit would say nothing.
    pub(super) fn of_patterns(patterns: &[NamePattern]) -> Self {
        if patterns.iter().any(|pattern| pattern.address().is_some()) {
            return Self::ALL;
        }
        let bits = patterns.iter().map(|pattern| {
            let hash = pattern.name().bytes().rev().fold(START, step);
            bit(hash)
        });
        Self(bits.fold(0, |all, bit| all | bit))
    }

    fn of_host(host: &str) -> Self {
        let host = host.strip_suffix('.').unwrap_or(host);
        let (mut hash, mut bits) = (START, 0);
        for byte in host.bytes().rev() {
            if byte == b'.' {
                bits |= bit(hash);
            }
            hash = step(hash, byte.to_ascii_lowercase());
        }
        Self(bits | bit(hash))
    }

    fn meet(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// FNV-1a.
const START: u64 = 0xcbf2_9ce4_8422_2325;

fn step(hash: u64, byte: u8) -> u64 {
    (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
}

/// The bit that the best bits of a hash choose.
fn bit(hash: u64) -> u64 {
    1 << (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 58)
}

#[cfg(test)]
mod tests {
    use super::super::error::testing::compiled;
    use super::super::spec::MatchSpec;
    use super::*;

    fn gate(prefixes: &str, hosts: &str) -> Gate {
        let texts = |list: &str| list.split_whitespace().map(str::to_owned).collect();
        let spec = MatchSpec {
            path_prefixes: texts(prefixes),
            hosts: texts(hosts),
            ..MatchSpec::default()
        };
        Gate::of(&compiled(|problems| Matcher::compile(None, &spec, problems)).unwrap())
    }

    #[test]
    fn a_gate_admits_what_may_match() {
        let cases = [
            ("", "", "/", "", true),
            ("/", "", "*", "", true),
            ("/a/b", "", "/a/b", "", true),
            ("/a/b", "", "/a/c", "", false),
            ("/a/b", "", "/a", "", false),
            ("/a/long/one", "", "/a/long/two", "", true),
            ("/a/long/one", "", "/a/lon", "", false),
            ("/stable /static", "", "/stand", "", true),
            ("/stable /static", "", "/sound", "", false),
            ("", "x.test", "/", "x.test", true),
            ("", "x.test", "/", "A.b.X.Test.", true),
            ("", "*.X.test", "/", "a.x.test", true),
            ("", "=x.test y.test", "/", "y.test", true),
            ("", "x.test", "/", "y.test", false),
            ("", "x.test", "/", "x.test.other", false),
            ("", "[::1]", "/", "[0:0::1]", true),
            ("/a", "x.test", "/b", "x.test", false),
        ];
        for (prefixes, hosts, path, host, expected) in cases {
            let admitted = gate(prefixes, hosts).admits(GateKey::of(path, host));
            assert_eq!(admitted, expected, "{prefixes} {hosts} {path} {host}");
        }
    }

    /// Whatever the names: a host that a pattern matches passes.
    #[test]
    fn a_gate_never_stops_a_host_that_matches() {
        for n in 0..500 {
            let name = format!("h{n}.x{}.test", n % 7);
            let gate = gate("", &name);
            for host in [name.clone(), format!("a.b.{name}."), name.to_uppercase()] {
                assert!(gate.admits(GateKey::of("/", &host)), "{host}");
            }
        }
    }
}

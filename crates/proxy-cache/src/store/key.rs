//! What a response is stored under.

use std::fmt;

/// The hash of a key: the first half of BLAKE3 over its length-delimited parts, so that it is the
/// same in every process and no two keys are taken for one another.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHash(pub [u8; 16]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

/// The parts of a key, for purges and for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyText {
    /// `gateway` or `forward`, with the route: exchanges of different ones share nothing.
    pub space: Box<str>,
    /// `http` or `https`.
    pub scheme: Box<str>,
    /// Host in lower case, with the port where it is not the scheme's own.
    pub authority: Box<str>,
    /// Path and query as they are forwarded, or as the key policy reduces them.
    pub target: Box<str>,
    /// What else tells requests apart: a method other than GET, content, a slice, a key part of
    /// the embedder's. Often empty.
    pub extra: Box<str>,
}

impl KeyText {
    /// Its hash.
    pub fn hash(&self) -> KeyHash {
        KeyHash::of([&*self.space, &*self.scheme, &*self.authority, &*self.target, &*self.extra])
    }

    /// `scheme://authority/target`, for people.
    pub fn url(&self) -> String {
        [&*self.scheme, "://", &*self.authority, &*self.target].concat()
    }
}

impl KeyHash {
    /// The hash of the five parts of a [`KeyText`], without making one.
    pub fn of(parts: [&str; 5]) -> Self {
        // Most keys fit: one call on one buffer is cheaper than five on a streaming hasher.
        let mut buffer = [0; 512];
        let mut len = 0;
        let total: usize = parts.iter().map(|part| part.len() + 8).sum();
        let hash = if total <= buffer.len() {
            for part in parts {
                buffer[len..len + 8].copy_from_slice(&(part.len() as u64).to_le_bytes());
                buffer[len + 8..len + 8 + part.len()].copy_from_slice(part.as_bytes());
                len += 8 + part.len();
            }
            blake3::hash(&buffer[..len])
        } else {
            let mut hasher = blake3::Hasher::new();
            for part in parts {
                hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
            }
            hasher.finalize()
        };
        let mut half = [0; 16];
        half.copy_from_slice(&hash.as_bytes()[..16]);
        Self(half)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_can_not_be_shifted_into_one_another() {
        assert_ne!(KeyHash::of(["a", "b", "", "", ""]), KeyHash::of(["ab", "", "", "", ""]));
        assert_ne!(KeyHash::of(["", "a", "", "", ""]), KeyHash::of(["a", "", "", "", ""]));
    }

    #[test]
    fn long_keys_hash_as_short_ones_do() {
        let long = "x".repeat(600);
        let mut hasher = blake3::Hasher::new();
        for part in ["s", "http", "h", &long, ""] {
            hasher.update(&(part.len() as u64).to_le_bytes()).update(part.as_bytes());
        }
        let hash = KeyHash::of(["s", "http", "h", &long, ""]);
        assert_eq!(hash.0, hasher.finalize().as_bytes()[..16]);
    }
}

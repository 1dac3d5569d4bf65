//! The chain: what binds a record to the one before, and what a key adds.
//!
//! A record's hash is SHA-256 of its line up to its hash, and the line has the hash of the record
//! before. With a key each record has a MAC besides, HMAC-SHA-256 of its hash under a key of its
//! own: of the chain's key `K` for sequence `n`, the record's is `HMAC(K, "record")`, the next
//! chain key is `HMAC(K, "next")`, and `K` is erased. Who takes over the machine at record `n` has
//! no key of an earlier one, and can change none that is written (forward integrity: Bellare and
//! Yee, "Forward Integrity for Secure Audit Logs", 1997; Schneier and Kelsey, "Secure Audit Logs
//! to Support Computer Forensics", 1999).

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// Told apart from every other use of SHA-256.
const DOMAIN: &[u8] = b"proxyd audit record v1\n";

/// The hash of a record, or of none: the one before the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct RecordHash(pub(super) [u8; 32]);

impl RecordHash {
    /// Of a line up to its hash.
    pub(super) fn of(body: &[u8]) -> Self {
        Self(Sha256::new().chain_update(DOMAIN).chain_update(body).finalize().into())
    }

    /// Reads 64 hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        let mut hash = [0; 32];
        (text.len() == 64).then_some(())?;
        for (byte, pair) in hash.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Some(Self(hash))
    }

    /// Its first 32 bits, as a number for a gauge.
    pub(crate) fn prefix(&self) -> u32 {
        u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]])
    }
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Where a chain stands: the last record's sequence and hash. Written `seq:hash`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Head {
    /// The sequence of the last record; 0 where there is none.
    pub sequence: u64,
    /// Its hash.
    pub hash: RecordHash,
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.sequence, self.hash)
    }
}

impl std::str::FromStr for Head {
    type Err = HeadError;

    fn from_str(text: &str) -> Result<Self, HeadError> {
        let (sequence, hash) = text.split_once(':').ok_or(HeadError)?;
        Ok(Self {
            sequence: sequence.parse().map_err(|_| HeadError)?,
            hash: RecordHash::parse(hash.as_bytes()).ok_or(HeadError)?,
        })
    }
}

/// A text is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a sequence, a colon and 64 hex digits, as in the heads that the log writes")]
pub struct HeadError;

/// The chain's key at one sequence. Erased from memory when it is dropped or moves on.
#[derive(Clone)]
pub(super) struct ChainKey([u8; 32]);

impl Drop for ChainKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl ChainKey {
    pub(super) const fn new(key: [u8; 32]) -> Self {
        Self(key)
    }

    pub(super) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// On to the key of the next sequence; this one is gone.
    pub(super) fn advance(&mut self) {
        let mut next: [u8; 32] = hmac(&self.0, b"proxyd audit next key");
        self.0.zeroize();
        self.0.copy_from_slice(&next);
        next.zeroize();
    }

    /// The MAC of the record of this sequence.
    pub(super) fn mac(&self, hash: &RecordHash) -> RecordHash {
        let mut own = hmac(&self.0, b"proxyd audit record key");
        let mac = hmac(&own, &hash.0);
        own.zeroize();
        RecordHash(mac)
    }
}

fn hmac(key: &[u8; 32], message: &[u8]) -> [u8; 32] {
    // Any length of key is taken.
    let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key).map(|mac| mac.chain_update(message));
    mac.map(|mac| mac.finalize().into_bytes().into()).unwrap_or_default()
}

impl fmt::Debug for ChainKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChainKey(..)")
    }
}

/// The end of a chain that records are appended to.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    pub(super) head: Head,
    /// For the next record.
    pub(super) key: Option<ChainKey>,
}

impl Chain {
    /// Appends the line of a record: what it says is `fragment`, the inside of an object.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, fragment: &[u8]) {
        use std::io::Write as _;
        let start = out.len();
        let sequence = self.head.sequence + 1;
        // Writing to memory does not fail.
        let _ = write!(out, "{{\"seq\":{sequence},\"prev\":\"{}\",", self.head.hash);
        out.extend_from_slice(fragment);
        let hash = RecordHash::of(&out[start..]);
        let _ = write!(out, ",\"hash\":\"{hash}\"");
        if let Some(key) = &mut self.key {
            let _ = write!(out, ",\"mac\":\"{}\"", key.mac(&hash));
            key.advance();
        }
        out.extend_from_slice(b"}\n");
        self.head = Head { sequence, hash };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_made_of_the_last_and_none_of_the_next() {
        let mut key = ChainKey::new([7; 32]);
        let first = key.mac(&RecordHash::of(b"a"));
        let before = *key.bytes();
        key.advance();
        assert_ne!(*key.bytes(), before);
        assert_ne!(key.mac(&RecordHash::of(b"a")), first);
        let mut again = ChainKey::new([7; 32]);
        again.advance();
        assert_eq!(again.bytes(), key.bytes());
    }

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let mut chain = Chain::default();
        chain.append(&mut Vec::new(), b"\"a\":1");
        let text = chain.head.to_string();
        assert_eq!(text.parse(), Ok(chain.head));
        for wrong in ["", "1", "1:ab", "x:0", &text.to_uppercase(), &text[..text.len() - 1]] {
            assert_eq!(wrong.parse::<Head>(), Err(HeadError), "{wrong}");
        }
    }

    /// So that another program can check a trail: this is the construction, spelled out.
    #[test]
    fn the_line_is_what_the_documentation_says() {
        let mut chain = Chain { head: Head::default(), key: Some(ChainKey::new([0; 32])) };
        let mut out = Vec::new();
        chain.append(&mut out, b"\"event\":\"x\"");
        let zeros = "0".repeat(64);
        let body = format!("{{\"seq\":1,\"prev\":\"{zeros}\",\"event\":\"x\"");
        let hash: [u8; 32] = Sha256::digest([DOMAIN, body.as_bytes()].concat()).into();
        let mac = hmac(&hmac(&[0; 32], b"proxyd audit record key"), &hash);
        let (hash, mac) = (RecordHash(hash), RecordHash(mac));
        let line = format!("{body},\"hash\":\"{hash}\",\"mac\":\"{mac}\"}}\n");
        assert_eq!(String::from_utf8(out), Ok(line));
    }
}

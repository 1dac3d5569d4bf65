//! Connection ids that say which of the processes that follow each other on a socket has made them:
//! to that one its packets are passed on.
//!
//! To whoever does not have the key an id is random (RFC 9000 section 5.1): a nonce, the number of
//! the process under a mask of the nonce, and the beginning of a seal of both.

use std::sync::Arc;

use aws_lc_rs::hmac;
use quinn::{ConnectionId, ConnectionIdGenerator};

/// Bytes of an id.
pub(super) const LENGTH: usize = 8;
const NONCE: usize = 4;
const SEAL: usize = LENGTH - NONCE - 1;
/// Bytes of the key.
pub(super) const KEY: usize = 32;

/// Makes the ids of one process, and knows them again. A clone is the same.
#[derive(Clone)]
pub(super) struct Ids {
    key: [u8; KEY],
    seal: Arc<hmac::Key>,
    generation: u8,
    made: u32,
}

impl Ids {
    /// From the secret of an endpoint.
    pub(super) fn of(secret: &[u8], generation: u8) -> Self {
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret);
        let derived = hmac::sign(&secret, b"proxyd connection ids");
        let mut key = [0; KEY];
        key.copy_from_slice(&derived.as_ref()[..KEY]);
        Self::with_key(key, generation)
    }

    /// Those that another process makes.
    pub(super) fn with_key(key: [u8; KEY], generation: u8) -> Self {
        let seal = Arc::new(hmac::Key::new(hmac::HMAC_SHA256, &key));
        Self { key, seal, generation, made: 0 }
    }

    pub(super) fn key(&self) -> [u8; KEY] {
        self.key
    }

    pub(super) fn generation(&self) -> u8 {
        self.generation
    }

    /// Whether this process has made it.
    pub(super) fn has_made(&self, id: &[u8; LENGTH]) -> bool {
        *id == self.make([id[0], id[1], id[2], id[3]])
    }

    fn make(&self, nonce: [u8; NONCE]) -> [u8; LENGTH] {
        let mask = hmac::sign(&self.seal, &nonce).as_ref()[0];
        let [a, b, c, d] = nonce;
        let sealed = hmac::sign(&self.seal, &[a, b, c, d, self.generation]);
        let mut id = [a, b, c, d, self.generation ^ mask, 0, 0, 0];
        id[LENGTH - SEAL..].copy_from_slice(&sealed.as_ref()[..SEAL]);
        id
    }
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let mut nonce = [0; NONCE];
        if getrandom::fill(&mut nonce).is_err() {
            // No two are the same at least.
            self.made = self.made.wrapping_add(1);
            nonce = self.made.to_le_bytes();
        }
        ConnectionId::new(&self.make(nonce))
    }

    fn cid_len(&self) -> usize {
        LENGTH
    }

    fn cid_lifetime(&self) -> Option<std::time::Duration> {
        None
    }
}

/// The id that a packet is for, where it has one of our length (RFC 8999 sections 5.1 and 5.2).
pub(super) fn destination(packet: &[u8]) -> Option<&[u8; LENGTH]> {
    let is_long = packet.first()? & 0x80 != 0;
    let id = match is_long {
        false => packet.get(1..1 + LENGTH)?,
        true if usize::from(*packet.get(5)?) == LENGTH => packet.get(6..6 + LENGTH)?,
        true => return None,
    };
    id.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_by_who_has_made_it_and_by_nobody_else() {
        let mut first = Ids::of(b"secret", 7);
        let all = [Ids::of(b"secret", 8), Ids::of(b"another", 7)];
        for _ in 0..1000 {
            let id: [u8; LENGTH] = first.generate_cid()[..].try_into().expect("eight bytes");
            assert!(first.has_made(&id));
            assert!(Ids::with_key(first.key(), first.generation()).has_made(&id));
            assert!(!all.iter().any(|own| own.has_made(&id)));
        }
        assert_ne!(first.generate_cid(), first.generate_cid());
    }

    #[test]
    fn the_destination_of_a_packet() {
        let id = [1, 2, 3, 4, 5, 6, 7, 8];
        let short = [&[0x40][..], &id, &[9, 9]].concat();
        assert_eq!(destination(&short), Some(&id));
        let long = |length: u8| [&[0xe0, 0, 0, 0, 1, length][..], &id, &[0, 9]].concat();
        assert_eq!(destination(&long(8)), Some(&id));
        assert_eq!(destination(&long(20)), None);
        for cut in 0..9 {
            assert_eq!(destination(&short[..cut]), None);
            assert_eq!(destination(&long(8)[..cut]), None);
        }
    }
}

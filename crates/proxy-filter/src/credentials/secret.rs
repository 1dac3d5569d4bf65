//! Hashes of passwords.

use argon2::password_hash::{PasswordHash, PasswordVerifier};
use argon2::{Argon2, Params};

/// Above these costs a hash in a file is a mistake, or an attack on whoever checks it.
const MAX_BCRYPT_COST: u32 = 16;
const MAX_SHA_ROUNDS: u32 = 1_000_000;
/// In KiB.
const MAX_ARGON2_MEMORY: u32 = 1 << 20;
const MAX_ARGON2_TIME: u32 = 20;

/// A hash of a password, of a kind that is slow by intent.
#[derive(Clone)]
pub(super) enum Secret {
    Bcrypt(Box<str>),
    Argon2(Box<str>),
    Sha256(Box<str>),
    Sha512(Box<str>),
}

impl Secret {
    /// Reads a hash; what is wrong with it otherwise. Never shows it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if ["$2a$", "$2b$", "$2y$"].iter().any(|prefix| text.starts_with(prefix)) {
            let parts: bcrypt::HashParts =
                text.parse().map_err(|_| "not a bcrypt hash".to_owned())?;
            return match parts.get_cost() {
                cost if cost > MAX_BCRYPT_COST => {
                    Err(format!("a bcrypt cost of {cost}; at most {MAX_BCRYPT_COST} is taken"))
                }
                _ => Ok(Self::Bcrypt(text.into())),
            };
        }
        if text.starts_with("$argon2") {
            let hash = PasswordHash::new(text).map_err(|_| "not an argon2 hash".to_owned())?;
            let params = Params::try_from(&hash).map_err(|_| "not an argon2 hash".to_owned())?;
            if params.m_cost() > MAX_ARGON2_MEMORY || params.t_cost() > MAX_ARGON2_TIME {
                return Err("an argon2 hash of more than 1 GiB or 20 rounds".to_owned());
            }
            if hash.hash.is_none() {
                return Err("not an argon2 hash".to_owned());
            }
            return Ok(Self::Argon2(text.into()));
        }
        if text.starts_with("$5$") || text.starts_with("$6$") {
            let mut parts = text[3..].split('$');
            let first = parts.next().unwrap_or_default();
            let rest = parts.count();
            let (rounds, expected) = match first.strip_prefix("rounds=") {
                Some(rounds) => (rounds.parse::<u32>().map_err(|_| "not a SHA-crypt hash")?, 2),
                None => (5000, 1),
            };
            if rest != expected {
                return Err("not a SHA-crypt hash".to_owned());
            }
            if rounds > MAX_SHA_ROUNDS {
                return Err(format!("{rounds} rounds; at most {MAX_SHA_ROUNDS} are taken"));
            }
            return Ok(match text.starts_with("$5$") {
                true => Self::Sha256(text.into()),
                false => Self::Sha512(text.into()),
            });
        }
        let kind = match text {
            _ if text.starts_with("$apr1$") || text.starts_with("$1$") => "MD5",
            _ if text.starts_with("{SHA}") => "a bare SHA-1",
            _ => "no hash that is known here",
        };
        Err(format!(
            "{kind}; expected bcrypt (`htpasswd -B`), argon2 or SHA-crypt (`mkpasswd -m sha-512`)"
        ))
    }

    /// Whether it is the hash of this password. Takes tens of milliseconds.
    pub(super) fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2(hash) => PasswordHash::new(hash)
                .is_ok_and(|hash| Argon2::default().verify_password(password, &hash).is_ok()),
            Self::Sha256(hash) => std::str::from_utf8(password)
                .is_ok_and(|password| sha_crypt::sha256_check(password, hash).is_ok()),
            Self::Sha512(hash) => std::str::from_utf8(password)
                .is_ok_and(|password| sha_crypt::sha512_check(password, hash).is_ok()),
        }
    }
}

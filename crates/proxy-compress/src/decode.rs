//! Taking codings off, within caps.
//!
//! A few bytes can stand for gigabytes, so nothing here gives out more than it is asked for at a
//! time: a [`ContentDecoder`] writes to the free capacity of a buffer, and [`Unpacker`] counts what
//! has come out against [`DecodeLimits`].

mod body;
mod layer;
mod stages;
mod unpacker;

pub use body::DecodeBody;
pub use layer::{Decode, DecodeFuture, DecodeLayer};
pub use stages::{ContentDecoder, decoder};
pub use unpacker::{DecodeLimits, Unpacker};

/// Why content could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not in the coding that it is said to be in.
    #[error("the content is not in the coding {0:?} that it is said to be in")]
    Malformed(&'static str),
    /// It breaks off.
    #[error("the coded content breaks off")]
    Truncated,
    /// There is no decoder for one of its codings.
    #[error("there is no decoder for this content coding")]
    Unknown,
    /// More codings over each other than are taken off.
    #[error("more than {0} codings over each other")]
    Nested(usize),
    /// More content than may come out.
    #[error("more than {0} bytes of decoded content")]
    TooLarge(u64),
    /// What comes out is more than so many times what went in.
    #[error("the content grows more than {0}-fold")]
    Bomb(u32),
}

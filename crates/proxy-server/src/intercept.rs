//! Interception of TLS in tunnels: an authority of one's own, and a certificate for each name.
//!
//! Whoever trusts the [`Authority`] trusts whatever it signs, so it does little: it signs
//! certificates of single servers (path length 0), with the names and the time of what the origin
//! server showed, and only after that was verified. [`Minter`] keeps the made ones, in a bounded
//! table. Who is intercepted is not decided here.

mod authority;
mod found;
mod minter;
mod serve;

pub use authority::{Authority, AuthorityError, MadeAuthority, NewAuthority};
pub use found::Found;
pub use minter::Minter;
pub use serve::{Inside, Opened};

#[cfg(test)]
mod tests;

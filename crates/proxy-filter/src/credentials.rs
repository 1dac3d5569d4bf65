//! Names and passwords (Basic, RFC 7617) against a file of hashes.
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use proxy_core::SystemClock;
//! use proxy_filter::FilterLayer;
//! use proxy_filter::credentials::{Asks, Credentials, Pool, Users};
//!
//! let users = Users::open(Path::new("users.htpasswd"))?;
//! let pool = Pool::start(2)?;
//! let key = rand_key();
//! let credentials = Credentials::new(users, Asks::Origin, Arc::new(SystemClock), Arc::new(pool), key);
//! let layer = FilterLayer::new(credentials.realm("staff")?.any_user());
//! # fn rand_key() -> [u8; 32] { [0; 32] }
//! # drop(layer);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A password is checked away from the workers, by a [`Pool`] of threads or any other [`Offload`]:
//! a good hash takes tens of milliseconds by intent. How many wait is bounded, in all (503 beyond)
//! and for each client (429 beyond), so that a flood of wrong passwords takes no more than the
//! pool's threads. A pair that was right is remembered for 10 minutes, as a keyed hash in a table
//! of at most 4096. A name that nobody has takes as long as one that somebody has.
//!
//! What was sent is taken off the request: it is never passed on, logged or made part of a key. The
//! user is written into the [`Exchange`](proxy_core::Exchange), for rules, limits and log.
//!
//! Users may be swapped while they are in use: keep a [`UsersHandle`].

mod basic;
mod failures;
mod handle;
mod htpasswd;
mod pending;
mod policy;
mod pool;
mod remembered;
mod secret;

pub use handle::UsersHandle;
pub use htpasswd::{HtpasswdError, Users};
pub use policy::{Admitted, Asks, Credentials, CredentialsPolicy, RealmError};
pub use pool::{Offload, Pool};

#[cfg(test)]
mod tests;

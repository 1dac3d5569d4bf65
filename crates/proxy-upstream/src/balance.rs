//! Which endpoint of an upstream gets the next request.
//!
//! [`Balancer`] is the seam: a pure choice among [`Candidates`], with chance handed in. What is
//! known of the endpoints (requests in flight, latency, health, weight) is kept by the
//! [cluster](crate::cluster), which offers only those that may be chosen now. The balancers here
//! hold no more state than a cursor.

mod candidates;
mod first;
mod hash;
mod key;
mod least_requests;
mod peak_ewma;
mod random;
mod round_robin;
mod schedule;
mod two_choices;

use std::fmt;

pub use candidates::{Candidate, Candidates};
pub use first::First;
pub use hash::BoundedHash;
pub use key::HashKey;
pub use least_requests::LeastRequests;
pub use peak_ewma::PeakEwma;
pub use random::{Random, SeededRandom};
pub use round_robin::RoundRobin;
pub use two_choices::TwoChoices;

pub(crate) use candidates::View;
pub(crate) use key::{cookie, hash_of};
pub(crate) use schedule::schedule;

/// Chooses an endpoint.
pub trait Balancer: fmt::Debug + Send + Sync + 'static {
    /// The position of the endpoint for the next request; `None` where none is
    /// [open](Candidate::is_open).
    ///
    /// `key` is what the request is hashed by, where the upstream has such a key and the request
    /// has a value for it.
    fn choose(
        &self,
        candidates: &Candidates<'_>,
        key: Option<u64>,
        random: &dyn Random,
    ) -> Option<usize>;

    /// Its name in the configuration and in `explain`.
    fn name(&self) -> &'static str;

    /// Whether it looks at [`Candidate::latency`], which costs each request a look at the clock.
    /// Default: yes.
    fn wants_latency(&self) -> bool {
        true
    }
}

//! What every [`CacheStore`] must do, as a suite that runs against any of them.
//!
//! ```no_run
//! use proxy_cache::store::{MemoryStore, contract};
//!
//! contract::check(|capacity| MemoryStore::builder(capacity).build());
//! ```
//!
//! It is there for tests, and with the feature `store-contract`.

mod clauses;
mod content;
mod family;
mod pressure;
mod samples;
mod threads;

use super::CacheStore;

pub use content::{read, read_range};
pub use samples::{Sample, bytes};

/// The capacity that stores are made with: enough for some thousand small responses.
const CAPACITY: u64 = 8 << 20;

/// Holds a store to its contract. `make` gives a fresh, empty store with about this many bytes of
/// capacity each time it is called.
///
/// # Panics
/// Where a clause is broken; the message says which.
pub fn check<S: CacheStore>(make: impl Fn(u64) -> S) {
    for (name, clause) in clauses() {
        let store = make(CAPACITY);
        let checked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| clause(&store)));
        if let Err(cause) = checked {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied());
            panic!("clause `{name}` is broken: {}", text.unwrap_or("panicked"));
        }
    }
}

type Clause = fn(&dyn CacheStore);

fn clauses() -> Vec<(&'static str, Clause)> {
    vec![
        ("a fresh store is empty", clauses::fresh_is_empty),
        ("what is committed is found, whole", clauses::committed_is_found),
        ("nothing is visible before its commit", clauses::nothing_before_commit),
        ("content is the same however it was written", clauses::any_chunks),
        ("any range can be read", clauses::any_range),
        ("content must be as long as expected", clauses::expected_length),
        ("the largest object fits, a larger one does not", clauses::largest_object),
        ("another head, the same content", clauses::another_head),
        ("what is removed is gone, and still read by who has it", clauses::removed),
        ("a sweep visits each response once", clauses::sweep),
        ("variants are kept side by side, the newest first", family::side_by_side),
        ("a response takes the place of those it replaces", family::replaces),
        ("variants of a key are bounded", family::bounded),
        ("derived responses live with their originals", family::derived),
        ("derived responses put out no original", family::derived_beside_many),
        ("another head drops those that it replaces", family::colliding_head),
        ("the capacity is kept", pressure::capacity),
        ("it shrinks when asked", pressure::shrink),
        ("no change loses another variant", threads::variants_of_one_key),
        ("changes from many threads end in what they say", threads::model),
    ]
}

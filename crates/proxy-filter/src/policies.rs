//! The policies that come with the crate, each in a file of its own.
//!
//! Each has `allow` (only these pass) and `deny` (these are refused), and a `rule` by which it is
//! named in the record and on the page. What is refused gets 403; a method gets 405.

mod client;
mod field;
mod host;
mod method;
mod path;
mod port;
mod query;
mod sense;
mod server_name;
mod tag;
mod time;

pub use client::ClientPolicy;
pub use field::FieldPolicy;
pub use host::HostPolicy;
pub use method::MethodPolicy;
pub use path::PathPolicy;
pub use port::PortPolicy;
pub use query::QueryPolicy;
pub use server_name::ServerNamePolicy;
pub use tag::TagPolicy;
pub use time::{TimePolicy, TimeWindow, TimeWindowError};

#[cfg(test)]
mod tests;

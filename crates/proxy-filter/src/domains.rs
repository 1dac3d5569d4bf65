//! Lists of names, up to millions, which change while they are used.
//!
//! | in a list | means |
//! |---|---|
//! | `x.test`, `*.x.test`, `=x.test` | as everywhere: [`proxy_core::names`] |
//! | `0.0.0.0 x.test y.test` (a hosts file) | each name and all below it |
//! | `.x.test`, `address=/x.test/`, `server=/x.test/`, `local=/x.test/` (dnsmasq) | the name and all below it |
//! | `\|\|x.test^` (adblock) | the name and all below it |
//! | `@@\|\|x.test^` | an exception: the same, in the other direction |
//! | `# ...`, `! ...`, `[Adblock Plus]`, ` # ...` after a name | a comment |
//!
//! Names may be in any script and any case, with a trailing dot or without. Other adblock rules
//! (paths, options, elements of pages) say nothing about names: they are skipped and counted apart.
//! A line that is none of these is skipped, counted and told; a list of which most is so is broken.
//!
//! - [`DomainSet`]: the names of one list, in little memory, found by the host
//! - [`DomainList`]: one list as a file says it, with what is wrong in it
//! - [`DomainLists`]: all that a [`DomainPolicy`] judges by; each list is swapped by itself
//!
//! The longest name wins over all lists; at equal length an exception beats a block.

mod line;
mod list;
mod lists;
mod packed;
mod policy;
mod set;

pub use line::LineError;
pub use list::{BadLine, DomainList, ListError};
pub use lists::{DomainLists, ListHandle, Listed, Purpose, Shrunk};
pub use policy::DomainPolicy;
pub use set::{DomainMatch, DomainSet, DomainSetBuilder};

#[cfg(test)]
mod tests;

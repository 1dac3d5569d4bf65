//! The rules of a shared HTTP cache as pure functions: no clock, no I/O, no state. What time it is
//! is an argument.
//!
//! | Question | Answer |
//! | --- | --- |
//! | What does `Cache-Control` say, of a response or a request? | [`directives`], [`targeted`] |
//! | May this response be stored, and for how long? | [`storability::judge`] |
//! | May the stored one answer now, or stale, or after validation? | [`reuse`] |
//! | Which of several stored ones is meant? | [`vary`] |
//! | Does the client hold it already? | [`conditional`] |
//! | How is it validated, and what does a 304 change? | [`validation`] |
//! | Which part of it is wanted? | [`range`], [`multipart`] |
//! | What does a request that changes things make invalid? | [`invalidation`], [`groups`] |
//! | Under which further names is it kept? | [`no_vary_search`], [`tags`] |
//! | What is said about it? | [`cache_status`] |

pub mod cache_status;
pub mod conditional;
pub mod directives;
pub mod groups;
pub mod invalidation;
pub mod lifetime;
pub mod multipart;
pub mod no_vary_search;
pub mod range;
pub mod reuse;
pub mod storability;
pub mod tags;
pub mod targeted;
pub mod validation;
pub mod vary;

mod dates;
mod entity_tag;
mod freshness;
mod lists;
mod references;
mod statuses;
mod stored_fields;

#[cfg(test)]
mod differential;

//! Who may ask for what, how often, and what an attack looks like.
//!
//! [`inspect`] looks into requests: a library without input or output of its own, driven by
//! whoever has a request head and, chunk by chunk, its content.
//!
//! [`rate`] limits how often is asked.

pub mod inspect;
pub mod rate;

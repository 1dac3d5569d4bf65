//! Conditions on requests, as routes and rules write them (feature `matching`).
//!
//! [`path`] has prefixes of whole segments and the normal form of a path, [`value`] tests fields and
//! query parameters, [`host`] many or few names. Every expression is linear in what it is held
//! against (crate `regex`), and none backtracks.

pub mod host;
pub mod path;
pub mod value;

pub use host::HostRule;
pub use path::{PathFault, Prefix};
pub use value::ValueTest;

/// The expression that matches only a whole text.
///
/// # Errors
/// Those of the expression.
pub fn anchored<R>(
    pattern: &str,
    new: impl Fn(&str) -> Result<R, regex::Error>,
) -> Result<R, regex::Error> {
    // Alone first, so that `a)|(b` is a mistake and not a way out of the group.
    new(pattern)?;
    new(&format!(r"\A(?:{pattern})\z"))
}

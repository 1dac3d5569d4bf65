//! By the path.

use proxy_core::matching::{PathFault, Prefix};

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets paths under some prefixes pass, or refuses them. Prefixes are of whole segments: `/a` takes
/// in `/a` and `/a/b`, not `/ab`. What is judged is the normal form, where
/// [`HygieneLayer`](proxy_core::HygieneLayer) stands in front; without it, `/b/../a` is not `/a`.
#[derive(Clone, Debug)]
pub struct PathPolicy {
    prefixes: Box<[Prefix]>,
    sense: Sense,
}

impl PathPolicy {
    /// Only paths under these prefixes pass.
    ///
    /// # Errors
    /// The first text that is no path in normal form.
    pub fn allow<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Result<Self, PathFault> {
        Self::new(prefixes, Sense::allow("denied_by_rule"))
    }

    /// Paths under these prefixes are refused.
    ///
    /// # Errors
    /// The first text that is no path in normal form.
    pub fn deny<'a>(prefixes: impl IntoIterator<Item = &'a str>) -> Result<Self, PathFault> {
        Self::new(prefixes, Sense::deny("denied_by_rule"))
    }

    fn new<'a>(
        prefixes: impl IntoIterator<Item = &'a str>,
        sense: Sense,
    ) -> Result<Self, PathFault> {
        let prefixes = prefixes.into_iter().map(str::parse).collect::<Result<_, _>>()?;
        Ok(Self { prefixes, sense })
    }
}

named!(PathPolicy);

impl Policy for PathPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let path = asked.path();
        self.sense.judge(self.prefixes.iter().any(|prefix| prefix.tail(path).is_some()))
    }
}

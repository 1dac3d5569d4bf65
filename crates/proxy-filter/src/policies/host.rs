//! By the host that is asked for.

use proxy_core::{NameError, NameSet};

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests for some names pass, or refuses them: `x.test` is itself and all below it,
/// `*.x.test` only what is below, `=x.test` exact ([`proxy_core::names`]). For lists of many names
/// that change: [`DomainPolicy`](crate::domains::DomainPolicy).
///
/// The host is that of the target, or of `Host` where the target has none.
#[derive(Clone, Debug)]
pub struct HostPolicy {
    names: NameSet,
    sense: Sense,
}

impl HostPolicy {
    /// Only these names may be asked for.
    ///
    /// # Errors
    /// The first text that is no name.
    pub fn allow<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let sense = Sense::allow("domain_not_allowed");
        Ok(Self { names: NameSet::parse(names)?, sense })
    }

    /// These names are refused.
    ///
    /// # Errors
    /// The first text that is no name.
    pub fn deny<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        Ok(Self { names: NameSet::parse(names)?, sense: Sense::deny("domain_blocked") })
    }
}

named!(HostPolicy);

impl Policy for HostPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        self.sense.judge(self.names.contains(asked.host()))
    }
}

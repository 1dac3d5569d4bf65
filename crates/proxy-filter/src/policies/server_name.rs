//! By the server name of the client's TLS handshake.

use proxy_core::{NameError, NameSet};

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests pass whose TLS handshake named some server (SNI), or refuses them. A request
/// without a server name (clear text, or a client that gave none) is not judged by `deny`, and does
/// not pass `allow` unless [`or_none`](Self::or_none) says so.
#[derive(Clone, Debug)]
pub struct ServerNamePolicy {
    names: NameSet,
    without: bool,
    sense: Sense,
}

impl ServerNamePolicy {
    /// Only these server names pass.
    ///
    /// # Errors
    /// The first text that is no name.
    pub fn allow<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let sense = Sense::allow("domain_not_allowed");
        Ok(Self { names: NameSet::parse(names)?, without: false, sense })
    }

    /// These server names are refused.
    ///
    /// # Errors
    /// The first text that is no name.
    pub fn deny<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, NameError> {
        let sense = Sense::deny("domain_blocked");
        Ok(Self { names: NameSet::parse(names)?, without: true, sense })
    }

    /// Requests without a server name pass.
    #[must_use]
    pub const fn or_none(mut self) -> Self {
        self.without = true;
        self
    }
}

named!(ServerNamePolicy);

impl Policy for ServerNamePolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        match asked.server_name() {
            Some(name) => self.sense.judge(self.names.contains(&name.0)),
            None if self.without => Verdict::Allow,
            None => self.sense.refusal().into(),
        }
    }
}

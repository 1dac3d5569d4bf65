//! By the port that is asked for.

use std::ops::RangeInclusive;

use super::sense::{Sense, named};
use crate::asked::Asked;
use crate::policy::{Policy, Verdict};

/// Lets requests for some ports pass, or refuses them: the port of the target or of `Host`, or the
/// scheme's where none is written.
#[derive(Clone, Debug)]
pub struct PortPolicy {
    ports: Box<[RangeInclusive<u16>]>,
    sense: Sense,
}

impl PortPolicy {
    /// Only these ports may be asked for.
    pub fn allow(ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        Self { ports: ports.into_iter().collect(), sense: Sense::allow("port_not_allowed") }
    }

    /// These ports are refused.
    pub fn deny(ports: impl IntoIterator<Item = RangeInclusive<u16>>) -> Self {
        Self { ports: ports.into_iter().collect(), sense: Sense::deny("port_not_allowed") }
    }
}

named!(PortPolicy);

impl Policy for PortPolicy {
    fn judge(&self, asked: &Asked<'_>) -> Verdict {
        let port = asked.port();
        self.sense.judge(self.ports.iter().any(|ports| ports.contains(&port)))
    }
}

//! A condition on the host.

use crate::names::{NamePattern, NameSet};

/// From how many host patterns on a set is faster than one after the other.
const MANY_HOSTS: usize = 8;

/// Which hosts are taken in.
#[derive(Debug)]
pub enum HostRule {
    /// All.
    Any,
    /// Those of some patterns.
    Few(Box<[NamePattern]>),
    /// Those of many.
    Many(NameSet),
}

impl HostRule {
    /// The hosts of these patterns; any host where there is none.
    pub fn new(patterns: Vec<NamePattern>) -> Self {
        match patterns.len() {
            0 => Self::Any,
            count if count < MANY_HOSTS => Self::Few(patterns.into()),
            _ => Self::Many(patterns.into_iter().collect()),
        }
    }

    /// Whether it takes in a host, which has no port.
    pub fn holds(&self, host: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Few(patterns) => patterns.iter().any(|pattern| pattern.matches(host)),
            Self::Many(set) => set.contains(host),
        }
    }

    /// Whether it takes in every host.
    pub const fn is_any(&self) -> bool {
        matches!(self, Self::Any)
    }
}

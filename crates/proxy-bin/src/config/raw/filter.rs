//! The filter: who may ask for what, and how often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rate_limit::RateLimit;

/// `[filter]`: what is let through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// How often may be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
}

impl Filter {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

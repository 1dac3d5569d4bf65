//! The filter: who may ask for what, and how often.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bandwidth_limit::BandwidthLimit;
use super::concurrency_limit::ConcurrencyLimit;
use super::input::Input;
use super::inspect::Inspect;
use super::rate_limit::RateLimit;
use super::rule::Rule;

/// `[filter]`: what is let through.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Filter {
    /// What becomes of a request that no rule decides about.
    pub default: FilterDefault,
    /// Names that nobody may ask for: `x.test` is itself and all below it, `*.x.test` only what is
    /// below, `=x.test` exact. `"@file"` takes the names of a file, one a line, in plain, hosts,
    /// dnsmasq or adblock form; it is read again when it changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_domains: Vec<String>,
    /// Names that may be asked for although they are below a blocked one; written alike. The longest
    /// name wins, and at equal length the exception.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub block_exceptions: Vec<String>,
    /// Rules, in their order: the first that enforces ends them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<Rule>,
    /// How often may be asked.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rate_limits: Vec<RateLimit>,
    /// What an attack looks like, and what should not leave.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<Inspect>,
    /// How many requests at a time.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub concurrency_limits: Vec<ConcurrencyLimit>,
    /// How fast content may flow.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bandwidth_limits: Vec<BandwidthLimit>,
    /// What requests may look like.
    #[serde(skip_serializing_if = "Input::is_empty")]
    pub input: Input,
}

impl Filter {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of a request that no rule decides about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FilterDefault {
    /// It passes.
    #[default]
    Allow,
    /// It is refused: the rules are a list of what is allowed.
    Deny,
}

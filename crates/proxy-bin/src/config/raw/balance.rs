//! How the endpoints of an upstream share its requests.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Secret;
use crate::config::units::{Period, Share};

/// How an endpoint is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// One after the other, each as often as its weight says.
    #[default]
    RoundRobin,
    /// The first in service that has room, in their order: the others are for when it is gone.
    First,
    /// The one with the fewest requests under way for its weight.
    LeastRequests,
    /// The less busy of two that chance names.
    TwoChoices,
    /// The faster of two that chance names, by latency and requests under way.
    PeakEwma,
    /// The same one for the same `hash.by`.
    Hash,
}

/// `hash` of an upstream: what `balance = "hash"` goes by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Hash {
    /// `"path"`, `"target"` (path and query), `"host"`, `"client"`, `"field:NAME"` or
    /// `"cookie:NAME"`. A request without it goes to the less busy of two.
    pub by: String,
    /// An endpoint that has so much more to do than the mean passes requests
    /// on to the next of its key.
    pub above_mean: Share,
}

impl Default for Hash {
    fn default() -> Self {
        Self { by: "path".to_owned(), above_mean: Share::from_percent(25) }
    }
}

/// `sticky` of an upstream: clients come back to the endpoint they had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sticky {
    /// The name of the cookie that is set for it.
    #[schemars(length(min = 1, max = 64))]
    pub cookie: String,
    /// How long it lasts. Default: until the browser ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<Period>,
    /// A file with a secret that its values are made with, the same for all proxies in front of
    /// these endpoints. Default: none; who guesses the names of endpoints finds out which one it
    /// has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
}

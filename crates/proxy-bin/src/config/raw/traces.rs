//! Traces, for a collector that speaks OTLP.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Period, Share};

/// `[traces]`: spans for a collector.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Traces {
    /// Where the collector takes OTLP over HTTP, with its path.
    pub endpoint: String,
    /// The share of traces that is recorded, where no parent decides.
    pub sample: Share,
    /// Whose word on whether a trace is recorded is taken.
    pub parent: TraceParent,
    /// `service.name`.
    pub service_name: String,
    /// How often spans are sent.
    pub interval: Period,
    /// How long a collector may take.
    pub timeout: Period,
    /// The most spans that wait; more are lost and counted.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub queue: u64,
}

impl Default for Traces {
    fn default() -> Self {
        Self {
            endpoint: "http://127.0.0.1:4318/v1/traces".to_owned(),
            sample: Share::ALL,
            parent: TraceParent::Trusted,
            service_name: "proxyd".to_owned(),
            interval: Period::from_secs(5),
            timeout: Period::from_secs(10),
            queue: 2048,
        }
    }
}

/// Whose word is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TraceParent {
    /// That of trusted proxies.
    Trusted,
    /// Everybody's.
    Always,
    /// Nobody's.
    Never,
}

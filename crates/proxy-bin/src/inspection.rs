//! Inspection around a route, as the configuration asks for it.

use std::sync::Arc;

use metrics::Recorder;
use proxy_filter::inspect::{InspectLayer, InspectMetrics, ResponseInspectLayer};

use crate::config::resolved::InspectPolicy;

/// The layers that inspect requests and responses.
#[derive(Clone, Debug, Default)]
pub struct Inspection {
    /// Outermost: before the cache and whatever codes content.
    pub requests: Option<InspectLayer>,
    /// Next to the cache: sees content before it is coded.
    pub responses: Option<ResponseInspectLayer>,
}

impl Inspection {
    /// The layers of a policy; none where there is none. `route` is the name in metrics.
    pub fn new(
        policy: Option<&InspectPolicy>,
        recorder: Option<&Arc<dyn Recorder + Send + Sync>>,
        route: &str,
    ) -> Self {
        let Some(policy) = policy else { return Self::default() };
        let of_requests = recorder.map(|recorder| InspectMetrics::new(recorder, route));
        let requests =
            InspectLayer::with_metrics(policy.requests.clone(), of_requests.unwrap_or_default());
        let responses = policy.responses.clone().map(|engine| {
            let metrics = recorder.map(|recorder| InspectMetrics::of_responses(recorder, route));
            ResponseInspectLayer::with_metrics(engine, metrics.unwrap_or_default())
        });
        Self { requests: Some(requests), responses }
    }
}

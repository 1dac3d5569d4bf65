//! Where metrics are counted, as long as the process lives.

use std::sync::Arc;

use metrics::Recorder;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use proxy_observe::Metrics;

use crate::config::resolved::Resolved;

/// Upper bounds for distributions of sizes, in bytes: 64 KiB to 16 GiB.
const SIZE_BUCKETS: &[f64] = &[
    65_536.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
    4_294_967_296.0,
    17_179_869_184.0,
];

pub(super) type SharedRecorder = Arc<dyn Recorder + Send + Sync>;

/// A recorder, and what shows what it has counted.
pub(super) fn recorder() -> (PrometheusHandle, SharedRecorder) {
    let sizes = Matcher::Suffix("_bytes".to_owned());
    let recorder = PrometheusBuilder::new()
        .set_buckets(proxy_observe::DURATION_BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(sizes, SIZE_BUCKETS))
        .unwrap_or_else(|_| PrometheusBuilder::new())
        .build_recorder();
    (recorder.handle(), Arc::new(recorder))
}

/// What counts the exchanges of a configuration. A recorder gives the same counter for the same
/// name: counts go on.
pub(super) fn exchanges(config: &Resolved, recorder: &SharedRecorder) -> Arc<Metrics> {
    let metrics = Metrics::builder(Arc::clone(recorder))
        .routes(config.routes.iter().map(|route| route.name.as_str()))
        .upstreams(config.upstreams.keys().map(String::as_str))
        .listeners(config.listeners.iter().map(|listener| listener.name.as_str()))
        .build();
    Arc::new(metrics)
}

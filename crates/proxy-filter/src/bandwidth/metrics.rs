//! What a bandwidth limit counts.

use metrics::{Counter, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit};

use super::limiter::Direction;

/// Pieces of content that waited; labels `limit` and `direction`: `upload`, `download`.
pub const WAITS: &str = "proxy_filter_bandwidth_waits_total";

const DIRECTIONS: [&str; 2] = ["upload", "download"];

#[derive(Default)]
pub(crate) struct BandwidthMetrics {
    waits: Option<[Counter; 2]>,
}

impl BandwidthMetrics {
    pub(crate) fn new(recorder: &dyn Recorder, id: &str) -> Self {
        recorder.describe_counter(
            KeyName::from_const_str(WAITS),
            Some(Unit::Count),
            SharedString::const_str("Pieces of content that a bandwidth limit held back."),
        );
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let counter = |direction| {
            let limit = Label::new("limit", id.to_owned());
            let labels = vec![limit, Label::from_static_parts("direction", direction)];
            recorder.register_counter(&Key::from_parts(WAITS, labels), &metadata)
        };
        Self { waits: Some(DIRECTIONS.map(counter)) }
    }

    pub(super) fn waits(&self, direction: Direction) {
        if let Some(waits) = &self.waits {
            waits[direction as usize].increment(1);
        }
    }
}

//! Limits of bandwidth: what they say, and for which routes.

use std::sync::Arc;

use proxy_core::SystemClock;
use proxy_filter::bandwidth::{self, ByteRate};

use super::Resolver;
use super::named_limits::BANDWIDTH;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config};
use crate::config::resolved::BandwidthLimit;
use crate::config::units::Size;

impl Resolver<'_> {
    /// The limits of bandwidth, in the order of the file.
    pub(super) fn bandwidth_limits(&mut self, config: &Config) -> Vec<BandwidthLimit> {
        let limits = &config.filter.bandwidth_limits;
        self.limit_ids(config, &BANDWIDTH, limits.iter().map(|own| &*own.id));
        let mut resolved = Vec::new();
        for (index, raw) in limits.iter().enumerate() {
            if let Some(limit) = self.bandwidth_limit(&BANDWIDTH.path(index), raw) {
                let holds = BANDWIDTH.holds(config, &raw.id);
                resolved.push(BandwidthLimit { limit, holds });
            }
        }
        resolved
    }

    fn bandwidth_limit(
        &mut self,
        path: &KeyPath,
        raw: &raw::BandwidthLimit,
    ) -> Option<bandwidth::BandwidthLimit> {
        let (v4, v6) = (raw.ipv4_prefix, raw.ipv6_prefix);
        let key = self.limit_key(path, raw.key.as_ref(), "connection", v4, v6);
        let mut limit = bandwidth::BandwidthLimit::new(raw.id.as_str()).key(key?);
        if let Some(rate) = raw.upload_rate {
            limit = limit.upload(self.byte_rate(&path.key("upload_rate"), rate)?);
        }
        if let Some(rate) = raw.download_rate {
            limit = limit.download(self.byte_rate(&path.key("download_rate"), rate)?);
        }
        if raw.upload_rate.is_none() && raw.download_rate.is_none() {
            self.error_on_key(path, "missing key: `upload_rate`, `download_rate`, or both");
            return None;
        }
        if let Some(burst) = raw.burst {
            limit = limit.burst(burst.bytes());
        }
        if let Some(keys) = raw.keys {
            limit = limit.keys(usize::try_from(keys).unwrap_or(usize::MAX));
        }
        // What can not be started is said here, and not at start.
        match limit.clone().keys(1).start(Arc::new(SystemClock)) {
            Ok(_) => Some(limit),
            Err(error) => {
                self.error(&path.key("burst"), error.to_string());
                None
            }
        }
    }

    fn byte_rate(&mut self, path: &KeyPath, rate: Size) -> Option<ByteRate> {
        let bytes = ByteRate::per_second(rate.bytes());
        if bytes.bytes() != rate.bytes() {
            self.error(path, "expected between 1B and 1000000000B, for each second");
            return None;
        }
        Some(bytes)
    }
}

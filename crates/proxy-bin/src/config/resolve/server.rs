//! The process.

use super::Resolver;
use crate::config::path::KeyPath;
use crate::config::raw::Config;
use crate::config::resolved::{Limits, Server, Timeouts};
use crate::config::units::{Limit, Period};

impl Resolver<'_> {
    pub(super) fn server(&mut self, config: &Config, limits: Limits) -> Server {
        let raw = &config.server;
        let path = KeyPath::of("server");
        if let Some(name) = &raw.via_name {
            // A token or a host with a port (RFC 9110 section 7.6.3).
            let in_name = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:".contains(&byte);
            if name.is_empty() || name.len() > 64 || !name.bytes().all(in_name) {
                let message = format!(
                    "expected 1 to 64 of the characters A-Z a-z 0-9 . _ - :, found `{name}`"
                );
                self.error(&path.key("via_name"), message);
            }
        }
        let times = path.key("timeouts");
        let raw_times = &raw.timeouts;
        let mut some = |key: &str, limit: Limit<Period>| {
            limit.some().map(|period| self.period(&times.key(key), period))
        };
        let (tunnel_idle, tunnel_lifetime, total) = (
            some("tunnel_idle", raw_times.tunnel_idle),
            some("tunnel_lifetime", raw_times.tunnel_lifetime),
            some("total", raw_times.total),
        );
        Server {
            workers: usize::try_from(raw.workers).ok().filter(|workers| *workers > 0),
            zone: config.server.zone.as_deref().map(Into::into),
            via_name: raw.via_name.clone(),
            drain_timeout: raw.drain_timeout.duration(),
            lame_duck_interval: raw.lame_duck_interval.duration(),
            runtime: raw.runtime,
            watch: raw.watch,
            merge_slashes: raw.path.merge_slashes,
            encoded_slash: raw.path.encoded_slash,
            server_timing: raw.server_timing,
            limits,
            timeouts: Timeouts {
                header: self.period(&times.key("header"), raw_times.header),
                handshake: self.period(&times.key("handshake"), raw_times.handshake),
                silent: self.period(&times.key("silent"), raw_times.silent),
                keep_alive: self.period(&times.key("keep_alive"), raw_times.keep_alive),
                body_grace: raw_times.body_grace.duration(),
                write: self.period(&times.key("write"), raw_times.write),
                tunnel_idle,
                tunnel_lifetime,
                total,
            },
        }
    }
}

//! What clients of the forward listeners may reach.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;
use proxy_core::{NamePattern, OpeningLimits};

use super::inspect::Inspections;
use super::{Resolver, address};
use crate::config::path::KeyPath;
use crate::config::raw::{Config, EncryptedHello, Mode, Port, Tunnel};
use crate::config::resolved::{self, Forward, Ports, UpstreamTimeouts};
use crate::config::units::Size;

/// A ClientHello of real clients takes some 200 bytes to 4 KiB; what is longer than a record of
/// TLS has no use, and is held in memory.
const HELLO_SIZES: RangeInclusive<u64> = 1024..=64 * 1024;

impl Resolver<'_> {
    pub(super) fn forward(&mut self, config: &Config, inspections: &Inspections) -> Forward {
        let raw = &config.forward;
        let path = KeyPath::of("forward");
        let (allow_names, allow_networks) =
            self.waivers(&path.key("allow_destinations"), &raw.allow_destinations);
        if raw.guard == Mode::Report {
            let message = "the guard refuses nothing but our own listeners: clients reach \
                           everything that this machine reaches, cloud metadata included";
            self.warning(&path.key("guard"), message);
        }
        let times = path.key("timeouts");
        Forward {
            connect_ports: self.ports(&path.key("connect_ports"), &raw.connect_ports),
            http_ports: self.ports(&path.key("http_ports"), &raw.http_ports),
            allow_private_destinations: raw.allow_private_destinations,
            allow_names,
            allow_networks,
            guard: raw.guard,
            forwarded: raw.forwarded,
            cache: self.forward_cache(config),
            tunnel: self.tunnel(&path.key("tunnel"), &raw.tunnel, &raw.connect_ports),
            intercept: self.intercept(config),
            parent: self.parent_named(&path, raw.parent.as_deref()),
            compress: self.forward_compress(config),
            inspect: self.forward_inspect(config, inspections),
            timeouts: UpstreamTimeouts {
                connect: self.period(&times.key("connect"), raw.timeouts.connect),
                first_byte: self.period(&times.key("first_byte"), raw.timeouts.first_byte),
                read_idle: self.period(&times.key("read_idle"), raw.timeouts.read_idle),
            },
        }
    }

    /// Names and networks that the guard of destinations lets pass.
    pub(super) fn waivers(
        &mut self,
        path: &KeyPath,
        waivers: &[String],
    ) -> (Vec<NamePattern>, Vec<IpNet>) {
        let (mut names, mut networks) = (Vec::new(), Vec::new());
        for (index, waiver) in waivers.iter().enumerate() {
            let path = path.index(index);
            let bare = waiver.trim_start_matches('[').trim_end_matches(']');
            if waiver.contains('/') || bare.parse::<IpAddr>().is_ok() {
                networks.extend(self.take(&path, address::network(bare)));
            } else {
                names.extend(self.take(&path, waiver.parse::<NamePattern>()));
            }
        }
        (names, networks)
    }

    fn tunnel(&mut self, path: &KeyPath, raw: &Tunnel, connect_ports: &[Port]) -> resolved::Tunnel {
        let size = raw.hello_size.bytes();
        if !HELLO_SIZES.contains(&size) {
            let (least, most) = (HELLO_SIZES.start(), HELLO_SIZES.end());
            let (least, most) = (Size::from_bytes(*least), Size::from_bytes(*most));
            let message =
                format!("expected a size from {least} to {most}, found {}", raw.hello_size);
            self.error(&path.key("hello_size"), message);
        }
        if raw.encrypted_hello == EncryptedHello::Refuse {
            let message = "refuses browsers: they send an encrypted part to every server, \
                           as GREASE where there is nothing to hide";
            self.warning(&path.key("encrypted_hello"), message);
        }
        let require_tls_ports = self.ports(&path.key("require_tls_ports"), &raw.require_tls_ports);
        let open: Vec<_> = connect_ports.iter().filter_map(|port| range(port).ok()).collect();
        let overlaps = |one: &RangeInclusive<u16>| {
            open.iter().any(|open| open.start() <= one.end() && one.start() <= open.end())
        };
        for (index, port) in raw.require_tls_ports.iter().enumerate() {
            if range(port).is_ok_and(|port| !overlaps(&port)) {
                let path = path.key("require_tls_ports").index(index);
                self.warning(&path, "`connect_ports` has no such port: nothing is asked of it");
            }
        }
        resolved::Tunnel {
            sni: raw.sni,
            require_tls_ports,
            encrypted_hello: raw.encrypted_hello,
            on_silence: raw.on_silence,
            mode: raw.mode,
            limits: OpeningLimits {
                timeout: self.period(&path.key("hello_timeout"), raw.hello_timeout),
                size: usize::try_from(size).unwrap_or(usize::MAX),
            },
        }
    }

    fn ports(&mut self, path: &KeyPath, ports: &[Port]) -> Ports {
        let ports = ports.iter().enumerate();
        ports.filter_map(|(index, port)| self.take(&path.index(index), range(port))).collect()
    }
}

fn range(port: &Port) -> Result<RangeInclusive<u16>, String> {
    let range = match port {
        Port::One(port) => Some(*port..=*port),
        Port::Range(text) => {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            let port = |text: &str| text.trim().parse::<u16>().ok();
            port(first).zip(port(last)).map(|(first, last)| first..=last)
        }
    };
    range.filter(|range| *range.start() > 0 && !range.is_empty()).ok_or_else(|| {
        let found = match port {
            Port::One(port) => port.to_string(),
            Port::Range(text) => format!("`{text}`"),
        };
        format!("expected a port from 1 to 65535 or a range such as `8000-8099`, found {found}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_ranges() {
        let text = |text: &str| range(&Port::Range(text.to_owned())).ok();
        assert_eq!(text("8000-8099"), Some(8000..=8099));
        assert_eq!(text("443"), Some(443..=443));
        assert_eq!(range(&Port::One(0)).ok(), None);
        for bad in ["2-1", "0-5", "1-70000", "-1", "a-b", ""] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }
}

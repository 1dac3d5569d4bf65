//! What clients of the forward listeners may reach.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use proxy_core::NamePattern;

use super::{Resolver, address};
use crate::config::path::KeyPath;
use crate::config::raw::{Config, Port};
use crate::config::resolved::{Forward, Ports, UpstreamTimeouts};

impl Resolver<'_> {
    pub(super) fn forward(&mut self, config: &Config) -> Forward {
        let raw = &config.forward;
        let path = KeyPath::of("forward");
        let (mut allow_names, mut allow_networks) = (Vec::new(), Vec::new());
        for (index, waiver) in raw.allow_destinations.iter().enumerate() {
            let path = path.key("allow_destinations").index(index);
            let bare = waiver.trim_start_matches('[').trim_end_matches(']');
            if waiver.contains('/') || bare.parse::<IpAddr>().is_ok() {
                allow_networks.extend(self.take(&path, address::network(bare)));
            } else {
                allow_names.extend(self.take(&path, waiver.parse::<NamePattern>()));
            }
        }
        let only = path.key("only_domains");
        let only_domains = self.list(&only, &raw.only_domains, str::parse::<NamePattern>);
        let times = path.key("timeouts");
        Forward {
            connect_ports: self.ports(&path.key("connect_ports"), &raw.connect_ports),
            http_ports: self.ports(&path.key("http_ports"), &raw.http_ports),
            allow_private_destinations: raw.allow_private_destinations,
            allow_names,
            allow_networks,
            only_domains,
            forwarded: raw.forwarded,
            cache: self.forward_cache(config),
            timeouts: UpstreamTimeouts {
                connect: self.period(&times.key("connect"), raw.timeouts.connect),
                first_byte: self.period(&times.key("first_byte"), raw.timeouts.first_byte),
                read_idle: self.period(&times.key("read_idle"), raw.timeouts.read_idle),
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

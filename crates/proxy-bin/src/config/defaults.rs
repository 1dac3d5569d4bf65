//! What holds where the configuration says nothing.

use super::raw::{Config, Limits, Port};
use super::units::{Limit, Size};

/// Ports above 1023 that browsers refuse, since other protocols than HTTP
/// live there and could be made to do something by a request.
const REFUSED_BY_BROWSERS: [u16; 19] = [
    1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6566, 6665, 6666, 6667, 6668, 6669,
    6679, 6697, 10080,
];

/// The ports that an `http://` target may name.
pub fn http_ports() -> Vec<Port> {
    let mut ports = vec![Port::One(80), Port::One(443)];
    let mut first = 1024;
    for refused in REFUSED_BY_BROWSERS {
        match refused - first {
            0 => {}
            1 => ports.push(Port::One(first)),
            _ => ports.push(Port::Range(format!("{first}-{}", refused - 1))),
        }
        first = refused + 1;
    }
    ports.push(Port::Range(format!("{first}-65535")));
    ports
}

/// Every limit, where nothing is said.
pub fn limits() -> Limits {
    Limits {
        connections: Some(10_000),
        connections_per_client: Some(4_096),
        request_line: Some(Size::from_bytes(16 << 10)),
        fields: Some(100),
        fields_size: Some(Size::from_bytes(64 << 10)),
        body: Some(Limit::Unlimited),
        tunnels: Some(4_096),
        tunnels_per_client: Some(256),
        body_min_rate: Some(Limit::At(Size::from_bytes(256))),
        h2_streams: Some(100),
    }
}

/// Limits where the more specific table wins, key by key.
pub fn layered(specific: &Limits, general: &Limits) -> Limits {
    Limits {
        connections: specific.connections.or(general.connections),
        connections_per_client: specific.connections_per_client.or(general.connections_per_client),
        request_line: specific.request_line.or(general.request_line),
        fields: specific.fields.or(general.fields),
        fields_size: specific.fields_size.or(general.fields_size),
        body: specific.body.or(general.body),
        tunnels: specific.tunnels.or(general.tunnels),
        tunnels_per_client: specific.tunnels_per_client.or(general.tunnels_per_client),
        body_min_rate: specific.body_min_rate.or(general.body_min_rate),
        h2_streams: specific.h2_streams.or(general.h2_streams),
    }
}

/// Fills in what serde cannot: `[server.limits]`, whose keys are optional
/// since a listener's `limits` are the same table.
pub(super) fn fill(config: &mut Config) {
    config.server.limits = layered(&config.server.limits, &limits());
}

/// Gives each route the limits and timeouts of `[defaults]` where it has none
/// of its own. The rest of `[defaults]` is laid under the routes where they
/// are compiled.
pub(super) fn fill_routes(config: &mut Config) {
    let defaults = &config.defaults;
    for route in &mut config.routes {
        route.limits.body = route.limits.body.or(defaults.limits.body);
        let (own, default) = (&mut route.timeouts, &defaults.timeouts);
        own.connect = own.connect.or(default.connect);
        own.first_byte = own.first_byte.or(default.first_byte);
        own.read_idle = own.read_idle.or(default.read_idle);
        own.total = own.total.or(default.total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_ports_are_what_browsers_take() {
        let ports = http_ports();
        let text: Vec<String> = ports
            .iter()
            .map(|port| match port {
                Port::One(port) => port.to_string(),
                Port::Range(range) => range.clone(),
            })
            .collect();
        assert_eq!(&text[..5], ["80", "443", "1024-1718", "1721-1722", "1724-2048"]);
        assert_eq!(text.last().unwrap(), "10081-65535");
        assert!(text.contains(&"6001-6565".to_owned()));
        assert!(text.contains(&"6680-6696".to_owned()));
    }
}

//! What holds where the configuration says nothing.

use super::raw::{
    Cache, CacheKey, CacheRules, CacheSwitch, CodingLevels, CompressRules, Config, FieldNames,
    Input, InspectMode, InspectRules, Limits, OnDisconnect, OnLimit, Port, Protocol,
    RequestDirectives,
};
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
        h2_resets: Some(200),
        h2_idle_frames: Some(1_000),
        handshakes: Some(4_096),
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
        h2_resets: specific.h2_resets.or(general.h2_resets),
        h2_idle_frames: specific.h2_idle_frames.or(general.h2_idle_frames),
        handshakes: specific.handshakes.or(general.handshakes),
    }
}

/// Memory for stored responses.
pub const CACHE_MEMORY: u64 = 64 << 20;

/// How responses are kept, where nothing is said.
pub fn cache_rules() -> CacheRules {
    CacheRules {
        heuristic: Some(true),
        key: Some(CacheKey::default()),
        tag_field: Some(FieldNames::Several(vec!["Cache-Tag".into(), "Surrogate-Key".into()])),
        targeted_fields: Some(vec!["CDN-Cache-Control".into()]),
        request_directives: Some(RequestDirectives::Honour),
        on_disconnect: Some(OnDisconnect::FinishIfShared),
        collapse: Some(true),
        min_uses: Some(1),
        deception_armour: Some(true),
        show_key: Some(false),
        ..CacheRules::default()
    }
}

/// The largest content that is stored: a part of the larger store, so that one object never
/// drives out all others.
pub fn max_object(cache: &Cache) -> u64 {
    match &cache.disk {
        Some(disk) => (disk.size.bytes() / 8).min(1 << 30),
        None => (cache.memory.map_or(CACHE_MEMORY, Size::bytes) / 8).min(64 << 20),
    }
}

/// Rules where the more specific table wins, key by key.
pub fn layered_cache(specific: &CacheRules, general: &CacheRules) -> CacheRules {
    let (own, other) = (specific.clone(), general.clone());
    CacheRules {
        default_ttl: own.default_ttl.or(other.default_ttl),
        ttl: own.ttl.or(other.ttl),
        heuristic: own.heuristic.or(other.heuristic),
        key: own.key.or(other.key),
        tag_field: own.tag_field.or(other.tag_field),
        targeted_fields: own.targeted_fields.or(other.targeted_fields),
        request_directives: own.request_directives.or(other.request_directives),
        on_disconnect: own.on_disconnect.or(other.on_disconnect),
        collapse: own.collapse.or(other.collapse),
        min_uses: own.min_uses.or(other.min_uses),
        bypass: own.bypass.or(other.bypass),
        stale_while_revalidate: own.stale_while_revalidate.or(other.stale_while_revalidate),
        stale_if_error: own.stale_if_error.or(other.stale_if_error),
        deception_armour: own.deception_armour.or(other.deception_armour),
        slice: own.slice.or(other.slice),
        show_key: own.show_key.or(other.show_key),
    }
}

/// Rules where the more specific table wins, key by key.
pub fn layered_compress(specific: &CompressRules, general: &CompressRules) -> CompressRules {
    let (own, other) = (specific.clone(), general.clone());
    let levels = |own: Option<CodingLevels>, other: Option<CodingLevels>| match (own, other) {
        (Some(own), Some(other)) => Some(CodingLevels {
            zstd: own.zstd.or(other.zstd),
            br: own.br.or(other.br),
            gzip: own.gzip.or(other.gzip),
        }),
        (own, other) => own.or(other),
    };
    CompressRules {
        codings: own.codings.or(other.codings),
        level: levels(own.level, other.level),
        stored_level: levels(own.stored_level, other.stored_level),
        max_stored: own.max_stored.or(other.max_stored),
        min_size: own.min_size.or(other.min_size),
        content_types: own.content_types.or(other.content_types),
        secrets: own.secrets.or(other.secrets),
        unacceptable: own.unacceptable.or(other.unacceptable),
        decode: own.decode.or(other.decode),
        from_upstream: own.from_upstream.or(other.from_upstream),
        precompressed: own.precompressed.or(other.precompressed),
    }
}

/// How it is inspected, where nothing is said.
pub fn inspect_rules() -> InspectRules {
    InspectRules {
        mode: Some(InspectMode::Enforce),
        threshold: Some(5),
        window: Some(Size::from_bytes(64 << 10)),
        content_limit: Some(Size::from_bytes(8 << 20)),
        on_limit: Some(OnLimit::Pass),
        skip_fields: Some(Vec::new()),
        ..InspectRules::default()
    }
}

/// Rules where the more specific table wins, key by key; exclusions add up.
pub fn layered_inspect(specific: &InspectRules, general: &InspectRules) -> InspectRules {
    let (own, other) = (specific.clone(), general.clone());
    InspectRules {
        mode: own.mode.or(other.mode),
        threshold: own.threshold.or(other.threshold),
        window: own.window.or(other.window),
        content_limit: own.content_limit.or(other.content_limit),
        on_limit: own.on_limit.or(other.on_limit),
        exclusions: [other.exclusions, own.exclusions].concat(),
        skip_fields: own.skip_fields.or(other.skip_fields),
        response: own.response.or(other.response),
    }
}

/// Whether anything may be cached.
fn caches(config: &Config) -> bool {
    let routes = config.routes.iter().map(|route| &route.cache);
    let mut all = routes.chain([&config.defaults.cache, &config.forward.cache]);
    all.any(|switch| !matches!(switch, None | Some(CacheSwitch::Is(false))))
}

/// What requests may look like by a specific table, with what it does not say taken from a more
/// general one.
pub fn layered_input(specific: &Input, general: &Input) -> Input {
    let (own, other) = (specific.clone(), general.clone());
    Input {
        mode: own.mode.or(other.mode),
        methods: own.methods.or(other.methods),
        content_types: own.content_types.or(other.content_types),
        target_length: own.target_length.or(other.target_length),
        parameters: own.parameters.or(other.parameters),
        parameter_name_length: own.parameter_name_length.or(other.parameter_name_length),
        parameter_value_length: own.parameter_value_length.or(other.parameter_value_length),
        required_parameters: own.required_parameters.or(other.required_parameters),
        fields: own.fields.or(other.fields),
        field_length: own.field_length.or(other.field_length),
        fields_size: own.fields_size.or(other.fields_size),
        required_fields: own.required_fields.or(other.required_fields),
        content_size: own.content_size.or(other.content_size),
        utf8: own.utf8.or(other.utf8),
        json: own.json.or(other.json),
    }
}

/// Fills in what serde cannot: `[server.limits]`, whose keys are optional
/// since a listener's `limits` are the same table, and `[cache]` likewise,
/// where anything is cached.
pub(super) fn fill(config: &mut Config) {
    config.server.limits = layered(&config.server.limits, &limits());
    for listener in config.listeners.values_mut() {
        let spoken = match &listener.tls {
            Some(_) => vec![Protocol::H1, Protocol::H2],
            None => vec![Protocol::H1],
        };
        listener.protocols.get_or_insert(spoken);
    }
    if caches(config) {
        let cache = &mut config.cache;
        cache.rules = layered_cache(&cache.rules, &cache_rules());
        cache.memory.get_or_insert(Size::from_bytes(CACHE_MEMORY));
        cache.max_object = cache.max_object.or(Some(Size::from_bytes(max_object(cache))));
    }
    if let Some(inspect) = &mut config.filter.inspect {
        inspect.rules = layered_inspect(&inspect.rules, &inspect_rules());
    }
}

/// Gives each route the limits and timeouts of `[defaults]` where it has none
/// of its own. The rest of `[defaults]` is laid under the routes where they
/// are compiled.
pub(super) fn fill_routes(config: &mut Config) {
    let defaults = &config.defaults;
    for route in &mut config.routes {
        route.limits.body = route.limits.body.or(defaults.limits.body);
        let (own, default) = (&mut route.limits, defaults.limits.clone());
        own.rate = own.rate.take().or(default.rate);
        own.concurrency = own.concurrency.take().or(default.concurrency);
        own.bandwidth = own.bandwidth.take().or(default.bandwidth);
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

//! Who is asked about requests of routes, and who gets copies of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use metrics::Recorder;
use proxy_core::{Clock, SystemClock, TokioSpawn};
use proxy_filter::forward_auth::ForwardAuthLayer;
use proxy_upstream::Upstream;
use proxy_upstream::balance::SeededRandom;
use proxy_upstream::mirror::{MirrorLayer, MirrorMeans};

use super::{Resources, upstream_definition};
use crate::config::resolved::{Mirror, Resolved};
use crate::states::States;

/// What asks about the requests of routes; none where no route says so.
pub(super) fn forward_auth<'a>(
    config: &Resolved,
    resources: &Resources,
    find: impl Fn(&str) -> Option<&'a Upstream>,
) -> Option<ForwardAuthLayer<Upstream>> {
    let recorder = resources.recorder.as_deref().map(|recorder| recorder as &dyn Recorder);
    let asked = config.routes.iter().filter_map(|route| {
        let own = route.forward_auth.as_ref()?;
        // Not passed over: a route that asks is never served unasked.
        let upstream = find(&own.upstream).expect("names were checked with the configuration");
        Some((route.name.as_str(), upstream.clone(), own.asks.clone()))
    });
    asked.fold(None, |layer, (route, upstream, asks)| {
        let clock = Arc::new(SystemClock) as Arc<dyn Clock>;
        let layer = layer.unwrap_or_else(ForwardAuthLayer::for_routes);
        Some(layer.route(route, upstream, asks, clock, recorder))
    })
}

/// What sends copies of requests, by the names of the routes: listeners share it, so that a bound
/// is one.
pub(super) fn mirrors<'a>(
    config: &Resolved,
    resources: &Resources,
    states: &mut States,
    find: impl Fn(&str) -> Option<&'a Upstream>,
) -> HashMap<String, MirrorLayer> {
    let mirrors = config.routes.iter().filter_map(|route| {
        let own = route.mirror.as_ref()?;
        let upstream = find(&own.upstream)?;
        // Its bound is one as long as it is defined as it was, and its upstream is; what else the
        // route says is no matter of its own.
        let definition = format!("{own:?}");
        let to = config.upstreams.get(&own.upstream);
        let to = to.map(|to| upstream_definition(config, to)).unwrap_or_default();
        let make = || mirror(&route.name, own, upstream, resources);
        let layer = states.keep(&format!("mirror {}", route.name), definition + &to, make);
        Some((route.name.clone(), layer))
    });
    mirrors.collect()
}

/// Chance for what a layer of a route draws: apart from what others draw, or the same requests
/// would be in the shares of all.
pub(super) fn chance(seed: u64, layer: &str, route: &str) -> SeededRandom {
    let mut own = DefaultHasher::new();
    (seed, layer, route).hash(&mut own);
    SeededRandom::new(own.finish())
}

fn mirror(route: &str, own: &Mirror, upstream: &Upstream, resources: &Resources) -> MirrorLayer {
    let means = MirrorMeans {
        clock: Arc::new(SystemClock),
        spawn: Arc::new(TokioSpawn),
        random: Arc::new(chance(resources.seed, "mirror", route)),
        recorder: resources.recorder.as_deref().map(|recorder| recorder as &dyn Recorder),
    };
    MirrorLayer::new(upstream.clone(), own.config.clone(), &means)
}

#[cfg(test)]
mod tests {
    use proxy_upstream::balance::Random as _;

    use super::*;

    /// Halves of a half: who is in one share is as likely as others to be in another.
    #[test]
    fn shares_of_one_request_are_drawn_apart() {
        let (split, mirror) = (chance(7, "split", "all"), chance(7, "mirror", "all"));
        let other = chance(7, "split", "other");
        let half = |random: &SeededRandom| random.fraction() < 0.5;
        let (mut both, mut routes) = (0, 0);
        for _ in 0..1000 {
            let (first, second) = (half(&split), half(&mirror));
            both += u32::from(first && second);
            routes += u32::from(first == half(&other));
        }
        assert!((150..350).contains(&both), "{both}");
        assert!((400..600).contains(&routes), "{routes}");
    }
}

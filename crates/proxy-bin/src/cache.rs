//! The cache of a route, or of the forward role: from a policy to a layer.

mod maybe;

use std::io;
use std::sync::Arc;

use proxy_cache::store::{DiskStore, MemoryStore, TieredStore};
use proxy_cache::{
    Bypass, CacheLayer, CacheMetrics, CacheRules, CacheStore, Keying, OnDisconnect, QueryRule,
    StatusTtl,
};
use proxy_core::{ContentCoder, SystemClock, TokioSpawn};

pub use maybe::{MaybeCached, MaybeCachedBody, MaybeCachedFuture};

use crate::compose::{PROXY_NAME, Resources};
use crate::config::raw;
use crate::config::resolved::{CachePolicy, CacheQuery, CacheStores, CacheTtl, CompressPolicy};
use crate::states::States;

/// The name that metrics have for exchanges without a route.
const NO_ROUTE: &str = "none";

/// Whose exchanges a layer keeps apart from all others in the same store.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum CacheRole {
    /// A route of the gateway.
    Gateway(Arc<str>),
    /// A route of the gateway, and another upstream than its own that gets some of its requests:
    /// what is tried out on some is not for all.
    Arm(Arc<str>, Arc<str>),
    /// A route of the gateway whose program is the one with this hash: another program's output is
    /// not this one's.
    Program(Arc<str>, u64),
    /// The forward role.
    Forward,
}

impl CacheRole {
    /// The first part of its keys. Names of routes and upstreams have neither `/` nor `@`.
    pub fn space(&self) -> String {
        match self {
            Self::Gateway(route) => format!("gateway/{route}"),
            Self::Arm(route, upstream) => format!("gateway/{route}@{upstream}"),
            Self::Program(route, hash) => format!("gateway/{route}/{hash:016x}"),
            Self::Forward => "forward".to_owned(),
        }
    }

    /// The name that metrics have for it.
    pub fn route(&self) -> &str {
        match self {
            Self::Gateway(route) | Self::Arm(route, _) | Self::Program(route, _) => route,
            Self::Forward => NO_ROUTE,
        }
    }
}

/// The layers of a configuration that keep responses, one for each role and route, and again for
/// exchanges that depend on who asks.
#[derive(Clone, Default)]
pub struct Caches {
    store: Option<Arc<dyn CacheStore>>,
    layers: Vec<(CacheRole, bool, CacheLayer)>,
}

impl Caches {
    /// None yet, over this store.
    pub const fn new(store: Option<Arc<dyn CacheStore>>) -> Self {
        Self { store, layers: Vec::new() }
    }

    /// The store, if anything is stored.
    pub const fn store(&self) -> Option<&Arc<dyn CacheStore>> {
        self.store.as_ref()
    }

    /// The layer for a role, made where it is asked for first; none where there is no store.
    ///
    /// All listeners share it, so that requests for one response wait for each other whichever
    /// way they came. `personal`: an access rule decides who may ask. `coding`: how coded forms of
    /// what is stored are made.
    pub fn layer(
        &mut self,
        policy: &CachePolicy,
        role: &CacheRole,
        personal: bool,
        coding: Option<&CompressPolicy>,
        resources: &Resources,
        states: &mut States,
    ) -> Option<CacheLayer> {
        let known = self.layers.iter().find(|(known, own, _)| known == role && *own == personal);
        if let Some((_, _, layer)) = known {
            return Some(layer.clone());
        }
        let store = Arc::clone(self.store.as_ref()?);
        // A store or coders of other limits are other ones.
        let (at, coders) = (Arc::as_ptr(&store).cast::<()>(), &resources.coders);
        let definition = format!("{policy:?} {coding:?} {at:?} {:?}", coders.limits());
        let name = format!("{personal} {}", role.space());
        let made = states.keep(&name, definition, || {
            let coder = coding.and_then(|own| coders.stored(own));
            layer(policy, role, personal, coder, store, resources)
        });
        self.layers.push((role.clone(), personal, made.clone()));
        Some(made)
    }

    /// Every layer with its role.
    pub fn iter(&self) -> impl Iterator<Item = (&CacheRole, &CacheLayer)> {
        self.layers.iter().map(|(role, _, layer)| (role, layer))
    }
}

impl std::fmt::Debug for Caches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").field("layers", &self.layers).finish_non_exhaustive()
    }
}

/// The largest content that memory keeps where there is a disk for what is larger.
const LARGEST_IN_MEMORY: u64 = 64 << 20;

/// The store that all roles and routes share: memory, above a disk where there is one. `waits`: a
/// folder that another process still has is no error; it is used once that one is gone.
///
/// # Errors
/// A folder that can not be used.
pub fn store(stores: &CacheStores, waits: bool) -> io::Result<Arc<dyn CacheStore>> {
    let memory = MemoryStore::builder(stores.memory);
    let Some(disk) = &stores.disk else {
        return Ok(Arc::new(memory.max_object(stores.max_object).build()));
    };
    let largest = stores.max_object.min(stores.memory / 8).min(LARGEST_IN_MEMORY);
    let below = DiskStore::builder(&disk.path, disk.size)
        .max_object(stores.max_object)
        .wait_for_lock(waits)
        .open()?;
    Ok(Arc::new(TieredStore::new(memory.max_object(largest).build(), below)))
}

/// A layer over a store.
pub fn layer(
    policy: &CachePolicy,
    role: &CacheRole,
    personal: bool,
    coder: Option<Arc<dyn ContentCoder>>,
    store: Arc<dyn CacheStore>,
    resources: &Resources,
) -> CacheLayer {
    let metrics = match &resources.recorder {
        Some(recorder) => CacheMetrics::new(&**recorder, role.route()),
        None => CacheMetrics::default(),
    };
    let builder = CacheLayer::builder(store, Arc::new(SystemClock))
        .spawn(Arc::new(TokioSpawn))
        .rules(rules(policy, personal))
        .keying(keying(policy, role))
        .metrics(metrics);
    match coder {
        Some(coder) => builder.coder(coder, resources.coders.queues().clone()).build(),
        None => builder.build(),
    }
}

fn rules(policy: &CachePolicy, personal: bool) -> CacheRules {
    let fields = policy.bypass_fields.iter().cloned().map(Bypass::Field);
    let cookies = policy.bypass_cookies.iter().map(|name| Bypass::Cookie(name.as_str().into()));
    let query = policy.bypass_query.iter().map(|name| Bypass::Query(name.as_str().into()));
    CacheRules {
        name: PROXY_NAME.into(),
        targeted: policy.targeted_fields.clone(),
        tag_fields: policy.tag_fields.clone(),
        default_ttl: ttl(&policy.default_ttl),
        ttl: ttl(&policy.ttl),
        heuristic: policy.heuristic,
        personal,
        honour_request: policy.request_directives == raw::RequestDirectives::Honour,
        on_disconnect: match policy.on_disconnect {
            raw::OnDisconnect::Cancel => OnDisconnect::Cancel,
            raw::OnDisconnect::FinishIfShared => OnDisconnect::FinishIfShared,
            raw::OnDisconnect::Finish => OnDisconnect::Finish,
        },
        min_uses: policy.min_uses,
        bypass: fields.chain(cookies).chain(query).collect(),
        collapse: policy.collapse,
        stale_while_revalidate: policy.stale_while_revalidate,
        stale_if_error: policy.stale_if_error,
        deception_armour: policy.deception_armour,
        slice: policy.slice,
        show_key: policy.show_key,
        ..CacheRules::default()
    }
}

fn ttl(times: &[CacheTtl]) -> Vec<StatusTtl> {
    times.iter().map(|own| StatusTtl { statuses: own.statuses.clone(), ttl: own.ttl }).collect()
}

fn keying(policy: &CachePolicy, role: &CacheRole) -> Keying {
    let names = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
    Keying {
        space: role.space().into(),
        query: match &policy.query {
            CacheQuery::All => QueryRule::All,
            CacheQuery::Allow(allow) => QueryRule::Allow(names(allow)),
            CacheQuery::Deny(deny) => QueryRule::Deny(names(deny)),
        },
        sort_query: policy.query_sort,
        fields: policy.key_fields.clone(),
        ..Keying::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::resolved::CacheDisk;
    use crate::config::tests::Folder;
    use crate::config::{Overrides, from_raw};

    fn policy(cache: &serde_json::Value) -> CachePolicy {
        let config = serde_json::json!({
            "listeners": {"web": {"address": "127.0.0.1:80", "role": "gateway"}},
            "upstreams": {"app": {"endpoints": ["http://127.0.0.1:81"]}},
            "routes": [{"name": "all", "upstream": "app", "cache": cache}],
        });
        let mut resolved = from_raw("test", &config, &Overrides::default()).unwrap().resolved;
        resolved.routes.remove(0).cache.unwrap()
    }

    #[test]
    fn without_a_word_the_rules_are_those_of_the_layer() {
        let ours = rules(&policy(&true.into()), false);
        let theirs = CacheRules { name: PROXY_NAME.into(), ..CacheRules::default() };
        assert_eq!(format!("{ours:?}"), format!("{theirs:?}"));
    }

    #[test]
    fn memory_stands_above_a_disk() {
        let folder = Folder::new(&[]);
        let mut stores = CacheStores { memory: 64 << 20, disk: None, max_object: 1 << 20 };
        let alone = store(&stores, false).unwrap();
        assert_eq!((alone.tiers().len(), alone.max_object()), (1, 1 << 20));
        stores.disk = Some(CacheDisk { path: folder.path("disk"), size: 1 << 30 });
        stores.max_object = 100 << 20;
        let both = store(&stores, false).unwrap();
        let names: Vec<_> = both.tiers().iter().map(|(name, _)| *name).collect();
        assert_eq!((names, both.max_object()), (vec!["memory", "disk"], 100 << 20));
        stores.disk = Some(CacheDisk { path: folder.path("no/such"), size: 1 << 30 });
        std::fs::write(folder.path("no"), "").unwrap();
        assert!(store(&stores, false).is_err());
    }

    #[test]
    fn every_key_arrives() {
        let policy = policy(&serde_json::json!({
            "ttl": "1m", "default_ttl": {"404": "1s"}, "heuristic": false,
            "key": {"query_allow": ["a"], "query_sort": true, "fields": ["X-A"]},
            "tag_field": "X-Tag", "targeted_fields": ["Own-Cache-Control"],
            "request_directives": "ignore", "on_disconnect": "cancel", "collapse": false,
            "min_uses": 3, "bypass": {"fields": ["X-B"], "cookies": ["c"], "query": ["d"]},
            "stale_while_revalidate": "2s", "stale_if_error": "3s",
            "deception_armour": false, "show_key": true,
        }));
        let rules = format!("{:?}", rules(&policy, true));
        for part in [
            "targeted: [\"own-cache-control\"]",
            "tag_fields: [\"x-tag\"]",
            "default_ttl: [StatusTtl { statuses: 404..=404, ttl: 1s }]",
            "ttl: [StatusTtl { statuses: 200..=299, ttl: 60s }]",
            "heuristic: false",
            "personal: true",
            "honour_request: false",
            "on_disconnect: Cancel",
            "min_uses: 3",
            "bypass: [Field(\"x-b\"), Cookie(\"c\"), Query(\"d\")]",
            "collapse: false",
            "stale_while_revalidate: Some(2s)",
            "stale_if_error: Some(3s)",
            "deception_armour: false",
            "show_key: true",
        ] {
            assert!(rules.contains(part), "{part}\n{rules}");
        }
        let keying = keying(&policy, &CacheRole::Gateway("all".into()));
        assert_eq!((&*keying.space, keying.sort_query), ("gateway/all", true));
        assert!(matches!(&keying.query, QueryRule::Allow(names) if **names == ["a".into()]));
        assert_eq!(keying.fields, ["x-a"]);
        assert_eq!(CacheRole::Forward.space(), "forward");
    }
}

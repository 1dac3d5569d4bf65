//! `GET /cache` and `POST /cache/purge`.

use std::collections::BTreeMap;

use axum::body::{Bytes, to_bytes};
use axum::extract::{Request, State as Extracted};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use proxy_cache::Outcome;
use proxy_cache::purge::{Selector, purge as sweep};
use proxy_cache::store::{Freed, Usage};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{State, authorise};

/// More than any purge says.
const MAX_ORDER: usize = 64 * 1024;

/// What a layer counts, as it is called in JSON.
const OUTCOMES: [(&str, Outcome); 9] = [
    ("hit", Outcome::Hit),
    ("stale", Outcome::Stale),
    ("validated", Outcome::Validated),
    ("miss", Outcome::Miss),
    ("collapsed", Outcome::Collapsed),
    ("bypass", Outcome::Bypass),
    ("stored", Outcome::Stored),
    ("unstored", Outcome::Unstored),
    ("invalidated", Outcome::Invalidated),
];

/// What is stored, and what came of the requests of each role and route.
pub(super) async fn show(Extracted(state): Extracted<State>) -> Json<Value> {
    let generation = state.generation();
    let cache = generation.caches.store();
    let mut answer = usage(&cache.map(|store| store.usage()).unwrap_or_default());
    let tiers = cache.map(|store| store.tiers()).unwrap_or_default();
    if tiers.len() > 1 {
        let tiers: Map<_, _> =
            tiers.iter().map(|(name, tier)| ((*name).to_owned(), usage(tier).into())).collect();
        answer.insert("tiers".to_owned(), tiers.into());
    }
    let mut spaces: BTreeMap<String, ([u64; OUTCOMES.len()], usize)> = BTreeMap::new();
    for (role, layer) in generation.caches.iter() {
        let counts = layer.counts();
        let (sums, in_flight) = spaces.entry(role.space()).or_default();
        for (sum, (_, outcome)) in sums.iter_mut().zip(OUTCOMES) {
            *sum += counts.of(outcome);
        }
        *in_flight += layer.in_flight();
    }
    let in_flight: usize = spaces.values().map(|(_, in_flight)| in_flight).sum();
    answer.insert("in_flight".to_owned(), in_flight.into());
    let routes =
        spaces.into_iter().map(|(space, (sums, in_flight))| space_of(space, sums, in_flight));
    answer.insert("routes".to_owned(), routes.collect());
    Json(answer.into())
}

fn usage(usage: &Usage) -> Map<String, Value> {
    let pairs = [
        ("entries", usage.responses),
        ("bytes", usage.bytes),
        ("capacity", usage.capacity),
        ("evicted", usage.evicted),
        ("faults", usage.faults),
    ];
    pairs.into_iter().map(|(key, number)| (key.to_owned(), number.into())).collect()
}

fn space_of(space: String, sums: [u64; OUTCOMES.len()], in_flight: usize) -> Value {
    let of = |wanted: &[&str]| -> u64 {
        let counts = OUTCOMES.iter().zip(sums);
        counts.filter(|((name, _), _)| wanted.contains(name)).map(|(_, count)| count).sum()
    };
    let requests = of(&["hit", "stale", "validated", "miss", "collapsed", "bypass"]);
    // As the layer has it: what was answered without asking upstream.
    let hits = of(&["hit", "stale", "collapsed"]);
    let ratio = (requests > 0).then(|| hits as f64 / requests as f64);
    let mut answer = Map::from_iter([
        ("route".to_owned(), space.into()),
        ("hit_ratio".to_owned(), ratio.into()),
        ("in_flight".to_owned(), in_flight.into()),
    ]);
    answer.extend(OUTCOMES.iter().zip(sums).map(|((name, _), n)| ((*name).to_owned(), n.into())));
    answer.into()
}

/// Removes stored responses, or marks them stale, or counts them.
pub(super) async fn purge(Extracted(state): Extracted<State>, request: Request) -> Response {
    if let Err(refused) = authorise(&state, request.headers()) {
        return *refused;
    }
    let order = match to_bytes(request.into_body(), MAX_ORDER).await {
        Ok(content) => Order::read(&content),
        Err(_) => Err("the content can not be read, or is too large".to_owned()),
    };
    let (selector, soft, dry_run) = match order {
        Ok(order) => order,
        Err(reason) => {
            return (StatusCode::BAD_REQUEST, Json(json!({ "error": reason }))).into_response();
        }
    };
    let generation = state.generation();
    let Some(store) = generation.caches.store().cloned() else {
        return freed(Freed::default()).into_response();
    };
    if !dry_run {
        // What is on its way from upstream may be what is purged.
        generation.caches.iter().for_each(|(_, layer)| layer.spoil_fills());
    }
    // It looks at everything that is stored: not on the thread that answers.
    let work = tokio::task::spawn_blocking(move || sweep(&*store, &selector, soft, dry_run));
    match work.await {
        Ok(done) => freed(done).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

fn freed(freed: Freed) -> Json<Value> {
    Json(json!({ "responses": freed.responses, "bytes": freed.bytes }))
}

/// The content of a purge.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    url: Option<String>,
    prefix: Option<String>,
    tag: Option<String>,
    host: Option<String>,
    all: bool,
    soft: bool,
    dry_run: bool,
}

impl Order {
    /// The one selector, whether soft, whether dry; or what is wrong.
    fn read(content: &Bytes) -> Result<(Selector, bool, bool), String> {
        let order: Self = serde_json::from_slice(content).map_err(|error| error.to_string())?;
        let named = |key: &str, selector: Result<Selector, _>| {
            selector.map_err(|error: proxy_cache::purge::SelectorError| format!("`{key}`: {error}"))
        };
        let selectors = [
            order.url.as_deref().map(|url| named("url", Selector::url(url))),
            order.prefix.as_deref().map(|prefix| named("prefix", Selector::prefix(prefix))),
            order.tag.as_deref().map(|tag| named("tag", Selector::tag(tag))),
            order.host.as_deref().map(|host| named("host", Selector::host(host))),
            order.all.then_some(Ok(Selector::All)),
        ];
        let mut selectors = selectors.into_iter().flatten();
        match (selectors.next(), selectors.next()) {
            (Some(selector), None) => Ok((selector?, order.soft, order.dry_run)),
            _ => Err("expected one of `url`, `prefix`, `tag`, `host`, `all`".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &'static str) -> Result<(Selector, bool, bool), String> {
        Order::read(&Bytes::from_static(text.as_bytes()))
    }

    #[test]
    fn exactly_one_selector() {
        let url = Selector::url("http://a.test/b").unwrap();
        assert_eq!(read(r#"{"url": "http://a.test/b", "soft": true}"#), Ok((url, true, false)));
        let tag = Selector::tag("a").unwrap();
        assert_eq!(read(r#"{"tag": "a", "all": false, "dry_run": true}"#), Ok((tag, false, true)));
        assert_eq!(read(r#"{"all": true}"#), Ok((Selector::All, false, false)));
        for (text, expected) in [
            ("{}", "expected one of `url`, `prefix`, `tag`, `host`, `all`"),
            (r#"{"all": false}"#, "expected one of"),
            (r#"{"all": true, "tag": "a"}"#, "expected one of"),
            (r#"{"url": "/b"}"#, "`url`: expected a URL such as"),
            (r#"{"host": "a b"}"#, "`host`: expected a host such as"),
            (r#"{"urls": "/b"}"#, "unknown field `urls`"),
            (r#"{"all": 1}"#, "invalid type"),
            ("", "EOF"),
        ] {
            let reason = read(text).unwrap_err();
            assert!(reason.starts_with(expected), "{text}: {reason}");
        }
    }

    #[test]
    fn a_ratio_is_of_requests() {
        let shown = space_of("gateway/a".to_owned(), [3, 1, 1, 2, 0, 1, 7, 7, 7], 2);
        assert_eq!(shown["hit_ratio"], 0.5);
        assert_eq!((&shown["route"], &shown["in_flight"]), (&json!("gateway/a"), &json!(2)));
        assert_eq!((&shown["miss"], &shown["stored"]), (&json!(2), &json!(7)));
        assert_eq!(space_of(String::new(), [0; 9], 0)["hit_ratio"], Value::Null);
    }
}

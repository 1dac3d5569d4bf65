//! The cache: where responses are kept, for which routes, and how.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::ops::RangeInclusive;

use http::HeaderName;

use super::Resolver;
use crate::config::defaults;
use crate::config::path::KeyPath;
use crate::config::raw::{self, CacheRules, CacheSwitch, Config, FieldNames, Ttl};
use crate::config::resolved::{CacheDisk, CachePolicy, CacheQuery, CacheStores, CacheTtl};
use crate::config::units::{Period, Size};

/// Sizes of a slice: smaller ones cost more than they save, larger ones save nothing.
const SLICES: RangeInclusive<u64> = (64 << 10)..=(16 << 20);
/// Less memory than this holds nothing worth a cache.
const LEAST_MEMORY: u64 = 1 << 20;
/// The same for a disk.
const LEAST_DISK: u64 = 16 << 20;

impl Resolver<'_> {
    /// Where responses are kept; `used` by any route or by `[forward]`.
    pub(super) fn cache(&mut self, config: &Config, used: bool) -> Option<CacheStores> {
        let path = KeyPath::of("cache");
        let raw = &config.cache;
        self.cache_policy(&path, &raw.rules);
        let default = config.defaults.cache.as_ref();
        if let Some(CacheSwitch::With(rules)) = default {
            self.cache_policy(&KeyPath::of("defaults.cache"), rules);
        }
        let memory = raw.memory.map_or(defaults::CACHE_MEMORY, Size::bytes);
        if memory < LEAST_MEMORY {
            self.too_small(&path.key("memory"), LEAST_MEMORY, memory);
        }
        let disk = raw.disk.as_ref().map(|disk| self.disk(&path.key("disk"), disk));
        let room = disk.as_ref().map_or(memory, |disk| disk.size.max(memory));
        let max_object = raw.max_object.map_or(defaults::max_object(raw), Size::bytes);
        if max_object == 0 || max_object > room {
            let room = Size::from_bytes(room);
            let message = format!("expected a size up to {room}, all that is kept");
            self.error(&path.key("max_object"), message);
        }
        if self.written.get("cache").is_some() && !used {
            let message = "nothing is cached: no route, `[defaults]` or `[forward]` says `cache`";
            self.warning(&path, message);
        }
        used.then_some(CacheStores { memory, disk, max_object })
    }

    fn disk(&mut self, path: &KeyPath, raw: &raw::Disk) -> CacheDisk {
        let key = path.key("path");
        let folder = self.origins.folder(&key).join(&raw.path);
        if raw.path.is_empty() {
            self.error(&key, "expected a folder");
        } else if folder.exists() && !folder.is_dir() {
            self.error(&key, format!("{} is not a folder", folder.display()));
        } else if let Some(parent) = folder.parent()
            && !parent.as_os_str().is_empty()
            && !parent.is_dir()
        {
            self.error(&key, format!("there is no folder {} for it", parent.display()));
        }
        let size = raw.size.bytes();
        if size < LEAST_DISK {
            self.too_small(&path.key("size"), LEAST_DISK, size);
        }
        CacheDisk { path: folder, size }
    }

    pub(super) fn too_small(&mut self, path: &KeyPath, least: u64, found: u64) {
        let (least, found) = (Size::from_bytes(least), Size::from_bytes(found));
        self.error(path, format!("expected a size from {least}, found {found}"));
    }

    /// How `[forward]` keeps responses, where it does.
    pub(super) fn forward_cache(&mut self, config: &Config) -> Option<CachePolicy> {
        let path = KeyPath::of("forward.cache");
        let policy = self.switched(config, &path, config.forward.cache.as_ref())?;
        if config.forward.forwarded {
            let message = "destinations are told who asked, and their answers are stored for all";
            self.warning(&path, message);
        }
        Some(policy)
    }

    /// How the responses of a route are kept, where they are.
    pub(super) fn route_cache(&mut self, config: &Config, index: usize) -> Option<CachePolicy> {
        let route = &config.routes[index];
        let path = KeyPath::of("routes").index(index);
        if route.redirect.is_some() || route.respond.is_some() {
            if !matches!(route.cache, None | Some(CacheSwitch::Is(false))) {
                let message =
                    "only what an upstream or a program answers is stored, and this route has none";
                self.error_on_key(&path.key("cache"), message);
            }
            return None;
        }
        let policy = match &route.cache {
            Some(own) => self.switched(config, &path.key("cache"), Some(own))?,
            // What is wrong with it is said once, where it stands.
            None => self.silently(|resolver| {
                let default = config.defaults.cache.as_ref();
                resolver.switched(config, &KeyPath::of("defaults.cache"), default)
            })?,
        };
        self.unkeyed(config, index, &policy);
        Some(policy)
    }

    /// The policy of a switch that is on, over what `[cache]` says.
    fn switched(
        &mut self,
        config: &Config,
        path: &KeyPath,
        switch: Option<&CacheSwitch>,
    ) -> Option<CachePolicy> {
        let general = &config.cache.rules;
        let rules = match switch? {
            CacheSwitch::Is(false) => return None,
            CacheSwitch::Is(true) => general.clone(),
            CacheSwitch::With(own) => {
                self.cache_policy(path, own);
                defaults::layered_cache(own, general)
            }
        };
        // Each table was judged by itself, at its own place.
        Some(self.silently(|resolver| resolver.cache_policy(path, &rules)))
    }

    fn cache_policy(&mut self, path: &KeyPath, raw: &CacheRules) -> CachePolicy {
        let whole = defaults::layered_cache(raw, &defaults::cache_rules());
        let key = whole.key.unwrap_or_default();
        let bypass = whole.bypass.unwrap_or_default();
        let in_key = path.key("key");
        let query = match (key.query_allow, key.query_deny) {
            (Some(_), Some(_)) => {
                let message = "give this or `query_allow`, not both";
                self.error_on_key(&in_key.key("query_deny"), message);
                CacheQuery::All
            }
            (Some(allow), None) => CacheQuery::Allow(allow),
            (None, Some(deny)) => CacheQuery::Deny(deny),
            (None, None) => CacheQuery::All,
        };
        let tag_fields = match whole.tag_field {
            Some(FieldNames::One(name)) => {
                self.take(&path.key("tag_field"), field_name(&name)).into_iter().collect()
            }
            Some(FieldNames::Several(names)) => {
                self.list(&path.key("tag_field"), &names, field_name)
            }
            None => Vec::new(),
        };
        let targeted = whole.targeted_fields.unwrap_or_default();
        let mut period = |name: &str, period: Option<Period>| {
            period.map(|period| self.period(&path.key(name), period))
        };
        let stale_while_revalidate = period("stale_while_revalidate", whole.stale_while_revalidate);
        let stale_if_error = period("stale_if_error", whole.stale_if_error);
        let slice = whole.slice.and_then(|size| {
            if !SLICES.contains(&size.bytes()) {
                self.error(&path.key("slice"), "expected a size from 64KiB to 16MiB");
            }
            NonZeroU64::new(size.bytes())
        });
        let in_bypass = path.key("bypass");
        CachePolicy {
            default_ttl: self.ttl(&path.key("default_ttl"), whole.default_ttl.as_ref()),
            ttl: self.ttl(&path.key("ttl"), whole.ttl.as_ref()),
            heuristic: whole.heuristic.unwrap_or(true),
            query,
            query_sort: key.query_sort,
            key_fields: self.list(&in_key.key("fields"), &key.fields, field_name),
            tag_fields,
            targeted_fields: self.list(&path.key("targeted_fields"), &targeted, field_name),
            request_directives: whole.request_directives.unwrap_or(raw::RequestDirectives::Honour),
            on_disconnect: whole.on_disconnect.unwrap_or(raw::OnDisconnect::FinishIfShared),
            collapse: whole.collapse.unwrap_or(true),
            min_uses: whole.min_uses.and_then(|uses| u32::try_from(uses).ok()).unwrap_or(1),
            bypass_fields: self.list(&in_bypass.key("fields"), &bypass.fields, field_name),
            bypass_cookies: bypass.cookies,
            bypass_query: bypass.query,
            stale_while_revalidate,
            stale_if_error,
            deception_armour: whole.deception_armour.unwrap_or(true),
            slice,
            show_key: whole.show_key.unwrap_or(false),
        }
    }

    /// The times, the narrowest range first, so that the first that fits is the one meant.
    fn ttl(&mut self, path: &KeyPath, raw: Option<&Ttl>) -> Vec<CacheTtl> {
        let times: &BTreeMap<String, Period> = match raw {
            None => return Vec::new(),
            Some(Ttl::Success(ttl)) => {
                return vec![CacheTtl { statuses: 200..=299, ttl: ttl.duration() }];
            }
            Some(Ttl::ByStatus(times)) => times,
        };
        let mut list: Vec<CacheTtl> = Vec::new();
        for (text, ttl) in times {
            let path = path.key(text);
            let statuses = match statuses(text) {
                Ok(statuses) => statuses,
                Err(message) => {
                    self.error_on_key(&path, message);
                    continue;
                }
            };
            if let Some(other) = list.iter().find(|other| cross(&other.statuses, &statuses)) {
                let (first, last) = (other.statuses.start(), other.statuses.end());
                let message = format!("it has statuses in common with {first}-{last}");
                self.error_on_key(&path, message);
            }
            list.push(CacheTtl { statuses, ttl: ttl.duration() });
        }
        list.sort_by_key(|ttl| ttl.statuses.len());
        list
    }
}

fn field_name(name: &str) -> Result<HeaderName, String> {
    HeaderName::from_bytes(name.as_bytes())
        .map_err(|_| format!("expected a field name, found `{name}`"))
}

/// Whether two ranges share statuses and neither is the narrower one.
fn cross(one: &RangeInclusive<u16>, other: &RangeInclusive<u16>) -> bool {
    let within = |a: &RangeInclusive<u16>, b: &RangeInclusive<u16>| {
        b.contains(a.start()) && b.contains(a.end())
    };
    let meet = one.start() <= other.end() && other.start() <= one.end();
    meet && (one == other || !(within(one, other) || within(other, one)))
}

/// A status, a class or a range.
fn statuses(text: &str) -> Result<RangeInclusive<u16>, String> {
    let status = |text: &str| {
        let digits = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse::<u16>().ok())?.filter(|status| (200..600).contains(status))
    };
    let range = match (text.strip_suffix("xx"), text.split_once('-')) {
        (Some(class), _) => match class {
            "2" | "3" | "4" | "5" => {
                status(&format!("{class}00")).zip(status(&format!("{class}99")))
            }
            _ => None,
        },
        (None, Some((first, last))) => status(first).zip(status(last)),
        (None, None) => status(text).zip(status(text)),
    };
    range.filter(|(first, last)| first <= last).map(|(first, last)| first..=last).ok_or_else(|| {
        "expected a status from 200 to 599, a class such as \"5xx\" or a range such as \"500-504\""
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_classes_and_ranges() {
        for (text, expected) in [
            ("200", Some(200..=200)),
            ("5xx", Some(500..=599)),
            ("500-504", Some(500..=504)),
            ("599", Some(599..=599)),
            ("199", None),
            ("600", None),
            ("1xx", None),
            ("xx", None),
            ("504-500", None),
            ("200-", None),
            ("+20", None),
            ("20", None),
            ("all", None),
            ("", None),
        ] {
            assert_eq!(statuses(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn ranges_may_lie_in_each_other_but_not_cross() {
        for (one, other, expected) in [
            (500..=504, 500..=599, false),
            (200..=200, 404..=404, false),
            (500..=504, 503..=510, true),
            (500..=599, 500..=599, true),
        ] {
            assert_eq!(cross(&one, &other), expected, "{one:?} {other:?}");
            assert_eq!(cross(&other, &one), expected, "{other:?} {one:?}");
        }
    }
}

//! Who is asked about the requests of a route, where parts of them go, and who gets a copy.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::uri::PathAndQuery;
use http::{HeaderName, header};
use proxy_core::matching::ValueTest;
use proxy_filter::forward_auth::ForwardAuth as Asks;
use proxy_upstream::mirror::MirrorConfig;

use super::Resolver;
use super::failure::{cookie_name, hash_key};
use super::route::timeouts;
use crate::config::path::KeyPath;
use crate::config::raw::{self, Config, FieldMatch};
use crate::config::resolved::{ForwardAuth, Mirror, Split, Upstream};
use crate::gateway::{SplitRules, SplitTest};
use crate::routes::fields::is_hop_by_hop;

impl Resolver<'_> {
    /// Who is asked about the requests of a route.
    pub(super) fn route_forward_auth(
        &mut self,
        config: &Config,
        index: usize,
    ) -> Option<ForwardAuth> {
        match &config.routes[index].forward_auth {
            Some(own) => self.forward_auth(&KeyPath::of("routes").index(index), own),
            // What is wrong with it is told once.
            None => self.silently(|own| own.default_forward_auth(config)),
        }
    }

    /// Who is asked where a route does not say, whether there is such a route or not.
    pub(super) fn default_forward_auth(&mut self, config: &Config) -> Option<ForwardAuth> {
        self.forward_auth(&KeyPath::of("defaults"), config.defaults.forward_auth.as_ref()?)
    }

    fn forward_auth(
        &mut self,
        table: &KeyPath,
        switch: &raw::ForwardAuthSwitch,
    ) -> Option<ForwardAuth> {
        let path = table.key("forward_auth");
        let raw = match switch {
            raw::ForwardAuthSwitch::Is(false) => return None,
            raw::ForwardAuthSwitch::Is(true) => {
                self.error(&path, "expected a table with an `upstream`, or false; found true");
                return None;
            }
            raw::ForwardAuthSwitch::By(raw) => raw,
        };
        self.known_upstream(&path.key("upstream"), &raw.upstream);
        let target = self.take(&path.key("path"), target(&raw.path));
        let mut asks = Asks::new(target.unwrap_or(PathAndQuery::from_static("/")))
            .service(raw.upstream.as_str())
            .copies(self.list(&path.key("copy_fields"), &raw.copy_fields, passed_name))
            .returns(self.list(&path.key("response_fields"), &raw.response_fields, passed_name))
            .timeout(self.period(&path.key("timeout"), raw.timeout))
            // They are made anew for every request before it comes to a route.
            .keeps_forwarded();
        if let Some(names) = &raw.send_fields {
            asks = asks.sends(self.list(&path.key("send_fields"), names, passed_name));
        }
        if let Some(name) = &raw.user_field {
            let name = self.take(&path.key("user_field"), passed_name(name));
            asks = name.into_iter().fold(asks, Asks::user);
        }
        Some(ForwardAuth { upstream: raw.upstream.clone(), asks })
    }

    /// Which of the requests of a route go elsewhere.
    pub(super) fn route_split(
        &mut self,
        config: &Config,
        index: usize,
        upstreams: &BTreeMap<String, Upstream>,
    ) -> Option<Split> {
        let route = &config.routes[index];
        let raw = route.split.as_ref()?;
        let path = KeyPath::of("routes").index(index).key("split");
        if !has_upstream(config, route) {
            self.error_on_key(&path, "needs an `upstream`: the rest of the requests goes there");
        }
        let by = raw.by.as_ref().and_then(|by| self.take(&path.key("by"), hash_key(by)));
        let mut rules = SplitRules::new(&route.name, by);
        let mut found: Vec<(String, _)> = Vec::new();
        let mut percents = 0;
        for (at, arm) in raw.to.iter().enumerate() {
            let path = path.key("to").index(at);
            self.known_upstream(&path.key("upstream"), &arm.upstream);
            let place = found.iter().position(|(name, _)| *name == arm.upstream);
            let place = place.unwrap_or_else(|| {
                let own = upstreams.get(&arm.upstream).map(|own| &own.timeouts);
                let times = own.map(|own| timeouts(&route.timeouts, own)).unwrap_or_default();
                found.push((arm.upstream.clone(), times));
                found.len() - 1
            });
            let tests = self.split_tests(&path, arm);
            let name: Arc<str> = arm.upstream.as_str().into();
            match (arm.share, tests.is_empty()) {
                (Some(share), true) => {
                    percents += u32::from(share.percent());
                    rules = rules.share(place, name, share.fraction());
                }
                (None, false) => rules = rules.only(place, name, tests),
                // An error has been told of what is in it, or it says too little or too much.
                (None, true) if !arm.fields.is_empty() || !arm.cookies.is_empty() => {}
                _ => {
                    let message = "expected either `share`, or `fields` and `cookies`";
                    self.error(&path, message);
                }
            }
        }
        if percents > 100 {
            self.error(&path.key("to"), "the shares are more than 100% together");
        }
        Some(Split { rules, upstreams: found })
    }

    fn split_tests(&mut self, path: &KeyPath, arm: &raw::SplitArm) -> Vec<SplitTest> {
        let mut tests = Vec::new();
        for (name, is) in &arm.fields {
            let path = path.key("fields").key(name);
            let parsed = self.take(&path, field_name(name));
            if parsed == Some(header::HOST) {
                self.error(&path, "match the host with `match.hosts`");
            }
            let test = self.take(&path, value_test(is));
            tests.extend(parsed.zip(test).map(|(name, test)| SplitTest::field(name, test)));
        }
        for (name, is) in &arm.cookies {
            let path = path.key("cookies").key(name);
            let parsed = self.take(&path, cookie_name(name)).map(str::to_owned);
            let test = self.take(&path, value_test(is));
            tests.extend(parsed.zip(test).map(|(name, test)| SplitTest::cookie(&name, test)));
        }
        tests
    }

    /// Who gets copies of the requests of a route.
    pub(super) fn route_mirror(&mut self, config: &Config, index: usize) -> Option<Mirror> {
        let route = &config.routes[index];
        let raw = route.mirror.as_ref()?;
        let path = KeyPath::of("routes").index(index).key("mirror");
        if !has_upstream(config, route) {
            self.error_on_key(&path, "needs an `upstream`: copies are made of what goes there");
        }
        self.known_upstream(&path.key("upstream"), &raw.upstream);
        let own = route.upstream.as_ref().or(config.defaults.upstream.as_ref());
        let arms = route.split.iter().flat_map(|split| &split.to).map(|arm| &arm.upstream);
        if own.into_iter().chain(arms).any(|serves| *serves == raw.upstream) {
            let message =
                format!("`{}` serves the route: it would get requests twice", raw.upstream);
            self.error(&path.key("upstream"), message);
        }
        Some(Mirror {
            upstream: raw.upstream.clone(),
            config: MirrorConfig {
                share: raw.share.fraction(),
                body: usize::try_from(raw.body.bytes()).unwrap_or(usize::MAX),
                max_requests: usize::try_from(raw.max_requests).unwrap_or(usize::MAX),
                timeout: self.period(&path.key("timeout"), raw.timeout),
                remove: self.field_names(&path.key("remove_fields"), &raw.remove_fields),
                ..MirrorConfig::new(&raw.upstream)
            },
        })
    }

    fn known_upstream(&mut self, path: &KeyPath, name: &str) {
        let upstreams = self.declared("upstreams");
        if !upstreams.iter().any(|own| own == name) {
            self.unknown(path, "upstream", name, &upstreams);
        }
    }

    fn field_names(&mut self, path: &KeyPath, names: &[String]) -> Vec<HeaderName> {
        self.list(path, names, field_name)
    }
}

/// Every upstream that a route names, beside its own.
pub(super) fn other_upstreams(route: &raw::Route) -> impl Iterator<Item = &str> {
    let split = route.split.iter().flat_map(|split| &split.to).map(|arm| arm.upstream.as_str());
    let mirror = route.mirror.iter().map(|mirror| mirror.upstream.as_str());
    split.chain(mirror).chain(asked(route.forward_auth.as_ref()))
}

/// The upstream that is asked.
pub(super) fn asked(switch: Option<&raw::ForwardAuthSwitch>) -> Option<&str> {
    match switch? {
        raw::ForwardAuthSwitch::By(own) => Some(&own.upstream),
        raw::ForwardAuthSwitch::Is(_) => None,
    }
}

fn has_upstream(config: &Config, route: &raw::Route) -> bool {
    let answers = route.redirect.is_some() || route.respond.is_some() || route.exec.is_some();
    !answers && route.upstream.as_ref().or(config.defaults.upstream.as_ref()).is_some()
}

fn target(text: &str) -> Result<PathAndQuery, String> {
    let wrong = |why: &str| format!("expected a path such as `/verify`, found `{text}`{why}");
    if !text.starts_with('/') || text.starts_with("//") {
        return Err(wrong(""));
    }
    text.parse().map_err(|error| wrong(&format!("; {error}")))
}

fn field_name(name: &str) -> Result<HeaderName, String> {
    let parsed = HeaderName::from_bytes(name.as_bytes());
    let parsed = parsed.map_err(|_| format!("`{name}` is not a field name"))?;
    if is_hop_by_hop(&parsed) || parsed == header::CONTENT_LENGTH {
        return Err(format!("`{name}` belongs to one connection and is not passed on"));
    }
    Ok(parsed)
}

/// A field that passes between requests and a service that is asked about them: none that says how
/// or for whom a message was sent, or what its content is.
fn passed_name(name: &str) -> Result<HeaderName, String> {
    let parsed = field_name(name)?;
    if MADE_HERE.contains(&parsed.as_str()) {
        return Err(format!("`{name}` is made by the proxy, for every request"));
    }
    let text = parsed.as_str();
    if text.starts_with("content-") && !text.starts_with("content-security-policy") {
        return Err(format!("`{name}` is about content, and none is passed on"));
    }
    Ok(parsed)
}

/// Fields of requests that are always made anew. Names such as `X-Forwarded-User` are not among
/// them: services answer with those.
const MADE_HERE: [&str; 15] = [
    "expect",
    "forwarded",
    "host",
    "via",
    "x-forwarded-by",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-method",
    "x-forwarded-path",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-uri",
];

fn value_test(is: &FieldMatch) -> Result<ValueTest, String> {
    Ok(match is {
        FieldMatch::Present(present) => ValueTest::Present(*present),
        FieldMatch::Value(value) => ValueTest::exact(value),
        FieldMatch::Pattern(pattern) => {
            ValueTest::regex(&pattern.regex).map_err(|error| error.to_string())?
        }
    })
}

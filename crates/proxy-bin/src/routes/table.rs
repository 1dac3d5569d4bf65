//! The table of routes: the first that matches wins.
//!
//! - No route: [`Lookup::NotFound`], a 404.
//! - Routes match in everything but the method: [`Lookup::MethodNotAllowed`], a 405 with `Allow`.
//!   Methods match exactly, so that `HEAD` is not allowed where only `GET` is listed.
//! - Access rules are not judged here. A request that matches a route but whose client is not
//!   permitted is the caller's 403, and never the next route's.
//!
//! A lookup that finds a route, or none, allocates nothing, up to the exception that
//! [`matcher`](super::matcher) names. Most routes are decided by two comparisons of numbers: of the
//! path's first eight bytes, and of a summary of the host.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Method};
use ipnet::IpNet;
use proxy_core::{ClientAddr, IpSet};

use super::error::{Problems, RouteError};
use super::fields::FieldRules;
use super::gate::{Gate, GateKey};
use super::matcher::{Fit, Matcher};
use super::redirect::Redirect;
use super::respond::Respond;
use super::rewrite::Rewrite;
use super::spec::{FieldsSpec, RewriteSpec, RouteSpec};

/// The longest name of a route.
const MAX_NAME: usize = 64;

/// What a request is matched by. The path is normalised, and what is matched is what is forwarded.
#[derive(Debug, Clone, Copy)]
pub struct RouteQuery<'a> {
    /// The name of the listener that the request came in on.
    pub listener: &'a str,
    /// The method.
    pub method: &'a Method,
    /// `http` or `https`: how the client speaks to us.
    pub scheme: &'a str,
    /// The host, without a port.
    pub host: &'a str,
    /// The path in normal form; `*` for `OPTIONS *`.
    pub path: &'a str,
    /// The query, without the question mark.
    pub query: Option<&'a str>,
    /// The fields, as hygiene left them.
    pub fields: &'a HeaderMap,
}

/// What a table says about a request.
#[derive(Debug, Clone)]
pub enum Lookup<'t, 'q> {
    /// The first route that matches.
    Route {
        /// The route; access rules are not judged yet.
        route: &'t Arc<Route>,
        /// What follows the matched prefix in the path, without the slash between: `{rest}`.
        rest: &'q str,
    },
    /// Only routes with other methods match: 405, with this `Allow`, sorted.
    MethodNotAllowed(HeaderValue),
    /// No route matches: 404.
    NotFound,
}

/// What a route does with a request.
#[derive(Debug, Clone)]
pub enum Action {
    /// Passes it to the upstream of this name.
    Upstream(Arc<str>),
    /// Answers with the output of a program.
    Exec,
    /// Answers with a redirect.
    Redirect(Redirect),
    /// Answers with this.
    Respond(Respond),
}

/// A compiled route.
#[derive(Debug)]
#[non_exhaustive]
pub struct Route {
    /// Its position among the routes, from 0.
    pub index: usize,
    /// Its name, unique in the table.
    pub name: Arc<str>,
    /// What it does.
    pub action: Action,
    /// Networks of the clients that are permitted; empty for all.
    pub allow_clients: IpSet,
    /// Networks of clients that are not permitted, whatever `allow_clients` says.
    pub deny_clients: IpSet,
    /// The path on its way to the upstream.
    pub rewrite: Rewrite,
    /// Fields of the request on its way to the upstream.
    pub request_fields: FieldRules,
    /// Fields of the response on its way to the client.
    pub response_fields: FieldRules,
    matcher: Matcher,
}

impl Route {
    /// Whether it says who may use it.
    #[must_use]
    pub fn has_access_rules(&self) -> bool {
        !self.allow_clients.is_empty() || !self.deny_clients.is_empty()
    }

    /// Whether it changes fields of requests or responses.
    #[must_use]
    pub fn has_field_rules(&self) -> bool {
        !self.request_fields.is_empty() || !self.response_fields.is_empty()
    }

    /// Whether a client is permitted: not in `deny_clients`, and in `allow_clients` where there are
    /// any. A client whose address is unknown is permitted only where there are no access rules.
    #[must_use]
    pub fn permits(&self, client: &ClientAddr) -> bool {
        if !self.has_access_rules() {
            return true;
        }
        client.is_known()
            && !client.is_in(&self.deny_clients)
            && (self.allow_clients.is_empty() || client.is_in(&self.allow_clients))
    }

    /// What a request must be.
    #[must_use]
    pub fn matcher(&self) -> &Matcher {
        &self.matcher
    }

    fn compile(index: usize, spec: &RouteSpec, problems: &mut Problems<'_>) -> Option<Self> {
        check_route_name(&spec.name, problems);
        let matcher = Matcher::compile(spec.listeners.as_deref(), &spec.matches, problems);
        let action = action(spec, &matcher, problems);
        if spec.upstream.is_none() && (spec.redirect.is_some() || spec.respond.is_some()) {
            let message = "it changes what an upstream gets, and this route has none";
            if spec.rewrite != RewriteSpec::default() {
                problems.add("rewrite", message);
            }
            if spec.request_fields != FieldsSpec::default() {
                problems.add("request_fields", message);
            }
        }
        if spec.allow_clients.as_ref().is_some_and(Vec::is_empty) {
            problems.add("allow_clients", "an empty list permits nobody; leave it out for all");
        }
        let allow = spec.allow_clients.as_deref().unwrap_or_default();
        let allow_clients = networks("allow_clients", allow, problems);
        let deny_clients = networks("deny_clients", &spec.deny_clients, problems);
        let rewrite = Rewrite::compile(&spec.rewrite, &matcher, problems);
        let request_fields = FieldRules::compile("request_fields", &spec.request_fields, problems);
        let response_fields =
            FieldRules::compile("response_fields", &spec.response_fields, problems);
        Some(Self {
            index,
            name: spec.name.as_str().into(),
            action: action?,
            allow_clients,
            deny_clients,
            rewrite,
            request_fields,
            response_fields,
            matcher,
        })
    }
}

/// The routes of a gateway, compiled. The default has none.
#[derive(Debug, Default)]
pub struct RouteTable {
    /// One for each route, side by side.
    gates: Box<[Gate]>,
    routes: Box<[Arc<Route>]>,
}

impl RouteTable {
    /// Compiles the routes, in their order.
    ///
    /// # Errors
    ///
    /// Every mistake in every route.
    pub fn compile(specs: &[RouteSpec]) -> Result<Self, Vec<RouteError>> {
        let mut routes = Vec::with_capacity(specs.len());
        let mut errors = Vec::new();
        let mut names: HashMap<&str, usize> = HashMap::new();
        for (index, spec) in specs.iter().enumerate() {
            let mut problems = Problems::new(index, &spec.name, &spec.inherited);
            if let Some(first) = names.get(spec.name.as_str()) {
                let message = format!("route number {} has the same name", first + 1);
                problems.add("name", message);
            } else {
                names.insert(&spec.name, index);
            }
            routes.extend(Route::compile(index, spec, &mut problems).map(Arc::new));
            errors.extend(problems.into_errors());
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        let gates = routes.iter().map(|route| Gate::of(&route.matcher)).collect();
        Ok(Self { gates, routes: routes.into() })
    }

    /// The first route that matches, or why there is none.
    #[must_use]
    pub fn lookup<'t, 'q>(&'t self, query: &RouteQuery<'q>) -> Lookup<'t, 'q> {
        let key = GateKey::of(query.path, query.host);
        let mut other_method = false;
        for (gate, route) in self.gates.iter().zip(&self.routes) {
            if !gate.admits(key) {
                continue;
            }
            match route.matcher.fit(query) {
                Fit::Full(rest) => return Lookup::Route { route, rest },
                Fit::OtherMethod => other_method = true,
                Fit::None => {}
            }
        }
        if other_method { self.refuse_method(query) } else { Lookup::NotFound }
    }

    /// The answer for a request that no route takes, and some may take with another method.
    #[cold]
    fn refuse_method(&self, query: &RouteQuery<'_>) -> Lookup<'_, 'static> {
        let mut methods = BTreeSet::new();
        for route in &self.routes {
            if route.matcher.fit(query) == Fit::OtherMethod
                && route.matcher.holds_beside_path_and_method(query)
            {
                methods.extend(route.matcher.methods().iter().map(Method::as_str));
            }
        }
        if methods.is_empty() {
            return Lookup::NotFound;
        }
        let list = Vec::from_iter(methods).join(", ");
        // Methods are tokens, so that the list of them is always a value.
        HeaderValue::try_from(list).map_or(Lookup::NotFound, Lookup::MethodNotAllowed)
    }

    /// The routes, in their order.
    #[must_use]
    pub fn routes(&self) -> &[Arc<Route>] {
        &self.routes
    }

    /// Routes that never match, because one before them matches everything: that one and those.
    /// Something for a warning.
    #[must_use]
    pub fn unreachable(&self) -> Option<(&Arc<Route>, &[Arc<Route>])> {
        let at = self.routes.iter().position(|route| route.matcher.is_catch_all())?;
        let after = &self.routes[at + 1..];
        (!after.is_empty()).then(|| (&self.routes[at], after))
    }
}

fn action(spec: &RouteSpec, matcher: &Matcher, problems: &mut Problems<'_>) -> Option<Action> {
    if spec.exec {
        if spec.upstream.is_some() || spec.redirect.is_some() || spec.respond.is_some() {
            let message = "a route has only one of `upstream`, `exec`, `redirect`, `respond`";
            problems.add("exec", message);
        }
        return Some(Action::Exec);
    }
    match (&spec.upstream, &spec.redirect, &spec.respond) {
        (Some(name), None, None) => Some(Action::Upstream(name.as_str().into())),
        (None, Some(redirect), None) => {
            Redirect::compile(redirect, matcher, problems).map(Action::Redirect)
        }
        (None, None, Some(respond)) => Respond::compile(respond, problems).map(Action::Respond),
        (None, None, None) => {
            problems
                .add("upstream", "a route has one of `upstream`, `exec`, `redirect`, `respond`");
            None
        }
        (upstream, redirect, _) => {
            let key = if upstream.is_some() && redirect.is_some() { "redirect" } else { "respond" };
            problems.add(key, "a route has only one of `upstream`, `exec`, `redirect`, `respond`");
            None
        }
    }
}

/// Names are metric labels and stand in logs.
fn check_route_name(name: &str, problems: &mut Problems<'_>) {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    if name.is_empty() || name.len() > MAX_NAME || !name.bytes().all(is_part) {
        problems.add(
            "name",
            format!("a route's name is 1 to {MAX_NAME} letters, digits, `.`, `_` and `-`"),
        );
    }
}

fn networks(key: &str, texts: &[String], problems: &mut Problems<'_>) -> IpSet {
    let mut networks = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        match network {
            Some(network) => networks.push(network),
            None => problems.add(
                format!("{key}[{at}]"),
                format!("`{text}` is neither a network, as in `10.0.0.0/8`, nor an address"),
            ),
        }
    }
    networks.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::super::spec::{MatchSpec, RedirectSpec, RespondSpec};
    use super::*;

    fn texts(list: &[&str]) -> Vec<String> {
        list.iter().map(ToString::to_string).collect()
    }

    fn under(name: &str, prefixes: &[&str]) -> RouteSpec {
        RouteSpec {
            name: name.into(),
            matches: MatchSpec { path_prefixes: texts(prefixes), ..MatchSpec::default() },
            upstream: Some("app".into()),
            ..RouteSpec::default()
        }
    }

    fn with_methods(mut spec: RouteSpec, methods: &[&str]) -> RouteSpec {
        spec.matches.methods = texts(methods);
        spec
    }

    /// The route's name, `405 Allow`, or `404`.
    fn answer(table: &RouteTable, method: &str, path: &str) -> String {
        answer_on(table, "web", method, path)
    }

    fn answer_on(table: &RouteTable, listener: &str, method: &str, path: &str) -> String {
        let fields = HeaderMap::new();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let query = RouteQuery {
            listener,
            method: &method,
            scheme: "http",
            host: "x.test",
            path,
            query: None,
            fields: &fields,
        };
        match table.lookup(&query) {
            Lookup::Route { route, .. } => route.name.to_string(),
            Lookup::MethodNotAllowed(allow) => format!("405 {}", allow.to_str().unwrap()),
            Lookup::NotFound => "404".into(),
        }
    }

    /// The routes of the gateway example of the documentation.
    fn gateway() -> RouteTable {
        let mut old = under("old", &["/old/"]);
        old.upstream = None;
        old.redirect = Some(RedirectSpec { to: "/static/{rest}".into(), status: 308 });
        let mut ops = under("ops", &["/ops/"]);
        ops.allow_clients = Some(texts(&["10.0.0.0/8", "127.0.0.0/8"]));
        RouteTable::compile(&[
            with_methods(under("static", &["/static/"]), &["GET", "HEAD"]),
            old,
            ops,
            under("api", &["/api/"]),
            under("app", &[]),
        ])
        .unwrap()
    }

    #[test]
    fn the_first_match_wins() {
        let table = gateway();
        let cases = [
            ("GET", "/static/a.css", "static"),
            ("HEAD", "/static/a.css", "static"),
            ("POST", "/static/a.css", "app"),
            ("GET", "/staticx", "app"),
            ("GET", "/old/a", "old"),
            ("GET", "/ops", "ops"),
            ("GET", "/api/v1", "api"),
            ("GET", "/", "app"),
            ("OPTIONS", "*", "app"),
        ];
        for (method, path, expected) in cases {
            assert_eq!(answer(&table, method, path), expected, "{method} {path}");
        }
        assert!(table.unreachable().is_none());
    }

    /// INTERFACE, "Clients": a request that matches but is not permitted never falls through to a
    /// later route; deny_clients beats allow_clients.
    #[test]
    fn access_rules_do_not_take_part_in_matching() {
        let table = gateway();
        assert_eq!(answer(&table, "GET", "/ops/x"), "ops");
        let ops = &table.routes()[2];
        assert!(ops.has_access_rules() && !table.routes()[3].has_access_rules());
        let mut spec = under("a", &[]);
        spec.allow_clients = Some(texts(&["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"]));
        spec.deny_clients = texts(&["10.1.0.0/16", "2001:db8::7"]);
        let both = RouteTable::compile(&[spec]).unwrap();
        let mut spec = under("a", &[]);
        spec.deny_clients = texts(&["10.1.0.0/16"]);
        let deny = RouteTable::compile(&[spec]).unwrap();
        let cases = [
            ("10.0.0.1", true, true),
            ("10.1.0.1", false, false),
            ("::ffff:10.0.0.1", true, true),
            ("::ffff:10.1.0.1", false, false),
            ("192.0.2.1", true, true),
            ("192.0.2.2", false, true),
            ("2001:db8::1", true, true),
            ("2001:db8::7", false, true),
        ];
        for (text, by_both, by_deny) in cases {
            let client = ClientAddr::new(text.parse().unwrap());
            assert_eq!(both.routes()[0].permits(&client), by_both, "{text}");
            assert_eq!(deny.routes()[0].permits(&client), by_deny, "{text}");
            assert!(table.routes()[4].permits(&client));
        }
        let unknown = ClientAddr::unknown();
        assert!(!both.routes()[0].permits(&unknown) && !deny.routes()[0].permits(&unknown));
        assert!(table.routes()[4].permits(&unknown));
    }

    /// INTERFACE, "Clients": a path that only routes with other methods match is 405 with `Allow`.
    #[test]
    fn other_methods() {
        let mut narrowed = with_methods(under("narrowed", &["/a"]), &["DELETE"]);
        narrowed.listeners = Some(texts(&["other"]));
        let table = RouteTable::compile(&[
            with_methods(under("post", &["/a", "/b"]), &["PUT", "POST"]),
            with_methods(under("get", &["/a"]), &["GET", "PUT"]),
            narrowed,
            under("c", &["/c"]),
        ])
        .unwrap();
        let cases = [
            ("web", "GET", "/a", "get"),
            ("web", "PUT", "/a", "post"),
            ("web", "PATCH", "/a/x", "405 GET, POST, PUT"),
            ("web", "HEAD", "/a", "405 GET, POST, PUT"),
            ("web", "get", "/a", "405 GET, POST, PUT"),
            ("web", "DELETE", "/a", "405 GET, POST, PUT"),
            ("other", "DELETE", "/a", "narrowed"),
            ("other", "PATCH", "/a", "405 DELETE, GET, POST, PUT"),
            ("web", "GET", "/b", "405 POST, PUT"),
            ("web", "ANY", "/c", "c"),
            ("web", "GET", "/ab", "404"),
            ("web", "GET", "/", "404"),
        ];
        for (listener, method, path, expected) in cases {
            assert_eq!(answer_on(&table, listener, method, path), expected, "{method} {path}");
        }
    }

    #[test]
    fn a_route_that_fits_in_nothing_but_its_path_is_not_405() {
        let mut spec = with_methods(under("a", &["/a"]), &["GET"]);
        spec.matches.hosts = texts(&["y.test"]);
        let table = RouteTable::compile(&[spec]).unwrap();
        assert_eq!(answer(&table, "POST", "/a"), "404");
    }

    /// The cheap check never decides otherwise than the matcher.
    #[test]
    fn gates_agree_with_matchers() {
        let mut both = under("both", &["/stable/"]);
        both.matches.paths = texts(&["/static", "/stand"]);
        let mut regex = under("regex", &["/zzz"]);
        regex.matches.path_regex = Some("/r[0-9]".into());
        let table = RouteTable::compile(&[
            under("long", &["/a/very/long/prefix"]),
            under("short", &["/a"]),
            both,
            regex,
        ])
        .unwrap();
        let cases = [
            ("/a/very/long/prefix/x", "long"),
            ("/a/very/long", "short"),
            ("/a", "short"),
            ("/", "404"),
            ("", "404"),
            ("/b", "404"),
            ("/stable", "both"),
            ("/stand", "both"),
            ("/static/x", "404"),
            ("/sta", "404"),
            ("/r1", "regex"),
            ("/zzz/y", "regex"),
        ];
        for (path, expected) in cases {
            assert_eq!(answer(&table, "GET", path), expected, "{path}");
        }
    }

    #[test]
    fn what_follows_a_catch_all_is_known() {
        let table =
            RouteTable::compile(&[under("a", &["/a"]), under("all", &["/"]), under("b", &["/b"])])
                .unwrap();
        let (before, after) = table.unreachable().unwrap();
        assert_eq!((&*before.name, after.len(), &*after[0].name), ("all", 1, "b"));
        assert_eq!(answer(&RouteTable::default(), "GET", "/"), "404");
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let mut two = under("two", &["a", "/b"]);
        two.redirect = Some(RedirectSpec::default());
        let mut answered = under("answered", &[]);
        answered.upstream = None;
        answered.respond = Some(RespondSpec::default());
        answered.rewrite.strip_prefix = Some("/a".into());
        answered.request_fields.remove = texts(&["Cookie"]);
        answered.allow_clients = Some(vec![]);
        answered.deny_clients = texts(&["10.0.0.0/8", "10.0.0.0/33", "localhost"]);
        answered.inherited = ["deny_clients"].into();
        let mut none = under("two", &[]);
        none.upstream = None;
        let specs = [two, under("a b", &[]), answered, none];
        let errors = RouteTable::compile(&specs).unwrap_err();
        let shown: Vec<String> = errors.iter().map(ToString::to_string).collect();
        let expected = [
            "route `two`: match.path_prefixes[0]: `a` is not a path",
            "route `two`: redirect: a route has only one of",
            "route `a b`: name: a route's name is 1 to 64 letters",
            "route `answered`: rewrite: it changes what an upstream gets",
            "route `answered`: request_fields: it changes what an upstream gets",
            "route `answered`: allow_clients: an empty list permits nobody",
            "route `answered`: deny_clients[1]: `10.0.0.0/33` is neither a network",
            "route `answered`: deny_clients[2]: `localhost` is neither a network",
            "route `two`: name: route number 1 has the same name",
            "route `two`: upstream: a route has one of",
        ];
        assert_eq!(shown.len(), expected.len(), "{shown:#?}");
        for (shown, expected) in shown.iter().zip(expected) {
            assert!(shown.starts_with(expected), "{shown}");
        }
        assert_eq!(
            errors.iter().map(|error| error.index).collect::<Vec<_>>(),
            [0, 0, 1, 2, 2, 2, 2, 2, 3, 3]
        );
        assert!(errors[6].inherited && !errors[5].inherited);
    }
}

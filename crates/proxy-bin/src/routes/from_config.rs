//! Routes of a configuration as [`RouteSpec`]s, with `[defaults]` underneath.
//!
//! A key of a route replaces the one of `[defaults]`. What only an upstream gets
//! (`request_fields`) is taken from there by routes to an upstream only, and the default upstream
//! by routes that say nothing of what they do. Limits and timeouts are no part of a route here:
//! [`Route::index`](super::Route::index) leads back to the configuration's own.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::spec::{
    FieldsSpec, MatchSpec, RedirectSpec, ReplaceSpec, RespondSpec, RewriteSpec, RouteSpec,
};
use crate::config::raw;

/// The routes, in their order, for [`RouteTable::compile`](super::RouteTable::compile).
#[must_use]
pub fn route_specs(routes: &[raw::Route], defaults: &raw::Defaults) -> Vec<RouteSpec> {
    routes.iter().map(|route| route_spec(route, defaults)).collect()
}

fn route_spec(route: &raw::Route, defaults: &raw::Defaults) -> RouteSpec {
    let mut inherited = BTreeSet::new();
    let answers = route.redirect.is_some() || route.respond.is_some() || route.exec.is_some();
    let upstream = match &route.upstream {
        None if !answers => inherit("upstream", None, defaults.upstream.as_ref(), &mut inherited),
        own => own.clone(),
    };
    let default_fields = defaults.request_fields.as_ref().filter(|_| !answers);
    let request_fields =
        inherit("request_fields", route.request_fields.as_ref(), default_fields, &mut inherited);
    let response_fields = inherit(
        "response_fields",
        route.response_fields.as_ref(),
        defaults.response_fields.as_ref(),
        &mut inherited,
    );
    let allow_clients = inherit(
        "allow_clients",
        route.allow_clients.as_ref(),
        defaults.allow_clients.as_ref(),
        &mut inherited,
    );
    let deny_clients = inherit(
        "deny_clients",
        route.deny_clients.as_ref(),
        defaults.deny_clients.as_ref(),
        &mut inherited,
    );
    RouteSpec {
        name: route.name.clone(),
        listeners: route.listeners.clone(),
        matches: match_spec(&route.matches),
        upstream,
        exec: route.exec.is_some(),
        redirect: route
            .redirect
            .as_ref()
            .map(|redirect| RedirectSpec { to: redirect.to.clone(), status: redirect.status }),
        respond: route.respond.as_ref().map(respond_spec),
        allow_clients,
        deny_clients: deny_clients.unwrap_or_default(),
        rewrite: route.rewrite.as_ref().map(rewrite_spec).unwrap_or_default(),
        request_fields: request_fields.as_ref().map(fields_spec).unwrap_or_default(),
        response_fields: response_fields.as_ref().map(fields_spec).unwrap_or_default(),
        inherited,
    }
}

/// The route's own value, or the one of `[defaults]`, which is noted.
fn inherit<T: Clone>(
    key: &'static str,
    own: Option<&T>,
    default: Option<&T>,
    inherited: &mut BTreeSet<&'static str>,
) -> Option<T> {
    if own.is_none() && default.is_some() {
        inherited.insert(key);
    }
    own.or(default).cloned()
}

fn match_spec(matches: &raw::Match) -> MatchSpec {
    let schemes = matches.schemes.iter().map(|scheme| scheme.word().to_owned());
    let tests = |tests: &BTreeMap<String, raw::FieldMatch>| {
        tests.iter().map(|(name, own)| (name.clone(), own.test())).collect()
    };
    MatchSpec {
        hosts: matches.hosts.clone(),
        paths: matches.paths.clone(),
        path_prefixes: matches.path_prefixes.clone(),
        path_regex: matches.path_regex.clone(),
        methods: matches.methods.clone(),
        schemes: schemes.collect(),
        fields: tests(&matches.fields),
        query: tests(&matches.query),
    }
}

fn rewrite_spec(rewrite: &raw::Rewrite) -> RewriteSpec {
    RewriteSpec {
        strip_prefix: rewrite.strip_prefix.clone(),
        replace_path: rewrite.replace_path.as_ref().map(|replace| ReplaceSpec {
            pattern: replace.pattern.clone(),
            with: replace.with.clone(),
        }),
        add_prefix: rewrite.add_prefix.clone(),
    }
}

fn fields_spec(edits: &raw::FieldEdits) -> FieldsSpec {
    FieldsSpec { set: pairs(&edits.set), add: pairs(&edits.add), remove: edits.remove.clone() }
}

fn respond_spec(respond: &raw::Respond) -> RespondSpec {
    RespondSpec {
        status: respond.status,
        content_type: respond.content_type.clone(),
        body: respond.body.clone().map(Bytes::from).unwrap_or_default(),
        fields: pairs(&respond.fields),
    }
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<(String, String)> {
    map.iter().map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[cfg(test)]
mod tests {
    use proxy_filter::rules::FieldTest;

    use super::super::{Action, RouteTable};
    use super::*;

    fn specs(text: &str) -> Vec<RouteSpec> {
        let config: raw::Config = toml::from_str(text).unwrap();
        route_specs(&config.routes, &config.defaults)
    }

    #[test]
    fn every_key_arrives() {
        let specs = specs(
            r#"
            [[routes]]
            name = "all"
            listeners = ["web"]
            upstream = "app"
            allow_clients = ["10.0.0.0/8"]
            deny_clients = ["10.1.0.0/16"]
            rewrite = { strip_prefix = "/a", add_prefix = "/b", replace_path = { pattern = "c", with = "d" } }
            request_fields = { set = { X-A = "1" }, add = { X-B = "2" }, remove = ["X-C"] }
            response_fields = { remove = ["Server"] }
            [routes.match]
            hosts = ["x.test"]
            paths = ["/a/1"]
            path_prefixes = ["/a/2"]
            path_regex = "/a/3"
            methods = ["GET"]
            schemes = ["http", "https"]
            fields = { X-D = "e", X-F = { regex = "g" }, X-H = false }
            query = { i = true }
            [[routes]]
            name = "redirect"
            redirect = { to = "/b" }
            [[routes]]
            name = "respond"
            respond = { status = 410, body = "gone", content_type = "text/html", fields = { X-A = "1" } }
            "#,
        );
        let text = |text: &str| text.to_owned();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = RouteSpec {
            name: text("all"),
            listeners: Some(vec![text("web")]),
            matches: MatchSpec {
                hosts: vec![text("x.test")],
                paths: vec![text("/a/1")],
                path_prefixes: vec![text("/a/2")],
                path_regex: Some(text("/a/3")),
                methods: vec![text("GET")],
                schemes: vec![text("http"), text("https")],
                fields: vec![
                    (text("X-D"), FieldTest::Exact(text("e"))),
                    (text("X-F"), FieldTest::Regex(text("g"))),
                    (text("X-H"), FieldTest::Present(false)),
                ],
                query: vec![(text("i"), FieldTest::Present(true))],
            },
            upstream: Some(text("app")),
            allow_clients: Some(vec![text("10.0.0.0/8")]),
            deny_clients: vec![text("10.1.0.0/16")],
            rewrite: RewriteSpec {
                strip_prefix: Some(text("/a")),
                replace_path: Some(ReplaceSpec { pattern: text("c"), with: text("d") }),
                add_prefix: Some(text("/b")),
            },
            request_fields: FieldsSpec {
                set: vec![pair("X-A", "1")],
                add: vec![pair("X-B", "2")],
                remove: vec![text("X-C")],
            },
            response_fields: FieldsSpec { remove: vec![text("Server")], ..FieldsSpec::default() },
            ..RouteSpec::default()
        };
        assert_eq!(specs[0], expected);
        assert_eq!(specs[1].redirect, Some(RedirectSpec { to: text("/b"), status: 302 }));
        let expected = RespondSpec {
            status: 410,
            content_type: Some(text("text/html")),
            body: "gone".into(),
            fields: vec![pair("X-A", "1")],
        };
        assert_eq!(specs[2].respond.as_ref(), Some(&expected));
        assert!(RouteTable::compile(&specs).is_ok());
    }

    #[test]
    fn defaults_lie_underneath() {
        let specs = specs(
            r#"
            [defaults]
            upstream = "app"
            allow_clients = ["10.0.0.0/8"]
            deny_clients = ["10.1.0.0/16"]
            request_fields = { set = { X-A = "1" } }
            response_fields = { remove = ["Server"] }
            [[routes]]
            name = "silent"
            [[routes]]
            name = "own"
            upstream = "other"
            allow_clients = ["0.0.0.0/0"]
            deny_clients = []
            request_fields = {}
            response_fields = { set = { Server = "x" } }
            [[routes]]
            name = "redirect"
            redirect = { to = "/a" }
            "#,
        );
        let [silent, own, redirect] = specs.as_slice() else { panic!("{specs:?}") };
        assert_eq!(silent.upstream.as_deref(), Some("app"));
        assert_eq!(silent.request_fields.set.len(), 1);
        assert_eq!((silent.deny_clients.len(), silent.inherited.len()), (1, 5));
        assert_eq!(own.upstream.as_deref(), Some("other"));
        assert_eq!(own.allow_clients.as_deref(), Some(&["0.0.0.0/0".to_owned()][..]));
        assert!(own.deny_clients.is_empty() && own.inherited.is_empty());
        assert_eq!(own.request_fields, FieldsSpec::default());
        assert!(own.response_fields.remove.is_empty());
        assert_eq!((&redirect.upstream, &redirect.request_fields), (&None, &FieldsSpec::default()));
        assert_eq!(redirect.allow_clients, silent.allow_clients);
        let table = RouteTable::compile(&specs).unwrap();
        assert!(matches!(&table.routes()[0].action, Action::Upstream(name) if **name == *"app"));
        assert!(table.routes()[2].has_access_rules());
    }
}

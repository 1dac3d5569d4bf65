//! Routes: what the gateway listeners serve.

use std::collections::BTreeMap;

use proxy_filter::rules::FieldTest;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::adaptive::PrioritySwitch;
use super::buffer::BufferSwitch;
use super::cache::CacheSwitch;
use super::compress::CompressSwitch;
use super::exec::Exec;
use super::input::Input;
use super::inspect::InspectSwitch;
use super::log::LogSwitch;
use super::server::{RouteLimits, RouteTimeouts};
use super::traffic::{ForwardAuthSwitch, Mirror, Split};

/// `[[routes]]`: what is matched and what is done. Exactly one of `upstream`,
/// `exec`, `redirect` and `respond`, unless `[defaults]` names an upstream.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Its name in logs and metrics; no two routes share one.
    pub name: String,
    /// What a request must be. All kinds given must hold, and of each kind one
    /// of its values. Nothing given: every request.
    #[serde(rename = "match", default)]
    pub matches: Match,
    /// Only on these gateway listeners. Without it: on all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub listeners: Option<Vec<String>>,
    /// Pass the request on to this upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Requests that go to another upstream instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub split: Option<Split>,
    /// An upstream that gets copies of what goes to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mirror: Option<Mirror>,
    /// Whose requests wait less, and are shed last, where the upstream is overloaded. Default:
    /// `"normal"`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<PrioritySwitch>,
    /// Answer with a redirect.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redirect: Option<Redirect>,
    /// Answer with this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub respond: Option<Respond>,
    /// Answer with the output of a program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exec: Option<Exec>,
    /// Networks whose clients are served; all others get 403, not the next
    /// route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_clients: Option<Vec<String>>,
    /// Networks whose clients get 403, even if `allow_clients` has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deny_clients: Option<Vec<String>>,
    /// Users who are served, by name; `"*"` is every user. Others are asked for a name and a
    /// password (401), or get 403. Needs `credentials` of the listener.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// Another service that says whether a request may pass; `false`: none, whatever
    /// `[defaults]` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forward_auth: Option<ForwardAuthSwitch>,
    /// What happens to the path on its way to the upstream.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// Changes to the fields of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_fields: Option<FieldEdits>,
    /// Changes to the fields of the response.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_fields: Option<FieldEdits>,
    /// Store responses of the upstream: `true`, `false`, or a table of keys that
    /// stand in the place of those of `[cache]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSwitch>,
    /// Hold content, so that slow clients hold no connection of the upstream: `"request"`,
    /// `"response"`, `"both"`, `"off"`, or a table of keys that stand in the place of those of
    /// `[buffer]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub buffer: Option<BufferSwitch>,
    /// Compress responses of the upstream: `true`, `false`, or a table of keys that stand in the
    /// place of those of `[compress]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressSwitch>,
    /// Inspect requests: `true`, `false`, a mode, or a table of keys that
    /// stand in the place of those of `[filter.inspect]`. Default: whether
    /// there is a table `[filter.inspect]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inspect: Option<InspectSwitch>,
    /// What requests may look like, in the place of `[filter.input]`, key by
    /// key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Input>,
    /// Where its requests are logged: `false` nowhere; a name in that log of `[log.more]`.
    /// Default: in `[log.access]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub log: Option<LogSwitch>,
    /// Overrides the listener's and the server's limits.
    #[serde(default, skip_serializing_if = "RouteLimits::is_empty")]
    pub limits: RouteLimits,
    /// Overrides the upstream's and the server's timeouts.
    #[serde(default, skip_serializing_if = "RouteTimeouts::is_empty")]
    pub timeouts: RouteTimeouts,
}

/// `match` of a route. Paths are compared in their normalised form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    /// Names: `x.test` is itself and all below it, `*.x.test` only what is
    /// below, `=x.test` exact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whole paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Beginnings of paths, in whole segments: `/a` matches `/a` and `/a/b`,
    /// not `/ab`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_prefixes: Vec<String>,
    /// A pattern that the whole path must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Methods, in their exact spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// How the client connected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<Scheme>,
    /// Request fields by name; all of them must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldMatch>,
    /// Query parameters by name; all of them must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, FieldMatch>,
}

/// What a field or a query parameter must be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a value, true (present), false (absent) or { regex = \"...\" }"))]
pub enum FieldMatch {
    /// `true`: present, with any value. `false`: absent.
    Present(bool),
    /// Present with exactly this value.
    Value(String),
    /// Present with a value that matches.
    Pattern(ValuePattern),
}

impl FieldMatch {
    /// The same for rules and routes alike, still to be compiled.
    pub fn test(&self) -> FieldTest {
        match self {
            Self::Present(present) => FieldTest::Present(*present),
            Self::Value(value) => FieldTest::Exact(value.clone()),
            Self::Pattern(pattern) => FieldTest::Regex(pattern.regex.clone()),
        }
    }
}

/// A pattern for a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ValuePattern {
    /// The whole value must match it.
    pub regex: String,
}

/// How the client connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    /// Clear text.
    Http,
    /// TLS.
    Https,
}

impl Scheme {
    /// As it stands in a URL.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

/// `redirect` of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// A path or an absolute URL. `{rest}` is what follows the matched prefix,
    /// `{path}` and `{query}` the request's own, `{host}` the matched host.
    pub to: String,
    /// 301, 302, 303, 307 or 308.
    #[serde(default = "found")]
    #[schemars(extend("enum" = [301, 302, 303, 307, 308]))]
    pub status: u16,
}

fn found() -> u16 {
    302
}

/// `respond` of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Respond {
    /// The status code.
    #[schemars(range(min = 200, max = 599))]
    pub status: u16,
    /// The content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Its media type; `text/plain; charset=utf-8` when there is a body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// More fields, with templated values.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, String>,
}

impl Default for Respond {
    fn default() -> Self {
        Self { status: 200, body: None, content_type: None, fields: BTreeMap::new() }
    }
}

/// `rewrite` of a route: strip, then replace, then add.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rewrite {
    /// Taken off the beginning of the path, in whole segments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strip_prefix: Option<String>,
    /// Put before the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub add_prefix: Option<String>,
    /// Every match of a pattern in the path is replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replace_path: Option<PathPattern>,
}

/// A pattern and what takes its place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PathPattern {
    /// A regular expression.
    pub pattern: String,
    /// Its replacement; `$1` and `${name}` are the groups.
    pub with: String,
}

/// Changes to fields: remove, then set, then add. Values are templates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FieldEdits {
    /// Replaces whatever values the field has.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub set: BTreeMap<String, String>,
    /// Adds one more value.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub add: BTreeMap<String, String>,
    /// Takes the field away.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
}

/// `[defaults]`: what a route says when it says nothing. A key of a route
/// replaces the one here; only `limits` and `timeouts` are taken key by key.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// For routes without `upstream`, `redirect` and `respond`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_clients: Option<Vec<String>>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deny_clients: Option<Vec<String>>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Vec<String>>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forward_auth: Option<ForwardAuthSwitch>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<PrioritySwitch>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_fields: Option<FieldEdits>,
    /// As in a route.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_fields: Option<FieldEdits>,
    /// As in a route, for routes to an upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheSwitch>,
    /// As in a route, for routes to an upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub buffer: Option<BufferSwitch>,
    /// As in a route, for routes to an upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compress: Option<CompressSwitch>,
    /// As in a route, for routes to an upstream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inspect: Option<InspectSwitch>,
    /// As in a route.
    #[serde(skip_serializing_if = "RouteLimits::is_empty")]
    pub limits: RouteLimits,
    /// As in a route.
    #[serde(skip_serializing_if = "RouteTimeouts::is_empty")]
    pub timeouts: RouteTimeouts,
}

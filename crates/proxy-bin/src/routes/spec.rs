//! Routes as text, before they are checked and compiled by
//! [`RouteTable::compile`](super::RouteTable::compile).
//!
//! A default value of each type here says nothing: it matches every request and changes nothing.

use std::collections::BTreeSet;

use bytes::Bytes;
use proxy_filter::rules::FieldTest;

/// One route. Exactly one of `upstream`, `exec`, `redirect` and `respond` is given.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RouteSpec {
    /// Its name in logs, metric labels and `{route}`: 1 to 64 of `A-Z a-z 0-9 . _ -`. No two
    /// routes share one.
    pub name: String,
    /// The listeners it is on. `None`: all of them.
    pub listeners: Option<Vec<String>>,
    /// What a request must be.
    pub matches: MatchSpec,
    /// The name of the upstream that gets the request.
    pub upstream: Option<String>,
    /// Whether a program answers, which is no part of the table.
    pub exec: bool,
    /// A redirect as the answer.
    pub redirect: Option<RedirectSpec>,
    /// A fixed answer.
    pub respond: Option<RespondSpec>,
    /// Networks (`10.0.0.0/8`) or addresses of the clients that are permitted. `None`: all. An
    /// empty list is a mistake.
    pub allow_clients: Option<Vec<String>>,
    /// Networks or addresses of clients that are not permitted, whatever `allow_clients` says.
    pub deny_clients: Vec<String>,
    /// The path on its way to the upstream.
    pub rewrite: RewriteSpec,
    /// Fields of the request on its way to the upstream.
    pub request_fields: FieldsSpec,
    /// Fields of the response on its way to the client.
    pub response_fields: FieldsSpec,
    /// The keys above whose values came from `[defaults]`; only marks errors.
    pub inherited: BTreeSet<&'static str>,
}

/// What a request must be. Each kind that is given must hold; of a list, one is enough. The three
/// kinds for the path are one kind together: a path matches when any one of them takes it in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MatchSpec {
    /// Patterns of [`proxy_core::names`]. Empty: every host.
    pub hosts: Vec<String>,
    /// Whole paths, byte for byte.
    pub paths: Vec<String>,
    /// Prefixes of whole segments; `/static/` and `/static` say the same, see
    /// [`Prefix`](super::path::Prefix).
    pub path_prefixes: Vec<String>,
    /// A regular expression that the whole path matches.
    pub path_regex: Option<String>,
    /// Methods, exactly and with regard to case: `GET` does not take in `HEAD`. Empty: all.
    pub methods: Vec<String>,
    /// `http` and `https`. Empty: both.
    pub schemes: Vec<String>,
    /// Fields of the request, by name; all must hold.
    pub fields: Vec<(String, FieldTest)>,
    /// Query parameters, by name; all must hold. Names and values are compared decoded.
    pub query: Vec<(String, FieldTest)>,
}

/// Changes of the path, made in this order: strip, replace, add.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RewriteSpec {
    /// Taken off the front, as whole segments, where it is there.
    pub strip_prefix: Option<String>,
    /// Each match of a regular expression, replaced.
    pub replace_path: Option<ReplaceSpec>,
    /// Put in front.
    pub add_prefix: Option<String>,
}

/// What is replaced in a path.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReplaceSpec {
    /// The regular expression; not anchored by itself.
    pub pattern: String,
    /// The replacement; `$1` and `${name}` stand for groups, `$$` for a `$`.
    pub with: String,
}

/// Changes of fields, made in this order: remove, set, add. Values are templates of
/// [`fields`](super::fields).
#[derive(Debug, Clone, Default, PartialEq)]
pub struct FieldsSpec {
    /// Fields that get this one value, whatever they had.
    pub set: Vec<(String, String)>,
    /// Fields that get one value more.
    pub add: Vec<(String, String)>,
    /// Fields that are taken away.
    pub remove: Vec<String>,
}

/// A redirect; see [`redirect`](super::redirect).
#[derive(Debug, Clone, PartialEq)]
pub struct RedirectSpec {
    /// A template of the target: a path, or an absolute `http` or `https` URL.
    pub to: String,
    /// 301, 302, 303, 307 or 308. Default: 302.
    pub status: u16,
}

impl Default for RedirectSpec {
    fn default() -> Self {
        Self { to: String::new(), status: 302 }
    }
}

/// A fixed answer; see [`respond`](super::respond).
#[derive(Debug, Clone, PartialEq)]
pub struct RespondSpec {
    /// 200 to 599. Default: 200.
    pub status: u16,
    /// The `Content-Type`. `None`: `text/plain; charset=utf-8` where there is a body.
    pub content_type: Option<String>,
    /// The content. Default: none.
    pub body: Bytes,
    /// More fields; their values are templates of [`fields`](super::fields).
    pub fields: Vec<(String, String)>,
}

impl Default for RespondSpec {
    fn default() -> Self {
        Self { status: 200, content_type: None, body: Bytes::new(), fields: Vec::new() }
    }
}

//! Traffic of a route: who is asked about it, where parts of it go, and who gets a copy.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FieldMatch;
use crate::config::units::{Period, Share, Size};

/// `forward_auth` of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a table with an `upstream`, or false"))]
pub enum ForwardAuthSwitch {
    /// `false`: nobody is asked, whatever `[defaults]` says.
    Is(bool),
    /// This service is asked.
    By(Box<ForwardAuth>),
}

/// Another service that says whether a request may pass.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForwardAuth {
    /// The upstream that is asked.
    pub upstream: String,
    /// What it is asked for: a path, with a query where one is needed.
    #[serde(default = "root")]
    pub path: String,
    /// The fields of the request that it gets, beside `Host` and `X-Forwarded-*`. Default: all
    /// but those about the content and the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub send_fields: Option<Vec<String>>,
    /// Fields of its answer that the request gets. What the client sends under these names never
    /// passes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy_fields: Vec<String>,
    /// Fields of its answer that the response gets, such as `Set-Cookie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub response_fields: Vec<String>,
    /// The field of its answer that names the user, for the logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_field: Option<String>,
    /// How long its answer may take.
    #[serde(default = "patience")]
    pub timeout: Period,
}

fn root() -> String {
    "/".to_owned()
}

fn patience() -> Period {
    Period::from_secs(5)
}

/// `split` of a route: requests that go to another upstream than the route's own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Split {
    /// By what a share is drawn, so that equal values stay together: `"client"`, `"cookie:NAME"`,
    /// `"field:NAME"`, `"path"`, `"target"` or `"host"`. Default, and for a request without it: by
    /// chance, for each request anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// Where they go: the first whose fields and cookies are as they must be, then by share. The
    /// rest goes to the route's upstream.
    #[schemars(length(min = 1))]
    pub to: Vec<SplitArm>,
}

/// One of the upstreams of a split: with `share`, or with `fields` and `cookies`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitArm {
    /// The upstream.
    pub upstream: String,
    /// This share of the requests that no `fields` and `cookies` decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<Share>,
    /// Requests whose fields are so; all of them must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldMatch>,
    /// Requests whose cookies are so; all of them must hold.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub cookies: BTreeMap<String, FieldMatch>,
}

/// `mirror` of a route: an upstream that gets copies of its requests, and whose answers nobody
/// gets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mirror {
    /// The upstream.
    pub upstream: String,
    /// The share of requests that is copied.
    #[serde(default = "all")]
    pub share: Share,
    /// The largest content of a copy; requests with more are not copied.
    #[serde(default = "content")]
    pub body: Size,
    /// Copies at a time; what is more is not copied.
    #[serde(default = "copies")]
    #[schemars(range(min = 1, max = 65536))]
    pub max_requests: u64,
    /// How long the upstream may take.
    #[serde(default = "given_up")]
    pub timeout: Period,
    /// Fields that copies do not have, such as `Authorization` and `Cookie`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove_fields: Vec<String>,
}

fn all() -> Share {
    Share::ALL
}

fn content() -> Size {
    Size::from_bytes(64 << 10)
}

fn copies() -> u64 {
    64
}

fn given_up() -> Period {
    Period::from_secs(10)
}

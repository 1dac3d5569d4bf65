//! The cache: where responses are kept, and how.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::units::{Period, Size};

/// `[cache]`: where responses are kept, and how. Whether they are is said by
/// `cache` of a route, of `[defaults]` and of `[forward]`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Cache {
    /// Bytes of memory for stored responses. Default 64MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Size>,
    /// Keeps more responses on a disk. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk: Option<Disk>,
    /// The largest content that is stored. Default: an eighth of `memory`, at
    /// most 64MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_object: Option<Size>,
    /// How responses are kept where no route says otherwise.
    #[serde(flatten)]
    pub rules: CacheRules,
}

/// `disk` of `[cache]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// A folder of its own, relative to the configuration file. It is made
    /// where there is none.
    pub path: String,
    /// The most bytes that it may hold.
    pub size: Size,
}

/// `cache` of a route, of `[defaults]` or of `[forward]`: whether responses
/// are stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "true, false or a table of what differs from [cache]"))]
pub enum CacheSwitch {
    /// As `[cache]` says, or not at all.
    Is(bool),
    /// Stored, with these keys in place of those of `[cache]`.
    With(Box<CacheRules>),
}

/// How responses are kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheRules {
    /// How long responses are fresh that do not say so themselves. None by
    /// default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_ttl: Option<Ttl>,
    /// How long responses are fresh that may be stored at all: takes the place
    /// of `max-age`, `s-maxage`, `Expires` and the heuristic, not of the rules
    /// on who may store (`private`, `no-store`, `no-cache`, `Set-Cookie`). None
    /// by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Ttl>,
    /// Guess how long a response is fresh from its `Last-Modified`. Default
    /// true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heuristic: Option<bool>,
    /// What makes two requests the same, beside the route, scheme, authority
    /// and target.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<CacheKey>,
    /// Response fields whose words name a response for purges. Default
    /// `["Cache-Tag", "Surrogate-Key"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag_field: Option<FieldNames>,
    /// Fields that take the place of `Cache-Control`, the first present one
    /// counts (RFC 9213). Default `["CDN-Cache-Control"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub targeted_fields: Option<Vec<String>>,
    /// `"honour"` (default) or `"ignore"`: what becomes of `Cache-Control` in
    /// requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_directives: Option<RequestDirectives>,
    /// What becomes of a response whose clients have all left before it was
    /// complete. Default `"finish_if_shared"`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_disconnect: Option<OnDisconnect>,
    /// Requests for the same missing response wait for one. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapse: Option<bool>,
    /// Requests for a response before it is stored. Default 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub min_uses: Option<u64>,
    /// Requests that go past the cache. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
    /// Where a response does not say: how long beyond its freshness it may be
    /// served while it is validated. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_while_revalidate: Option<Period>,
    /// Where a response does not say: how long beyond its freshness it may be
    /// served in the place of an error. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_if_error: Option<Period>,
    /// Do not store a response whose media type is not what the path's ending
    /// promises. Default true.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deception_armour: Option<bool>,
    /// Fetch and store content in slices of this size. None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slice: Option<Size>,
    /// Show the key in `Cache-Status`. Default false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub show_key: Option<bool>,
}

/// Times by status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a time such as \"10m\" or a table such as { \"200\" = \"1m\", \"5xx\" = \"1s\" }"))]
pub enum Ttl {
    /// For the statuses 200 to 299.
    Success(Period),
    /// By status (`"404"`), class (`"5xx"`) or range (`"500-504"`); the
    /// narrowest counts.
    ByStatus(BTreeMap<String, Period>),
}

/// `key`: what makes two requests the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheKey {
    /// The query parameters that count. Without it: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_allow: Option<Vec<String>>,
    /// Query parameters that do not count; `utm_*` stands for all that begin
    /// so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query_deny: Option<Vec<String>>,
    /// The order of the query parameters does not count.
    pub query_sort: bool,
    /// Request fields whose values count.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
}

/// `bypass`: requests that go past the cache.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bypass {
    /// With one of these fields.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
    /// With one of these cookies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cookies: Vec<String>,
    /// With one of these query parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub query: Vec<String>,
}

/// One name of a field, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(extend("x-expected" = "a field name or an array of field names"))]
pub enum FieldNames {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

/// What becomes of `Cache-Control` in requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestDirectives {
    /// Clients may ask for validation, for no storing, for what is stored only.
    Honour,
    /// Clients decide nothing.
    Ignore,
}

/// What becomes of a response whose clients have all left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnDisconnect {
    /// It ends, and the exchange with the upstream too.
    Cancel,
    /// It goes on if more than one client wanted it.
    FinishIfShared,
    /// It goes on.
    Finish,
}

//! Rules of the filter.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::listener::Port;
use super::route::{FieldMatch, Scheme};

/// `[[filter.rules]]`: what is matched and what is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Its name in log, audit and pages; no two rules share one.
    pub id: String,
    /// What a request must be. All kinds given must hold, and of each kind one of its values.
    /// Nothing given: every request.
    #[serde(rename = "match", default)]
    pub matches: RuleMatch,
    /// What is done with it.
    pub action: RuleAction,
    /// Whether it is done, or only written down.
    #[serde(default)]
    pub mode: RuleMode,
    /// The status of `deny` (400 to 599; 403 where nothing is said) or of `redirect` (301, 302,
    /// 303, 307, 308; 302 where nothing is said).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// A sentence for the page of `deny`, at most 500 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<String>,
    /// The target of `redirect`: a path, or an absolute URL. Fixed: nothing of the request is put
    /// into it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The word that `tag` puts on the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The field that `set_field` sets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The value that `set_field` gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The id of the limit that `rate_limit` counts against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<String>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    /// Ends the rules. Ports, guard, lists, credentials, limits and inspection still apply.
    Allow,
    /// Refuses the request.
    Deny,
    /// Sends the client elsewhere.
    Redirect,
    /// Puts a word on the request, which rules behind may match; the rules go on.
    Tag,
    /// Gives a field of the request one value; the rules go on.
    SetField,
    /// Counts the request against a limit; where there were too many, refuses it.
    RateLimit,
}

/// Whether a rule is in force.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RuleMode {
    /// It does what it says.
    #[default]
    Enforce,
    /// It only writes down what it would have done, and the rules go on.
    Report,
}

/// `match` of a rule. Paths are compared in their normalised form.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RuleMatch {
    /// Names: `x.test` is itself and all below it, `*.x.test` only what is below, `=x.test` exact.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// Whole paths.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Beginnings of paths, in whole segments.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path_prefixes: Vec<String>,
    /// A pattern that the whole path must match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path_regex: Option<String>,
    /// Methods, in their exact spelling.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// The scheme of the target, or how the client connected where it has none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub schemes: Vec<Scheme>,
    /// Request fields by name; all of them must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fields: BTreeMap<String, FieldMatch>,
    /// Query parameters by name; all of them must hold.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, FieldMatch>,
    /// Ports of the target.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<Port>,
    /// Listeners, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<String>,
    /// Networks of clients.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub clients: Vec<String>,
    /// Users whose credentials were verified; `"*"` is any of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub users: Vec<String>,
    /// Certificates that clients have shown: a name or the subject in them, or `sha256:` and the
    /// fingerprint; `"*"` is any that was verified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub client_certificates: Vec<String>,
    /// Routes, by name.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Words that rules before this one put on the request.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Times of the week, such as `"mon-fri 08:00-18:00 +01:00"`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<String>,
}

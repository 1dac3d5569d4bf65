//! What requests may look like.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tunnel::Mode;
use crate::config::units::Size;

/// `[filter.input]`: what requests may look like; `input` of a route takes its
/// place, key by key. What is not said is not limited here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    /// `"enforce"` (default), or `"report"`: what would be refused is recorded,
    /// and passes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    /// The methods; others get 405 with `Allow`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub methods: Option<Vec<String>>,
    /// Media types of content, such as `"application/json"` or `"text/*"`;
    /// content of others, or of none, gets 415.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_types: Option<Vec<String>>,
    /// Length of path and query; longer is 414.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_length: Option<Size>,
    /// Number of query parameters; more is 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameters: Option<u64>,
    /// Length of the name of a query parameter, decoded; longer is 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_name_length: Option<Size>,
    /// Length of the value of a query parameter, decoded; longer is 400.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parameter_value_length: Option<Size>,
    /// Query parameters that must be there; 400 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_parameters: Option<Vec<String>>,
    /// Number of field lines that the client sent; more is 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields: Option<u64>,
    /// Length of the value of a field line; longer is 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field_length: Option<Size>,
    /// Names and values of all fields together; more is 431.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fields_size: Option<Size>,
    /// Fields that must be there; 400 without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub required_fields: Option<Vec<String>>,
    /// Bytes of content; more is 413.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_size: Option<Size>,
    /// Path, query and textual content must be UTF-8; 400 if not. Default
    /// false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub utf8: Option<bool>,
    /// The structure of JSON content.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json: Option<InputJson>,
}

/// `json` of `[filter.input]`: JSON content must be well formed, else 400, and
/// no object may have two members of one name, else 422.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InputJson {
    /// Containers within containers; more is 422. Default 32.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub depth: Option<u64>,
    /// Members of one object; more is 422. Default 1000.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(max = 4_294_967_295u64))]
    pub members: Option<u64>,
    /// Length of a name or a string as it is written; longer is 422. Default
    /// 64KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_length: Option<Size>,
    /// The file of a JSON Schema that content must match, relative to the
    /// configuration file; 422 if it does not, 415 where it is no JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema: Option<String>,
    /// Content that is held for the schema; more is 413. Default 1MiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schema_size: Option<Size>,
}

impl Input {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

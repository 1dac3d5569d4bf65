//! What JSON content must be, as a whole.

#[cfg(feature = "json-schema")]
mod check;
#[cfg(feature = "json-schema")]
mod circle;
#[cfg(feature = "json-schema")]
mod compile;
#[cfg(feature = "json-schema")]
mod draft;
#[cfg(feature = "json-schema")]
mod equality;
#[cfg(feature = "json-schema")]
mod expression;
#[cfg(feature = "json-schema")]
mod judge;
#[cfg(feature = "json-schema")]
mod keywords;
#[cfg(feature = "json-schema")]
mod number;
#[cfg(feature = "json-schema")]
mod places;
#[cfg(feature = "json-schema")]
mod seen;
#[cfg(feature = "json-schema")]
mod value;

use std::fmt;

/// Bytes of content that are held for a schema where nothing is said.
pub const DEFAULT_SCHEMA_SIZE: usize = 1 << 20;

/// Containers within one another that a [`JsonSchema`] reads; more are malformed to it.
#[cfg(feature = "json-schema")]
pub const MAX_SCHEMA_DEPTH: usize = 127;

/// Judges a whole document. Called with all of the content, of a bounded size; its work must be
/// bounded too, and it must fetch nothing.
pub trait ContentSchema: fmt::Debug + Send + Sync + 'static {
    /// None where this is no well formed JSON, else whether the schema accepts it.
    fn accepts(&self, content: &[u8]) -> Option<bool>;
}

/// A JSON Schema of the drafts 4, 6, 7, 2019-09 or 2020-12, compiled.
///
/// Expressions are those of ECMA-262, in linear time: one that needs to backtrack is an error.
/// References lead within the schema only: nothing is fetched. `format` and the keywords of `content`
/// are annotations, as is whatever no draft names. Whole numbers are exact up to 64 bits, others are
/// floats.
///
/// The work for a document is bounded, whatever the schema. One that takes more than a million
/// steps and 16 a byte (a hundred million at most) is not accepted, nor one that needs more than
/// 1,024 schemas within one another. A step is some tens of nanoseconds: one value before one schema, a
/// member or an item looked at, 64 bytes of a text. An expression takes a step for 64 bytes, and one
/// for 8 bytes of what it has to remember of a text that is new to it.
#[cfg(feature = "json-schema")]
pub struct JsonSchema(compile::Compiled);

/// Why a text is no schema that can be used.
#[cfg(feature = "json-schema")]
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SchemaError {
    /// It is no JSON.
    #[error("not JSON: {0}")]
    Json(String),
    /// It can not be compiled.
    #[error("not a usable JSON Schema: {0}")]
    Schema(String),
}

#[cfg(feature = "json-schema")]
impl JsonSchema {
    /// Compiles a schema; its `$schema` says the draft, 2020-12 where it does not.
    ///
    /// # Errors
    /// What is no JSON or no schema (with the place, as a JSON Pointer), references to other
    /// documents or in a circle, expressions that backtrack or are too large, two schemas of one name,
    /// keywords that another draft has.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        let schema: value::Value<'_> =
            serde_json::from_str(text).map_err(|error| SchemaError::Json(error.to_string()))?;
        compile::compile(&schema).map(Self).map_err(SchemaError::Schema)
    }
}

#[cfg(feature = "json-schema")]
impl ContentSchema for JsonSchema {
    fn accepts(&self, content: &[u8]) -> Option<bool> {
        // It takes no more containers within one another, and no member twice.
        let value: value::Value<'_> = serde_json::from_slice(content).ok()?;
        Some(judge::accepts(&self.0, &value, content.len()))
    }
}

#[cfg(feature = "json-schema")]
impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonSchema(..)")
    }
}

#[cfg(all(test, feature = "json-schema"))]
mod tests;

//! What JSON content must be, as a whole.

use std::fmt;

/// Bytes of content that are held for a schema where nothing is said.
pub const DEFAULT_SCHEMA_SIZE: usize = 1 << 20;

/// Judges a whole document. Called with all of the content, of a bounded size; it must be linear in
/// it and fetch nothing.
pub trait ContentSchema: fmt::Debug + Send + Sync + 'static {
    /// Whether this is well formed JSON; none: it is not. Else whether the schema accepts it.
    fn accepts(&self, content: &[u8]) -> Option<bool>;
}

/// A JSON Schema (by the crate `jsonschema`), compiled.
///
/// Expressions are those of the crate `regex`, which are linear: one that needs to backtrack is an
/// error. References lead within the schema only: nothing is fetched. `format` is an annotation.
#[cfg(feature = "json-schema")]
pub struct JsonSchema(jsonschema::Validator);

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
    /// What is no JSON or no schema, references to other documents, expressions that backtrack.
    pub fn compile(text: &str) -> Result<Self, SchemaError> {
        let schema = serde_json::from_str(text).map_err(|e| SchemaError::Json(e.to_string()))?;
        let built = jsonschema::options()
            .with_pattern_options(jsonschema::PatternOptions::regex().size_limit(1 << 20))
            .should_validate_formats(false)
            .build(&schema);
        built.map(Self).map_err(|error| SchemaError::Schema(error.to_string()))
    }
}

#[cfg(feature = "json-schema")]
impl ContentSchema for JsonSchema {
    fn accepts(&self, content: &[u8]) -> Option<bool> {
        // It takes at most 128 containers within containers.
        let value = serde_json::from_slice(content).ok()?;
        Some(self.0.is_valid(&value))
    }
}

#[cfg(feature = "json-schema")]
impl fmt::Debug for JsonSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JsonSchema(..)")
    }
}

#[cfg(all(test, feature = "json-schema"))]
mod tests {
    use super::*;

    #[test]
    fn a_schema_accepts_and_refuses() {
        let text = r#"{"type": "object", "required": ["name"], "additionalProperties": false,
            "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}}}"#;
        let schema = JsonSchema::compile(text).expect("a schema");
        assert_eq!(schema.accepts(br#"{"name": "ann"}"#), Some(true));
        for wrong in [&br#"{"name": "Ann"}"#[..], b"{}", br#"{"name": "ann", "age": 1}"#, b"[]"] {
            assert_eq!(schema.accepts(wrong), Some(false));
        }
        assert_eq!(schema.accepts(b"{"), None);
    }

    #[test]
    fn what_backtracks_or_fetches_is_no_schema() {
        for text in [
            r#"{"pattern": "(a)\\1"}"#,
            r#"{"pattern": "(?=a)b"}"#,
            r#"{"$ref": "http://127.0.0.1:9/schema.json"}"#,
            r#"{"$ref": "file:///etc/passwd"}"#,
            r#"{"type": 5}"#,
        ] {
            let error = JsonSchema::compile(text).map(|_| ()).expect_err(text);
            assert!(matches!(error, SchemaError::Schema(_)), "{text}: {error}");
        }
        assert!(matches!(JsonSchema::compile("{"), Err(SchemaError::Json(_))));
    }
}

//! The drafts of JSON Schema, and where each keeps schemas within schemas.

/// A draft, the older the smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Draft {
    D4,
    D6,
    D7,
    D2019,
    D2020,
}

/// What a keyword holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Holds {
    Schema,
    Schemas,
    SchemaOrSchemas,
    /// An object whose members are schemas.
    Members,
    /// An object whose members are schemas, or lists of names.
    MembersOrNames,
}

impl Draft {
    /// What `$schema` names.
    pub(super) fn named(uri: &str) -> Option<Self> {
        let uri = uri.strip_suffix('#').unwrap_or(uri);
        let path = ["http://", "https://"].iter().find_map(|scheme| uri.strip_prefix(scheme))?;
        Some(match path.strip_prefix("json-schema.org/")? {
            "draft-04/schema" => Self::D4,
            "draft-06/schema" => Self::D6,
            "draft-07/schema" => Self::D7,
            "draft/2019-09/schema" => Self::D2019,
            "draft/2020-12/schema" => Self::D2020,
            _ => return None,
        })
    }

    /// The keyword that says a schema's identifier.
    pub(super) fn id(self) -> &'static str {
        if self == Self::D4 { "id" } else { "$id" }
    }

    /// Whether `$ref` stands for the whole of the object it is in.
    pub(super) fn ref_is_alone(self) -> bool {
        self <= Self::D7
    }

    /// The schemas that a keyword of this draft holds. `dependencies`, `definitions` and `$defs` are
    /// known to all of them: a rule that someone wrote is not passed over for the name of its draft.
    pub(super) fn holds(self, keyword: &str) -> Option<Holds> {
        let (since, until, holds) = match keyword {
            "not" | "additionalProperties" => (Self::D4, Self::D2020, Holds::Schema),
            "allOf" | "anyOf" | "oneOf" => (Self::D4, Self::D2020, Holds::Schemas),
            "properties" | "patternProperties" | "definitions" | "$defs" => {
                (Self::D4, Self::D2020, Holds::Members)
            }
            "dependencies" => (Self::D4, Self::D2020, Holds::MembersOrNames),
            "items" if self == Self::D2020 => (Self::D2020, Self::D2020, Holds::Schema),
            "items" => (Self::D4, Self::D2019, Holds::SchemaOrSchemas),
            "additionalItems" => (Self::D4, Self::D2019, Holds::Schema),
            "contains" | "propertyNames" => (Self::D6, Self::D2020, Holds::Schema),
            "if" | "then" | "else" => (Self::D7, Self::D2020, Holds::Schema),
            "dependentSchemas" => (Self::D2019, Self::D2020, Holds::Members),
            "unevaluatedItems" | "unevaluatedProperties" | "contentSchema" => {
                (Self::D2019, Self::D2020, Holds::Schema)
            }
            "prefixItems" => (Self::D2020, Self::D2020, Holds::Schemas),
            _ => return None,
        };
        (since <= self && self <= until).then_some(holds)
    }
}

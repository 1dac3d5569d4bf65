//! The drafts of JSON Schema, and where each keeps schemas within schemas.

use std::fmt;
use std::ops::RangeInclusive;

use super::value::Members;

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

    /// The drafts that have a keyword, of those that not all have. `dependencies`, `definitions` and
    /// `$defs` are known to all of them: a rule that someone wrote is not passed over for the name of
    /// its draft.
    fn having(keyword: &str) -> Option<RangeInclusive<Self>> {
        Some(match keyword {
            "const" | "contains" | "propertyNames" => Self::D6..=Self::D2020,
            "if" | "then" | "else" => Self::D7..=Self::D2020,
            "dependentRequired"
            | "dependentSchemas"
            | "maxContains"
            | "minContains"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "contentSchema" => Self::D2019..=Self::D2020,
            "$recursiveRef" => Self::D2019..=Self::D2019,
            "additionalItems" => Self::D4..=Self::D2019,
            "$dynamicRef" | "prefixItems" => Self::D2020..=Self::D2020,
            _ => return None,
        })
    }

    /// # Errors
    /// A keyword that other drafts have: what it demands would be passed over.
    pub(super) fn knows_demands_of(self, keywords: &Members<'_>) -> Result<(), String> {
        for (keyword, _) in keywords.iter() {
            // Without `if`, which is an error itself, neither demands anything; nor does the third.
            let demands = !matches!(keyword, "then" | "else" | "contentSchema");
            let Some(having) = Self::having(keyword).filter(|_| demands) else { continue };
            if !having.contains(&self) {
                return Err(format!(
                    "/{keyword}: draft {self} has no such keyword, draft {} has: say by $schema which is meant",
                    if *having.start() > self { having.start() } else { having.end() }
                ));
            }
        }
        Ok(())
    }

    /// The schemas that a keyword of this draft holds.
    pub(super) fn holds(self, keyword: &str) -> Option<Holds> {
        let holds = match keyword {
            "not"
            | "additionalProperties"
            | "additionalItems"
            | "contains"
            | "propertyNames"
            | "if"
            | "then"
            | "else"
            | "unevaluatedItems"
            | "unevaluatedProperties"
            | "contentSchema" => Holds::Schema,
            "items" if self == Self::D2020 => Holds::Schema,
            "items" => Holds::SchemaOrSchemas,
            "allOf" | "anyOf" | "oneOf" | "prefixItems" => Holds::Schemas,
            "properties" | "patternProperties" | "definitions" | "$defs" | "dependentSchemas" => {
                Holds::Members
            }
            "dependencies" => Holds::MembersOrNames,
            _ => return None,
        };
        let has = Self::having(keyword).is_none_or(|drafts| drafts.contains(&self));
        has.then_some(holds)
    }
}

impl fmt::Display for Draft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::D4 => "4",
            Self::D6 => "6",
            Self::D7 => "7",
            Self::D2019 => "2019-09",
            Self::D2020 => "2020-12",
        })
    }
}

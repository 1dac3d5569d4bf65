//! A value that may be `"none"`.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Reader, Unit, schema_of};

/// A value, or `"none"`: no limit, also where a less specific table sets one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit<T> {
    /// `"none"`.
    Unlimited,
    /// So much and no more.
    At(T),
}

impl<T> Limit<T> {
    /// The limit, if there is one.
    pub fn some(self) -> Option<T> {
        match self {
            Self::Unlimited => None,
            Self::At(limit) => Some(limit),
        }
    }
}

impl<T: fmt::Display> fmt::Display for Limit<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unlimited => f.write_str("none"),
            Self::At(limit) => limit.fmt(f),
        }
    }
}

impl<T: Unit> Serialize for Limit<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, T: Unit> Deserialize<'de> for Limit<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader(
            |text: &str| match text {
                "none" => Some(Self::Unlimited),
                text => T::parse(text).map(Self::At),
            },
            |number: u64| T::from_number(number).map(Self::At),
            T::EXPECTED,
        ))
    }
}

impl<T: Unit> JsonSchema for Limit<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("LimitOf{}", T::NAME).into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let mut schema = schema_of::<T>();
        schema.insert("pattern".to_owned(), format!("{}|^none$", T::PATTERN).into());
        schema.insert("x-expected".to_owned(), format!("{}, or \"none\"", T::EXPECTED).into());
        schema
    }
}

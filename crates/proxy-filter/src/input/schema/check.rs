//! What a schema asks, ready to be asked.

use super::expression::Expression;
use super::number::{Decimal, Exact, is_whole, is_written_whole};
use super::value::Value;

/// Which of the compiled schemas.
pub(super) type NodeId = u32;

/// The names of members.
pub(super) type Names = Box<[Box<str>]>;

/// A compiled schema.
#[derive(Debug)]
pub(super) enum Node {
    Always(bool),
    Checks(Checks),
}

/// All of these must hold.
#[derive(Debug)]
pub(super) struct Checks {
    /// The resource of the document that the schema belongs to, where it has dynamic anchors.
    pub(super) scope: Option<u32>,
    /// Those of the unevaluated last.
    pub(super) checks: Box<[Check]>,
    /// Whether one of them asks what others have spoken of.
    pub(super) asks_for_rest: bool,
}

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Count {
    pub(super) least: u64,
    pub(super) most: u64,
}

/// How large a number may be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bound {
    pub(super) limit: Exact,
    pub(super) lower: bool,
    /// Whether the limit itself is out of bounds.
    pub(super) exclusive: bool,
}

/// One demand. What speaks of another type of value than it has before it holds.
#[derive(Debug)]
pub(super) enum Check {
    Type(Types),
    Const(Value<'static>),
    /// Texts and numbers in order.
    Enum {
        texts: Names,
        numbers: Box<[Exact]>,
        others: Box<[Value<'static>]>,
    },
    Bound(Bound),
    MultipleOf(Decimal),
    /// Of a text, in characters.
    Length(Count),
    Pattern(Box<Expression>),
    ItemCount(Count),
    UniqueItems,
    /// The first items each by its own, what follows by the rest.
    Items {
        first: Box<[NodeId]>,
        rest: Option<NodeId>,
    },
    /// `evaluates`: what it contains counts as spoken of.
    Contains {
        what: NodeId,
        count: Count,
        evaluates: bool,
    },
    MemberCount(Count),
    Required(Names),
    /// Those with a name in order, then whose name is like this, and what is neither.
    Members {
        named: Box<[(Box<str>, NodeId)]>,
        like: Box<[(Expression, NodeId)]>,
        rest: Option<NodeId>,
    },
    MemberNames(NodeId),
    /// Who has the first must have all others.
    DependentRequired(Box<[(Box<str>, Names)]>),
    DependentSchemas(Box<[(Box<str>, NodeId)]>),
    AllOf(Box<[NodeId]>),
    AnyOf(Box<[NodeId]>),
    OneOf(Box<[NodeId]>),
    Not(NodeId),
    If {
        condition: NodeId,
        then: Option<NodeId>,
        otherwise: Option<NodeId>,
    },
    Ref(NodeId),
    /// To the outermost resource that has this anchor; `own` where none of them has.
    DynamicRef {
        anchor: u32,
        own: NodeId,
    },
    UnevaluatedItems(NodeId),
    UnevaluatedMembers(NodeId),
}

impl Node {
    /// All that it asks with.
    pub(super) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        let checks = match self {
            Self::Always(_) => &[][..],
            Self::Checks(all) => &all.checks,
        };
        checks.iter().flat_map(|check| match check {
            Check::Pattern(own) => vec![&**own],
            Check::Members { like, .. } => like.iter().map(|(own, _)| own).collect(),
            _ => Vec::new(),
        })
    }
}

/// A set of types.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Types(u8);

impl Types {
    const NULL: u8 = 1;
    const BOOLEAN: u8 = 2;
    const OBJECT: u8 = 4;
    const ARRAY: u8 = 8;
    const NUMBER: u8 = 16;
    const STRING: u8 = 32;
    /// A number without a fraction.
    const INTEGER: u8 = 64;
    /// A number that is written without one: `integer` of draft 4.
    const WRITTEN_INTEGER: u8 = 128;

    /// Adds a type by its name; false: there is none.
    pub(super) fn add(&mut self, name: &str, by_writing: bool) -> bool {
        self.0 |= match name {
            "null" => Self::NULL,
            "boolean" => Self::BOOLEAN,
            "object" => Self::OBJECT,
            "array" => Self::ARRAY,
            "number" => Self::NUMBER,
            "string" => Self::STRING,
            "integer" if by_writing => Self::WRITTEN_INTEGER,
            "integer" => Self::INTEGER,
            _ => return false,
        };
        true
    }

    pub(super) fn has(self, value: &Value<'_>) -> bool {
        let bits = match value {
            Value::Null => Self::NULL,
            Value::Bool(_) => Self::BOOLEAN,
            Value::Members(_) => Self::OBJECT,
            Value::Items(_) => Self::ARRAY,
            Value::Text(_) => Self::STRING,
            Value::Number(number) => {
                let whole = if is_whole(*number) { Self::INTEGER } else { 0 };
                let written = if is_written_whole(*number) { Self::WRITTEN_INTEGER } else { 0 };
                Self::NUMBER | whole | written
            }
        };
        self.0 & bits != 0
    }
}

//! JSON (RFC 8259) as it is judged: texts are borrowed where they have no escapes, members stand in
//! the order of their names.
//!
//! A tree of maps takes a hundred times the space of a document that is made for it, this one forty.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::number::Number;

/// A value, for as long as the text it was read from.
#[derive(Clone, Debug)]
pub(super) enum Value<'d> {
    Null,
    Bool(bool),
    Number(Number),
    Text(Cow<'d, str>),
    Items(Box<[Value<'d>]>),
    Members(Members<'d>),
}

/// The members of an object, in the order of their names. None stands twice.
#[derive(Clone, Debug)]
pub(super) struct Members<'d>(Box<[(Cow<'d, str>, Value<'d>)]>);

impl<'d> Members<'d> {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&Value<'d>> {
        let at = self.0.binary_search_by(|(own, _)| (**own).cmp(name)).ok()?;
        Some(&self.0[at].1)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &Value<'d>)> {
        self.0.iter().map(|(name, value)| (&**name, value))
    }
}

impl<'d> Value<'d> {
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<Number> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    pub(super) fn items(&self) -> Option<&[Self]> {
        match self {
            Self::Items(items) => Some(items),
            _ => None,
        }
    }

    pub(super) fn members(&self) -> Option<&Members<'d>> {
        match self {
            Self::Members(members) => Some(members),
            _ => None,
        }
    }

    /// What a JSON Pointer (RFC 6901) leads to from here.
    pub(super) fn pointer(&self, pointer: &str) -> Option<&Self> {
        let mut steps = pointer.split('/');
        // What stands before the first slash is nothing.
        if steps.next() != Some("") {
            return None;
        }
        steps.try_fold(self, |value, step| match value {
            Self::Members(members) => members.get(&step.replace("~1", "/").replace("~0", "~")),
            Self::Items(items) => {
                let is_index = step == "0" || !step.starts_with(['0', '+']);
                items.get(step.parse::<usize>().ok().filter(|_| is_index)?)
            }
            _ => None,
        })
    }

    /// The same for ever.
    pub(super) fn to_owned(&self) -> Value<'static> {
        let owned = |text: &Cow<'d, str>| Cow::Owned(text.clone().into_owned());
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Number(number) => Value::Number(*number),
            Self::Text(text) => Value::Text(owned(text)),
            Self::Items(items) => Value::Items(items.iter().map(Self::to_owned).collect()),
            Self::Members(Members(members)) => {
                let members = members.iter().map(|(name, value)| (owned(name), value.to_owned()));
                Value::Members(Members(members.collect()))
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Value<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<Value<'de>, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value<'de>, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Number::Natural(number)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Number::Integer(number)))
    }

    fn visit_f64<E: Error>(self, number: f64) -> Result<Value<'de>, E> {
        Ok(Value::Number(Number::Float(number)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Value<'de>, E> {
        Ok(Value::Text(Cow::Borrowed(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some(item) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Items(all.into()))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value<'de>, A::Error> {
        let mut all = Vec::new();
        while let Some((name, value)) = members.next_entry::<Value<'de>, _>()? {
            let Value::Text(name) = name else { return Err(A::Error::custom("no name")) };
            all.push((name, value));
        }
        all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
        // Which of two counts is for each reader to choose (RFC 8259 section 4).
        if let Some(twice) = all.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            let name = &twice[0].0;
            return Err(A::Error::custom(format_args!("{name:?} stands twice in an object")));
        }
        Ok(Value::Members(Members(all.into())))
    }
}

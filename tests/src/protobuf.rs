//! Protobuf, read without a schema: enough to judge what a collector of traces is sent.

use std::collections::BTreeMap;

/// A message: its fields by number, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(BTreeMap<u64, Vec<Value>>);

/// A value as it stands on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A varint.
    Number(u64),
    /// Eight bytes.
    Fixed64(u64),
    /// Four bytes.
    Fixed32(u32),
    /// Bytes, text, or a message.
    Bytes(Vec<u8>),
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, rest) = bytes.split_at_checked(count)?;
    *bytes = rest;
    Some(taken)
}

impl Message {
    /// Reads a message; `None` where it is none.
    #[must_use]
    pub fn read(mut bytes: &[u8]) -> Option<Self> {
        let mut message = Self::default();
        while !bytes.is_empty() {
            let tag = varint(&mut bytes)?;
            let value = match tag & 7 {
                0 => Value::Number(varint(&mut bytes)?),
                1 => Value::Fixed64(u64::from_le_bytes(take(&mut bytes, 8)?.try_into().ok()?)),
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    Value::Bytes(take(&mut bytes, length)?.to_vec())
                }
                5 => Value::Fixed32(u32::from_le_bytes(take(&mut bytes, 4)?.try_into().ok()?)),
                _ => return None,
            };
            message.0.entry(tag >> 3).or_default().push(value);
        }
        Some(message)
    }

    /// The bytes of a field, every time it stands there.
    #[must_use]
    pub fn all(&self, field: u64) -> Vec<&[u8]> {
        let values = self.0.get(&field).into_iter().flatten();
        values
            .map(|value| match value {
                Value::Bytes(bytes) => bytes.as_slice(),
                other => panic!("field {field} is {other:?}"),
            })
            .collect()
    }

    /// The messages of a field.
    #[must_use]
    pub fn messages(&self, field: u64) -> Vec<Self> {
        self.all(field).iter().map(|bytes| Self::read(bytes).expect("a message")).collect()
    }

    /// The only text of a field.
    #[must_use]
    pub fn text(&self, field: u64) -> Option<String> {
        let bytes = *self.all(field).first()?;
        Some(String::from_utf8(bytes.to_vec()).expect("UTF-8"))
    }

    /// The only number of a field, whatever its width.
    #[must_use]
    pub fn number(&self, field: u64) -> Option<u64> {
        match self.0.get(&field)?.first()? {
            Value::Number(n) | Value::Fixed64(n) => Some(*n),
            Value::Fixed32(n) => Some(u64::from(*n)),
            Value::Bytes(_) => None,
        }
    }

    /// The attributes of OpenTelemetry (`repeated KeyValue`) in a field, as text.
    #[must_use]
    pub fn attributes(&self, field: u64) -> BTreeMap<String, String> {
        let pairs = self.messages(field);
        pairs
            .iter()
            .map(|pair| {
                let value = &pair.messages(2)[0];
                let text = value.text_or_number();
                (pair.text(1).expect("a key"), text)
            })
            .collect()
    }

    fn text_or_number(&self) -> String {
        match self.number(3) {
            Some(number) => number.to_string(),
            None => self.text(1).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_its_documentation() {
        // `Test1 { a: 150 }`, `Test2 { b: "testing" }`.
        let message = Message::read(&[0x08, 0x96, 0x01]).expect("a message");
        assert_eq!(message.number(1), Some(150));
        let message = Message::read(b"\x12\x07testing").expect("a message");
        assert_eq!(message.text(2).as_deref(), Some("testing"));
        assert_eq!(Message::read(b"\x12\x08testing"), None);
    }
}

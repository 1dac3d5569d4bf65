//! Field sections (RFC 9204) without the dynamic table: we announce that it holds nothing, and use
//! none of the client's. What remains has no state, so that no stream waits for another.

mod huffman;
mod static_table;

use bytes::{Buf, Bytes};

use static_table::{Found, TABLE};

/// Counted for each field beside its bytes (RFC 9114 section 4.2.2).
const OVERHEAD: usize = 32;

/// A field, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: Bytes,
    pub(super) value: Bytes,
}

/// Why a section can not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is broken, or refers to the dynamic table: QPACK_DECOMPRESSION_FAILED.
    Broken,
    /// It takes more than the limit.
    TooLarge,
}

/// Reads a field section of at most `limit` bytes, counted as the setting counts them.
pub(super) fn decode(block: &Bytes, limit: usize) -> Result<Vec<Field>, Unreadable> {
    let mut rest = block.clone();
    // The prefix (section 4.5.1): no insert is required, so the base can not be negative.
    let required = integer(&mut rest, 8)?;
    let negative = rest.first().ok_or(Unreadable::Broken)? & 0x80 != 0;
    integer(&mut rest, 7)?;
    if required != 0 || negative {
        return Err(Unreadable::Broken);
    }
    let mut fields = Vec::new();
    let mut size = 0;
    while let Some(&first) = rest.first() {
        let field = match first {
            // Indexed, from the static table.
            0b1100_0000.. => {
                let (name, value) = entry(integer(&mut rest, 6)?)?;
                Field { name, value }
            }
            // A literal with a name of the static table.
            0b0101_0000..=0b0101_1111 | 0b0111_0000..=0b0111_1111 => {
                let (name, _) = entry(integer(&mut rest, 4)?)?;
                Field { name, value: string(&mut rest, 7)? }
            }
            // A literal.
            0b0010_0000..=0b0011_1111 => {
                let name = string(&mut rest, 3)?;
                Field { name, value: string(&mut rest, 7)? }
            }
            // All others refer to the dynamic table.
            _ => return Err(Unreadable::Broken),
        };
        size += field.name.len() + field.value.len() + OVERHEAD;
        if size > limit {
            return Err(Unreadable::TooLarge);
        }
        fields.push(field);
    }
    Ok(fields)
}

fn entry(index: usize) -> Result<(Bytes, Bytes), Unreadable> {
    let (name, value) = TABLE.get(index).ok_or(Unreadable::Broken)?;
    Ok((Bytes::from_static(name.as_bytes()), Bytes::from_static(value.as_bytes())))
}

/// An integer behind a prefix (RFC 7541 section 5.1).
fn integer(rest: &mut Bytes, prefix: u32) -> Result<usize, Unreadable> {
    let most = (1usize << prefix) - 1;
    let first = usize::from(*rest.first().ok_or(Unreadable::Broken)?) & most;
    rest.advance(1);
    if first < most {
        return Ok(first);
    }
    let mut number = first;
    // Four bytes more are beyond anything that could be meant.
    for shift in [0, 7, 14, 21] {
        let byte = usize::from(*rest.first().ok_or(Unreadable::Broken)?);
        rest.advance(1);
        number += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(Unreadable::Broken)
}

/// A string behind a prefix of so many bits, above which the Huffman bit stands.
fn string(rest: &mut Bytes, prefix: u32) -> Result<Bytes, Unreadable> {
    let coded = rest.first().ok_or(Unreadable::Broken)? >> prefix & 1 == 1;
    let length = integer(rest, prefix)?;
    if length > rest.len() {
        return Err(Unreadable::Broken);
    }
    let text = rest.split_to(length);
    match coded {
        false => Ok(text),
        true => huffman::decode(&text).map(Bytes::from).map_err(|_| Unreadable::Broken),
    }
}

/// A field section that is being written.
pub(super) struct Section {
    block: Vec<u8>,
    size: usize,
}

impl Section {
    pub(super) fn new() -> Self {
        // No insert is required, and the base is 0.
        Self { block: vec![0, 0], size: 0 }
    }

    /// Adds a field; one that is `sensitive` shall never be put into a table.
    pub(super) fn add(&mut self, name: &str, value: &[u8], sensitive: bool) {
        self.size += name.len() + value.len() + OVERHEAD;
        let never = if sensitive { 0b0010_0000 } else { 0 };
        match static_table::find(name, value) {
            Some(Found::Field(index)) if !sensitive => {
                return write_integer(&mut self.block, 0b1100_0000, 6, index);
            }
            Some(Found::Field(index) | Found::Name(index)) => {
                write_integer(&mut self.block, 0b0101_0000 | never, 4, index);
            }
            None => write_string(&mut self.block, 0b0010_0000 | never >> 1, 3, name.as_bytes()),
        }
        write_string(&mut self.block, 0, 7, value);
    }

    /// Its size, as the client's limit counts it.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    pub(super) fn into_block(self) -> Vec<u8> {
        self.block
    }
}

fn write_integer(out: &mut Vec<u8>, pattern: u8, prefix: u32, number: usize) {
    let most = (1usize << prefix) - 1;
    if number < most {
        return out.push(pattern | number as u8);
    }
    out.push(pattern | most as u8);
    let mut rest = number - most;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn write_string(out: &mut Vec<u8>, pattern: u8, prefix: u32, text: &[u8]) {
    let coded = huffman::encoded_length(text);
    if coded < text.len() {
        write_integer(out, pattern | 1 << prefix, prefix, coded);
        huffman::encode(text, out);
    } else {
        write_integer(out, pattern, prefix, text.len());
        out.extend_from_slice(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &'static str, value: &'static str) -> Field {
        Field { name: Bytes::from(name), value: Bytes::from(value) }
    }

    fn read(block: &'static [u8]) -> Result<Vec<Field>, Unreadable> {
        decode(&Bytes::from_static(block), 4096)
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(300);
        let fields = [
            (":status", "200", false),
            (":status", "418", false),
            ("content-type", "text/plain", false),
            ("content-type", "text/strange", false),
            ("set-cookie", "a=b", true),
            ("accept-ranges", "bytes", true),
            ("x-own", "", false),
            ("x-long", &long, true),
        ];
        let mut section = Section::new();
        for (name, value, sensitive) in fields {
            section.add(name, value.as_bytes(), sensitive);
        }
        let size = section.size();
        let block = Bytes::from(section.into_block());
        let read = decode(&block, size).expect("a section");
        assert_eq!(read.len(), fields.len());
        for (field, (name, value, _)) in read.iter().zip(fields) {
            assert_eq!((&field.name[..], &field.value[..]), (name.as_bytes(), value.as_bytes()));
        }
        assert_eq!(decode(&block, size - 1), Err(Unreadable::TooLarge));
    }

    #[test]
    fn representations_without_the_dynamic_table() {
        assert_eq!(read(b"\0\0\xd1\xc1"), Ok(vec![field(":method", "GET"), field(":path", "/")]));
        assert_eq!(read(b"\0\0\xff\x23"), Ok(vec![field("x-frame-options", "sameorigin")]));
        assert_eq!(read(b"\0\0\x51\x02/a\x71\x02/b").map(|f| f.len()), Ok(2));
        assert_eq!(read(b"\0\0\x23abc\x01d"), Ok(vec![field("abc", "d")]));
        assert_eq!(read(b"\0\0"), Ok(vec![]));
    }

    #[test]
    fn what_no_section_may_hold() {
        let broken: [&'static [u8]; 14] = [
            b"",
            b"\0",
            // An insert that is required; a negative base.
            b"\x01\0\xd1",
            b"\0\x80\xd1",
            // Beyond the static table.
            b"\0\0\xff\x24",
            b"\0\0\x5f\x54\x01a",
            // Dynamic: indexed, name, behind the base.
            b"\0\0\x80",
            b"\0\0\x40\x01a",
            b"\0\0\x10",
            b"\0\0\x00\x01a",
            // Cut off.
            b"\0\0\xff",
            b"\0\0\x51",
            b"\0\0\x23ab",
            // A number that never ends.
            b"\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        ];
        for block in broken {
            assert_eq!(read(block), Err(Unreadable::Broken), "{block:?}");
        }
    }
}

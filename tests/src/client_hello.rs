//! A ClientHello, made byte by byte: what a TLS client says first.

/// A ClientHello of TLS 1.2 and 1.3 in one record, with this server name.
#[must_use]
pub fn naming(name: &str) -> Vec<u8> {
    in_records(&message(Some(name), false), usize::MAX)
}

/// The same with an encrypted ClientHello beside it; the name is that of the front.
#[must_use]
pub fn encrypted(front: &str) -> Vec<u8> {
    in_records(&message(Some(front), true), usize::MAX)
}

/// A ClientHello without a server name.
#[must_use]
pub fn naming_nobody() -> Vec<u8> {
    in_records(&message(None, false), usize::MAX)
}

/// The same as [`naming`], in records of at most `size` bytes of content.
#[must_use]
pub fn naming_in_records(name: &str, size: usize) -> Vec<u8> {
    in_records(&message(Some(name), false), size)
}

fn in_records(message: &[u8], size: usize) -> Vec<u8> {
    let record = |part: &[u8]| [&[22, 3, 1][..], &vector(part)].concat();
    message.chunks(size.min(message.len())).flat_map(record).collect()
}

fn message(name: Option<&str>, encrypted: bool) -> Vec<u8> {
    let mut extensions = extension(0x0a0a, &[]);
    if let Some(name) = name {
        let entry = [&[0][..], &vector(name.as_bytes())].concat();
        extensions.extend(extension(0, &vector(&entry)));
    }
    extensions.extend(extension(16, &vector(b"\x02h2\x08http/1.1")));
    if encrypted {
        extensions.extend(extension(0xfe0d, &[0; 180]));
    }
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 4, 0x1a, 0x1a, 0x13, 1, 1, 0], &vector(&extensions)];
    [&[1, 0][..], &vector(&body.concat())].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [&kind.to_be_bytes()[..], &vector(data)].concat()
}

/// A vector with its length in two bytes.
fn vector(content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a short vector");
    [&length.to_be_bytes()[..], content].concat()
}

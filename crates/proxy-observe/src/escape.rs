//! Escaping: what comes out is printable ASCII without a bare quote or backslash, so that no byte
//! of a request can end a field or a line.

use std::fmt;

const HEX: &[u8; 16] = b"0123456789abcdef";

const fn is_plain(b: u8) -> bool {
    matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'
}

/// Judges a piece without a branch for each byte, which compilers turn into a few wide
/// instructions.
#[inline]
fn is_plain_piece<const N: usize>(piece: &[u8; N]) -> bool {
    piece.iter().fold(0, |bad, &b| {
        bad | u8::from(b.wrapping_sub(b' ') > b'~' - b' ')
            | u8::from(b == b'"')
            | u8::from(b == b'\\')
    }) == 0
}

/// The same for what has at least `N` bytes and at most twice as many: two pieces that may overlap.
#[inline]
fn is_plain_by<const N: usize>(bytes: &[u8]) -> bool {
    bytes.first_chunk::<N>().is_some_and(is_plain_piece)
        && bytes.last_chunk::<N>().is_some_and(is_plain_piece)
}

/// Whether all of it stands for itself.
#[inline]
pub(crate) fn is_all_plain(bytes: &[u8]) -> bool {
    match bytes.len() {
        0..4 => bytes.iter().all(|&b| is_plain(b)),
        4..8 => is_plain_by::<4>(bytes),
        8..16 => is_plain_by::<8>(bytes),
        16..=32 => is_plain_by::<16>(bytes),
        _ => {
            let (pieces, _) = bytes.as_chunks::<16>();
            pieces.iter().all(is_plain_piece)
                && bytes.last_chunk::<16>().is_some_and(is_plain_piece)
        }
    }
}

/// Splits off what stands for itself: nearly always all of it.
#[inline]
fn plain_prefix(bytes: &[u8]) -> (&[u8], &[u8]) {
    if is_all_plain(bytes) {
        return (bytes, &[]);
    }
    bytes.split_at(bytes.iter().position(|&b| !is_plain(b)).unwrap_or(bytes.len()))
}

/// The inside of a JSON string. Characters outside printable ASCII are escaped; bytes that are no
/// UTF-8 become U+FFFD.
#[inline]
pub(crate) fn json(out: &mut Vec<u8>, bytes: &[u8]) {
    let (plain, rest) = plain_prefix(bytes);
    out.extend_from_slice(plain);
    if !rest.is_empty() {
        json_slow(out, rest);
    }
}

#[cold]
fn json_slow(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                ' '..='~' => out.push(c as u8),
                _ => c.encode_utf16(&mut [0; 2]).iter().for_each(|&unit| {
                    let digit = |shift: u16| HEX[usize::from(unit >> shift & 0xf)];
                    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
                }),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

/// The inside of a quoted field of the combined format: `\xHH`.
pub(crate) fn combined(out: &mut Vec<u8>, bytes: &[u8]) {
    let (plain, rest) = plain_prefix(bytes);
    out.extend_from_slice(plain);
    for &b in rest {
        if is_plain(b) {
            out.push(b);
        } else {
            let (high, low) = (HEX[usize::from(b >> 4)], HEX[usize::from(b & 0xf)]);
            out.extend_from_slice(&[b'\\', b'x', high, low]);
        }
    }
}

/// Displays a value into the inside of a JSON string.
pub(crate) struct Json<'a>(pub(crate) &'a mut Vec<u8>);

impl fmt::Write for Json<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        json(self.0, text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hostile() -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..=255).collect();
        bytes.extend_from_slice("é\u{2028}\u{202e}😀\"\\\r\n".as_bytes());
        bytes
    }

    #[test]
    fn json_is_printable_and_reads_back() {
        let mut out = vec![b'"'];
        json(&mut out, &hostile());
        out.push(b'"');
        assert!(out.iter().all(|b| (b' '..=b'~').contains(b)));
        let text: String = serde_json::from_slice(&out).expect("a JSON string");
        assert_eq!(text, String::from_utf8_lossy(&hostile()));
    }

    #[test]
    fn combined_is_printable_and_never_closes_its_quote() {
        let mut out = Vec::new();
        combined(&mut out, &hostile());
        assert!(out.iter().all(|b| (b' '..=b'~').contains(b) && *b != b'"'));
        let mut out = Vec::new();
        combined(&mut out, b"a\"b\\c\r\n\xff");
        assert_eq!(out, b"a\\x22b\\x5cc\\x0d\\x0a\\xff");
    }

    #[test]
    fn every_byte_is_seen_at_every_place() {
        for length in [1, 3, 4, 7, 8, 9, 15, 16, 17, 31, 32, 33, 40] {
            for (place, byte) in (0..length).flat_map(|at| (0..=255).map(move |byte| (at, byte))) {
                let mut bytes = vec![b'a'; length];
                bytes[place] = byte;
                let expected = if is_plain(byte) { length } else { place };
                assert_eq!(plain_prefix(&bytes).0.len(), expected, "{byte} at {place}");
            }
        }
    }
}

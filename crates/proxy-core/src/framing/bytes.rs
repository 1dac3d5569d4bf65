//! Byte classes of RFC 9110 section 5.6 and RFC 9112 section 3, as tables.

const TOKEN: u8 = 1;
const FIELD: u8 = 2;
const PATH: u8 = 4;
const QUERY: u8 = 8;

const fn table() -> [u8; 256] {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let b = i as u8;
        if b.is_ascii_alphanumeric()
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            table[i] |= TOKEN;
        }
        if matches!(b, b'\t' | b' '..=b'~' | 0x80..=0xff) {
            table[i] |= FIELD;
        }
        // What a URL parser sends as it is (WHATWG), a superset of RFC 3986 that real clients
        // use; `#` and everything that is not ASCII are out.
        if matches!(b, 0x21 | 0x24..=0x3b | 0x3d | 0x40..=0x5f | 0x61..=0x7e) {
            table[i] |= PATH;
        }
        if matches!(b, 0x21 | 0x24..=0x3b | 0x3d | 0x3f..=0x7e) {
            table[i] |= QUERY;
        }
        i += 1;
    }
    table
}

static TABLE: [u8; 256] = table();

#[inline]
pub(super) fn is_token(b: u8) -> bool {
    TABLE[b as usize] & TOKEN != 0
}

pub(super) fn is_field(b: u8) -> bool {
    TABLE[b as usize] & FIELD != 0
}

/// Whether all of them may stand in a field value.
pub(super) fn all_field(bytes: &[u8]) -> bool {
    field_prefix(bytes) == bytes.len()
}

/// How many bytes at the start may stand in a field value: what ends them is a control byte, if
/// not the end.
#[inline]
pub(super) fn field_prefix(bytes: &[u8]) -> usize {
    let mut at = control(bytes);
    // Of the control bytes the tab is allowed, and rare.
    while bytes.get(at) == Some(&b'\t') {
        at += 1 + control(&bytes[at + 1..]);
    }
    at
}

/// Where the first control byte stands, tab and DEL among them. Eight bytes at a time: a byte
/// below space borrows from its own highest bit, and the lowest one that does is exact.
#[inline]
fn control(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        let x = u64::from_le_bytes(*word);
        let below_space = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        let y = x ^ (ONES * 0x7f);
        let del = y.wrapping_sub(ONES) & !y & HIGH;
        let found = below_space | del;
        if found != 0 {
            return n * 8 + (found.trailing_zeros() / 8) as usize;
        }
    }
    let control = |b: &u8| *b < b' ' || *b == 0x7f;
    words.len() * 8 + rest.iter().position(control).unwrap_or(rest.len())
}

/// How many bytes at the start are those of a token. Eight at a time: most names are that long.
#[inline]
pub(super) fn token_prefix(bytes: &[u8]) -> usize {
    let mut at = 0;
    for eight in bytes.as_chunks::<8>().0 {
        if eight.iter().fold(TOKEN, |all, &b| all & TABLE[b as usize]) == 0 {
            break;
        }
        at += 8;
    }
    while let Some(&b) = bytes.get(at)
        && is_token(b)
    {
        at += 1;
    }
    at
}

pub(super) fn all_path(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| TABLE[b as usize] & PATH != 0)
}

pub(super) fn all_query(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| TABLE[b as usize] & QUERY != 0)
}

#[cfg(test)]
mod tests {
    #[test]
    fn words_and_bytes_agree() {
        for b in 0..=255u8 {
            for at in 0..11 {
                let mut text = [b'x'; 11];
                text[at] = b;
                assert_eq!(super::all_field(&text), super::is_field(b), "{b} at {at}");
                let prefix = if super::is_field(b) { text.len() } else { at };
                assert_eq!(super::field_prefix(&text), prefix, "{b} at {at}");
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn prefixes_end_at_the_first_byte_that_does_not_belong(
            text in "[\\x00-\\x7f\t a-z]{0,40}",
        ) {
            let bytes = text.as_bytes();
            let slow = bytes.iter().take_while(|&&b| super::is_field(b)).count();
            proptest::prop_assert_eq!(super::field_prefix(bytes), slow);
        }
    }
}

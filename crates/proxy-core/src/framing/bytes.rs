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

pub(super) fn is_token(b: u8) -> bool {
    TABLE[b as usize] & TOKEN != 0
}

pub(super) fn is_field(b: u8) -> bool {
    TABLE[b as usize] & FIELD != 0
}

/// Eight bytes at a time: a control byte among them, or DEL, has them looked at one by one.
pub(super) fn all_field(bytes: &[u8]) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    words.iter().all(|word| {
        let x = u64::from_ne_bytes(*word);
        let below_space = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        let y = x ^ (ONES * 0x7f);
        let del = y.wrapping_sub(ONES) & !y & HIGH;
        below_space | del == 0 || word.iter().all(|&b| is_field(b))
    }) && rest.iter().all(|&b| is_field(b))
}

/// How many bytes at the start may stand in a field value: what ends them is a control byte, if
/// not the end. Eight bytes at a time, like [`all_field`].
pub(super) fn field_prefix(bytes: &[u8]) -> usize {
    let (words, rest) = bytes.as_chunks::<8>();
    for (n, word) in words.iter().enumerate() {
        if !all_field(word) {
            return n * 8 + word.iter().take_while(|&&b| is_field(b)).count();
        }
    }
    words.len() * 8 + rest.iter().take_while(|&&b| is_field(b)).count()
}

/// How many bytes at the start are those of a token.
pub(super) fn token_prefix(bytes: &[u8]) -> usize {
    bytes.iter().position(|&b| !is_token(b)).unwrap_or(bytes.len())
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
}

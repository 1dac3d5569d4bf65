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

pub(super) fn all_field(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| is_field(b))
}

pub(super) fn all_path(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| TABLE[b as usize] & PATH != 0)
}

pub(super) fn all_query(bytes: &[u8]) -> bool {
    bytes.iter().all(|&b| TABLE[b as usize] & QUERY != 0)
}

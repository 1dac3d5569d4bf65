//! HPACK (RFC 7541), as far as raw messages need it: literals are written as they are, everything
//! that a peer may send is read.

use std::collections::VecDeque;

use crate::wire::latin1;

/// A header section, in order.
pub type FieldLines = Vec<(String, String)>;

/// Writes fields as literals that nobody remembers, without Huffman coding; bytes as they are.
#[must_use]
pub fn encode<N: AsRef<[u8]>, V: AsRef<[u8]>>(fields: &[(N, V)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name.as_ref(), value.as_ref()] {
            length(&mut block, text.len());
            block.extend_from_slice(text);
        }
    }
    block
}

/// A length in seven bits and what follows (RFC 7541 section 5.1).
fn length(block: &mut Vec<u8>, mut length: usize) {
    if length < 127 {
        block.push(u8::try_from(length).expect("small"));
        return;
    }
    block.push(127);
    length -= 127;
    while length >= 128 {
        block.push(u8::try_from(length % 128).expect("small") | 128);
        length /= 128;
    }
    block.push(u8::try_from(length).expect("small"));
}

/// Reads the header sections of one direction of a connection.
#[derive(Debug)]
pub struct Decoder {
    table: VecDeque<(String, String)>,
    size: usize,
    limit: usize,
}

impl Default for Decoder {
    fn default() -> Self {
        Self { table: VecDeque::new(), size: 0, limit: 4096 }
    }
}

impl Decoder {
    /// Reads one header section; panics where it is broken, for the proxy wrote it.
    pub fn decode(&mut self, block: &[u8]) -> FieldLines {
        let (mut rest, mut fields) = (block, Vec::new());
        while let Some(&first) = rest.first() {
            match first {
                0x80.. => {
                    let index = integer(&mut rest, 7);
                    fields.push(self.entry(index));
                }
                0x20..0x40 => {
                    self.limit = integer(&mut rest, 5);
                    self.evict();
                }
                _ => {
                    let remembered = first & 0x40 != 0;
                    let index = integer(&mut rest, if remembered { 6 } else { 4 });
                    let name = if index == 0 { string(&mut rest) } else { self.entry(index).0 };
                    let field = (name, string(&mut rest));
                    if remembered {
                        self.size += field.0.len() + field.1.len() + 32;
                        self.table.push_front(field.clone());
                        self.evict();
                    }
                    fields.push(field);
                }
            }
        }
        fields
    }

    fn entry(&self, index: usize) -> (String, String) {
        match STATIC.get(index.checked_sub(1).expect("an index")) {
            Some((name, value)) => ((*name).to_owned(), (*value).to_owned()),
            None => self.table.get(index - 1 - STATIC.len()).expect("an entry").clone(),
        }
    }

    fn evict(&mut self) {
        while self.size > self.limit {
            let (name, value) = self.table.pop_back().expect("an entry");
            self.size -= name.len() + value.len() + 32;
        }
    }
}

fn byte(rest: &mut &[u8]) -> u8 {
    let (&first, tail) = rest.split_first().expect("a whole header section");
    *rest = tail;
    first
}

fn integer(rest: &mut &[u8], bits: u8) -> usize {
    let most = (1 << bits) - 1;
    let mut value = usize::from(byte(rest)) & most;
    if value < most {
        return value;
    }
    for shift in (0..).step_by(7) {
        let next = byte(rest);
        value += usize::from(next & 127) << shift;
        if next < 128 {
            break;
        }
    }
    value
}

fn string(rest: &mut &[u8]) -> String {
    let coded = rest.first().is_some_and(|first| first & 128 != 0);
    let length = integer(rest, 7);
    let (text, tail) = rest.split_at(length);
    *rest = tail;
    if coded { latin1(&plain(text)) } else { latin1(text) }
}

/// Undoes the Huffman code. It is canonical: the lengths of its words make the words.
fn plain(coded: &[u8]) -> Vec<u8> {
    let mut symbols: Vec<u8> = (0..=255).collect();
    symbols.sort_by_key(|&symbol| (LENGTHS[usize::from(symbol)], symbol));
    let mut text = Vec::new();
    let (mut word, mut bits) = (0u32, 0u8);
    for bit in coded.iter().flat_map(|b| (0..8).rev().map(move |n| b >> n & 1)) {
        (word, bits) = (word << 1 | u32::from(bit), bits + 1);
        let (mut next, mut length) = (0u32, 0u8);
        for &symbol in &symbols {
            let own = LENGTHS[usize::from(symbol)];
            next <<= own - length;
            length = own;
            if length > bits {
                break;
            }
            if length == bits && next == word {
                text.push(symbol);
                (word, bits) = (0, 0);
                break;
            }
            next += 1;
        }
    }
    assert!(bits < 8 && word == (1 << bits) - 1, "padding of ones");
    text
}

/// The lengths of the words of the Huffman code (RFC 7541 appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28,
    30, 28, 28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6,
    6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6,
    6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22,
    20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23,
    23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22,
    23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19,
    22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21,
    26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// RFC 7541 appendix A.
const STATIC: [(&str, &str); 61] = [
    (":authority", ""),
    (":method", "GET"),
    (":method", "POST"),
    (":path", "/"),
    (":path", "/index.html"),
    (":scheme", "http"),
    (":scheme", "https"),
    (":status", "200"),
    (":status", "204"),
    (":status", "206"),
    (":status", "304"),
    (":status", "400"),
    (":status", "404"),
    (":status", "500"),
    ("accept-charset", ""),
    ("accept-encoding", "gzip, deflate"),
    ("accept-language", ""),
    ("accept-ranges", ""),
    ("accept", ""),
    ("access-control-allow-origin", ""),
    ("age", ""),
    ("allow", ""),
    ("authorization", ""),
    ("cache-control", ""),
    ("content-disposition", ""),
    ("content-encoding", ""),
    ("content-language", ""),
    ("content-length", ""),
    ("content-location", ""),
    ("content-range", ""),
    ("content-type", ""),
    ("cookie", ""),
    ("date", ""),
    ("etag", ""),
    ("expect", ""),
    ("expires", ""),
    ("from", ""),
    ("host", ""),
    ("if-match", ""),
    ("if-modified-since", ""),
    ("if-none-match", ""),
    ("if-range", ""),
    ("if-unmodified-since", ""),
    ("last-modified", ""),
    ("link", ""),
    ("location", ""),
    ("max-forwards", ""),
    ("proxy-authenticate", ""),
    ("proxy-authorization", ""),
    ("range", ""),
    ("referer", ""),
    ("refresh", ""),
    ("retry-after", ""),
    ("server", ""),
    ("set-cookie", ""),
    ("strict-transport-security", ""),
    ("transfer-encoding", ""),
    ("user-agent", ""),
    ("vary", ""),
    ("via", ""),
    ("www-authenticate", ""),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8]| u8::from_str_radix(&latin1(pair), 16).expect("hexadecimal");
        digits.chunks(2).map(byte).collect()
    }

    /// RFC 7541 appendix C.4.
    #[test]
    fn the_examples_of_the_rfc_are_read() {
        let mut decoder = Decoder::default();
        let mut lines = vec![
            (":method".to_owned(), "GET".to_owned()),
            (":scheme".to_owned(), "http".to_owned()),
            (":path".to_owned(), "/".to_owned()),
            (":authority".to_owned(), "www.example.com".to_owned()),
        ];
        assert_eq!(decoder.decode(&bytes("8286 8441 8cf1 e3c2 e5f2 3a6b a0ab 90f4 ff")), lines);
        lines.push(("cache-control".to_owned(), "no-cache".to_owned()));
        assert_eq!(decoder.decode(&bytes("8286 84be 5886 a8eb 1064 9cbf")), lines);
    }

    #[test]
    fn what_is_written_is_read() {
        let long = "x".repeat(1000);
        let read = Decoder::default().decode(&encode(&[("a", "b"), ("c", long.as_str())]));
        let due = [("a".to_owned(), "b".to_owned()), ("c".to_owned(), long)];
        assert_eq!(read, due);
    }
}

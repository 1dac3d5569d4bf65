//! The Huffman code of RFC 7541 appendix B, which QPACK shares with HPACK.
//!
//! It is canonical: within a length codes ascend with their symbols, so the lengths say it all.

/// Bits of each byte's code, and of the end of a string (256), which is never sent.
#[rustfmt::skip]
const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28,
    28, 28, 28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5,
    6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23,
    23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20,
    22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22,
    22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26,
    27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25,
    25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26, 30,
];

const LONGEST: usize = 30;
const END: u16 = 256;

struct Code {
    /// Each symbol's code.
    codes: [u32; 257],
    /// Symbols in the order of their codes.
    symbols: [u16; 257],
    /// For each length: the first 32 bits that are beyond its codes, and its first code.
    beyond: [u64; LONGEST + 1],
    first: [u32; LONGEST + 1],
    /// Where its symbols begin.
    start: [usize; LONGEST + 1],
}

static CODE: Code = {
    let mut code = Code {
        codes: [0; 257],
        symbols: [0; 257],
        beyond: [0; LONGEST + 1],
        first: [0; LONGEST + 1],
        start: [0; LONGEST + 1],
    };
    let (mut length, mut next, mut place) = (1, 0u32, 0);
    while length <= LONGEST {
        next <<= 1;
        code.first[length] = next;
        code.start[length] = place;
        let mut symbol = 0;
        while symbol < LENGTHS.len() {
            if LENGTHS[symbol] as usize == length {
                code.codes[symbol] = next;
                code.symbols[place] = symbol as u16;
                next += 1;
                place += 1;
            }
            symbol += 1;
        }
        code.beyond[length] = (next as u64) << (32 - length);
        length += 1;
    }
    code
};

/// Not a string in this code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

/// Reads a string.
pub(super) fn decode(input: &[u8]) -> Result<Vec<u8>, Invalid> {
    // Five bits are the shortest code.
    let mut out = Vec::with_capacity(input.len() * 8 / 5);
    let (mut bits, mut held) = (0u64, 0);
    let mut rest = input.iter();
    loop {
        while held <= 48 {
            let Some(&byte) = rest.next() else { break };
            bits = bits << 8 | u64::from(byte);
            held += 8;
        }
        if held == 0 {
            return Ok(out);
        }
        // The next 32 bits; ones stand behind the end, as padding does.
        let next = match held {
            32.. => bits >> (held - 32) & 0xffff_ffff,
            _ => (bits << (32 - held) | ((1 << (32 - held)) - 1)) & 0xffff_ffff,
        };
        let length = (5..=LONGEST).find(|&length| next < CODE.beyond[length]).unwrap_or(LONGEST);
        if length > held {
            // Padding is shorter than a byte, and all ones (RFC 7541 section 5.2).
            let padding = (1 << held) - 1;
            return if held < 8 && bits & padding == padding { Ok(out) } else { Err(Invalid) };
        }
        let code = (next >> (32 - length)) as u32;
        let symbol = CODE.symbols[CODE.start[length] + (code - CODE.first[length]) as usize];
        match u8::try_from(symbol) {
            Ok(byte) => out.push(byte),
            Err(_) => {
                debug_assert_eq!(symbol, END);
                return Err(Invalid);
            }
        }
        held -= length;
    }
}

/// How many bytes a string takes in this code.
pub(super) fn encoded_length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|&b| usize::from(LENGTHS[usize::from(b)])).sum();
    bits.div_ceil(8)
}

/// Writes a string.
pub(super) fn encode(text: &[u8], out: &mut Vec<u8>) {
    let (mut bits, mut held) = (0u64, 0u32);
    for &byte in text {
        let length = u32::from(LENGTHS[usize::from(byte)]);
        bits = bits << length | u64::from(CODE.codes[usize::from(byte)]);
        held += length;
        while held >= 8 {
            held -= 8;
            out.push((bits >> held) as u8);
        }
    }
    if held > 0 {
        out.push((bits << (8 - held)) as u8 | (0xff >> held));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 7541 appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_rfc() {
        for (text, code) in [
            ("www.example.com", "f1e3c2e5f23a6ba0ab90f4ff"),
            ("no-cache", "a8eb10649cbf"),
            ("custom-key", "25a849e95ba97d7f"),
            ("custom-value", "25a849e95bb8e8b4bf"),
            ("302", "6402"),
            ("private", "aec3771a4b"),
            ("Mon, 21 Oct 2013 20:13:21 GMT", "d07abe941054d444a8200595040b8166e082a62d1bff"),
            ("https://www.example.com", "9d29ad171863c78f0b97c8e9ae82ae43d3"),
        ] {
            let mut out = Vec::new();
            encode(text.as_bytes(), &mut out);
            let hex: String = out.iter().map(|b| format!("{b:02x}")).collect();
            assert_eq!(hex, code);
            assert_eq!(encoded_length(text.as_bytes()), out.len());
            assert_eq!(decode(&out).as_deref(), Ok(text.as_bytes()));
        }
    }

    #[test]
    fn every_byte_comes_back() {
        let all: Vec<u8> = (0..=255).chain((0..=255).rev()).collect();
        let mut out = Vec::new();
        encode(&all, &mut out);
        assert_eq!(decode(&out), Ok(all));
    }

    #[test]
    fn padding_is_short_and_ones() {
        // `0` is 00000, then three bits of padding.
        assert_eq!(decode(&[0b0000_0111]).as_deref(), Ok(&b"0"[..]));
        assert_eq!(decode(&[0b0000_0110]), Err(Invalid));
        assert_eq!(decode(&[0b0000_0111, 0xff]), Err(Invalid));
        // The end of a string, spelled out.
        assert_eq!(decode(&[0xff; 4]), Err(Invalid));
        assert_eq!(decode(&[0xff; 5]), Err(Invalid));
        assert_eq!(decode(&[]).as_deref(), Ok(&b""[..]));
    }
}

//! Base64, where a value is nothing else.

/// Values shorter than this are words.
pub(in crate::inspect) const SHORTEST: usize = 12;

/// Values longer than this are files.
const LONGEST: usize = 64 * 1024;

/// Decodes a value that is base64 (of either alphabet, with or without padding) of text: printable
/// ASCII, white space and UTF-8. Gives whether it is; then the text stands in `out`, at most three
/// quarters as long as the value. What is no text is mostly noticed within its first bytes.
pub fn decode(value: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let value = match value {
        [head @ .., b'=', b'='] | [head @ .., b'='] => head,
        all => all,
    };
    if value.len() < SHORTEST || value.len() > LONGEST || value.len() % 4 == 1 {
        return false;
    }
    let (mut bits, mut count) = (0u32, 0);
    let mut printable = 0usize;
    for &b in value {
        let digit = DIGITS[usize::from(b)];
        if digit == 0xFF {
            return false;
        }
        bits = bits << 6 | u32::from(digit);
        count += 6;
        if count >= 8 {
            count -= 8;
            let byte = (bits >> count) as u8;
            match byte {
                b' '..=b'~' | b'\n' | b'\r' | b'\t' => printable += 1,
                0x80.. => {}
                _ => return false,
            }
            out.push(byte);
            if out.len() == 9 && printable < 6 {
                return false;
            }
        }
    }
    // Bytes without structure pass for letters here and there, never three quarters of the time.
    printable * 4 >= out.len() * 3 && std::str::from_utf8(out).is_ok()
}

/// Whether a byte stands for six bits.
pub(in crate::inspect) const fn is_digit(b: u8) -> bool {
    DIGITS[b as usize] != 0xFF
}

const DIGITS: [u8; 256] = {
    let mut table = [0xFF; 256];
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut i = 0;
    while i < 64 {
        table[alphabet[i] as usize] = i as u8;
        i += 1;
    }
    // A plus sign that a form has made a space of.
    table[b' ' as usize] = 62;
    table[b'-' as usize] = 62;
    table[b'_' as usize] = 63;
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_and_tokens() {
        for (value, text) in [
            ("PHNjcmlwdD5hbGVydCgnMScpPC9zY3JpcHQ+", Some("<script>alert('1')</script>")),
            ("L2V0Yy9wYXNzd2Q=", Some("/etc/passwd")),
            ("PHNjcmlwdD5hbGVydCgnMScpPC9zY3JpcHQ ", Some("<script>alert('1')</script>")),
            ("a text of several words", None),
            ("L2V0Yy9wYXNzd2Q", Some("/etc/passwd")),
            ("international", None),
            ("transportation00", None),
            ("4f3c2a9be0d1476fa3b0", None),
            ("L2V0", None),
            ("not base64, this", None),
        ] {
            let mut out = Vec::new();
            let is_text = decode(value.as_bytes(), &mut out);
            assert_eq!(is_text.then_some(out.as_slice()), text.map(str::as_bytes), "{value}");
        }
    }

    proptest! {
        #[test]
        fn bounded(value in "[A-Za-z0-9+/_=-]{0,60}") {
            let mut out = Vec::new();
            decode(value.as_bytes(), &mut out);
            prop_assert!(out.len() * 4 <= value.len() * 3);
        }
    }
}

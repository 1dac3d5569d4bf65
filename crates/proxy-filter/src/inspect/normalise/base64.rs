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
    let (fours, rest) = value.as_chunks::<4>();
    let mut printable = 0;
    for (n, four) in fours.iter().enumerate() {
        let Some(bytes) = three(four) else { return false };
        for b in bytes {
            match KIND[usize::from(b)] {
                CONTROL => return false,
                kind => printable += usize::from(kind),
            }
        }
        out.extend_from_slice(&bytes);
        if n == 2 && printable < 6 {
            return false;
        }
    }
    if !rest.is_empty() {
        let mut four = [b'A'; 4];
        four[..rest.len()].copy_from_slice(rest);
        let Some(bytes) = three(&four) else { return false };
        for &b in &bytes[..rest.len() - 1] {
            match KIND[usize::from(b)] {
                CONTROL => return false,
                kind => printable += usize::from(kind),
            }
            out.push(b);
        }
    }
    // Bytes without structure pass for letters here and there, never three quarters of the time.
    printable * 4 >= out.len() * 3 && std::str::from_utf8(out).is_ok()
}

/// What four digits stand for.
fn three(digits: &[u8; 4]) -> Option<[u8; 3]> {
    let digits = digits.map(|b| DIGITS[usize::from(b)]);
    let bits = digits.iter().fold(0u32, |bits, &digit| bits << 6 | u32::from(digit & 63));
    let [_, a, b, c] = bits.to_be_bytes();
    (digits.iter().fold(0, |all, digit| all | digit) < 64).then_some([a, b, c])
}

/// A byte that no text has.
const CONTROL: u8 = 2;

/// 1 for printable ASCII and white space, 0 for bytes of other characters.
static KIND: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut n = 0;
    while n < 256 {
        kinds[n] = match n as u8 {
            b' '..=b'~' | b'\n' | b'\r' | b'\t' => 1,
            0x80.. => 0,
            _ => CONTROL,
        };
        n += 1;
    }
    kinds
};

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

    /// The same digit by digit.
    fn plainly(value: &[u8]) -> Option<Vec<u8>> {
        let value = value.strip_suffix(b"=").unwrap_or(value);
        let value = value.strip_suffix(b"=").unwrap_or(value);
        if value.len() < SHORTEST || value.len() % 4 == 1 {
            return None;
        }
        let (mut bits, mut count, mut out) = (0u32, 0, Vec::new());
        let is_printable = |b: &u8| matches!(b, b' '..=b'~' | b'\n' | b'\r' | b'\t');
        for &b in value {
            let digit = Some(DIGITS[usize::from(b)]).filter(|digit| *digit < 64)?;
            bits = bits << 6 | u32::from(digit);
            count += 6;
            if count >= 8 {
                count -= 8;
                out.push((bits >> count) as u8);
                out.last().filter(|b| is_printable(b) || **b >= 0x80)?;
            }
        }
        let printable = |bytes: &[u8]| bytes.iter().filter(|b| is_printable(b)).count();
        (printable(&out[..9]) >= 6 && printable(&out) * 4 >= out.len() * 3)
            .then_some(out)
            .filter(|out| std::str::from_utf8(out).is_ok())
    }

    proptest! {
        #[test]
        fn as_digit_by_digit(
            text in "[ -~\n\u{e9}\u{4e2d}]{9,40}",
            noise in "[A-Za-z0-9+/_=-]{0,3}",
            at in 0usize..40,
        ) {
            use base64::Engine as _;
            let mut value = base64::engine::general_purpose::STANDARD.encode(text).into_bytes();
            let at = at.min(value.len());
            value.splice(at..at, noise.into_bytes());
            let mut out = Vec::new();
            let is_text = decode(&value, &mut out);
            prop_assert_eq!(is_text.then_some(out), plainly(&value));
        }

        #[test]
        fn bounded(value in "[A-Za-z0-9+/_=-]{0,60}") {
            let mut out = Vec::new();
            decode(value.as_bytes(), &mut out);
            prop_assert!(out.len() * 4 <= value.len() * 3);
        }
    }
}

//! Percent escapes, and the escapes of JavaScript and CSS strings.

use super::{Taken, Text, Traits, hex};

/// `%XX` and `%uXXXX`.
pub(super) fn percent(rest: &[u8], traits: &mut Traits) -> Option<Taken> {
    let [_, high, low, tail @ ..] = rest else { return None };
    if let (Some(h), Some(l)) = (hex(*high), hex(*low)) {
        traits.percent = true;
        let byte = (h << 4 | l) as u8;
        if byte == 0 {
            traits.nul = true;
        }
        let text = if byte == 0 { Text::None } else { Text::Byte(byte) };
        return Some(Taken { length: 3, text });
    }
    if !high.eq_ignore_ascii_case(&b'u') {
        return None;
    }
    let code = hex4(&[*low, *tail.first()?, *tail.get(1)?, *tail.get(2)?])?;
    traits.percent_u = true;
    Some(Taken { length: 6, text: Text::of(code) })
}

/// `\xXX`, `\uXXXX`, `\u{X}` and three octal digits. Other escapes are left: a backslash before
/// a letter is mostly the path of a file.
pub(super) fn script(rest: &[u8], traits: &mut Traits) -> Option<Taken> {
    let taken = match rest.get(1)? {
        b'x' | b'X' => {
            let code = hex(*rest.get(2)?)? << 4 | hex(*rest.get(3)?)?;
            Taken { length: 4, text: Text::of(code) }
        }
        b'u' | b'U' => match rest.get(2)? {
            b'{' => braced(rest)?,
            _ => {
                let code = hex4(rest.get(2..6)?)?;
                // Six digits of CSS or of a long escape that begins with zeros.
                Taken { length: 6, text: Text::of(code) }
            }
        },
        // CSS writes up to six hexadecimal digits; with zeros in front it is no octal.
        b'0' if rest.get(2) == Some(&b'0') => css(rest)?,
        b'0'..=b'3' => {
            let digit = |at: usize| rest.get(at).filter(|b| matches!(b, b'0'..=b'7'));
            let (a, b, c) = (digit(1)?, digit(2), digit(3));
            let mut code = u32::from(a - b'0');
            let mut length = 2;
            for digit in [b, c].into_iter().map_while(|d| d) {
                code = code << 3 | u32::from(digit - b'0');
                length += 1;
            }
            // Shorter ones are references to groups, or names in paths.
            if length < 4 {
                return None;
            }
            Taken { length, text: Text::of(code) }
        }
        b'4'..=b'7' => {
            let (a, b) = (rest[1], *rest.get(2)?);
            if !matches!(b, b'0'..=b'7') || rest.get(3).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            Taken { length: 3, text: Text::of(u32::from(a - b'0') << 3 | u32::from(b - b'0')) }
        }
        _ => return None,
    };
    traits.escape = true;
    Some(taken)
}

fn braced(rest: &[u8]) -> Option<Taken> {
    let digits = rest.get(3..)?.iter().take(8).take_while(|b| b.is_ascii_hexdigit()).count();
    if digits == 0 || rest.get(3 + digits) != Some(&b'}') {
        return None;
    }
    let code = rest[3..3 + digits].iter().try_fold(0u32, |n, &b| Some(n << 4 | hex(b)?))?;
    Some(Taken { length: digits + 4, text: Text::of(code) })
}

/// `\00003c`, with one space behind it where there is one.
fn css(rest: &[u8]) -> Option<Taken> {
    let digits = rest[1..].iter().take(6).take_while(|b| b.is_ascii_hexdigit()).count();
    if digits < 4 {
        return None;
    }
    let code = rest[1..=digits].iter().try_fold(0u32, |n, &b| Some(n << 4 | hex(b)?))?;
    let space = usize::from(rest.get(1 + digits) == Some(&b' '));
    (code != 0).then(|| Taken { length: 1 + digits + space, text: Text::of(code) })
}

fn hex4(digits: &[u8]) -> Option<u32> {
    digits.iter().try_fold(0, |n, &b| Some(n << 4 | hex(b)?))
}

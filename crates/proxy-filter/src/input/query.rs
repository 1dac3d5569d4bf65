//! Query parameters as `application/x-www-form-urlencoded` has them, still encoded.

/// Name and value of each parameter, in order. Empty pieces (`a&&b`) are none.
pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    let pieces = query.split('&').filter(|piece| !piece.is_empty());
    pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")))
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// The bytes that an encoded text stands for, one by one.
fn decoded(text: &str) -> impl Iterator<Item = u8> {
    let bytes = text.as_bytes();
    let mut at = 0;
    std::iter::from_fn(move || {
        let byte = *bytes.get(at)?;
        let pair = bytes.get(at + 1).zip(bytes.get(at + 2));
        if byte == b'%'
            && let Some((high, low)) = pair.and_then(|(a, b)| hex(*a).zip(hex(*b)))
        {
            at += 3;
            return Some(high << 4 | low);
        }
        at += 1;
        Some(if byte == b'+' { b' ' } else { byte })
    })
}

/// Whether an encoded text stands for this.
pub(super) fn is(text: &str, expected: &str) -> bool {
    decoded(text).eq(expected.bytes())
}

/// How many bytes an encoded text stands for.
pub(super) fn len(text: &str) -> usize {
    decoded(text).count()
}

/// Whether what an encoded text stands for is UTF-8.
pub(super) fn is_utf8(text: &str) -> bool {
    // Without an escape it is ASCII.
    !text.contains('%') || String::from_utf8(decoded(text).collect()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_values_and_lengths() {
        let all: Vec<_> = parameters("a=1&&b&c=&=d&e=f=g").collect();
        assert_eq!(all, [("a", "1"), ("b", ""), ("c", ""), ("", "d"), ("e", "f=g")]);
        assert!(is("%61+b", "a b") && !is("%6", "a"));
        assert_eq!((len("%C3%A9+"), len("%zz")), (3, 3));
        assert!(is_utf8("%C3%A9") && !is_utf8("%C3%28") && !is_utf8("%FF"));
    }
}

//! Overlong UTF-8, and characters that programs fold to ASCII.

use super::{Taken, Text, Traits};

/// What a code point is folded to, where it is folded.
pub(super) fn folded(code: u32) -> Option<Text> {
    Some(match code {
        // Spaces.
        0xA0 | 0x2000..=0x200A | 0x202F | 0x205F | 0x3000 => Text::Byte(b' '),
        0x2028 | 0x2029 | 0x85 => Text::Byte(b'\n'),
        // Without width: soft hyphen, zero-width space and joiners, word joiner, byte order mark.
        0xAD | 0x200B..=0x200F | 0x2060 | 0xFEFF => Text::None,
        // Fullwidth forms of ASCII.
        0xFF01..=0xFF5E => Text::Byte((code - 0xFEE0) as u8),
        // Slashes and dots, as Windows and lax decoders map them.
        0x2044 | 0x2215 | 0x29F8 => Text::Byte(b'/'),
        0x2216 | 0x29F5 | 0xFE68 => Text::Byte(b'\\'),
        0x2024 | 0xFE52 => Text::Byte(b'.'),
        // What databases fold to an apostrophe.
        0x02B9 | 0x02BC | 0x02C8 | 0x2032 => Text::Byte(b'\''),
        _ => return None,
    })
}

/// Reads one character whose first byte may begin a disguise.
pub(super) fn fold(rest: &[u8], traits: &mut Traits) -> Option<Taken> {
    let (&first, tail) = rest.split_first()?;
    let (length, bits) = match first {
        0xC0..=0xDF => (2, u32::from(first & 0x1F)),
        0xE0..=0xEF => (3, u32::from(first & 0x0F)),
        0xF0..=0xF7 => (4, u32::from(first & 0x07)),
        0xF8 => (5, 0),
        0xFC => (6, 0),
        _ => return None,
    };
    let mut code = bits;
    for &b in tail.get(..length - 1)? {
        if b & 0xC0 != 0x80 {
            return overlong_pair(first, tail, traits);
        }
        code = code << 6 | u32::from(b & 0x3F);
    }
    let least = [0x80, 0x800, 0x1_0000, 0x20_0000, 0x400_0000][length - 2];
    if code < least {
        traits.overlong = true;
        // The bytes of Latin text sometimes look so; what it then stands for is a control.
        return Some(Taken { length, text: Text::of(code) });
    }
    let text = folded(code)?;
    if matches!(code, 0xFF01..=0xFF5E | 0x200B | 0xAD | 0x2060) {
        traits.disguised = true;
    }
    Some(Taken { length, text })
}

/// `%c0%2f` and the like: a second byte without its mark, which lax decoders take all the same.
fn overlong_pair(first: u8, tail: &[u8], traits: &mut Traits) -> Option<Taken> {
    let second = *tail.first()?;
    if !matches!(first, 0xC0 | 0xC1) || !matches!(second, b'.' | b'/' | b'\\' | b'\'' | b'<') {
        return None;
    }
    traits.overlong = true;
    Some(Taken { length: 2, text: Text::Byte(second) })
}

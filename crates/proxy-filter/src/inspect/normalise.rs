//! The one form of a value that is looked at: every layer of escapes taken off, to a fixed depth.
//!
//! Taken off are percent escapes (also `%u`), HTML character references, the escapes of JavaScript
//! and CSS strings; folded are overlong UTF-8, fullwidth letters and some look-alikes; left out are
//! NUL and zero-width characters. Comments, quotes and case are the business of the readers of
//! grammars, which know what they mean.
//!
//! One layer is one pass that never writes more than it reads, so `n` layers cost at most `n` times
//! the length.

pub mod base64;
mod escape;
mod reference;
mod unicode;

pub use base64::decode as decode_base64;

use super::kinds::Kinds;
use super::steps::steps;

/// What was seen on the way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traits {
    /// A percent escape below the coding of the transport.
    pub percent: bool,
    /// A `%u` escape.
    pub percent_u: bool,
    /// An HTML character reference.
    pub reference: bool,
    /// An escape of JavaScript or CSS.
    pub escape: bool,
    /// UTF-8 longer than it need be.
    pub overlong: bool,
    /// Fullwidth forms of ASCII, or characters without width amid letters.
    pub disguised: bool,
    /// A NUL.
    pub nul: bool,
    /// The value has tags of its own, so that `&lt;` in it is no tag.
    pub markup: bool,
    /// How many layers were taken off.
    pub layers: u8,
}

/// Whether a byte can begin something that is taken off or folded.
pub(super) const fn begins(b: u8) -> bool {
    matches!(
        b,
        0 | b'%' | b'&' | b'\\' | 0xAD | 0xC0
            ..=0xC2 | 0xCA | 0xE0 | 0xE2 | 0xEF | 0xF0 | 0xF8 | 0xFC
    )
}

static BEGINS: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = begins(b as u8);
        b += 1;
    }
    table
};

/// Takes off up to `depth` layers. Gives `None` where the value is its own normal form; else the
/// normal form stands in `out`, never longer than the value. `spare` is working space.
pub fn normalise(
    value: &[u8],
    depth: u8,
    out: &mut Vec<u8>,
    spare: &mut Vec<u8>,
) -> Option<Traits> {
    of_kinds(value, Kinds::of(value), depth, out, spare)
}

/// The same of a value that has these kinds of bytes.
pub(super) fn of_kinds(
    value: &[u8],
    kinds: Kinds,
    depth: u8,
    out: &mut Vec<u8>,
    spare: &mut Vec<u8>,
) -> Option<Traits> {
    let mut traits =
        Traits { markup: kinds.has(Kinds::ANGLE) && has_tag(value), ..Traits::default() };
    out.clear();
    let changed = match kinds.has(Kinds::FOLDED) {
        true => layer(value, any_beginning, out, &mut traits),
        false => layer(value, beginning_of_escape, out, &mut traits),
    };
    if !changed {
        return None;
    }
    traits.layers = 1;
    while traits.layers < depth {
        spare.clear();
        if !layer(out, any_beginning, spare, &mut traits) {
            break;
        }
        std::mem::swap(out, spare);
        traits.layers += 1;
    }
    Some(traits)
}

/// Where something begins that may be taken off or folded.
fn any_beginning(text: &[u8]) -> Option<usize> {
    text.iter().position(|&b| BEGINS[usize::from(b)])
}

/// The same of a text in which nothing is folded.
fn beginning_of_escape(text: &[u8]) -> Option<usize> {
    memchr::memchr3(b'%', b'&', b'\\', text)
}

/// Whether a text has a tag.
fn has_tag(text: &[u8]) -> bool {
    memchr::memchr_iter(b'<', text)
        .any(|at| text.get(at + 1).is_some_and(|b| b.is_ascii_alphabetic() || *b == b'/'))
}

/// Takes off one layer; gives whether anything changed. Nothing is written before the first change.
/// `next` says where the next thing begins that may be taken off.
fn layer(
    value: &[u8],
    next: impl Fn(&[u8]) -> Option<usize>,
    out: &mut Vec<u8>,
    traits: &mut Traits,
) -> bool {
    let (mut at, mut copied) = (0, 0);
    steps(value.len());
    while let Some(step) = next(&value[at..]) {
        at += step;
        let rest = &value[at..];
        let taken = match rest[0] {
            0 => {
                traits.nul = true;
                Some(Taken { length: 1, text: Text::None })
            }
            b'%' => escape::percent(rest, traits),
            b'&' => reference::reference(rest, traits),
            b'\\' => escape::script(rest, traits),
            _ => unicode::fold(rest, traits),
        };
        let Some(taken) = taken else {
            at += 1;
            continue;
        };
        out.extend_from_slice(&value[copied..at]);
        match taken.text {
            Text::None => {}
            Text::Byte(byte) => out.push(byte),
            Text::Char(c) => push_char(out, c),
        }
        at += taken.length;
        copied = at;
    }
    let changed = copied > 0;
    if changed {
        out.extend_from_slice(&value[copied..]);
    }
    changed
}

/// An escape that was read: how long it is, and what it stands for. That is never longer.
struct Taken {
    length: usize,
    text: Text,
}

enum Text {
    None,
    Byte(u8),
    Char(char),
}

impl Text {
    /// A code point, folded to ASCII where it is a disguise.
    fn of(code: u32) -> Self {
        match code {
            0 => Self::None,
            1..=0x7F => Self::Byte(code as u8),
            _ => match unicode::folded(code) {
                Some(folded) => folded,
                None => char::from_u32(code).map_or(Self::Byte(b'?'), Self::Char),
            },
        }
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn hex(b: u8) -> Option<u32> {
    (b as char).to_digit(16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn form(value: &[u8]) -> Vec<u8> {
        let (mut out, mut spare) = (Vec::new(), Vec::new());
        match normalise(value, 4, &mut out, &mut spare) {
            Some(_) => out,
            None => value.to_vec(),
        }
    }

    #[test]
    fn forms() {
        for (value, expected) in [
            ("plain text, 100% of it & more \\", "plain text, 100% of it & more \\"),
            ("%27", "'"),
            ("%2527", "'"),
            ("%252527", "'"),
            ("%u0027", "'"),
            ("%uff07", "'"),
            ("&lt;&#60;&#x3c;&#0000060", "<<<<"),
            ("&lt", "<"),
            ("&amp;lt;", "<"),
            ("%26lt%3b", "<"),
            ("&Tab;&NewLine;&colon;&lpar;", "\t\n:("),
            ("&nonsense; & &; &#; &#x;", "&nonsense; & &; &#; &#x;"),
            ("\\u003c\\x3c\\u{3c}\\u{00003c}", "<<<<"),
            ("\\74script", "<script"),
            ("\\u00zz\\x\\u", "\\u00zz\\x\\u"),
            ("C:\\new\\file", "C:\\new\\file"),
            ("a%zz%", "a%zz%"),
            ("\u{ff1c}script\u{ff1e}", "<script>"),
            ("un\u{200b}ion", "union"),
            ("a\0b", "ab"),
            (
                "caf\u{e9} \u{43f}\u{440}\u{438} \u{4e2d}\u{6587}",
                "caf\u{e9} \u{43f}\u{440}\u{438} \u{4e2d}\u{6587}",
            ),
            ("\u{2019}", "\u{2019}"),
            ("a\u{a0}b", "a b"),
        ] {
            assert_eq!(String::from_utf8_lossy(&form(value.as_bytes())), expected, "{value}");
        }
        assert_eq!(form(b"..\xc0\xaf..\xe0\x80\xaf..\xf0\x80\x80\xaf"), b"../../../");
        assert_eq!(form(b"%c0%ae%c0%af"), b"./");
        // Deeper than the limit stays as it is.
        assert_eq!(form(b"%2525252527"), b"%27");
    }

    #[test]
    fn traits() {
        let (mut out, mut spare) = (Vec::new(), Vec::new());
        let mut traits = |value: &[u8]| normalise(value, 4, &mut out, &mut spare);
        assert_eq!(traits(b"abc&def"), None);
        assert_eq!(traits("\u{e9}\u{20ac}".as_bytes()), None);
        assert!(traits(b"%2527").is_some_and(|t| t.percent && t.layers == 2));
        assert!(traits(b"\xc0\xaf").is_some_and(|t| t.overlong));
        assert!(traits(b"a\0").is_some_and(|t| t.nul));
    }

    proptest! {
        #[test]
        fn never_longer_and_never_panics(value in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(form(&value).len() <= value.len());
        }

        #[test]
        fn never_longer_with_many_escapes(value in "[%&\\\\u#x0-9a-f;{}<]{0,80}") {
            prop_assert!(form(value.as_bytes()).len() <= value.len());
        }
    }
}

//! HTML character references.

use super::{Taken, Text, Traits, hex};

/// Named references that hide syntax. Others stay: what they stand for is no syntax.
const NAMES: &[(&[u8], u8)] = &[
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"amp", b'&'),
    (b"quot", b'"'),
    (b"apos", b'\''),
    (b"nbsp", b' '),
    (b"tab", b'\t'),
    (b"newline", b'\n'),
    (b"colon", b':'),
    (b"semi", b';'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"lsqb", b'['),
    (b"lbrack", b'['),
    (b"rsqb", b']'),
    (b"rbrack", b']'),
    (b"lcub", b'{'),
    (b"lbrace", b'{'),
    (b"rcub", b'}'),
    (b"rbrace", b'}'),
    (b"sol", b'/'),
    (b"bsol", b'\\'),
    (b"equals", b'='),
    (b"excl", b'!'),
    (b"num", b'#'),
    (b"dollar", b'$'),
    (b"percnt", b'%'),
    (b"ast", b'*'),
    (b"plus", b'+'),
    (b"comma", b','),
    (b"period", b'.'),
    (b"quest", b'?'),
    (b"commat", b'@'),
    (b"lowbar", b'_'),
    (b"grave", b'`'),
    (b"vert", b'|'),
    (b"verbar", b'|'),
    (b"hat", b'^'),
];

/// The longest name above.
const LONGEST: usize = 7;

/// `&#60;`, `&#x3c;`, `&lt;`, with or without the semicolon (without it, of names only the first
/// four, as browsers do). More zeros than anyone writes are read as well.
pub(super) fn reference(rest: &[u8], traits: &mut Traits) -> Option<Taken> {
    let taken = if rest.get(1) == Some(&b'#') { numeric(rest)? } else { named(rest)? };
    if traits.markup && matches!(taken.text, Text::Byte(b'<')) {
        return None;
    }
    traits.reference = true;
    Some(taken)
}

fn numeric(rest: &[u8]) -> Option<Taken> {
    let is_hex = rest.get(2).is_some_and(|b| b.eq_ignore_ascii_case(&b'x'));
    let first = if is_hex { 3 } else { 2 };
    let mut code = 0u32;
    let mut at = first;
    while let Some(&b) = rest.get(at) {
        let digit = if is_hex { hex(b) } else { (b as char).to_digit(10) };
        let Some(digit) = digit else { break };
        code = code.saturating_mul(if is_hex { 16 } else { 10 }).saturating_add(digit);
        at += 1;
        // A code point has at most seven digits; zeros in front are not more than a disguise.
        if at - first > 40 {
            return None;
        }
    }
    if at == first || code > 0x10_FFFF {
        return None;
    }
    if rest.get(at) == Some(&b';') {
        at += 1;
    }
    Some(Taken { length: at, text: Text::of(code) })
}

fn named(rest: &[u8]) -> Option<Taken> {
    let name = rest.get(1..)?;
    let length = name.iter().take(LONGEST + 1).take_while(|b| b.is_ascii_alphabetic()).count();
    let (name, tail) = name.split_at(length);
    let ends = tail.first() == Some(&b';');
    for (known, byte) in NAMES {
        if ends && name.eq_ignore_ascii_case(known) {
            return Some(Taken { length: length + 2, text: Text::Byte(*byte) });
        }
    }
    // `&amp` without a semicolon is left: it stands in many query strings.
    let bare = |known: &[u8]| !ends && name.eq_ignore_ascii_case(known);
    let byte = match () {
        () if bare(b"lt") => b'<',
        () if bare(b"gt") => b'>',
        () if bare(b"quot") => b'"',
        () => return None,
    };
    // A parameter of such a name is no reference.
    (tail.first() != Some(&b'=')).then_some(Taken { length: length + 1, text: Text::Byte(byte) })
}

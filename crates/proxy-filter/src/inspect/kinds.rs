//! Which kinds of bytes a value has, found out in one pass: what needs a byte that is not there need
//! not be looked for.

/// What kinds of bytes a value has.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Kinds(u32);

impl Kinds {
    /// White space.
    pub(super) const SPACE: u32 = 1;
    /// `'` and `"`.
    pub(super) const QUOTE: u32 = 1 << 1;
    /// `<` and `>`.
    pub(super) const ANGLE: u32 = 1 << 2;
    /// `/` and `\`.
    pub(super) const SLASH: u32 = 1 << 3;
    /// `.`
    pub(super) const DOT: u32 = 1 << 4;
    /// What begins a command of a shell.
    pub(super) const SHELL: u32 = 1 << 5;
    /// `(` and `)`.
    pub(super) const PAREN: u32 = 1 << 6;
    /// `=`
    pub(super) const EQUALS: u32 = 1 << 7;
    /// Other signs of grammars.
    pub(super) const OTHER: u32 = 1 << 8;
    /// `:`
    pub(super) const COLON: u32 = 1 << 9;
    /// What may begin an escape, or a character that is folded.
    pub(super) const ESCAPE: u32 = 1 << 10;
    /// What patterns of file names have.
    pub(super) const GLOB: u32 = 1 << 11;
    /// `&`
    pub(super) const AMPERSAND: u32 = 1 << 12;
    /// `?`
    pub(super) const QUESTION: u32 = 1 << 13;
    /// `%`
    pub(super) const PERCENT: u32 = 1 << 14;
    /// What may begin an escape, but for `%`, `&` and `\`.
    pub(super) const FOLDED: u32 = 1 << 15;
    /// What has no place in base64.
    pub(super) const NOT_BASE64: u32 = 1 << 16;
    /// `$`, `{` and a backtick.
    pub(super) const EXPANSION: u32 = 1 << 17;
    /// `;`, `|` and `&`.
    pub(super) const SEPARATOR: u32 = 1 << 26;
    /// `\n`
    pub(super) const BREAK: u32 = 1 << 28;
    /// Controls and spaces.
    pub(super) const BLANK: u32 = 1 << 27;
    /// What makes a value more than a word, a number or a token.
    const MEANT: u32 = (1 << 12) - 1;
    /// The first of the bits that say that a certain byte is there.
    const SINGLE: u32 = 1 << 18;
    const SINGLE_BITS: u32 = 0xFF * Self::SINGLE;
    /// The bytes that have a bit each.
    const SINGLES: [u8; 8] = *b"$(@`{~;?";

    /// All kinds: nothing is left out because of them.
    #[cfg(test)]
    pub(super) const ALL: Self = Self(u32::MAX);

    /// The kinds of the bytes of a text.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let kind = |b: u8| KIND[usize::from(b)];
        let (chunks, rest) = bytes.as_chunks::<4>();
        // Four sums that do not wait for each other.
        let mut sums = [0u32; 4];
        for chunk in chunks {
            for (sum, &b) in sums.iter_mut().zip(chunk) {
                *sum |= kind(b);
            }
        }
        let rest = rest.iter().fold(0, |kinds, &b| kinds | kind(b));
        Self(sums.iter().fold(rest, |all, sum| all | sum))
    }

    /// Whether there are only letters, digits and the like.
    pub(super) const fn is_plain(self) -> bool {
        self.0 & Self::MEANT == 0
    }

    /// Whether a byte is of one of these kinds.
    pub(super) fn is(b: u8, kinds: u32) -> bool {
        KIND[usize::from(b)] & kinds != 0
    }

    /// Whether the text may have a byte.
    pub(super) fn may_have(self, b: u8) -> bool {
        let kinds = KIND[usize::from(b)];
        let exact = kinds & Self::SINGLE_BITS;
        match (exact, kinds) {
            (0, 0) => true,
            (0, kinds) => self.0 & kinds == kinds,
            (exact, _) => self.0 & exact != 0,
        }
    }

    /// Whether the text may have one of several bytes.
    pub(super) const fn may_have_one_of(self, bytes: OneOf) -> bool {
        bytes.any || self.0 & bytes.kinds != 0
    }

    /// Whether there is a byte of one of these kinds.
    pub(super) const fn has(self, kinds: u32) -> bool {
        self.0 & kinds != 0
    }
}

/// Several bytes, to ask for them together.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OneOf {
    kinds: u32,
    /// Whether one of them is of no kind: nothing is known of such bytes.
    any: bool,
}

impl FromIterator<u8> for OneOf {
    fn from_iter<I: IntoIterator<Item = u8>>(bytes: I) -> Self {
        bytes.into_iter().fold(Self::default(), |all, b| {
            let kinds = KIND[usize::from(b)];
            let exact = kinds & Kinds::SINGLE_BITS;
            let kinds_to_ask = if exact == 0 { kinds } else { exact };
            Self { kinds: all.kinds | kinds_to_ask, any: all.any || kinds == 0 }
        })
    }
}

static KIND: [u32; 256] = {
    let mut table = [0u32; 256];
    let mut b = 0;
    while b < 256 {
        let byte = b as u8;
        let mut kinds = match byte {
            b' ' | b'\t' | b'\r' | 0x0B | 0x0C => Kinds::SPACE,
            b'\n' => Kinds::SPACE | Kinds::SHELL | Kinds::BREAK,
            b'\'' | b'"' => Kinds::QUOTE,
            b'`' => Kinds::SHELL | Kinds::OTHER | Kinds::EXPANSION,
            b'<' | b'>' => Kinds::ANGLE | Kinds::SHELL,
            b'/' | b'\\' => Kinds::SLASH,
            b'.' => Kinds::DOT,
            b'&' => Kinds::SHELL | Kinds::OTHER | Kinds::SEPARATOR | Kinds::AMPERSAND,
            b';' | b'|' => Kinds::SHELL | Kinds::OTHER | Kinds::SEPARATOR,
            b'$' => Kinds::SHELL | Kinds::OTHER | Kinds::EXPANSION,
            b'{' => Kinds::SHELL | Kinds::EXPANSION,
            b'?' => Kinds::GLOB | Kinds::OTHER | Kinds::QUESTION,
            b'*' | b'[' => Kinds::GLOB | Kinds::OTHER,
            b'(' | b')' => Kinds::PAREN,
            b'=' => Kinds::EQUALS,
            b':' => Kinds::COLON,
            b'%' => Kinds::PERCENT,
            b'#' | b'@' | b'!' | b'^' | b'~' | b'+' | b',' => Kinds::OTHER,
            _ => 0,
        };
        if super::normalise::begins(byte) {
            kinds |= Kinds::ESCAPE;
            if !matches!(byte, b'%' | b'&' | b'\\') {
                kinds |= Kinds::FOLDED;
            }
        }
        if !super::normalise::base64::is_digit(byte) && byte != b'=' {
            kinds |= Kinds::NOT_BASE64;
        }
        if byte <= b' ' {
            kinds |= Kinds::BLANK;
        }
        let mut single = 0;
        while single < Kinds::SINGLES.len() {
            if Kinds::SINGLES[single] == byte {
                kinds |= Kinds::SINGLE << single;
            }
            single += 1;
        }
        table[b] = kinds;
        b += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_there_may_be_there(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let kinds = Kinds::of(&text);
            prop_assert!(text.iter().all(|&b| kinds.may_have(b)));
            for b in Kinds::SINGLES {
                prop_assert_eq!(kinds.may_have(b), text.contains(&b));
                prop_assert_eq!(
                    kinds.may_have_one_of([b].into_iter().collect()),
                    text.contains(&b)
                );
            }
            let all: OneOf = text.iter().copied().collect();
            prop_assert!(text.is_empty() || kinds.may_have_one_of(all));
        }
    }
}

//! Tokens of SQL, of all dialects at once.

use super::words::{Call, Word, call, word};
use crate::inspect::steps::steps;

/// A token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Token {
    /// A number.
    Number,
    /// A string; whether it is closed.
    String { closed: bool },
    /// A name, with its qualifiers.
    Name,
    /// `@x`, `@@x`.
    Variable,
    /// A keyword.
    Word(Word),
    /// A name with an opening parenthesis behind it, which is not read yet.
    Call(Call),
    /// An operator that compares.
    Compare,
    /// An operator that counts or joins; whether it can stand before an operand as well.
    Operator { unary: bool },
    /// `&&`, `||`.
    Logic,
    /// `*`.
    Star,
    /// `(` or `[`.
    Open,
    /// `)` or `]`.
    Close,
    /// `{`.
    Brace,
    /// `}`.
    Unbrace,
    /// `,`.
    Comma,
    /// `;`.
    Semicolon,
    /// `::`.
    Cast,
    /// A comment to the end of the line or of the text. `rest` is how much text it takes away,
    /// `last` whether nothing follows it.
    Comment { mark: Mark, rest: usize, last: bool },
    /// What has no place in SQL.
    Junk,
}

/// What begins a comment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Dashes,
    Hash,
    Slash,
}

/// Splits text into tokens.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    /// Whether a comment stood between tokens.
    pub(super) commented: bool,
    /// Whether we are in a comment that is read by MySQL.
    conditional: bool,
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8]) -> Self {
        Self { text, at: 0, commented: false, conditional: false }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.text.get(self.at + ahead).copied().unwrap_or(0)
    }

    /// The next token; `None` at the end.
    pub(super) fn next(&mut self) -> Option<Token> {
        let from = self.at;
        let token = self.read();
        steps(1 + self.at - from);
        token
    }

    fn read(&mut self) -> Option<Token> {
        loop {
            let b = *self.text.get(self.at)?;
            match b {
                b if is_blank(b) => self.at += 1,
                b'/' if self.peek(1) == b'*' => {
                    self.commented = true;
                    if self.peek(2) == b'!' {
                        self.at += 3;
                        while self.peek(0).is_ascii_digit() {
                            self.at += 1;
                        }
                        self.conditional = true;
                        continue;
                    }
                    let from = self.at + 2;
                    match memchr::memmem::find(&self.text[from..], b"*/") {
                        Some(end) => self.at = from + end + 2,
                        None => {
                            let rest = self.text.len() - from;
                            self.at = self.text.len();
                            return Some(Token::Comment { mark: Mark::Slash, rest, last: true });
                        }
                    }
                }
                b'*' if self.conditional && self.peek(1) == b'/' => {
                    self.conditional = false;
                    self.at += 2;
                }
                _ => break,
            }
        }
        Some(self.token())
    }

    fn take(&mut self, length: usize, token: Token) -> Token {
        self.at += length;
        token
    }

    fn token(&mut self) -> Token {
        let (b, c) = (self.peek(0), self.peek(1));
        let operator = |unary| Token::Operator { unary };
        match b {
            b'\'' | b'"' => self.string(b),
            b'`' => self.quoted_name(),
            b'0'..=b'9' => self.number(),
            b'.' if c.is_ascii_digit() => self.number(),
            b'@' => self.variable(),
            b'-' if c == b'-' => self.comment(2, Mark::Dashes),
            b'#' if c == b'>' => {
                self.take(if self.peek(2) == b'>' { 3 } else { 2 }, operator(false))
            }
            b'#' => self.comment(1, Mark::Hash),
            b'-' if c == b'>' => {
                self.take(if self.peek(2) == b'>' { 3 } else { 2 }, operator(false))
            }
            b'-' | b'+' => self.take(1, operator(true)),
            b'~' if c == b'~' => {
                self.take(if self.peek(2) == b'*' { 3 } else { 2 }, Token::Compare)
            }
            b'~' => self.take(1, operator(true)),
            b'!' if matches!(c, b'=' | b'<' | b'>') => self.take(2, Token::Compare),
            b'!' if c == b'~' => self.take(2, Token::Compare),
            b'!' => self.take(1, operator(true)),
            b'<' | b'>' if c == b'@' || b == b'<' && c == b'<' || b == b'>' && c == b'>' => {
                self.take(2, if c == b'@' { Token::Compare } else { operator(false) })
            }
            b'<' if c == b'=' && self.peek(2) == b'>' => self.take(3, Token::Compare),
            b'=' | b'<' | b'>' => {
                let two = matches!(c, b'=' | b'>');
                self.take(if two { 2 } else { 1 }, Token::Compare)
            }
            b':' if c == b'=' => self.take(2, Token::Compare),
            b':' if c == b':' => self.take(2, Token::Cast),
            b':' if c.is_ascii_alphabetic() => {
                self.at += 1;
                self.skip_name();
                Token::Variable
            }
            b'?' if matches!(c, b'|' | b'&') => self.take(2, Token::Compare),
            b'?' => self.take(1, Token::Compare),
            b'&' if c == b'&' => self.take(2, Token::Logic),
            b'|' if c == b'|' => self.take(2, Token::Logic),
            b'*' => self.take(1, Token::Star),
            b'/' | b'%' | b'^' | b'&' | b'|' => self.take(1, operator(false)),
            b'(' | b'[' => self.take(1, Token::Open),
            b')' | b']' => self.take(1, Token::Close),
            b'{' => self.take(1, Token::Brace),
            b'}' => self.take(1, Token::Unbrace),
            b',' => self.take(1, Token::Comma),
            b';' => self.take(1, Token::Semicolon),
            b'\\' if matches!(c, b'N' | b'n') => self.take(2, Token::Word(Word::Constant)),
            b if is_name_start(b) => self.word(),
            _ => self.take(1, Token::Junk),
        }
    }

    fn string(&mut self, quote: u8) -> Token {
        self.at += 1;
        while let Some(step) = memchr::memchr2(quote, b'\\', &self.text[self.at..]) {
            self.at += step;
            if self.peek(0) == b'\\' {
                self.at = (self.at + 2).min(self.text.len());
                continue;
            }
            if self.peek(1) == quote {
                self.at += 2;
                continue;
            }
            return self.take(1, Token::String { closed: true });
        }
        self.at = self.text.len();
        Token::String { closed: false }
    }

    fn quoted_name(&mut self) -> Token {
        self.at += 1;
        match memchr::memchr(b'`', &self.text[self.at..]) {
            Some(end) => {
                self.at += end + 1;
                if self.peek(0) == b'.' {
                    self.at += 1;
                    self.skip_name();
                }
                Token::Name
            }
            None => {
                self.at = self.text.len();
                Token::Name
            }
        }
    }

    fn number(&mut self) -> Token {
        if self.peek(0) == b'0' && matches!(self.peek(1), b'x' | b'X') {
            self.at += 2;
            while self.peek(0).is_ascii_hexdigit() {
                self.at += 1;
            }
            return Token::Number;
        }
        let start = self.at;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        let mut whole = true;
        if self.peek(0) == b'.' {
            whole = false;
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                whole = false;
                self.at += 1 + sign;
                while self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
            } else if !whole && !is_name(self.peek(1)) {
                // `1.e(`: a number to MySQL.
                self.at += 1;
            }
        }
        if !whole || !is_name(self.peek(0)) {
            return Token::Number;
        }
        // `1or` is a number and a keyword to some; `36ow` is a name.
        let from = self.at;
        self.skip_name();
        let tail = word(&self.text[from..self.at]);
        if matches!(
            tail,
            Some(Word::Logic | Word::Union | Word::Order | Word::Where | Word::Compare)
        ) {
            self.at = from;
            return Token::Number;
        }
        debug_assert!(self.at > start);
        Token::Name
    }

    fn variable(&mut self) -> Token {
        if self.peek(1) == b'>'
            || self.peek(1) == b'?'
            || self.peek(1) == b'@' && self.peek(2) <= b' '
        {
            return self.take(2, Token::Compare);
        }
        self.at += 1;
        while self.peek(0) == b'@' {
            self.at += 1;
        }
        match self.peek(0) {
            b'`' => {
                self.quoted_name();
            }
            _ => self.skip_name(),
        }
        Token::Variable
    }

    fn comment(&mut self, length: usize, mark: Mark) -> Token {
        let from = self.at + length;
        let line = memchr::memchr(b'\n', &self.text[from..]);
        self.commented = true;
        self.at = line.map_or(self.text.len(), |end| from + end + 1);
        let rest = self.text[from..self.at].trim_ascii().len();
        Token::Comment { mark, rest, last: self.at >= self.text.len() }
    }

    fn skip_name(&mut self) {
        while is_name(self.peek(0)) {
            self.at += 1;
        }
    }

    fn word(&mut self) -> Token {
        let start = self.at;
        self.skip_name();
        let name = &self.text[start..self.at];
        // Strings may have a letter or a charset before them.
        if matches!(self.peek(0), b'\'' | b'"')
            && (name.len() == 1 && matches!(name[0] | 0x20, b'n' | b'x' | b'b' | b'e')
                || name[0] == b'_' && name.len() > 3)
        {
            return self.string(self.peek(0));
        }
        let known = word(name);
        // What is qualified is a name, whatever it is called: `user.id`, `master..x`, `1.e.`.
        if self.peek(0) == b'.' && (is_name(self.peek(1)) || matches!(self.peek(1), b'.' | b'`')) {
            while self.peek(0) == b'.' && self.at - start < 200 {
                self.at += 1;
                if self.peek(0) == b'`' {
                    return self.quoted_name();
                }
                self.skip_name();
            }
            return self.named(start);
        }
        match known {
            Some(
                Word::Object | Word::Direction | Word::Join | Word::If | Word::Insert | Word::Mode,
            ) if self.parenthesis() => self.named(start),
            Some(word) => Token::Word(word),
            None => self.named(start),
        }
    }

    /// A name or a call.
    fn named(&self, start: usize) -> Token {
        if self.parenthesis() {
            return Token::Call(call(&self.text[start..self.at]));
        }
        Token::Name
    }

    /// Whether a parenthesis comes next, perhaps after spaces and comments.
    fn parenthesis(&self) -> bool {
        let mut rest = &self.text[self.at..];
        // A few are enough: nobody needs more, and more would be read again and again.
        for _ in 0..8 {
            match rest {
                [b'(', ..] => return true,
                [b'/', b'*', tail @ ..] if !tail.starts_with(b"!") => {
                    let near = &tail[..tail.len().min(64)];
                    match memchr::memmem::find(near, b"*/") {
                        Some(end) => rest = &tail[end + 2..],
                        None => return false,
                    }
                }
                [0..=b' ', tail @ ..] => rest = tail,
                _ => return false,
            }
        }
        false
    }
}

/// Whether a byte stands between tokens.
pub(super) fn is_blank(b: u8) -> bool {
    matches!(b, 0..=b' ' | 0x7F)
}

/// Whether a byte begins a name or keyword.
pub(super) fn is_name_start(b: u8) -> bool {
    matches!(b, b'a'..=b'z' | b'A'..=b'Z' | b'_' | b'$' | 0x80..)
}

/// Whether a byte goes on a name or keyword.
pub(super) fn is_name(b: u8) -> bool {
    NAMES[usize::from(b)]
}

static NAMES: [bool; 256] = {
    let mut names = [false; 256];
    let mut n = 0;
    while n < 256 {
        let b = n as u8;
        names[n] = b.is_ascii_alphanumeric() || b == b'_' || b == b'$' || b >= 0x80;
        n += 1;
    }
    names
};

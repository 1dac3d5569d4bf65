//! The structure of JSON (RFC 8259) while it streams: well formed, not too deep, not too many
//! members in an object and none twice, no string too long. Strict, so that nothing passes that
//! another reader might read otherwise; it keeps one number for each member of the objects that are
//! open, and no content.

use std::collections::HashSet;
use std::hash::{BuildHasher, DefaultHasher, Hasher, RandomState};

use super::fault::Fault;
use super::rules::JsonRules;

const MALFORMED: Fault = Fault::JsonMalformed;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Value,
    /// A value or the end of the array.
    FirstValue,
    /// A name or the end of the object.
    FirstName,
    Name,
    Colon,
    /// A comma or an end.
    After,
    /// In a string; whether it is a name.
    Text(bool),
    Escape(bool),
    /// Hexadecimal digits that are still due.
    Unicode(bool, u8),
    /// In `true`, `false` or `null`: what is still due.
    Word(&'static [u8]),
    Number(Number),
}

/// What was last in a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    Minus,
    Zero,
    Integer,
    Point,
    Fraction,
    Exponent,
    ExponentSign,
    ExponentDigits,
}

impl Number {
    /// The next state; none where the byte does not belong to the number.
    fn next(self, byte: u8) -> Option<Self> {
        Some(match (self, byte) {
            (Self::Minus, b'0') => Self::Zero,
            (Self::Minus, b'1'..=b'9') | (Self::Integer, b'0'..=b'9') => Self::Integer,
            (Self::Zero | Self::Integer, b'.') => Self::Point,
            (Self::Point | Self::Fraction, b'0'..=b'9') => Self::Fraction,
            (Self::Zero | Self::Integer | Self::Fraction, b'e' | b'E') => Self::Exponent,
            (Self::Exponent, b'+' | b'-') => Self::ExponentSign,
            (Self::Exponent | Self::ExponentSign | Self::ExponentDigits, b'0'..=b'9') => {
                Self::ExponentDigits
            }
            _ => return None,
        })
    }

    fn is_whole(self) -> bool {
        matches!(self, Self::Zero | Self::Integer | Self::Fraction | Self::ExponentDigits)
    }
}

/// A container that is open.
#[derive(Debug)]
enum Container {
    Array,
    /// The names of its members, as keyed hashes: whoever writes them can not make two alike.
    Object(HashSet<u64>),
}

/// Reads one document.
#[derive(Debug)]
pub(super) struct JsonScan {
    rules: JsonRules,
    state: State,
    open: Vec<Container>,
    /// Bytes of the string so far, as it is written.
    text: u64,
    /// The hexadecimal digits of an escape so far.
    unit: u16,
    /// The first half of a surrogate pair, whose second must follow.
    half: Option<u16>,
    hasher: RandomState,
    /// Of the name that is read, without its escapes: `"a"` and `"\u0061"` are one name.
    name: DefaultHasher,
}

impl JsonScan {
    pub(super) fn new(rules: JsonRules) -> Self {
        let hasher = RandomState::new();
        Self {
            rules,
            state: State::Value,
            open: Vec::new(),
            text: 0,
            unit: 0,
            half: None,
            name: hasher.build_hasher(),
            hasher,
        }
    }

    /// Reads on.
    pub(super) fn read(&mut self, piece: &[u8]) -> Result<(), Fault> {
        piece.iter().try_for_each(|byte| self.step(*byte))
    }

    /// The end of the content.
    pub(super) fn end(&mut self) -> Result<(), Fault> {
        if let State::Number(number) = self.state
            && number.is_whole()
        {
            self.state = State::After;
        }
        match self.state == State::After && self.open.is_empty() {
            true => Ok(()),
            false => Err(MALFORMED),
        }
    }

    fn step(&mut self, byte: u8) -> Result<(), Fault> {
        let blank = matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        match self.state {
            State::Text(name) => return self.text(name, byte),
            State::Escape(name) => return self.escape(name, byte),
            State::Unicode(name, due) => return self.digit(name, due, byte),
            State::Word(due) => match due {
                [next, rest @ ..] if *next == byte => {
                    self.state = if rest.is_empty() { State::After } else { State::Word(rest) };
                }
                _ => return Err(MALFORMED),
            },
            State::Number(number) => match number.next(byte) {
                Some(next) => self.state = State::Number(next),
                None if number.is_whole() => {
                    self.state = State::After;
                    return self.step(byte);
                }
                None => return Err(MALFORMED),
            },
            _ if blank => {}
            State::FirstValue if byte == b']' => self.close(false)?,
            State::Value | State::FirstValue => self.value(byte)?,
            State::FirstName if byte == b'}' => self.close(true)?,
            State::FirstName | State::Name if byte == b'"' => self.member()?,
            State::Colon if byte == b':' => self.state = State::Value,
            State::After => self.after(byte)?,
            State::FirstName | State::Name | State::Colon => return Err(MALFORMED),
        }
        Ok(())
    }

    fn text(&mut self, name: bool, byte: u8) -> Result<(), Fault> {
        if self.half.is_some() && byte != b'\\' {
            return Err(MALFORMED);
        }
        match byte {
            b'"' if name => return self.name_ends(),
            b'"' => {
                self.state = State::After;
                return Ok(());
            }
            b'\\' => self.state = State::Escape(name),
            0..0x20 => return Err(MALFORMED),
            _ => self.character(name, &[byte]),
        }
        self.longer()
    }

    fn escape(&mut self, name: bool, byte: u8) -> Result<(), Fault> {
        let stands_for = match byte {
            b'u' => {
                (self.state, self.unit) = (State::Unicode(name, 4), 0);
                return self.longer();
            }
            _ if self.half.is_some() => return Err(MALFORMED),
            b'"' | b'\\' | b'/' => byte,
            b'b' => 0x08,
            b'f' => 0x0c,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            _ => return Err(MALFORMED),
        };
        self.character(name, &[stands_for]);
        self.state = State::Text(name);
        self.longer()
    }

    fn digit(&mut self, name: bool, due: u8, byte: u8) -> Result<(), Fault> {
        let digit = char::from(byte).to_digit(16).ok_or(MALFORMED)?;
        self.unit = self.unit << 4 | digit as u16;
        self.state = State::Unicode(name, due - 1);
        if due == 1 {
            self.state = State::Text(name);
            let half = self.half.take();
            match char::decode_utf16(half.into_iter().chain([self.unit])).next() {
                Some(Ok(character)) => {
                    self.character(name, character.encode_utf8(&mut [0; 4]).as_bytes());
                }
                // The first half alone: the second is due.
                _ if half.is_none() && (0xd800..0xdc00).contains(&self.unit) => {
                    self.half = Some(self.unit);
                }
                _ => return Err(MALFORMED),
            }
        }
        self.longer()
    }

    /// What is read of a string, without its escapes.
    fn character(&mut self, name: bool, utf8: &[u8]) {
        if name {
            // Byte by byte, so that pieces hash as the whole does.
            utf8.iter().for_each(|byte| self.name.write_u8(*byte));
        }
    }

    fn name_ends(&mut self) -> Result<(), Fault> {
        self.state = State::Colon;
        let is_new = match self.open.last_mut() {
            Some(Container::Object(names)) => names.insert(self.name.finish()),
            _ => true,
        };
        if is_new { Ok(()) } else { Err(Fault::JsonMemberRepeated) }
    }

    fn longer(&mut self) -> Result<(), Fault> {
        self.text += 1;
        match self.text > self.rules.string_length {
            true => Err(Fault::JsonStringTooLong),
            false => Ok(()),
        }
    }

    fn value(&mut self, byte: u8) -> Result<(), Fault> {
        self.state = match byte {
            b'{' => return self.open(Container::Object(HashSet::new()), State::FirstName),
            b'[' => return self.open(Container::Array, State::FirstValue),
            b'"' => {
                self.text = 0;
                State::Text(false)
            }
            b't' => State::Word(b"rue"),
            b'f' => State::Word(b"alse"),
            b'n' => State::Word(b"ull"),
            b'-' => State::Number(Number::Minus),
            b'0' => State::Number(Number::Zero),
            b'1'..=b'9' => State::Number(Number::Integer),
            _ => return Err(MALFORMED),
        };
        Ok(())
    }

    fn open(&mut self, container: Container, next: State) -> Result<(), Fault> {
        if self.open.len() >= self.rules.depth {
            return Err(Fault::JsonTooDeep);
        }
        self.open.push(container);
        self.state = next;
        Ok(())
    }

    fn close(&mut self, object: bool) -> Result<(), Fault> {
        match self.open.pop() {
            Some(open) if matches!(open, Container::Object(_)) == object => {
                self.state = State::After;
                Ok(())
            }
            _ => Err(MALFORMED),
        }
    }

    fn member(&mut self) -> Result<(), Fault> {
        if let Some(Container::Object(names)) = self.open.last()
            && names.len() >= self.rules.members as usize
        {
            return Err(Fault::JsonTooManyMembers);
        }
        self.text = 0;
        self.name = self.hasher.build_hasher();
        self.state = State::Text(true);
        Ok(())
    }

    fn after(&mut self, byte: u8) -> Result<(), Fault> {
        match (byte, self.open.last()) {
            (b',', Some(Container::Object(_))) => self.state = State::Name,
            (b',', Some(Container::Array)) => self.state = State::Value,
            (b'}', Some(Container::Object(_))) => self.close(true)?,
            (b']', Some(Container::Array)) => self.close(false)?,
            _ => return Err(MALFORMED),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scan(text: &[u8], rules: &JsonRules, piece: usize) -> Result<(), &'static str> {
        let mut scan = JsonScan::new(rules.clone());
        let read = text.chunks(piece.max(1)).try_for_each(|piece| scan.read(piece));
        read.and_then(|()| scan.end()).map_err(Fault::reason)
    }

    fn judged(text: &str) -> Result<(), &'static str> {
        let rules = JsonRules { depth: 3, members: 2, string_length: 5 };
        let whole = scan(text.as_bytes(), &rules, text.len());
        assert_eq!(whole, scan(text.as_bytes(), &rules, 1), "{text}: in pieces");
        whole
    }

    #[test]
    fn limits() {
        for (text, expected) in [
            ("[[[1]]]", Ok(())),
            ("[[[[1]]]]", Err("json_too_deep")),
            ("{\"a\":{\"b\":{\"c\":{}}}}", Err("json_too_deep")),
            ("{\"a\":1,\"b\":2}", Ok(())),
            ("{\"a\":1,\"b\":2,\"c\":3}", Err("json_too_many_members")),
            ("[{\"a\":1,\"b\":2},{\"a\":1,\"b\":2}]", Ok(())),
            ("\"12345\"", Ok(())),
            ("\"123456\"", Err("json_string_too_long")),
            ("{\"123456\":1}", Err("json_string_too_long")),
            ("\"\\u00e9\"", Err("json_string_too_long")),
        ] {
            assert_eq!(judged(text), expected, "{text}");
        }
    }

    #[test]
    fn members_of_one_name() {
        for text in [
            r#"{"a":1,"a":2}"#,
            r#"{"":1,"":2}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"/":1,"\/":2}"#,
            r#"{"é":1,"\u00e9":2}"#,
            r#"[{"a":{"b":1,"b":2}}]"#,
        ] {
            let long = JsonRules { string_length: 20, ..JsonRules::default() };
            let found = scan(text.as_bytes(), &long, 1);
            assert_eq!(found, Err("json_member_repeated"), "{text}");
        }
        let pair = "{\"\u{1f600}\":1,\"\\ud83d\\uDE00\":2}";
        let found = scan(pair.as_bytes(), &JsonRules::default(), 3);
        assert_eq!(found, Err("json_member_repeated"));
        for text in [r#"{"a":1,"A":2}"#, r#"{"a":"a"}"#, r#"[{"a":1},{"a":1}]"#, r#"{"a":{"a":1}}"#]
        {
            assert_eq!(judged(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn halves_of_characters() {
        let rules = JsonRules::default();
        for text in [
            r#""\ud83d""#,
            r#""\ud83dx""#,
            r#""\ud83d\n""#,
            r#""\ud83d\u0061""#,
            r#""\ude00""#,
            r#""\ud83d\ud83d\ude00""#,
        ] {
            assert_eq!(scan(text.as_bytes(), &rules, 1), Err("json_malformed"), "{text}");
            let theirs = serde_json::from_str::<serde_json::Value>(text);
            assert!(theirs.is_err(), "{text}");
        }
        assert_eq!(scan(br#""\ud83d\ude00\ud83d\ude00 \u0000""#, &rules, 1), Ok(()));
    }

    #[test]
    fn what_is_no_json() {
        for text in [
            "",
            " ",
            "[",
            "]",
            "[1,]",
            "[,1]",
            "{,}",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "01",
            "1.",
            ".5",
            "1e",
            "+1",
            "-",
            "tru",
            "trueish",
            "nul",
            "NaN",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "1 2",
            "[1}",
            "{\"a\":1]",
            "[1 2]",
            "\u{feff}1",
            "// c\n1",
            "{}}",
        ] {
            assert_eq!(judged(text), Err("json_malformed"), "{text}");
        }
        for text in ["0", "-0.5e+10", " [ ] ", "{ }", "null", "[true,false]", "\"\\\"\\\\\"", "1E5"]
        {
            assert_eq!(judged(text), Ok(()), "{text}");
        }
    }

    proptest! {
        /// What it takes, serde_json takes, and the other way round, but for repeated members.
        #[test]
        fn as_others_read(text in "[\\[\\]{}:,\"0-2eE.+\\-\\\\utrfalsn \n]{0,24}", piece in 1usize..5) {
            let rules = JsonRules { depth: 100, members: 1000, string_length: 1000 };
            let ours = scan(text.as_bytes(), &rules, piece);
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            // What follows a repeated member is not read.
            prop_assume!(ours != Err("json_member_repeated"));
            prop_assert_eq!(ours.is_ok(), theirs);
        }
    }
}

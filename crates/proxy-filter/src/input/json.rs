//! The structure of JSON (RFC 8259) while it streams: well formed, not too deep, not too many
//! members in an object, no string too long. Strict, so that nothing passes that another reader
//! might read otherwise; it keeps one entry for each open container, and no content.

use super::fault::Fault;
use super::rules::JsonRules;

const MALFORMED: Fault = Fault(400, "json_malformed");

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

/// Reads one document.
#[derive(Debug)]
pub(super) struct JsonScan {
    rules: JsonRules,
    state: State,
    /// The members so far of each open object; none for an array.
    open: Vec<Option<u32>>,
    text: u64,
}

impl JsonScan {
    pub(super) fn new(rules: &JsonRules) -> Self {
        Self { rules: rules.clone(), state: State::Value, open: Vec::new(), text: 0 }
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
            State::Escape(name) => {
                self.state = match byte {
                    b'u' => State::Unicode(name, 4),
                    b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => State::Text(name),
                    _ => return Err(MALFORMED),
                };
                return self.longer();
            }
            State::Unicode(name, due) => {
                if !byte.is_ascii_hexdigit() {
                    return Err(MALFORMED);
                }
                let left = due - 1;
                self.state = if left == 0 { State::Text(name) } else { State::Unicode(name, left) };
                return self.longer();
            }
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
        match byte {
            b'"' => {
                self.state = if name { State::Colon } else { State::After };
                return Ok(());
            }
            b'\\' => self.state = State::Escape(name),
            0..0x20 => return Err(MALFORMED),
            _ => {}
        }
        self.longer()
    }

    fn longer(&mut self) -> Result<(), Fault> {
        self.text += 1;
        match self.text > self.rules.string_length {
            true => Err(Fault(422, "json_string_too_long")),
            false => Ok(()),
        }
    }

    fn value(&mut self, byte: u8) -> Result<(), Fault> {
        self.state = match byte {
            b'{' => return self.open(Some(0), State::FirstName),
            b'[' => return self.open(None, State::FirstValue),
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

    fn open(&mut self, members: Option<u32>, next: State) -> Result<(), Fault> {
        if self.open.len() >= self.rules.depth {
            return Err(Fault(422, "json_too_deep"));
        }
        self.open.push(members);
        self.state = next;
        Ok(())
    }

    fn close(&mut self, object: bool) -> Result<(), Fault> {
        match self.open.pop() {
            Some(members) if members.is_some() == object => {
                self.state = State::After;
                Ok(())
            }
            _ => Err(MALFORMED),
        }
    }

    fn member(&mut self) -> Result<(), Fault> {
        if let Some(Some(members)) = self.open.last_mut() {
            *members += 1;
            if *members > self.rules.members {
                return Err(Fault(422, "json_too_many_members"));
            }
        }
        self.text = 0;
        self.state = State::Text(true);
        Ok(())
    }

    fn after(&mut self, byte: u8) -> Result<(), Fault> {
        match (byte, self.open.last()) {
            (b',', Some(Some(_))) => self.state = State::Name,
            (b',', Some(None)) => self.state = State::Value,
            (b'}', Some(Some(_))) => self.close(true)?,
            (b']', Some(None)) => self.close(false)?,
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
        let mut scan = JsonScan::new(rules);
        let read = text.chunks(piece.max(1)).try_for_each(|piece| scan.read(piece));
        read.and_then(|()| scan.end()).map_err(|fault| fault.1)
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
        /// What it takes, serde_json takes, and the other way round.
        #[test]
        fn as_others_read(text in "[\\[\\]{}:,\"0-2eE.+\\-\\\\utrfalsn \n]{0,24}", piece in 1usize..5) {
            let rules = JsonRules { depth: 100, members: 1000, string_length: 1000 };
            let ours = scan(text.as_bytes(), &rules, piece).is_ok();
            let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
            prop_assert_eq!(ours, theirs);
        }
    }
}

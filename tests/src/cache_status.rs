//! `Cache-Status` (RFC 9211), read as the Structured Field that it is: a List of Items with
//! parameters (RFC 8941, section 4.2). It shares no code with the proxy.

/// A bare item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// `?1`, or a parameter without a value.
    Boolean(bool),
    /// A number without a fraction.
    Integer(i64),
    /// A token.
    Token(String),
    /// A quoted string.
    Text(String),
}

/// One member: the cache's name and its parameters in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name of the cache.
    pub cache: String,
    /// What it says.
    pub parameters: Vec<(String, Bare)>,
}

impl Member {
    /// The parameter with that name; the last one counts.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Bare> {
        self.parameters.iter().rev().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Whether the parameter is there and true.
    #[must_use]
    pub fn says(&self, name: &str) -> bool {
        self.get(name) == Some(&Bare::Boolean(true))
    }

    /// The parameter as a token.
    #[must_use]
    pub fn token(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Bare::Token(text)) => Some(text),
            _ => None,
        }
    }

    /// The parameter as an integer.
    #[must_use]
    pub fn integer(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Bare::Integer(number)) => Some(*number),
            _ => None,
        }
    }
}

/// The `fwd` reasons of RFC 9211, section 2.2.
const REASONS: [&str; 8] =
    ["bypass", "method", "uri-miss", "vary-miss", "miss", "request", "stale", "partial"];

/// What is wrong with a member by RFC 9211, if anything.
pub fn check(member: &Member) -> Result<(), String> {
    let wrong = |why: &str| Err(format!("{why}: {member:?}"));
    for (name, value) in &member.parameters {
        let fits = match (name.as_str(), value) {
            ("hit" | "stored" | "collapsed", Bare::Boolean(_)) => true,
            ("fwd", Bare::Token(reason)) => REASONS.contains(&reason.as_str()),
            ("fwd-status", Bare::Integer(status)) => (100..600).contains(status),
            ("ttl", Bare::Integer(_)) | ("detail", Bare::Token(_)) => true,
            ("key" | "detail", Bare::Text(_)) => true,
            (
                "hit" | "stored" | "collapsed" | "fwd" | "fwd-status" | "ttl" | "key" | "detail",
                _,
            ) => false,
            _ => true,
        };
        if !fits {
            return wrong(&format!("{name} has a wrong type or value"));
        }
    }
    if member.says("hit") && member.get("fwd").is_some() {
        return wrong("both hit and fwd (section 2)");
    }
    Ok(())
}

/// Reads the field's value.
pub fn read(value: &str) -> Result<Vec<Member>, String> {
    let mut left = value.trim_matches(' ');
    let mut members = Vec::new();
    while !left.is_empty() {
        let (cache, rest) = match bare(left)? {
            (Bare::Token(name) | Bare::Text(name), rest) => (name, rest),
            (other, _) => return Err(format!("not the name of a cache: {other:?}")),
        };
        let mut parameters = Vec::new();
        left = rest;
        while let Some(rest) = left.strip_prefix(';') {
            let rest = rest.trim_start_matches(' ');
            let end = rest
                .find(|c: char| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '-' | '.' | '*'))
                .unwrap_or(rest.len());
            if !rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '*') {
                return Err(format!("not a parameter: {rest:?}"));
            }
            let (name, rest) = rest.split_at(end);
            let (value, rest) = match rest.strip_prefix('=') {
                Some(rest) => bare(rest)?,
                None => (Bare::Boolean(true), rest),
            };
            parameters.push((name.to_owned(), value));
            left = rest;
        }
        members.push(Member { cache, parameters });
        left = left.trim_start_matches([' ', '\t']);
        if left.is_empty() {
            break;
        }
        let Some(rest) = left.strip_prefix(',') else {
            return Err(format!("a comma is due before {left:?}"));
        };
        left = rest.trim_start_matches([' ', '\t']);
        if left.is_empty() {
            return Err("a comma at the end".into());
        }
    }
    Ok(members)
}

fn bare(input: &str) -> Result<(Bare, &str), String> {
    let wrong = || Err(format!("not an item: {input:?}"));
    match input.bytes().next() {
        Some(b'"') => {
            let (mut text, mut escaped) = (String::new(), false);
            for (at, c) in input.char_indices().skip(1) {
                match c {
                    '"' | '\\' if escaped => {
                        text.push(c);
                        escaped = false;
                    }
                    _ if escaped => return wrong(),
                    '\\' => escaped = true,
                    '"' => return Ok((Bare::Text(text), &input[at + 1..])),
                    ' '..='~' => text.push(c),
                    _ => return wrong(),
                }
            }
            wrong()
        }
        Some(b'?') => match input.get(..2) {
            Some("?1") => Ok((Bare::Boolean(true), &input[2..])),
            Some("?0") => Ok((Bare::Boolean(false), &input[2..])),
            _ => wrong(),
        },
        Some(b'-' | b'0'..=b'9') => {
            let digits = input.strip_prefix('-').unwrap_or(input);
            let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
            let end = end + input.len() - digits.len();
            match input[..end].parse() {
                Ok(number) => Ok((Bare::Integer(number), &input[end..])),
                Err(_) => wrong(),
            }
        }
        Some(b'*' | b'A'..=b'Z' | b'a'..=b'z') => {
            let end = input
                .find(|c: char| !c.is_ascii_alphanumeric() && !"!#$%&'*+-.^_`|~:/".contains(c))
                .unwrap_or(input.len());
            Ok((Bare::Token(input[..end].to_owned()), &input[end..]))
        }
        _ => wrong(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_examples_of_the_rfc() {
        let all = read(
            "OriginCache; hit; ttl=1100; collapsed, \"CDN Company Here\"; fwd=uri-miss; stored",
        )
        .expect("valid");
        assert_eq!((all.len(), all[0].cache.as_str()), (2, "OriginCache"));
        assert!(all[0].says("hit") && all[0].integer("ttl") == Some(1100));
        assert_eq!(all[1].token("fwd"), Some("uri-miss"));
        assert!(all.iter().all(|member| check(member).is_ok()));
        let late = &read("a; hit; ttl=-412; key=\"a\\\"b\"").expect("valid")[0];
        assert_eq!(late.get("key"), Some(&Bare::Text("a\"b".into())));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in ["a,", "a b", "a; Hit", "a; hit=", "1; hit", "\"a", "a;;hit", "a; x=\u{e9}"] {
            assert!(read(text).is_err(), "{text}");
        }
        for text in ["a; hit; fwd=miss", "a; fwd=other", "a; hit; ttl=x", "a; fwd=miss; hit"] {
            assert!(check(&read(text).expect(text)[0]).is_err(), "{text}");
        }
    }
}

//! How many fields a request came with, and how large.

use http::header::COOKIE;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a request, counted: what limits on fields judge. `Cookie`, which HTTP/2 splits to
/// compress it (RFC 9113 section 8.2.3), is one line, as it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentFields {
    /// Field lines.
    pub lines: usize,
    /// Bytes of all names and values.
    pub size: usize,
    /// Bytes of the longest value.
    pub longest: usize,
    cookie: usize,
}

impl SentFields {
    /// Counts fields.
    pub fn of(fields: &HeaderMap) -> Self {
        let mut sent = Self::default();
        fields.iter().for_each(|(name, value)| sent.add(name, value));
        sent
    }

    /// Counts one more line.
    pub(crate) fn add(&mut self, name: &HeaderName, value: &HeaderValue) {
        let length = value.len();
        if *name == COOKIE && self.cookie > 0 {
            // The separator, and no name.
            self.size += length + 2;
            self.cookie += length + 2;
            self.longest = self.longest.max(self.cookie);
            return;
        }
        if *name == COOKIE {
            self.cookie = length;
        }
        self.lines += 1;
        self.size += name.as_str().len() + length;
        self.longest = self.longest.max(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_sizes_and_crumbs() {
        let mut fields = HeaderMap::new();
        for (name, value) in [("a", "123"), ("a", "1"), ("cookie", "b=1"), ("cookie", "c=23")] {
            fields.append(name, HeaderValue::from_static(value));
        }
        let sent = SentFields::of(&fields);
        let joined = "b=1; c=23".len();
        assert_eq!((sent.lines, sent.longest), (3, joined));
        assert_eq!(sent.size, 1 + 3 + 1 + 1 + "cookie".len() + joined);
    }
}

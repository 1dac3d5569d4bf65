//! The boundary that a content type names.

/// What a content type says of the boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boundary<'a> {
    /// The boundary; `None` where there is none, or one longer than anybody writes.
    pub text: Option<&'a [u8]>,
    /// Whether some reader may find another boundary, or none.
    pub is_ambiguous: bool,
}

/// The longest boundary; RFC 2046 section 5.1.1 allows 70 bytes.
const LONGEST: usize = 200;

/// The boundary that a content type names, as its grammar says. Some readers look for the word
/// alone, wherever it stands, and end the value at a comma or a blank.
pub fn boundary(content_type: &[u8]) -> Boundary<'_> {
    let mut words = count(content_type, b"boundary");
    let mut found = None;
    let mut odd = false;
    for (key, value, quoted) in parameters(content_type) {
        if !key.trim_ascii().eq_ignore_ascii_case(b"boundary") {
            continue;
        }
        // Browsers have the word in the boundary itself.
        words -= count(value, b"boundary");
        odd |= found.is_some() || key.len() != b"boundary".len();
        odd |= value.iter().any(|b| match b {
            b'"' | b'\\' | 0..b' ' | 0x7F.. => true,
            b' ' | b',' => !quoted,
            _ => false,
        });
        odd |= value.is_empty() || value.len() > LONGEST;
        if found.is_none() && !value.is_empty() && value.len() <= LONGEST {
            found = Some(value);
        }
    }
    Boundary { text: found, is_ambiguous: odd || words != 1 || found.is_none() }
}

/// The parameters of a media type: key, value and whether it is quoted.
fn parameters(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8], bool)> {
    let mut rest = &field[memchr::memchr(b';', field).unwrap_or(field.len())..];
    std::iter::from_fn(move || {
        rest = rest.strip_prefix(b";")?.trim_ascii_start();
        let end = memchr::memchr2(b'=', b';', rest).unwrap_or(rest.len());
        let (key, tail) = rest.split_at(end);
        let Some(value) = tail.strip_prefix(b"=") else {
            rest = tail;
            return Some((key, &b""[..], false));
        };
        let quoted = value.trim_ascii_start().strip_prefix(b"\"");
        let (value, tail) = match quoted {
            Some(text) => {
                let end = memchr::memchr(b'"', text).unwrap_or(text.len());
                (&text[..end], text.get(end + 1..).unwrap_or(b""))
            }
            None => {
                let end = memchr::memchr(b';', value).unwrap_or(value.len());
                (value[..end].trim_ascii(), &value[end..])
            }
        };
        rest = &tail[memchr::memchr(b';', tail).unwrap_or(tail.len())..];
        Some((key, value, quoted.is_some()))
    })
}

fn count(text: &[u8], word: &[u8]) -> usize {
    text.windows(word.len()).filter(|w| w.eq_ignore_ascii_case(word)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boundaries() {
        for (field, expected, ambiguous) in [
            ("multipart/form-data; boundary=abc", Some("abc"), false),
            (
                "multipart/form-data; boundary=----WebKitFormBoundaryAb1",
                Some("----WebKitFormBoundaryAb1"),
                false,
            ),
            ("multipart/form-data;boundary=\"----=_Part(1)\"", Some("----=_Part(1)"), false),
            ("multipart/form-data; Boundary=\"a b\"; x", Some("a b"), false),
            ("multipart/form-data; charset=utf-8; boundary=abc; x=y", Some("abc"), false),
            ("multipart/related; type=\"a; b=c\"; boundary=abc", Some("abc"), false),
            ("multipart/form-data; xboundary=zzz; boundary=abc", Some("abc"), true),
            ("multipart/form-data; boundary=abc; boundary=xyz", Some("abc"), true),
            ("multipart/form-data; x=\"; boundary=abc", None, true),
            ("multipart/form-data; boundary=abc,xyz", Some("abc,xyz"), true),
            ("multipart/form-data; boundary=a b", Some("a b"), true),
            ("multipart/form-data; boundary =abc", Some("abc"), true),
            ("multipart/form-data; boundary=a\"b", Some("a\"b"), true),
            ("multipart/form-data; xboundary=abc", None, true),
            ("multipart/form-data", None, true),
            ("multipart/form-data; boundary=", None, true),
        ] {
            let said = boundary(field.as_bytes());
            assert_eq!(said.text, expected.map(str::as_bytes), "{field}");
            assert_eq!(said.is_ambiguous, ambiguous, "{field}");
        }
    }
}

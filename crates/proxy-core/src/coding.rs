//! Content codings: what a client takes, and the seam by which a cache keeps coded forms of one
//! stored representation ([`ContentCoder`]). The rules here are those that whoever codes and
//! whoever stores must agree on.

mod accepted;

use bytes::Bytes;
use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, ETAG, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::fields;

pub use accepted::{Accepted, best, takes_all, weight};

/// Of no use once the content is in another coding: what they are computed over has changed
/// (RFC 9530 sections 2 and 3; RFC 1864).
const DIGESTS: [HeaderName; 4] = [
    HeaderName::from_static("content-md5"),
    HeaderName::from_static("digest"),
    HeaderName::from_static("content-digest"),
    HeaderName::from_static("repr-digest"),
];

/// How hard a [`ContentCoder`] tries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effort {
    /// While a client may wait for it.
    Quick,
    /// In the background: the smallest form that is worth its time.
    Thorough,
}

/// Why a [`ContentCoder`] gives no coded form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotCoded {
    /// It would not be smaller, or coding fails: it will be so the next time.
    Useless,
    /// There is no memory or no time for it now.
    NotNow,
}

/// In the extensions of a response: it is a coded form that was made here, for a cache, and not by
/// the origin server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredForm;

/// Makes coded forms of content that is wholly there.
pub trait ContentCoder: Send + Sync + 'static {
    /// The codings it makes, the preferred one first, in lower case.
    fn codings(&self) -> &[&'static str];

    /// Whether a response with these fields and so many bytes of content should be coded: its media
    /// type, its size, `no-transform`, what it has already. `None`: it is still coming, and nobody
    /// knows how much it will be.
    fn is_eligible(&self, response: &HeaderMap, len: Option<u64>) -> bool;

    /// The content in this coding.
    ///
    /// # Errors
    /// Why there is none: whether it is of use to ask again later.
    fn code(&self, coding: &str, content: &[Bytes], effort: Effort) -> Result<Bytes, NotCoded>;

    /// Whether [`Effort::Thorough`] would give another form than [`Effort::Quick`] of so many bytes
    /// of content. By default it would not.
    fn has_thorough(&self, coding: &str, len: u64) -> bool {
        let _ = (coding, len);
        false
    }

    /// How the name of a file in this coding ends that may stand beside the original (`.br`), where
    /// such files are to be asked for. By default they are not.
    fn sibling(&self, coding: &str) -> Option<&'static str> {
        let _ = coding;
        None
    }

    /// Whether this is the content in that coding, to the last byte: what somebody else has made is
    /// used only then. By default nothing is.
    fn is_form_of(&self, coding: &str, coded: &[u8], content: &[Bytes]) -> bool {
        let _ = (coding, coded, content);
        false
    }
}

/// A tag must differ between codings of one representation (RFC 9110 section 8.8.3.3): the tag with
/// the coding's name in it. It is weak, since the bytes of a coded form depend on how hard the
/// encoder tried and on where it was flushed, so a range of one must never be joined to a range of
/// another (section 8.8.1). A weak tag already stands for all codings, and gives none.
pub fn coded_tag(tag: &HeaderValue, coding: &str) -> Option<HeaderValue> {
    let inside = tag.as_bytes().strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let mut coded = Vec::with_capacity(tag.len() + coding.len() + 3);
    coded.extend_from_slice(b"W/\"");
    coded.extend_from_slice(inside);
    coded.push(b'-');
    coded.extend_from_slice(coding.as_bytes());
    coded.push(b'"');
    HeaderValue::from_bytes(&coded).ok()
}

/// The other way round: the tag that [`coded_tag`] made this one of, and the coding in its name.
/// `None` where none of these codings stands there. A strong one leads back too.
pub fn plain_tag<'a>(tag: &[u8], codings: &[&'a str]) -> Option<(HeaderValue, &'a str)> {
    let tag = tag.strip_prefix(b"W/").unwrap_or(tag);
    let inside = tag.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    codings.iter().find_map(|coding| {
        let plain = inside.strip_suffix(coding.as_bytes())?.strip_suffix(b"-")?;
        let mut tag = Vec::with_capacity(plain.len() + 2);
        tag.push(b'"');
        tag.extend_from_slice(plain);
        tag.push(b'"');
        HeaderValue::from_bytes(&tag).ok().map(|tag| (tag, *coding))
    })
}

/// Changes the fields of a response into those of its coded form: names the coding, tells the tag
/// apart, removes digests of what is no longer there and the offer of ranges, which are of the
/// uncoded representation, and adds `Accept-Encoding` to `Vary`. The length is left to the caller.
pub fn mark_coded(response: &mut HeaderMap, coding: &'static str) {
    response.insert(CONTENT_ENCODING, HeaderValue::from_static(coding));
    if let Some(tag) = response.get(ETAG).and_then(|tag| coded_tag(tag, coding)) {
        response.insert(ETAG, tag);
    }
    remove_digests(response);
    response.remove(ACCEPT_RANGES);
    vary_by_coding(response);
}

/// Makes a strong tag weak: for a form of the representation that the tag was not made for.
pub fn weaken_tag(response: &mut HeaderMap) {
    let Some(tag) = response.get(ETAG).filter(|tag| tag.as_bytes().starts_with(b"\"")) else {
        return;
    };
    if let Ok(weak) = HeaderValue::from_bytes(&[b"W/", tag.as_bytes()].concat()) {
        response.insert(ETAG, weak);
    }
}

/// Removes digests of the content and of the representation, both of which a coding changes. Of
/// use in a trailer section as well.
pub fn remove_digests(fields: &mut HeaderMap) {
    for name in &DIGESTS {
        fields.remove(name);
    }
}

/// Whether the content has a coding. `identity` is none, though it should not stand there
/// (RFC 9110 section 8.4.1).
pub fn is_coded(response: &HeaderMap) -> bool {
    fields::list(response, &CONTENT_ENCODING).any(|name| !name.eq_ignore_ascii_case("identity"))
}

/// Adds `Accept-Encoding` to `Vary`, unless it is there.
pub fn vary_by_coding(response: &mut HeaderMap) {
    vary_by(response, "accept-encoding");
}

/// Adds a field, by its name in lower case, to `Vary`, unless it is there.
pub fn vary_by(response: &mut HeaderMap, field: &'static str) {
    let varies =
        fields::list(response, &VARY).any(|name| name == "*" || name.eq_ignore_ascii_case(field));
    if !varies {
        response.append(VARY, HeaderValue::from_static(field));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_tell_codings_apart() {
        let tag = |tag: &'static str| coded_tag(&HeaderValue::from_static(tag), "br");
        assert_eq!(tag("\"a\""), Some(HeaderValue::from_static("W/\"a-br\"")));
        assert_eq!(tag("W/\"a\""), None);
        assert_eq!(tag("a"), None);
    }

    #[test]
    fn a_coded_tag_leads_back() {
        let back = |tag: &'static str| plain_tag(tag.as_bytes(), &["br", "gzip"]);
        assert_eq!(back("\"a-gzip\""), Some((HeaderValue::from_static("\"a\""), "gzip")));
        assert_eq!(back("\"-br\""), Some((HeaderValue::from_static("\"\""), "br")));
        assert_eq!(back("W/\"a-br\""), Some((HeaderValue::from_static("\"a\""), "br")));
        for none in ["\"a\"", "\"a-zstd\"", "W/a-br", "a-br", "\"br\"", "\""] {
            assert_eq!(back(none), None, "{none}");
        }
    }

    #[test]
    fn a_coded_response_says_so() {
        let mut fields = HeaderMap::new();
        for (name, value) in [
            ("etag", "\"a\""),
            ("accept-ranges", "bytes"),
            ("repr-digest", "sha-256=:AA==:"),
            ("content-digest", "sha-256=:AA==:"),
            ("digest", "sha-256=AA=="),
            ("content-md5", "AA=="),
            ("content-type", "text/plain"),
        ] {
            fields.insert(name, HeaderValue::from_static(value));
        }
        mark_coded(&mut fields, "br");
        let mut lines: Vec<_> =
            fields.iter().map(|(n, v)| format!("{n}: {}", v.to_str().expect("text"))).collect();
        lines.sort_unstable();
        let expected = [
            "content-encoding: br",
            "content-type: text/plain",
            "etag: W/\"a-br\"",
            "vary: accept-encoding",
        ];
        assert_eq!(lines, expected);
    }

    #[test]
    fn identity_is_no_coding() {
        for (value, coded) in [("identity", false), ("Identity", false), ("identity, br", true)] {
            let value = HeaderValue::from_static(value);
            assert_eq!(is_coded(&HeaderMap::from_iter([(CONTENT_ENCODING, value)])), coded);
        }
        assert!(!is_coded(&HeaderMap::new()));
    }

    #[test]
    fn vary_names_the_field_once() {
        let mut fields =
            HeaderMap::from_iter([(VARY, HeaderValue::from_static("Accept-Encoding"))]);
        vary_by_coding(&mut fields);
        assert_eq!(fields.get_all(VARY).iter().count(), 1);
        let mut fields = HeaderMap::from_iter([(VARY, HeaderValue::from_static("origin"))]);
        vary_by_coding(&mut fields);
        assert_eq!(fields.get_all(VARY).iter().count(), 2);
    }
}

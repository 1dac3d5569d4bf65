//! Tags of coded forms in conditional requests.
//!
//! A coded form has a tag of its own ([`coding::coded_tag`]), which the origin server does not
//! know. So a condition that names one gets the tag of the original beside it, and a 304 that comes
//! back gets the tag that the client has.

use http::header::{ETAG, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE, VARY};
use http::{HeaderMap, HeaderName, HeaderValue};
use proxy_core::coding;

/// Tags of coded forms that a client has.
pub(crate) struct CodedTags {
    /// The tag of the original and the coding.
    coded: Vec<(HeaderValue, &'static str)>,
    /// Tags that it has as they are.
    plain: Vec<HeaderValue>,
}

/// Conditions with more tags than this are left as they are.
const MAX_TAGS: usize = 64;

/// Adds the originals' tags to the conditions of a request. What is told of `If-None-Match` is
/// needed for a 304.
///
/// A coding that the client does not take now is no use to it: a shared cache may ask with the tags
/// of all it has, and a 304 says which of them to use. A request that changes something (`is_safe`
/// is false) has no use for content: what it names is the state that must not be there.
///
/// A range is asked for where a part is there already, of the coded form it may be, and only the
/// uncoded one has ranges here. A tag tells them apart. A date (RFC 9110 section 13.1.5) does not:
/// who `takes_coded` forms then gets the whole, as section 14.2 lets a server do with any range. A
/// client that resumes uncoded content by date and says so (`Accept-Encoding: identity`) gets its range.
pub(crate) fn map(
    request: &mut HeaderMap,
    codings: &[&'static str],
    takes_coded: bool,
    is_safe: bool,
) -> Option<Box<CodedTags>> {
    let is_date = |value: &HeaderValue| !value.as_bytes().ends_with(b"\"");
    if takes_coded && request.get(IF_RANGE).is_some_and(is_date) {
        request.remove(RANGE);
        request.remove(IF_RANGE);
    }
    if request.contains_key(IF_MATCH) && !request.contains_key(RANGE) {
        // Whoever changes a resource names the state that it has seen, in whatever coding.
        let tags = read(request, &IF_MATCH, codings, |_, _| true);
        add(request, IF_MATCH, &tags.coded);
    }
    if !request.contains_key(IF_NONE_MATCH) {
        return None;
    }
    let takes =
        |request: &HeaderMap, coding: &str| !is_safe || coding::weight(request, coding).is_some();
    let tags = read(request, &IF_NONE_MATCH, codings, takes);
    add(request, IF_NONE_MATCH, &tags.coded);
    (!tags.coded.is_empty()).then(|| Box::new(tags))
}

/// Gives a 304 the tag that the client has, of several that of the coding that would be sent.
pub(crate) fn not_modified(
    response: &mut HeaderMap,
    tags: Option<&CodedTags>,
    best: Option<&'static str>,
) {
    if response.contains_key(VARY) || tags.is_some() {
        // The fields of a 304 take the place of stored ones: this one must not get lost. Where the
        // 304 has no `Vary`, the stored one stays (RFC 9111 section 3.2); to add it everywhere would
        // split what caches have of content that is never coded.
        coding::vary_by_coding(response);
    }
    let (Some(tags), Some(tag)) = (tags, response.get(ETAG)) else { return };
    let of = |coding: Option<&str>| {
        tags.coded.iter().find(|(plain, own)| plain == tag && coding.is_none_or(|c| c == *own))
    };
    let has_plain = || tags.plain.contains(tag);
    let chosen =
        best.and_then(|best| of(Some(best))).or_else(|| if has_plain() { None } else { of(None) });
    if let Some((plain, coding)) = chosen
        && let Some(coded) = coding::coded_tag(plain, coding)
    {
        response.insert(ETAG, coded);
    }
}

fn read(
    request: &HeaderMap,
    name: &HeaderName,
    codings: &[&'static str],
    takes: impl Fn(&HeaderMap, &str) -> bool,
) -> CodedTags {
    let mut tags = CodedTags { coded: Vec::new(), plain: Vec::new() };
    let mut count = 0;
    for line in request.get_all(name) {
        for tag in tags_of(line.as_bytes()) {
            count += 1;
            if count > MAX_TAGS {
                return CodedTags { coded: Vec::new(), plain: Vec::new() };
            }
            if let Ok(value) = HeaderValue::from_bytes(tag) {
                tags.plain.push(value);
            }
            if let Some((plain, coding)) = coding::plain_tag(tag, codings)
                && takes(request, coding)
            {
                tags.coded.push((plain, coding));
            }
        }
    }
    tags
}

/// The tags of a line, with their quotes and whether they are weak: ours are. A tag may have a comma in it (RFC 9110 section
/// 8.8.3), so the quotes are what counts.
pub(crate) fn tags_of(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let begin = rest.iter().position(|&b| b == b'"')?;
        let len = rest[begin + 1..].iter().position(|&b| b == b'"')? + 2;
        let weak = rest[..begin].ends_with(b"W/");
        let tag = &rest[if weak { begin - 2 } else { begin }..begin + len];
        rest = &rest[begin + len..];
        Some(tag)
    })
}

/// Puts tags in front of those that are there, in one line: some look at the first alone.
fn add(request: &mut HeaderMap, name: HeaderName, tags: &[(HeaderValue, &'static str)]) {
    if tags.is_empty() {
        return;
    }
    let mut line: Vec<u8> = Vec::new();
    let plain = tags.iter().map(|(plain, _)| plain);
    for value in plain.chain(request.get_all(&name)) {
        if !line.is_empty() {
            line.extend_from_slice(b", ");
        }
        line.extend_from_slice(value.as_bytes());
    }
    if let Ok(line) = HeaderValue::from_bytes(&line) {
        request.insert(name, line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODINGS: [&str; 2] = ["br", "gzip"];

    fn request(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        let mut fields = HeaderMap::new();
        for (name, value) in lines {
            fields.append(*name, HeaderValue::from_static(value));
        }
        fields
    }

    #[test]
    fn conditions_name_the_original_too() {
        for (given, expected) in [
            (r#""a-br""#, r#""a", "a-br""#),
            (r#""a""#, r#""a""#),
            (r#"W/"a-br""#, r#""a", W/"a-br""#),
            (r#""x,-gzip", W/"y", "a-br""#, r#""x,", "a", "x,-gzip", W/"y", "a-br""#),
            (r#""a-zstd""#, r#""a-zstd""#),
            ("*", "*"),
            (r#""broken-br"#, r#""broken-br"#),
        ] {
            let mut fields =
                request(&[("if-none-match", given), ("if-match", given), ("accept-encoding", "*")]);
            map(&mut fields, &CODINGS, true, true);
            assert_eq!(fields["if-none-match"], expected);
            assert_eq!(fields["if-match"], expected);
        }
    }

    #[test]
    fn a_coding_that_is_not_taken_is_not_mapped() {
        let mut fields = request(&[
            ("if-none-match", r#""a-br", "a-gzip""#),
            ("if-match", r#""a-br""#),
            ("accept-encoding", "gzip"),
        ]);
        let tags = map(&mut fields, &CODINGS, true, true).expect("one of them");
        assert_eq!(fields["if-none-match"], r#""a", "a-br", "a-gzip""#);
        assert_eq!(fields["if-match"], r#""a", "a-br""#);
        assert_eq!(tags.coded.len(), 1);
    }

    #[test]
    fn a_304_names_what_the_client_has() {
        for (listed, best, tag, expected) in [
            (r#"W/"a-br""#, Some("br"), r#""a""#, r#"W/"a-br""#),
            (r#""a-br""#, Some("br"), r#""a""#, r#"W/"a-br""#),
            (r#"W/"a-br""#, Some("gzip"), r#""a""#, r#"W/"a-br""#),
            (r#"W/"a-br", W/"a-gzip""#, Some("gzip"), r#""a""#, r#"W/"a-gzip""#),
            (r#"W/"a-br", "a""#, Some("gzip"), r#""a""#, r#""a""#),
            (r#"W/"a-br", "a""#, Some("br"), r#""a""#, r#"W/"a-br""#),
            (r#"W/"a-br", W/"b-br""#, Some("br"), r#""b""#, r#"W/"b-br""#),
            // An origin server whose own tags look like ours.
            (r#""a-br""#, Some("br"), r#""a-br""#, r#""a-br""#),
        ] {
            let mut fields = request(&[("if-none-match", listed), ("accept-encoding", "br, gzip")]);
            let tags = map(&mut fields, &CODINGS, true, true);
            let mut response = request(&[("etag", tag)]);
            not_modified(&mut response, tags.as_deref(), best);
            assert_eq!(response["etag"], expected, "{listed}");
            assert_eq!(response["vary"], "accept-encoding");
        }
    }

    #[test]
    fn what_changes_something_names_a_state_in_whatever_coding() {
        let mut fields = request(&[("if-none-match", r#"W/"a-br""#)]);
        assert!(map(&mut fields, &CODINGS, false, true).is_none());
        assert_eq!(fields["if-none-match"], r#"W/"a-br""#);
        map(&mut fields, &CODINGS, false, false);
        assert_eq!(fields["if-none-match"], r#""a", W/"a-br""#);
    }

    #[test]
    fn a_304_keeps_vary() {
        let mut response = request(&[("vary", "origin")]);
        not_modified(&mut response, None, None);
        assert_eq!(response.get_all("vary").iter().count(), 2);
        let mut response = request(&[("etag", r#""a""#)]);
        not_modified(&mut response, None, None);
        assert!(!response.contains_key("vary"));
    }

    #[test]
    fn a_range_is_never_of_another_form_than_the_part_that_is_there() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (condition, takes_coded, ranges) in [
            (DATE, true, false),
            (DATE, false, true),
            (r#""a""#, true, true),
            (r#"W/"a-br""#, true, true),
        ] {
            let mut fields = request(&[("range", "bytes=9-"), ("if-range", condition)]);
            map(&mut fields, &CODINGS, takes_coded, true);
            assert_eq!(fields.contains_key("range"), ranges, "{condition}");
            assert_eq!(fields.contains_key("if-range"), ranges, "{condition}");
        }
        let mut fields = request(&[("range", "bytes=9-"), ("if-match", r#""a-br""#)]);
        map(&mut fields, &CODINGS, true, true);
        assert_eq!(fields["if-match"], r#""a-br""#, "a condition that does not hold: 412");
    }

    #[test]
    fn a_long_list_is_left_alone() {
        let long: String = (0..100).map(|n| format!("\"{n}-br\", ")).collect();
        let value = HeaderValue::from_str(&long).expect("a value");
        let mut fields = request(&[("accept-encoding", "br")]);
        fields.insert(IF_NONE_MATCH, value.clone());
        assert!(map(&mut fields, &CODINGS, true, true).is_none());
        assert_eq!(fields[IF_NONE_MATCH], value);
    }
}

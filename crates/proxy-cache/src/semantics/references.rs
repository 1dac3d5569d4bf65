//! References to other resources (RFC 3986 section 5), as `Location` and `Content-Location` hold
//! them.

use http::Uri;

/// The URI that a reference means where `base` is the target, without its fragment. None if it is
/// no http or https URI.
pub(super) fn resolve(base: &Uri, reference: &[u8]) -> Option<Uri> {
    let reference = std::str::from_utf8(super::lists::trim(reference)).ok()?;
    let reference = reference.split_once('#').map_or(reference, |(before, _)| before);
    let scheme = base.scheme_str()?;
    let authority = base.authority()?.as_str();
    if has_scheme(reference) {
        let (scheme, rest) = reference.split_once(':')?;
        let (authority, path, query) = split(rest);
        return build(scheme, authority?, &normal(path), query);
    }
    let (found, path, query) = split(reference);
    if let Some(authority) = found {
        return build(scheme, authority, &normal(path), query);
    }
    if path.is_empty() {
        return build(scheme, authority, base.path(), query.or(base.query()));
    }
    if path.starts_with('/') {
        return build(scheme, authority, &normal(path), query);
    }
    // Section 5.2.3: what is in the last segment of the base gives way.
    let directory = base.path().rsplit_once('/').map_or("", |(directory, _)| directory);
    build(scheme, authority, &normal(&format!("{directory}/{path}")), query)
}

/// Whether two URIs name the same resource: scheme and host in any case, the default port given
/// or not (RFC 9110 section 4.2.3).
pub(super) fn is_same(one: &Uri, other: &Uri) -> bool {
    is_same_origin(one, other)
        && path(one) == path(other)
        && one.query().unwrap_or_default() == other.query().unwrap_or_default()
        && one.query().is_some() == other.query().is_some()
}

/// Whether two URIs have the same origin (RFC 9110 section 4.3.1).
pub(super) fn is_same_origin(one: &Uri, other: &Uri) -> bool {
    match (one.host(), other.host()) {
        (Some(host), Some(host_of_other)) => {
            one.scheme() == other.scheme()
                && host.eq_ignore_ascii_case(host_of_other)
                && port(one).is_some()
                && port(one) == port(other)
        }
        _ => false,
    }
}

fn path(uri: &Uri) -> &str {
    if uri.path().is_empty() { "/" } else { uri.path() }
}

fn port(uri: &Uri) -> Option<u16> {
    uri.port_u16().or(match uri.scheme_str()? {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    })
}

fn has_scheme(reference: &str) -> bool {
    let Some((scheme, _)) = reference.split_once(':') else { return false };
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Authority, path, query.
fn split(reference: &str) -> (Option<&str>, &str, Option<&str>) {
    let (before, query) = match reference.split_once('?') {
        Some((before, query)) => (before, Some(query)),
        None => (reference, None),
    };
    match before.strip_prefix("//") {
        Some(rest) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            (Some(authority), path, query)
        }
        None => (None, before, query),
    }
}

/// Without dot segments (RFC 3986 section 5.2.4), and at least `/`.
fn normal(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}

fn build(scheme: &str, authority: &str, path: &str, query: Option<&str>) -> Option<Uri> {
    if !(scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https"))
        || authority.contains('@')
    {
        return None;
    }
    let path = if path.is_empty() { "/" } else { path };
    let target = match query {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    Uri::builder()
        .scheme(scheme.to_ascii_lowercase().as_str())
        .authority(authority)
        .path_and_query(target)
        .build()
        .ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn references_are_resolved_as_rfc_3986_section_5_4_shows() {
        let base = Uri::from_static("http://a/b/c/d;p?q");
        const CASES: &[(&str, &str)] = &[
            // 5.4.1
            ("g", "http://a/b/c/g"),
            ("./g", "http://a/b/c/g"),
            ("g/", "http://a/b/c/g/"),
            ("/g", "http://a/g"),
            ("//g", "http://g/"),
            ("?y", "http://a/b/c/d;p?y"),
            ("g?y", "http://a/b/c/g?y"),
            ("#s", "http://a/b/c/d;p?q"),
            ("g#s", "http://a/b/c/g"),
            ("g?y#s", "http://a/b/c/g?y"),
            (";x", "http://a/b/c/;x"),
            ("", "http://a/b/c/d;p?q"),
            (".", "http://a/b/c/"),
            ("./", "http://a/b/c/"),
            ("..", "http://a/b/"),
            ("../", "http://a/b/"),
            ("../g", "http://a/b/g"),
            ("../..", "http://a/"),
            ("../../g", "http://a/g"),
            // 5.4.2
            ("../../../g", "http://a/g"),
            ("/./g", "http://a/g"),
            ("/../g", "http://a/g"),
            ("g.", "http://a/b/c/g."),
            ("..g", "http://a/b/c/..g"),
            ("./../g", "http://a/b/g"),
            ("./g/.", "http://a/b/c/g/"),
            ("g/./h", "http://a/b/c/g/h"),
            ("g/../h", "http://a/b/c/h"),
            ("g;x=1/../y", "http://a/b/c/y"),
            ("g?y/../x", "http://a/b/c/g?y/../x"),
            // absolute
            ("HTTPS://B:8443/x/../y?z", "https://B:8443/y?z"),
            ("http://b", "http://b/"),
            ("http://b?q", "http://b/?q"),
        ];
        for (reference, want) in CASES {
            let found = resolve(&base, reference.as_bytes()).map(|uri| uri.to_string());
            assert_eq!(found.as_deref(), Some(*want), "{reference}");
        }
        for none in ["mailto:a@b", "http:g", "http://u@b/", "g:h", "//", "http://a b/", "/\u{fc} "]
        {
            let found = resolve(&base, none.as_bytes());
            assert!(
                found.as_ref().is_none_or(|uri| none.contains('\u{fc}') && uri.host() == Some("a")),
                "{none}"
            );
        }
    }

    #[test]
    fn origins_are_compared() {
        const CASES: &[(&str, &str, bool, bool)] = &[
            ("http://a/", "http://a", true, true), // RFC 9110 4.2.3
            ("http://a/", "http://A:80/", true, true),
            ("https://a/", "https://a:443/", true, true),
            ("http://a/", "https://a/", false, false),
            ("http://a/", "http://a:443/", false, false),
            ("http://a/", "http://b/", false, false),
            ("http://a/x", "http://a/X", true, false),
            ("http://a/x", "http://a/x?", true, false),
        ];
        for &(one, other, origin, same) in CASES {
            let (a, b) = (Uri::from_static(one), Uri::from_static(other));
            assert_eq!(is_same_origin(&a, &b), origin, "{one} {other}");
            assert_eq!(is_same(&a, &b), same, "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn no_reference_makes_it_panic(reference in prop::collection::vec(any::<u8>(), 0..60)) {
            let _ = resolve(&Uri::from_static("http://a/b/c"), &reference);
        }

        #[test]
        fn what_is_resolved_has_no_dot_segments(reference in "[./?a:#]{0,30}") {
            if let Some(uri) = resolve(&Uri::from_static("http://a/b/c"), reference.as_bytes()) {
                prop_assert!(uri.path().split('/').all(|s| s != "." && s != ".."), "{uri}");
                prop_assert!(uri.path().starts_with('/'));
            }
        }
    }
}

//! Each kind of match, and what it must not match.

use super::super::error::testing::compiled;
use super::*;
use http::HeaderMap;

fn matcher(spec: &MatchSpec) -> Matcher {
    compiled(|problems| Matcher::compile(None, spec, problems)).unwrap()
}

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn request<'a>(method: &'a Method, path: &'a str, fields: &'a HeaderMap) -> RouteQuery<'a> {
    let (path, query) = match path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (path, None),
    };
    RouteQuery { listener: "web", method, scheme: "http", host: "x.test", path, query, fields }
}

fn fits(spec: &MatchSpec, target: &str) -> bool {
    let fields = HeaderMap::new();
    matches!(matcher(spec).fit(&request(&Method::GET, target, &fields)), Fit::Full(_))
}

#[test]
fn nothing_said_matches_everything() {
    for target in ["/", "/a/b?c", "*"] {
        assert!(fits(&MatchSpec::default(), target));
    }
    assert!(matcher(&MatchSpec::default()).is_catch_all());
}

/// The three kinds for the path are alternatives; `{rest}` follows the longest prefix.
#[test]
fn paths() {
    let spec = MatchSpec {
        paths: texts(&["/z", "/favicon.ico", "/%e2%82%ac"]),
        path_prefixes: texts(&["/a/", "/a/b"]),
        path_regex: Some(r"/v\d+|/v\d+/x".into()),
        ..MatchSpec::default()
    };
    let cases = [
        ("/z", Some("")),
        ("/favicon.ico", Some("")),
        ("/%E2%82%AC", Some("")),
        ("/z/", None),
        ("/Z", None),
        ("/a", Some("")),
        ("/a/", Some("")),
        ("/a/c", Some("c")),
        ("/a//c", Some("/c")),
        ("/a/b", Some("")),
        ("/a/b/c", Some("c")),
        ("/a/bc", Some("bc")),
        ("/ab", None),
        ("/v1", Some("")),
        ("/v1/x", Some("")),
        ("/v1/xy", None),
        ("/w/v1", None),
        ("/v1\n", None),
        ("/", None),
        ("*", None),
    ];
    let matcher = matcher(&spec);
    for (path, expected) in cases {
        assert_eq!(matcher.path.rest(path), expected, "{path:?}");
    }
}

#[test]
fn methods_match_exactly() {
    let spec = MatchSpec { methods: texts(&["GET", "PURGE"]), ..MatchSpec::default() };
    let matcher = matcher(&spec);
    let fields = HeaderMap::new();
    let cases = [("GET", true), ("PURGE", true), ("HEAD", false), ("get", false), ("POST", false)];
    for (name, takes) in cases {
        let method = Method::from_bytes(name.as_bytes()).unwrap();
        let expected = if takes { Fit::Full("a") } else { Fit::OtherMethod };
        assert_eq!(matcher.fit(&request(&method, "/a", &fields)), expected, "{name}");
    }
}

#[test]
fn hosts_schemes_and_listeners() {
    let spec = MatchSpec {
        hosts: texts(&["x.test", "=y.test"]),
        schemes: texts(&["https"]),
        ..MatchSpec::default()
    };
    let listeners = texts(&["web", "other"]);
    let matcher = compiled(|problems| Matcher::compile(Some(&listeners), &spec, problems)).unwrap();
    assert!(matcher.names_hosts() && !matcher.is_catch_all());
    let fields = HeaderMap::new();
    let cases = [
        ("web", "https", "x.test", true),
        ("other", "https", "A.x.test.", true),
        ("web", "HTTPS", "y.test", true),
        ("web", "https", "a.y.test", false),
        ("web", "http", "x.test", false),
        ("third", "https", "x.test", false),
        ("web", "https", "", false),
    ];
    for (listener, scheme, host, expected) in cases {
        let query = RouteQuery { listener, scheme, host, ..request(&Method::GET, "/", &fields) };
        let fit = matcher.fit(&query);
        assert_eq!(fit == Fit::Full(""), expected, "{listener} {scheme} {host}");
    }
}

#[test]
fn many_hosts_match_like_few() {
    let hosts: Vec<String> = (0..20).map(|n| format!("*.h{n}.test")).collect();
    let many = matcher(&MatchSpec { hosts, ..MatchSpec::default() });
    assert!(matches!(many.hosts, HostRule::Many(_)));
    assert!(many.hosts.holds("a.h7.test"));
    assert!(!many.hosts.holds("h7.test"));
}

#[test]
fn fields_match_by_line() {
    let mut fields = HeaderMap::new();
    fields.append("x-kind", "beta".parse().unwrap());
    fields.append("x-kind", "gamma-7".parse().unwrap());
    fields.append("x-bytes", http::HeaderValue::from_bytes(b"\xff\xfe").unwrap());
    let exact = |value: &str| FieldTest::Exact(value.into());
    let regex = |value: &str| FieldTest::Regex(value.into());
    let cases = [
        ("X-Kind", exact("beta"), true),
        ("x-kind", exact("gamma-7"), true),
        ("x-kind", exact("Beta"), false),
        ("x-kind", exact("beta, gamma-7"), false),
        ("x-kind", regex(r"gamma-\d"), true),
        ("x-kind", regex("gamma"), false),
        ("x-kind", regex("b|beta"), true),
        ("x-kind", FieldTest::Present(true), true),
        ("x-kind", FieldTest::Present(false), false),
        ("x-bytes", FieldTest::Present(true), true),
        ("x-bytes", regex("(?-u:.)+"), true),
        ("x-none", FieldTest::Present(true), false),
        ("x-none", FieldTest::Present(false), true),
        ("x-none", exact(""), false),
    ];
    for (name, value, expected) in cases {
        let shown = format!("{name} {value:?}");
        let spec = MatchSpec { fields: vec![(name.into(), value)], ..MatchSpec::default() };
        let fit = matcher(&spec).fit(&request(&Method::GET, "/", &fields));
        assert_eq!(fit == Fit::Full(""), expected, "{shown}");
    }
}

/// An encoding of a name or a value is not a way around a condition.
#[test]
fn query_parameters_match_decoded() {
    let exact = |value: &str| FieldTest::Exact(value.into());
    let regex = |value: &str| FieldTest::Regex(value.into());
    let cases = [
        ("/?v=1", "v", exact("1"), true),
        ("/?a&v=1&b", "v", exact("1"), true),
        ("/?v=0&v=1", "v", exact("1"), true),
        ("/?%76=%31", "v", exact("1"), true),
        ("/?v=a+b%2Bc", "v", exact("a b+c"), true),
        ("/?v=100%", "v", exact("100%"), true),
        ("/?v=1=2", "v", exact("1=2"), true),
        ("/?V=1", "v", exact("1"), false),
        ("/?vv=1", "v", exact("1"), false),
        ("/?v=11", "v", exact("1"), false),
        ("/?v", "v", exact(""), true),
        ("/?v=%31%32", "v", regex(r"\d+"), true),
        ("/?v=12a", "v", regex(r"\d+"), false),
        ("/?v", "v", FieldTest::Present(true), true),
        ("/?w", "v", FieldTest::Present(true), false),
        ("/?w", "v", FieldTest::Present(false), true),
        ("/", "v", FieldTest::Present(false), true),
        ("/?", "v", FieldTest::Present(true), false),
    ];
    for (target, name, value, expected) in cases {
        let shown = format!("{target} {name} {value:?}");
        let spec = MatchSpec { query: vec![(name.into(), value)], ..MatchSpec::default() };
        assert_eq!(fits(&spec, target), expected, "{shown}");
    }
}

#[test]
fn mistakes_are_all_reported() {
    let present = FieldTest::Present(true);
    let spec = MatchSpec {
        hosts: texts(&["x.test", "http://y.test"]),
        paths: texts(&["a", "/a?b", "/%7Ea"]),
        path_prefixes: texts(&["/a/../b"]),
        path_regex: Some("a)|(b".into()),
        methods: texts(&["get", "CONNECT", "G ET"]),
        schemes: texts(&["htps"]),
        fields: vec![
            ("a b".into(), present.clone()),
            ("Host".into(), present.clone()),
            ("Connection".into(), present),
            ("x".into(), FieldTest::Regex("(".into())),
        ],
        query: vec![("q".into(), FieldTest::Regex("[".into()))],
    };
    let errors = compiled(|problems| Matcher::compile(Some(&[]), &spec, problems)).unwrap_err();
    let expected = [
        "listeners: an empty list matches nothing",
        "match.hosts[1]: `http://y.test` looks like a URL",
        "match.paths[0]: `a` is not a path in normal form: it does not begin with `/`",
        "match.paths[1]: `/a?b` is not a path in normal form: '?' may not stand in a path",
        "match.paths[2]: `/%7Ea` is not a path in normal form: its normal form is `/~a`",
        "match.path_prefixes[0]: `/a/../b` is not a path in normal form: its normal form is `/b`",
        "match.path_regex: regex parse error",
        "match.methods[0]: methods are compared with regard to case; did you mean `GET`?",
        "match.methods[1]: CONNECT is always refused",
        "match.methods[2]: `G ET` is not a method",
        "match.schemes[0]: `htps` is neither `http` nor `https`; did you mean `http",
        "match.fields.a b: `a b` is not a field name",
        "match.fields.Host: match the host with `match.hosts`",
        "match.fields.Connection: this field belongs to one connection",
        "match.fields.x: regex parse error",
        "match.query.q: regex parse error",
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, expected) in errors.iter().zip(expected) {
        assert!(error.starts_with(expected), "{error}");
    }
}

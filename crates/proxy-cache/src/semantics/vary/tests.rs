use http::{HeaderMap, HeaderName, HeaderValue, header};
use proptest::prelude::*;

use super::*;

fn lines(name: &'static str, values: &[&str]) -> HeaderMap {
    values
        .iter()
        .map(|value| {
            let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
            (HeaderName::from_static(name), value)
        })
        .collect()
}

fn fields(names: &[&'static str]) -> VaryFields {
    names.iter().map(|name| HeaderName::from_static(name)).collect()
}

#[test]
fn vary_is_read() {
    let cases: &[(&[&str], Vary)] = &[
        // RFC 9110 12.5.5, RFC 9111 4.1
        (&[], Vary::None),
        (&[""], Vary::None),
        (&[" , "], Vary::None),
        (&["Foo"], Vary::Fields(fields(&["foo"]))),
        (&["Foo, bar , FOO"], Vary::Fields(fields(&["bar", "foo"]))),
        (&["Foo", "bar"], Vary::Fields(fields(&["bar", "foo"]))),
        (&["*"], Vary::Star),
        (&["*, *"], Vary::Star),
        (&["*", "*"], Vary::Star),
        (&[", *"], Vary::Star),
        (&["", "*"], Vary::Star),
        (&["*, Foo"], Vary::Star),
        (&["Foo, *"], Vary::Star),
        (&["Foo", "*"], Vary::Star),
        (&["Foo bar"], Vary::Star), // no field name: nothing is known to select
        (&["\"*\""], Vary::Star),
    ];
    for (values, want) in cases {
        assert_eq!(parse(&lines("vary", values)), *want, "{values:?}");
    }
}

#[test]
fn too_many_fields_count_as_any() {
    let name = |i: usize| format!("f{i}");
    let most: Vec<_> = (0..MAX_FIELDS).map(name).collect();
    let most: Vec<&str> = most.iter().map(String::as_str).collect();
    let found = |values: &[&str]| match parse(&lines("vary", values)) {
        Vary::Fields(fields) => Some(fields.names().len()),
        Vary::None => Some(0),
        Vary::Star => None,
    };
    assert_eq!(found(&most), Some(32));
    assert_eq!(found(&[&most.join(","), &most.join(", ")]), Some(32), "each counts once");
    assert_eq!(found(&[&most.join(","), "g"]), None);
    let many = vec!["f"; 1000];
    assert_eq!(found(&many), Some(1));
}

/// Whether two requests with these lines of one field are the same variant. Equality of keys and
/// `matches` must agree.
fn same(name: &'static str, one: &[&str], other: &[&str]) -> bool {
    let fields = fields(&[name]);
    let (one, other) = (lines(name, one), lines(name, other));
    let equal = variant_key(&fields, &one) == variant_key(&fields, &other);
    assert_eq!(matches(&variant_key(&fields, &one), &other), equal, "{one:?} {other:?}");
    assert_eq!(matches(&variant_key(&fields, &other), &one), equal, "{one:?} {other:?}");
    equal
}

#[test]
fn equivalent_values_are_equal() {
    type Case = (&'static str, &'static [&'static str], &'static [&'static str], bool);
    const CASES: &[Case] = &[
        // RFC 9111 4.1: both absent, one absent, equal, different
        ("foo", &[], &[], true),
        ("foo", &["1"], &[], false),
        ("foo", &[""], &[], false),
        ("foo", &["1"], &["1"], true),
        ("foo", &["1"], &["2"], false),
        ("foo", &["1"], &["12"], false),
        ("foo", &["a"], &["A"], false),
        // 4.1: normalising whitespace, combining lines
        ("foo", &["1,2"], &[" 1, 2 "], true),
        ("foo", &["1, 2"], &["1", "2"], true),
        ("foo", &["1, 2"], &["2, 1"], false),
        ("foo", &["\"1, 2\""], &["\"1,2\""], false),
        ("user-agent", &["a, b"], &["a,b"], false),
        ("cookie", &["a=1, b"], &["a=1,b"], false),
        ("cookie", &["a=1", "b=2"], &["a=1, b=2"], false),
        ("authorization", &["Basic x"], &["Basic x"], true),
        ("authorization", &["Basic x"], &["Basic X"], false),
        // Accept-Encoding: RFC 9110 12.5.3
        ("accept-encoding", &["gzip, br"], &["br,gzip"], true),
        ("accept-encoding", &["gzip, br"], &["GZIP", "Br"], true),
        ("accept-encoding", &["gzip, br;q=0.8"], &["br; q=0.5, gzip ;Q=1.000"], true),
        ("accept-encoding", &["gzip, br;q=0.8"], &["gzip;q=0.8, br"], false),
        ("accept-encoding", &["gzip, br"], &["gzip, br;q=0.8"], false),
        ("accept-encoding", &["gzip, br"], &["gzip"], false),
        ("accept-encoding", &["gzip, br;q=0"], &["gzip"], false),
        ("accept-encoding", &["gzip;q=0"], &["gzip"], false),
        ("accept-encoding", &["gzip, gzip"], &["gzip"], true),
        ("accept-encoding", &["x-gzip"], &["gzip"], true), // 8.4.1.3
        ("accept-encoding", &[""], &[], false),            // 12.5.3: empty and absent differ
        ("accept-encoding", &[""], &[" , "], true),
        ("accept-encoding", &["*"], &["gzip"], false),
        ("accept-encoding", &["gzip;q=2"], &["gzip"], false), // broken: as it is written
        ("accept-encoding", &["gzip;q=2"], &["gzip;q=2"], true),
        ("accept-encoding", &["gzip;level=9"], &["gzip"], false),
        ("accept-encoding", &["gzip;q=0.1, gzip;q=0.9"], &["gzip;q=0.9"], false),
        // Accept-Language: 12.5.4
        ("accept-language", &["en, de"], &["de,en"], true),
        ("accept-language", &["en-GB"], &["EN-gb"], true),
        ("accept-language", &["en", "de"], &["en, de"], true),
        ("accept-language", &["en;q=0.8, de"], &["de, en; q=0.80"], true),
        ("accept-language", &["en;q=0.8, de"], &["de, en;q=0.7"], false),
        ("accept-language", &["en"], &["de"], false),
        ("accept-language", &["en"], &["en, de"], false),
        ("accept-language", &["en;q=1."], &["en"], true), // 12.4.2 allows the bare point
        ("accept-language", &["en;q=1.001"], &["en"], false),
        ("accept-language", &["EN;q=1.5"], &["en;q=1.5"], false), // broken: as it is written
        ("accept-language", &["en;q=0.1234"], &["en;q=0.123"], false),
    ];
    for (name, one, other, want) in CASES {
        assert_eq!(same(name, one, other), *want, "{name}: {one:?} {other:?}");
    }
}

#[test]
fn every_field_selects() {
    let fields = fields(&["foo", "bar", "accept-language"]);
    let mut request = lines("foo", &["1"]);
    request.insert("bar", HeaderValue::from_static("abc"));
    let key = variant_key(&fields, &request);
    assert!(matches(&key, &request));
    let mut other = request.clone();
    other.insert("other", HeaderValue::from_static("x"));
    assert!(matches(&key, &other)); // RFC 9111 4.1: fields that are not named do not select
    for (name, value) in [("foo", "2"), ("bar", "abcd"), ("accept-language", "en")] {
        let mut other = request.clone();
        other.insert(name, HeaderValue::from_static(value));
        assert!(!matches(&key, &other), "{name}: {value}");
        assert_ne!(variant_key(&fields, &other), key, "{name}: {value}");
    }
    request.remove("bar");
    assert!(!matches(&key, &request));
}

#[test]
fn values_do_not_run_into_each_other() {
    let fields = fields(&["a", "b"]);
    let key = |a: &'static str, b: &'static str| {
        let mut request = lines("a", &[a]);
        request.insert("b", HeaderValue::from_static(b));
        variant_key(&fields, &request)
    };
    assert_ne!(key("x", "yz"), key("xy", "z"));
    assert_ne!(key("x,y", ""), key("x", "y"));
}

#[test]
fn a_long_list_is_taken_as_it_is_written() {
    let long: Vec<_> = (0..100).map(|i| format!("c{i}")).collect();
    let mut turned = long.clone();
    turned.reverse();
    assert!(same("accept-encoding", &[&long.join(",")], &[&long.join(" , ")]));
    assert!(!same("accept-encoding", &[&long.join(",")], &[&turned.join(",")]));
}

const NAMES: [&str; 4] = ["accept-encoding", "accept-language", "cookie", "x-foo"];

proptest! {
    #[test]
    fn keys_are_read_as_they_were_written(
        values in prop::collection::vec((0..4_usize, "[ -~]{0,30}"), 0..6),
        count in 1..5_usize,
    ) {
        let fields = fields(&NAMES[..count]);
        let request: HeaderMap = values
            .iter()
            .map(|(i, value)| {
                (HeaderName::from_static(NAMES[*i]), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        let key = variant_key(&fields, &request);
        prop_assert!(matches(&key, &request));
        prop_assert_eq!(VariantKey::from_bytes(&key.to_bytes()), Some(key));
    }

    /// Two requests match exactly where their keys are equal.
    #[test]
    fn matching_is_equality_of_keys(
        one in prop::collection::vec("(en|de|gzip|br|\\*)?(; ?q=(0|1|0\\.5|0\\.50))?,? ?", 0..4),
        other in prop::collection::vec("(en|de|gzip|br|\\*)?(; ?q=(0|1|0\\.5|0\\.50))?,? ?", 0..4),
        name in 0..4_usize,
    ) {
        let one: Vec<_> = one.iter().map(String::as_str).collect();
        let other: Vec<_> = other.iter().map(String::as_str).collect();
        same(NAMES[name], &one, &other);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Some(key) = VariantKey::from_bytes(&bytes) {
            let _ = matches(&key, &HeaderMap::new());
            prop_assert_eq!(key.to_bytes(), bytes);
        }
    }

    #[test]
    fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..60)) {
        if let Ok(value) = HeaderValue::from_bytes(&value) {
            let _ = parse(&HeaderMap::from_iter([(header::VARY, value)]));
        }
    }
}

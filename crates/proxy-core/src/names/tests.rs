//! Tables and properties of the grammar of names.

use super::*;
use proptest::prelude::*;

fn pattern(text: &str) -> NamePattern {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// INTERFACE, "Names": `x.test` is itself and all below it, `*.x.test` only what is below,
/// `=x.test` exact.
#[test]
fn names_grammar() {
    let cases: &[(&str, &[&str], &[&str])] = &[
        (
            "x.test",
            &["x.test", "X.TEST", "x.test.", "a.x.test", "a.b.x.test", "A.x.Test."],
            &["ax.test", "x.test.y", "test", "", ".", "x.test..", "xxtest", "x.tes"],
        ),
        ("*.x.test", &["a.x.test", "a.b.X.test."], &["x.test", "x.test.", "ax.test", "test"]),
        ("=x.test", &["x.test", "X.test."], &["a.x.test", "ax.test", "test"]),
        ("X.Test.", &["x.test", "a.x.test"], &["test"]),
        ("test", &["test", "x.test"], &["latest", "test.x"]),
        ("localhost", &["localhost", "a.localhost"], &["localhost.x"]),
        ("_dmarc.x-y.test", &["_dmarc.x-y.test"], &["dmarc.x-y.test"]),
        ("xn--bcher-kva.test", &["xn--bcher-kva.test"], &["bücher.test"]),
        ("127.0.0.1", &["127.0.0.1", "127.0.0.1.", "::ffff:127.0.0.1"], &["a.127.0.0.1", "1"]),
        ("=127.0.0.1", &["127.0.0.1"], &["127.0.0.2", "127.1", "2130706433"]),
        ("::1", &["::1", "[::1]", "[0:0::1]"], &["[::2]", "1", "[::1", "::1]"]),
        ("=[2001:DB8::1]", &["2001:db8::1", "[2001:db8:0:0::1]"], &["2001:db8::2"]),
        ("[::ffff:192.0.2.1]", &["192.0.2.1"], &["192.0.2.2"]),
    ];
    for (text, hits, misses) in cases {
        let pattern = pattern(text);
        let set = NameSet::from_iter([pattern.clone()]);
        for host in *hits {
            assert!(pattern.matches(host), "{text} should match {host}");
            assert!(set.contains(host), "a set of {text} should match {host}");
        }
        for host in *misses {
            assert!(!pattern.matches(host), "{text} should not match {host}");
            assert!(!set.contains(host), "a set of {text} should not match {host}");
        }
    }
}

#[test]
fn a_pattern_is_shown_as_it_is_written() {
    let cases = [
        ("X.test.", "x.test"),
        ("*.X.test", "*.x.test"),
        ("=x.Test", "=x.test"),
        ("=127.0.0.1", "127.0.0.1"),
        ("::1", "[::1]"),
        ("[::FFFF:192.0.2.1]", "192.0.2.1"),
    ];
    for (text, shown) in cases {
        let pattern = pattern(text);
        assert_eq!(pattern.to_string(), shown);
        assert_eq!(shown.parse(), Ok(pattern));
    }
}

#[test]
fn what_is_no_pattern_says_what_to_write() {
    let label = "a".repeat(64);
    let name = ["a".repeat(60).as_str(); 5].join(".");
    let cases = [
        ("", "holds no name"),
        (".", "holds no name"),
        ("=", "holds no name"),
        ("*.", "holds no name"),
        ("*", "only at the front"),
        ("*x.test", "only at the front"),
        ("www.*.test", "only at the front"),
        ("*.*.test", "only at the front"),
        ("=*.x.test", "either `=x.test` or `*.x.test`"),
        (".x.test", "write `x.test` for it and all below, `*.x.test`"),
        ("x..test", "empty label"),
        ("x.test..", "empty label"),
        ("http://x.test/", "only the host's name"),
        ("x.test/a", "only the host's name"),
        ("x.test:80", "write only the name, `x.test`"),
        ("[::1]:80", "write only the name, `[::1]`"),
        ("10.0.0.1:80", "write only the name, `10.0.0.1`"),
        ("x test", "' ' is not part"),
        (" x.test", "' ' is not part"),
        ("x.test\n", "'\\n' is not part"),
        ("user@x.test", "'@' is not part"),
        ("[::1", "'[' is not part"),
        ("fe80::1%eth0", "':' is not part"),
        ("bücher.test", "`xn--` form"),
        ("*.127.0.0.1", "nothing is below an IP address"),
        ("*.[::1]", "nothing is below an IP address"),
        ("10.0.0.256", "ends in a number"),
        ("127.1", "ends in a number"),
        ("2130706433", "ends in a number"),
        ("x.0x7F", "ends in a number"),
        ("*.0.0.1", "ends in a number"),
        (label.as_str(), "more than 63"),
        (name.as_str(), "more than 253"),
    ];
    for (text, part) in cases {
        let error = text.parse::<NamePattern>().expect_err(text).to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

/// INTERFACE, "Names": the longest name wins.
#[test]
fn the_longest_name_wins() {
    let set = NameSet::parse([
        "test",
        "x.test",
        "*.x.test",
        "=x.test",
        "*.b.x.test",
        "=deep.er.b.x.test",
        "192.0.2.1",
    ])
    .unwrap();
    assert_eq!(set.len(), 7);
    let cases = [
        ("test", Some("test")),
        ("y.test", Some("test")),
        ("x.test", Some("=x.test")),
        ("X.TEST.", Some("=x.test")),
        ("a.x.test", Some("*.x.test")),
        ("b.x.test", Some("*.x.test")),
        ("c.b.x.test", Some("*.b.x.test")),
        ("deep.er.b.x.test", Some("=deep.er.b.x.test")),
        ("very.deep.er.b.x.test", Some("*.b.x.test")),
        ("1.2.3.4.5.6.7.8.9.b.x.test", Some("*.b.x.test")),
        ("192.0.2.1", Some("192.0.2.1")),
        ("[::ffff:192.0.2.1]", Some("192.0.2.1")),
        ("192.0.2.2", None),
        ("x.tes", None),
        ("", None),
    ];
    for (host, expected) in cases {
        let found = set.longest(host).map(|found| found.to_string());
        assert_eq!(found.as_deref(), expected, "{host}");
    }
}

#[test]
fn a_set_counts_each_pattern_once() {
    let mut set = NameSet::new();
    assert!(set.is_empty() && !set.contains("x.test"));
    assert!(set.insert(pattern("x.test")));
    assert!(!set.insert(pattern("X.test.")));
    assert!(set.insert(pattern("=x.test")));
    assert!(set.insert(pattern("::1")));
    assert!(!set.insert(pattern("=[::1]")));
    assert_eq!(set.len(), 3);
}

proptest! {
    /// A set answers what its patterns answer one by one, with the longest of them.
    #[test]
    fn a_set_agrees_with_its_patterns(
        texts in prop::collection::vec("(=|\\*\\.)?[ab](\\.[ab]){0,3}", 0..12),
        host in "[abAB](\\.[abAB]){0,5}\\.?",
    ) {
        let patterns: Vec<NamePattern> = texts.iter().map(|text| pattern(text)).collect();
        let set: NameSet = patterns.iter().cloned().collect();
        let longest =
            patterns.iter().filter(|p| p.matches(&host)).map(|p| p.name().len()).max();
        let found = set.longest(&host);
        prop_assert_eq!(found.map(|found| found.length()), longest);
        if let Some(found) = found {
            let shown = found.to_string();
            prop_assert!(patterns.iter().any(|p| p.to_string() == shown && p.matches(&host)));
        }
    }

    /// No text makes parsing panic, and what parses is shown as something that parses to it.
    #[test]
    fn any_text_is_a_pattern_or_an_error(text in "\\PC{0,40}|[=*.a0-9x:\\[\\]]{0,20}") {
        if let Ok(pattern) = text.parse::<NamePattern>() {
            prop_assert_eq!(pattern.to_string().parse(), Ok(pattern));
        }
    }
}

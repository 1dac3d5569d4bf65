//! Lists in every form, the order of names, and lists that change.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proxy_core::NameSet;

use super::*;

fn list(text: &str) -> DomainList {
    DomainList::read(text.as_bytes()).unwrap()
}

fn set(names: &[&str]) -> DomainList {
    let names: DomainSet = names.iter().map(|name| name.parse().unwrap()).collect();
    names.into()
}

fn names(list: &DomainList, hosts: &[&str]) -> Vec<bool> {
    hosts.iter().map(|host| list.names.longest(host).is_some()).collect()
}

#[test]
fn every_form_is_read() {
    for (line, taken_in, left_out) in [
        ("x.test", "a.x.test", "ax.test"),
        ("X.Test.", "x.test", "test"),
        ("  x.test  # a comment", "x.test", "comment"),
        ("x.test\r", "x.test", "test"),
        ("\u{feff}x.test", "x.test", "test"),
        ("*.x.test", "a.x.test", "x.test"),
        ("=x.test", "x.test", "a.x.test"),
        (".x.test", "x.test", "ax.test"),
        ("0.0.0.0 x.test y.test", "y.test", "0.0.0.0"),
        ("127.0.0.1\tx.test # local", "a.x.test", "local"),
        ("::1 x.test localhost", "x.test", "localhost"),
        ("fe80::1%lo0 x.test", "x.test", "localhost"),
        ("0.0.0.0 0.0.0.0 x.test", "x.test", "0.0.0.0"),
        ("address=/x.test/0.0.0.0", "a.x.test", "address"),
        ("server=/x.test/y.test/", "y.test", "test"),
        ("local=/x.test/", "x.test", "local"),
        ("||x.test^", "a.x.test", "test"),
        ("||X.test^|", "x.test", "test"),
        ("bücher.test", "a.xn--bcher-kva.test", "bucher.test"),
        ("*.Bücher.test.", "a.xn--bcher-kva.test", "xn--bcher-kva.test"),
        ("0.0.0.0 例え.テスト", "xn--r8jz45g.xn--zckzah", "test"),
        ("192.0.2.1", "192.0.2.1", "192.0.2.2"),
        ("2001:db8::1", "[2001:DB8:0::1]", "2001:db8::2"),
        ("under_score.test", "under_score.test", "score.test"),
        ("1.2.3.test", "1.2.3.test", "2.3.test"),
    ] {
        let list = list(line);
        assert_eq!((list.bad_lines, list.other_lines), (0, 0), "{line}: {:?}", list.mistakes);
        assert_eq!(names(&list, &[taken_in, left_out]), [true, false], "{line}");
    }
}

#[test]
fn comments_say_nothing_and_page_rules_are_counted() {
    let text = "# a\n! b\n; c\n\n[Adblock Plus 2.0]\n127.0.0.1 localhost\n255.255.255.255 \
                broadcasthost\n## d\n";
    let list = list(text);
    assert!(list.is_empty() && list.bad_lines == 0 && list.other_lines == 0, "{list:?}");
    let text = "||x.test^$third-party\n||x.test/path\nx.test##.ad\n|https://x.test/\n\
                x.test#@#.ad\n@@||y.test^\n||a.test^\n";
    let list = self::list(text);
    assert_eq!((list.len(), list.bad_lines, list.other_lines), (2, 0, 5));
    assert!(list.exceptions.longest("b.y.test").is_some());
    assert!(list.names.longest("y.test").is_none());
}

#[test]
fn a_bad_line_is_told_with_its_number_and_the_rest_is_used() {
    let long = "x".repeat(5000);
    let text =
        format!("a.test\nhttp://b.test/\nc.test\nnot a name\n{long}\nd.test\ne.test\n-.x^\nf.test");
    let list = list(&text);
    assert_eq!((list.len(), list.bad_lines), (5, 4), "{:?}", list.mistakes);
    let lines: Vec<_> = list.mistakes.iter().map(|mistake| mistake.line).collect();
    assert_eq!(lines, [2, 4, 5, 8]);
    assert!(list.mistakes[0].to_string().starts_with("line 2: `http://b.test/` looks like a URL"));
}

#[test]
fn what_is_mostly_no_list_is_broken() {
    let html = "<!doctype html>\n<html><body>\n<h1>404</h1>\nx.test\n</body></html>\n";
    let error = DomainList::read(html.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("4 of 5 lines") && error.contains("line 1"), "{error}");
    assert!(DomainList::read(&b"\xff\xfe\x00\x01"[..]).is_err());
}

#[test]
fn the_longest_name_wins_and_at_equal_length_the_exception() {
    let lists = DomainLists::new()
        .with(Purpose::Block, ListHandle::new("inline", set(&["test", "ads.x.test", "=e.test"])))
        .with(Purpose::Block, ListHandle::new("file", list("b.x.test\n@@||c.b.x.test^\n")))
        .with(Purpose::Except, ListHandle::new("except", set(&["x.test", "*.e.test", "b.x.test"])));
    for (host, blocked) in [
        ("y.test", Some(("test", "inline"))),
        ("x.test", None),
        ("a.x.test", None),
        ("ads.x.test", Some(("ads.x.test", "inline"))),
        ("1.ads.x.test", Some(("ads.x.test", "inline"))),
        ("b.x.test", None),
        ("c.b.x.test", None),
        ("e.test", Some(("e.test", "inline"))),
        ("a.e.test", None),
        ("example", None),
        ("", None),
    ] {
        let expected = match blocked {
            Some((name, list)) => lists::Listed::Blocked { name, list: list.into() },
            None => lists::Listed::Free,
        };
        assert_eq!(lists.judge(host, true), expected, "{host}");
    }
}

#[test]
fn only_names_refuse_all_others_whatever_is_excepted() {
    let lists = DomainLists::new()
        .with(Purpose::Only, ListHandle::new("only", set(&["x.test", "=y.test"])))
        .with(Purpose::Block, ListHandle::new("block", set(&["bad.x.test"])))
        .with(Purpose::Except, ListHandle::new("except", set(&["z.test"])));
    let judged = |host| lists.judge(host, true);
    assert_eq!(judged("a.x.test"), lists::Listed::Free);
    assert!(matches!(judged("bad.x.test"), lists::Listed::Blocked { .. }));
    for host in ["z.test", "a.y.test", "", "192.0.2.1"] {
        assert_eq!(judged(host), lists::Listed::Unlisted, "{host}");
        assert_eq!(lists.judge(host, false), lists::Listed::Free, "{host}");
    }
}

#[test]
fn a_list_is_swapped_unless_it_lost_too_much() {
    let handle = ListHandle::new("l", set(&["a.test", "b.test", "c.test", "d.test"]));
    let lists = DomainLists::new().with(Purpose::Block, handle.clone());
    handle.renew(set(&["e.test", "f.test", "i.test"])).unwrap();
    assert!(matches!(lists.judge("e.test", true), lists::Listed::Blocked { .. }));
    assert_eq!(lists.judge("a.test", true), lists::Listed::Free);
    handle.renew(set(&["e.test", "f.test", "g.test", "h.test"])).unwrap();
    assert_eq!(
        handle.renew(set(&["a.test"])).unwrap_err().to_string(),
        "it went from 4 names to 1"
    );
    assert!(handle.renew(set(&["a.test", "b.test"])).is_err(), "half of them");
    assert!(handle.renew(DomainList::default()).is_err());
    handle.renew(set(&["f.test", "g.test", "h.test"])).unwrap();
    assert!(handle.renew(set(&["a.test"])).is_err(), "less than half of three");
    assert!(matches!(lists.judge("h.test", true), lists::Listed::Blocked { .. }));
    // What begins empty may grow, and may stay so.
    let empty = ListHandle::new("l", DomainList::default());
    empty.renew(DomainList::default()).unwrap();
    empty.renew(set(&["a.test"])).unwrap();
}

fn pattern() -> impl Strategy<Value = String> {
    let label = prop_oneof!["[ab]", "[a-c]{1,2}", "[a-z0-9-]{1,6}x"];
    let name = proptest::collection::vec(label, 1..4).prop_map(|labels| labels.join("."));
    (prop_oneof![Just(""), Just("*."), Just("=")], name)
        .prop_map(|(marker, name)| format!("{marker}{name}.test"))
}

proptest! {
    /// The set in little memory answers like the set of every other place.
    #[test]
    fn it_finds_what_a_name_set_finds(
        patterns in proptest::collection::vec(pattern(), 0..40),
        hosts in proptest::collection::vec("([ab]\\.|[a-cA-C]{1,2}\\.){0,4}[a-c]?\\.?test\\.?", 40),
    ) {
        let plain = NameSet::parse(patterns.iter().map(String::as_str)).unwrap();
        let text = patterns.join("\n");
        let list = list(&text);
        let bare = |pattern: &String| pattern.trim_start_matches(['*', '.', '=']).to_owned();
        let own: BTreeSet<String> = patterns.iter().map(bare).collect();
        prop_assert_eq!(list.names.len(), own.len());
        for host in hosts.iter().chain(&own) {
            let found = list.names.longest(host);
            let expected = plain.longest(host);
            prop_assert_eq!(found.map(|m| (m.length(), m.kind)), expected.map(|m| (m.length(), m.kind())));
        }
    }

    /// Nothing in a file makes it panic, and every line is accounted for.
    #[test]
    fn any_text_is_read_or_refused(text in "(\\PC{0,30}\n|[|@^=/.*#! a-z0-9:%-]{0,20}\n){0,20}") {
        if let Ok(list) = DomainList::read(text.as_bytes()) {
            prop_assert!(list.bad_lines + list.other_lines <= text.lines().count());
            prop_assert!(list.mistakes.len() <= list.bad_lines.min(5));
        }
    }

    /// The same for bytes.
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = DomainList::read(&bytes[..]);
    }
}

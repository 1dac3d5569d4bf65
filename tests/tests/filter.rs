//! The filter: lists of names, rules, their order, and what a client sees of them.

use std::fs;

use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::{MARK, Origin};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::{ports, waiting};

/// A `GET` in absolute-form.
fn fetch(proxy: &Proxyd, authority: &str) -> Answer {
    send(proxy, "GET", &format!("http://{authority}/a"), authority, "")
}

fn connect(proxy: &Proxyd, authority: &str) -> Answer {
    send(proxy, "CONNECT", authority, authority, "")
}

fn send(proxy: &Proxyd, method: &str, target: &str, host: &str, fields: &str) -> Answer {
    let raw = format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    client::exchange(proxy.address(), method, raw)
}

/// A clean page: the reason, the rule, a request id, and nothing of the request.
#[track_caller]
fn refused(answer: &Answer, status: u16, reason: &str, rule: &str) {
    let text = answer.text();
    assert_eq!(answer.status(), status, "{text}");
    assert!(text.contains(&format!("\"reason\":\"{reason}\"")), "{text}");
    assert!(text.contains(&format!("\"rule\":\"{rule}\"")), "{text}");
    assert!(text.contains("\"request_id\":\""), "{text}");
    assert!(!text.contains(".test") && !text.contains("localhost"), "echoes: {text}");
    assert_eq!(answer.field("cache-control"), Some("no-store"));
    assert_eq!(answer.field("content-type"), Some("application/problem+json"));
}

const OPEN: &str = "[forward]\nallow_private_destinations = true\n";

fn forward(filter: &str) -> Proxyd {
    configured::forward("", &format!("{OPEN}{filter}")).start()
}

#[test]
fn names_the_longest_wins_and_the_exception_at_equal_length() {
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    for (block, except, name, blocked) in [
        ("localhost", "", "localhost", true),
        ("localhost", "", "a.localhost", true),
        ("*.localhost", "", "localhost", false),
        ("=localhost", "", "a.localhost", true),
        ("other.test", "", "localhost", false),
        ("localhost", "localhost", "localhost", false),
        ("a.localhost", "localhost", "b.a.localhost", true),
        ("localhost", "a.localhost", "localhost", true),
        ("127.0.0.1", "", "127.0.0.1", true),
        ("127.0.0.1", "", "localhost", false),
    ] {
        // `=localhost` takes in nothing below; that it does not is told by another status.
        let blocked = blocked && !(block.starts_with('=') && name != &block[1..]);
        let except = if except.is_empty() { String::new() } else { format!("\"{except}\"") };
        let proxy = forward(&format!(
            "[filter]\nblock_domains = [\"{block}\"]\nblock_exceptions = [{except}]\n"
        ));
        for answer in [
            fetch(&proxy, &format!("{name}:{port}")),
            fetch(&proxy, &format!("{}.:{port}", name.to_uppercase())),
        ] {
            match blocked {
                true => refused(&answer, 403, "domain_blocked", "block_domains"),
                false => assert_ne!(answer.status(), 403, "{block} {except} {name}"),
            }
        }
        let answer = connect(&proxy, &format!("{name}:443"));
        let is_refused = answer.text().contains("domain_blocked");
        assert_eq!(is_refused, blocked, "{block} {except} {name}");
    }
}

#[test]
fn only_domains_refuses_all_others_and_is_of_the_forward_role() {
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    let proxy = configured::forward(
        "",
        &format!("{OPEN}only_domains = [\"localhost\"]\n[filter]\nblock_domains = [\"a.localhost\"]\nblock_exceptions = [\"other.test\"]\n"),
    )
    .start();
    assert_eq!(fetch(&proxy, &format!("localhost:{port}")).status(), 200);
    refused(&fetch(&proxy, "a.localhost"), 403, "domain_blocked", "block_domains");
    for name in ["other.test", "127.0.0.1"] {
        refused(&fetch(&proxy, name), 403, "domain_not_allowed", "only_domains");
        refused(
            &connect(&proxy, &format!("{name}:443")),
            403,
            "domain_not_allowed",
            "only_domains",
        );
    }
}

/// An `allow` ends the rules only.
#[test]
fn an_allow_waives_neither_ports_nor_guard_nor_lists_nor_limits() {
    let origin = Origin::saying("hello");
    let at = origin.address();
    let rules = "[filter]\nblock_domains = [\"ads.test\"]\n\
         [[filter.rules]]\nid = \"all\"\naction = \"allow\"\n\
         [[filter.rules]]\nid = \"never\"\naction = \"deny\"\n\
         [[filter.rate_limits]]\nid = \"few\"\nkey = \"client\"\nrate = \"1/h\"\nburst = 1\n";
    let proxy = configured::forward("", rules).start();
    refused(&fetch(&proxy, "ads.test"), 403, "domain_blocked", "block_domains");
    let port = fetch(&proxy, "x.test:22");
    assert!(port.text().contains("port_not_allowed"), "{}", port.text());
    // The port comes before the list.
    let port = connect(&proxy, "ads.test:22");
    assert!(port.text().contains("port_not_allowed"), "{}", port.text());
    let guard = fetch(&proxy, &at.to_string());
    assert!(guard.text().contains("destination_ip_prohibited"), "{}", guard.text());
    assert_eq!(fetch(&proxy, &at.to_string()).status(), 429);
    assert_eq!(origin.links(), 0);
}

#[test]
fn the_first_enforcing_rule_ends_them_and_a_report_never_does() {
    let origin = Origin::saying("hello");
    let rules = "[[filter.rules]]\nid = \"try\"\nmatch = { path_prefixes = [\"/a\"] }\n\
         action = \"deny\"\nmode = \"report\"\n\
         [[filter.rules]]\nid = \"mark\"\nmatch = { methods = [\"GET\"] }\naction = \"tag\"\ntag = \"reads\"\n\
         [[filter.rules]]\nid = \"name\"\nmatch = { tags = [\"reads\"] }\naction = \"set_field\"\n\
         field = \"X-Seen\"\nvalue = \"yes\"\n\
         [[filter.rules]]\nid = \"away\"\nmatch = { paths = [\"/away\"] }\naction = \"redirect\"\nto = \"/b?c\"\n\
         [[filter.rules]]\nid = \"fine\"\nmatch = { fields = { X-Ok = true } }\naction = \"allow\"\n\
         [[filter.rules]]\nid = \"no-post\"\nmatch = { methods = [\"POST\"], routes = [\"all\"] }\n\
         action = \"deny\"\nstatus = 451\npage = \"For legal reasons, not here.\"\n";
    let proxy = configured::gateway(&origin.url(), "", rules).start();
    let ask =
        |method: &str, path: &str, fields: &str| send(&proxy, method, path, "origin.test", fields);
    let answer = ask("GET", "/a", "X-Seen: forged\r\n");
    assert_eq!((answer.status(), answer.field(MARK)), (200, Some("yes")));
    assert_eq!(origin.last().head.fields.all("x-seen"), ["yes"]);
    let answer = ask("GET", "/away", "");
    assert_eq!((answer.status(), answer.field("location")), (302, Some("/b?c")));
    let answer = ask("POST", "/a", "Content-Length: 0\r\n");
    assert_eq!(answer.status(), 451);
    assert!(answer.text().contains("For legal reasons, not here."), "{}", answer.text());
    // A gateway does not tell strangers which rule it was.
    assert!(!answer.text().contains("no-post"), "{}", answer.text());
    assert_eq!(ask("POST", "/a", "X-Ok: 1\r\nContent-Length: 0\r\n").status(), 200);
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() >= 4).then_some(log)
    });
    assert!(log.contains("\"denied_by\":\"filter\",\"rule\":\"no-post\""), "{log}");
}

#[test]
fn by_default_deny_lets_only_what_a_rule_allows() {
    let origin = Origin::saying("hello");
    let rules = "[filter]\ndefault = \"deny\"\n[[filter.rules]]\nid = \"reading\"\n\
                 match = { methods = [\"GET\", \"HEAD\"] }\naction = \"allow\"\n";
    let proxy = configured::gateway(&origin.url(), "", rules).start();
    assert_eq!(send(&proxy, "GET", "/", "origin.test", "").status(), 200);
    let answer = send(&proxy, "DELETE", "/", "origin.test", "");
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("no_rule_allows"), "{}", answer.text());
}

#[test]
fn a_hit_passes_the_same_rules_as_a_miss() {
    let origin = Origin::answering(|_, _| {
        vec![proxyd_tests::origin::Act::Send(
            b"HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 2\r\n\r\nhi"
                .to_vec(),
        )]
    });
    let rules = "cache = true\n[[filter.rules]]\nid = \"bots\"\n\
                 match = { fields = { User-Agent = { regex = \"(?i).*bot.*\" } } }\naction = \"deny\"\n";
    let proxy = configured::gateway(&origin.url(), "", rules).start();
    let ask = |agent: &str| {
        send(&proxy, "GET", "/a", "origin.test", &format!("User-Agent: {agent}\r\n")).status()
    };
    assert_eq!([ask("curl"), ask("curl"), ask("BadBot/1"), ask("curl")], [200, 200, 403, 200]);
    assert_eq!(origin.lines().len(), 1);
}

#[test]
fn a_list_that_changes_is_used_and_one_that_breaks_is_not() {
    let scratch = Scratch::new("lists");
    let origin = Origin::saying("hello");
    let port = origin.address().port();
    let list = scratch.write("list.txt", "a.test\nb.test\nc.test\nd.test\n");
    let proxy = forward(&format!("[filter]\nblock_domains = [\"@{}\"]\n", list.display()));
    let is_blocked = |name: &str| fetch(&proxy, &format!("{name}:{port}")).status() == 403;
    assert!(is_blocked("a.test") && !is_blocked("localhost"));
    // Written beside it and put into its place, as one should.
    let swap = |text: &str| {
        let new = scratch.write("list.new", text);
        fs::rename(new, &list).unwrap();
    };
    swap("localhost\nb.test\nc.test\n");
    waiting::until("the new list", || is_blocked("localhost").then_some(()));
    assert!(!is_blocked("a.test"));
    for (text, why) in [
        ("", "it went from 3 names to 0"),
        ("b.test\n# more than half of it is gone\n", "it went from 3 names to 1"),
        ("<html>\n<body>\n<h1>Not found</h1>\nb.test\n", "are no names"),
    ] {
        swap(text);
        waiting::until(why, || proxy.stderr().contains(why).then_some(()));
        assert!(is_blocked("localhost"), "{text}");
    }
    swap("x.test\ny.test\nz.test\n");
    waiting::until("the last list", || (!is_blocked("localhost")).then_some(()));
    let metrics = proxy.ask_admin("/metrics").text();
    assert!(metrics.contains("proxy_filter_list_names{list="), "{metrics}");
    let kept = metrics
        .lines()
        .filter(|line| line.starts_with("proxy_filter_list_reloads_total{"))
        .find(|line| line.contains("outcome=\"kept\""))
        .unwrap_or_default();
    assert!(kept.ends_with(" 3"), "{kept}");
}

#[test]
fn a_block_list_on_the_command_line() {
    let scratch = Scratch::new("block-list");
    let list = scratch.write("ads.txt", "0.0.0.0 ads.test tracker.test\n||spy.test^\n");
    let proxy = proxyd::forward().args(&["--block-list", &list.display().to_string()]).start();
    for name in ["ads.test", "a.tracker.test", "SPY.test."] {
        refused(&fetch(&proxy, name), 403, "domain_blocked", "block_domains");
    }
}

#[test]
fn explain_tells_which_rules_were_tried_and_why() {
    let scratch = Scratch::new("explain-filter");
    scratch.write(
        "proxyd.toml",
        "[listeners.f]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\
         [filter]\nblock_domains = [\"ads.test\"]\nblock_exceptions = [\"good.ads.test\"]\n\
         [[filter.rules]]\nid = \"try-video\"\nmatch = { hosts = [\"video.test\"] }\n\
         action = \"deny\"\nmode = \"report\"\n\
         [[filter.rules]]\nid = \"no-uploads\"\nmatch = { methods = [\"PUT\"], hosts = [\"video.test\"] }\n\
         action = \"deny\"\n",
    );
    let explained = |method: &str, url: &str| {
        let all = ["explain", "--config", "proxyd.toml", method, url];
        let outcome = proxyd::run_to_end(scratch.path(), &all);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        outcome.stdout.lines().map(words).collect::<Vec<_>>()
    };
    let lines = explained("GET", "http://video.test/");
    for line in [
        "filter skip no list has the name (rule block_domains)",
        "filter report denied_by_rule (rule try-video)",
        "filter skip methods do not match (rule no-uploads)",
    ] {
        assert!(lines.iter().any(|own| own == line), "{line}: {lines:#?}");
    }
    let lines = explained("PUT", "http://a.video.test/");
    assert!(
        lines.contains(&"filter deny denied_by_rule (rule no-uploads)".to_owned()),
        "{lines:#?}"
    );
    let lines = explained("CONNECT", "x.ads.test:443");
    assert!(lines.iter().any(|line| line.contains("ads.test is in block_domains")), "{lines:#?}");
    assert!(lines.iter().any(|line| line.starts_with("answer 403 by refusal")), "{lines:#?}");
}

#[test]
fn a_page_for_people_and_nothing_runs_on_a_port_of_ours() {
    let proxy = forward("[filter]\nblock_domains = [\"ads.test\"]\n");
    let answer =
        send(&proxy, "GET", "http://ads.test/<script>", "ads.test", "Accept: text/html\r\n");
    assert_ne!(answer.status(), 200);
    let answer =
        send(&proxy, "GET", "http://ads.test/a?b=<x>", "ads.test", "Accept: text/html\r\n");
    let text = answer.text();
    assert!(text.contains("<!doctype html>") && text.contains("block_domains"), "{text}");
    assert!(!text.contains("ads.test") && !text.contains("<x>"), "{text}");
    let _ = ports::free();
}

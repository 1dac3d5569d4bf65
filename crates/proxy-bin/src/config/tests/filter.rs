//! `[filter]`: what is wrong is told with its place, and what is right arrives.

use proxy_filter::domains::Listed;
use proxy_filter::rules::{ActionSpec, Mode};

use super::*;

const LISTENERS: &str = "[listeners.f]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n";

#[test]
fn rules_arrive_in_their_order() {
    let text = format!(
        r#"{LISTENERS}
[filter]
default = "deny"
[[filter.rules]]
id = "try"
match = {{ hosts = ["video.test"] }}
action = "deny"
mode = "report"
[[filter.rules]]
id = "legal"
match = {{ clients = ["10.0.0.0/8"], ports = [443, "8000-8099"], times = ["mon-fri 08:00-18:00"] }}
action = "deny"
status = 451
page = "Not here."
[[filter.rules]]
id = "go"
action = "redirect"
to = "https://x.test/"
[[filter.rules]]
id = "slow"
action = "rate_limit"
limit = "per-client"
[[filter.rate_limits]]
id = "per-client"
key = "client"
rate = "10/s"
"#
    );
    let filter = loaded(&text).resolved.filter;
    assert!(filter.deny_by_default);
    let ids: Vec<_> = filter.rules.iter().map(|rule| rule.id.as_str()).collect();
    assert_eq!(ids, ["try", "legal", "go", "slow"]);
    assert_eq!(filter.rules[0].mode, Mode::Report);
    let page = Some("Not here.".to_owned());
    assert_eq!(filter.rules[1].action, ActionSpec::Deny { status: 451, page });
    assert_eq!(filter.rules[1].matches.ports, ["443", "8000-8099"]);
    let to = "https://x.test/".to_owned();
    assert_eq!(filter.rules[2].action, ActionSpec::Redirect { to, status: 302 });
}

#[test]
fn every_mistake_has_its_place() {
    let text = format!(
        r#"{LISTENERS}
[filter]
block_domains = ["ads.test", "http://b.test", "@no-such-file", "@"]
[[filter.rules]]
id = "a"
match = {{ hosts = ["*"], listeners = ["g"], routes = ["r"], methods = ["get"] }}
action = "deny"
status = 200
[[filter.rules]]
id = "a"
action = "redirect"
page = "x"
[[filter.rules]]
id = "b"
action = "rate_limit"
limit = "none"
[[filter.rules]]
id = "c"
action = "redirect"
to = "//evil.test"
"#
    );
    let found = errors(&text);
    let places: Vec<&str> = found.iter().map(|line| line.split(": ").nth(2).unwrap()).collect();
    assert_eq!(
        places,
        [
            "filter.block_domains[1]",
            "filter.block_domains[2]",
            "filter.block_domains[3]",
            "filter.rules[0].match.hosts[0]",
            "filter.rules[0].match.listeners[0]",
            "filter.rules[0].match.routes[0]",
            "filter.rules[0].match.methods[0]",
            "filter.rules[0].status",
            "filter.rules[1]",
            "filter.rules[1].id",
            "filter.rules[1].page",
            "filter.rules[2].limit",
            "filter.rules[3].to",
        ],
        "{found:#?}"
    );
    assert!(found.iter().any(|line| line.contains("did you mean `GET`?")), "{found:#?}");
}

#[test]
fn a_list_is_a_file_beside_the_configuration() {
    let lists = "[filter]\nblock_domains = [\"@domains.txt\", \"c.test\"]\n\
                 block_exceptions = [\"d.c.test\"]\n";
    let folder = Folder::new(&[
        ("domains.txt", "0.0.0.0 a.test\nnot a name\n||b.test^\n"),
        ("html.txt", "<html>\n<body>\n"),
        ("a.toml", &format!("{LISTENERS}{lists}")),
        ("b.toml", &format!("{LISTENERS}[filter]\nblock_domains = [\"@html.txt\"]\n")),
    ]);
    let loaded = folder.load("a.toml").unwrap();
    let filter = &loaded.resolved.filter;
    for (host, blocked) in
        [("x.a.test", true), ("b.test", true), ("c.test", true), ("d.c.test", false)]
    {
        let is_blocked = filter.lists.judge(host, true) != Listed::Free;
        assert_eq!(is_blocked, blocked, "{host}");
    }
    assert_eq!(filter.files.len(), 1);
    let warnings: Vec<String> =
        loaded.warnings.iter().map(|warning| folder.relative(warning)).collect();
    assert!(warnings.iter().any(|line| line.contains("domains.txt:2: skipped")), "{warnings:#?}");
    let errors = folder.errors("b.toml");
    assert!(
        errors[0].contains("html.txt: 2 of 2 lines are no names; the first: line 1"),
        "{errors:#?}"
    );
}

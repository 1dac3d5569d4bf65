//! Suites about a small configuration.

use super::*;
use crate::config::tests::Folder;
use crate::config::{Overrides, load};

const CONFIG: &str = r#"
[listeners.web]
address = "127.0.0.1:8080"
role = "gateway"
trusted_proxies = ["10.0.0.0/8"]

[listeners.out]
address = "127.0.0.1:3128"
role = "forward"

[server]
via_name = "test"

[upstreams.app]
endpoints = ["http://127.0.0.1:3000"]

[filter]
block_domains = ["ads.test"]

[[filter.rules]]
id = "no-uploads"
match = { methods = ["PUT"] }
action = "deny"

[[filter.rules]]
id = "old-clients"
match = { path_prefixes = ["/old"] }
action = "deny"
mode = "report"

[[routes]]
name = "moved"
match = { path_prefixes = ["/moved/"] }
redirect = { to = "/new/{rest}", status = 308 }

[[routes]]
name = "staff"
match = { path_prefixes = ["/staff"] }
upstream = "app"
allow_clients = ["192.0.2.0/24"]
cache = true

[[routes]]
name = "all"
upstream = "app"
request_fields = { remove = ["x-debug"] }
"#;

fn folder(suite: &str) -> Folder {
    Folder::new(&[("proxyd.toml", CONFIG), ("t.toml", suite)])
}

/// What is not as expected, a line each.
async fn mismatches(suite: &str) -> Vec<String> {
    let folder = folder(suite);
    let suite = Suite::read(&folder.path("t.toml")).unwrap_or_else(|found| panic!("{found}"));
    let config = load(&folder.path("proxyd.toml"), &Overrides::default());
    let explainer = Explainer::offline(&config.unwrap_or_else(|found| panic!("{found}")).resolved);
    let mut lines = Vec::new();
    for case in &suite.cases {
        let judged = judge(&explainer, case).await.expect("a question");
        lines.extend(judged.mismatches.iter().map(|wrong| {
            format!("{}: {}: {} is {}", case.name, wrong.key, wrong.expected, wrong.found)
        }));
    }
    lines
}

/// What is wrong with a suite.
fn errors(suite: &str) -> Vec<String> {
    let folder = folder(suite);
    let found = Suite::read(&folder.path("t.toml")).expect_err("a suite that is wrong");
    found.iter().map(|diagnostic| folder.relative(diagnostic)).collect()
}

#[tokio::test]
async fn what_is_as_expected_is_no_mismatch() {
    let suite = r#"
        defaults = { listener = "web", fields = ["X-Debug: 1", "Accept: */*"] }

        [[tests]]
        request = "GET http://a.test/x/../y"
        [tests.expect]
        verdict = "allow"
        answer = "upstream"
        listener = "web"
        client = "127.0.0.1"
        target = "/y"
        route = "all"
        upstream = "app"
        endpoint = "127.0.0.1:3000"
        sent = "GET /y"
        sent_fields = ["Via: 1.1 test", "accept", "X-Forwarded-Proto: http"]
        not_sent = ["X-Debug"]
        cache = "off"

        [[tests]]
        request = "PUT http://a.test/"
        expect = { verdict = "deny", answer = "refusal", status = 403, rule = "no-uploads" }

        [[tests]]
        request = "GET http://a.test/old"
        expect = { verdict = "allow", reports = "old-clients" }

        [[tests]]
        request = "GET http://a.test/moved/x"
        expect = { answer = "route", status = 308, fields = ["Location: /new/x"] }

        [[tests]]
        request = "GET http://a.test/staff"
        from = "192.0.2.7"
        expect = { client = "192.0.2.7", cache = "miss", cache_key = "http://a.test/staff" }

        [[tests]]
        request = "GET http://a.test/staff"
        expect = { verdict = "deny", status = 403, route = "staff" }

        [[tests]]
        listener = "out"
        request = "CONNECT ads.test:443"
        expect = { verdict = "deny" }

        [[tests]]
        listener = "out"
        request = "CONNECT a.test:443"
        expect = { verdict = "allow", answer = "tunnel", endpoint = "a.test:443" }
    "#;
    assert_eq!(mismatches(suite).await, [""; 0]);
}

#[tokio::test]
async fn every_key_notices_what_is_not_as_expected() {
    let all = r#"
        verdict = "deny"
        status = 200
        answer = "cache"
        listener = "out"
        client = "192.0.2.1"
        target = "/"
        route = "staff"
        rule = "no-uploads"
        reason = "rule"
        reports = ["no-uploads"]
        findings = ["1"]
        fields = ["location"]
        upstream = "other"
        endpoint = "127.0.0.1:3001"
        sent = "GET /"
        sent_fields = ["accept: text/html"]
        not_sent = ["via"]
        cache = "hit"
        cache_key = "x"
    "#;
    let suite = format!(
        "[[tests]]\nname = \"n\"\nrequest = \"GET http://a.test/old\"\nlistener = \"web\"\n\
         fields = [\"accept: */*\"]\n[tests.expect]\n{all}"
    );
    let found = mismatches(&suite).await;
    let keys: Vec<&str> = found.iter().filter_map(|line| line.split(": ").nth(1)).collect();
    assert_eq!(keys, KEYS, "{found:#?}");
    for line in [
        "n: verdict: deny is allow",
        "n: route: staff is all",
        "n: rule: no-uploads is ",
        "n: reports: no-uploads is old-clients",
        "n: not_sent: via is via: 1.1 test",
        "n: sent: GET / is GET /old",
    ] {
        assert!(found.iter().any(|found| found == line), "{line}: {found:#?}");
    }
}

#[tokio::test]
async fn what_is_never_sent_does_not_lack_fields() {
    let suite = "[[tests]]\nrequest = \"PUT http://a.test/\"\nlistener = \"web\"\n\
                 expect = { not_sent = [\"cookie\"] }\n";
    assert_eq!(
        mismatches(suite).await,
        ["PUT http://a.test/: not_sent: cookie is no request is sent"]
    );
}

#[test]
fn everything_that_is_wrong_is_told_at_its_place() {
    let suite = "confg = \"proxyd.toml\"\n\
                 [[tests]]\nrequest = \"GET\"\nexpect = { statsu = 403 }\n\
                 [[tests]]\nfrom = \"nobody\"\nexpect = { status = \"403\" }\n\
                 [[tests]]\nrequest = \"GET http://a.test/\"\nfields = [\"x\"]\n\
                 [[tests]]\nrequest = \"GET a.test\"\nexpect = {}\n\
                 [[tests]]\nrequest = \"GET /\"\nexpect = { verdict = \"denny\" }\n";
    let found = errors(suite);
    let expected = [
        "t.toml:1:1: error: confg: unknown key; did you mean `config`?",
        "t.toml:3:11: error: tests[0].request: expected \"METHOD URL\", found \"GET\"",
        "t.toml:4:12: error: tests[0].expect.statsu: unknown key; did you mean `status`?",
        "t.toml:5:1: error: tests[1].request: missing key; expected \"METHOD URL\"",
        "t.toml:6:8: error: tests[1].from: expected an address, found \"nobody\"",
        "t.toml:7:21: error: tests[1].expect.status: expected a status code such as 403",
        "t.toml:8:1: error: tests[2].expect: missing key; expected a table such as { status = 403 }",
        "t.toml:10:10: error: tests[2].fields: `x` is not a field: write `Name: value`",
        "t.toml:12:11: error: tests[3].request: `a.test` is not a URL: write http://HOST/PATH, \
         or HOST:PORT for CONNECT",
    ];
    assert_eq!(found[..expected.len()], expected);
    assert!(found[9].starts_with("t.toml:13:10: error: tests[3].expect: expects nothing"));
    assert!(found[10].ends_with("found \"denny\"; did you mean \"deny\"?"), "{}", found[10]);
    assert_eq!(found.len(), 11, "{found:#?}");
}

#[test]
fn a_file_without_tests_is_wrong() {
    assert_eq!(
        errors("config = \"proxyd.toml\"\n"),
        ["t.toml:1:1: error: tests: there is none; write at least one `[[tests]]`"]
    );
    assert!(errors("tests = 1\n")[0].contains("expected an array"));
}

#[test]
fn the_configuration_is_named_relative_to_the_file() {
    let folder =
        folder("config = \"proxyd.toml\"\n[[tests]]\nrequest = \"GET /\"\nexpect.status = 1\n");
    assert!(Suite::read(&folder.path("t.toml")).is_err());
    let folder = Folder::new(&[(
        "t.json",
        r#"{"config": "../p.toml", "tests": [{"request": "GET /", "expect": {"status": 403}}]}"#,
    )]);
    let suite = Suite::read(&folder.path("t.json")).unwrap();
    assert_eq!(suite.config, Some(folder.path("../p.toml")));
    assert_eq!(suite.cases[0].name, "GET /");
}

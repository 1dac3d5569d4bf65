//! `proxyd test`: files of requests and expected decisions, by the built program.

use proxyd_tests::proxyd::{self, Outcome};
use proxyd_tests::scratch::Scratch;

const CONFIG: &str = r#"
[listeners.out]
address = "127.0.0.1:3128"
role = "forward"

[filter]
block_domains = ["@ads.txt"]
"#;

const SUITE: &str = r#"
config = "../proxyd.toml"

[[tests]]
name = "advertising is refused"
request = "GET http://www.ads.test/banner"
expect = { verdict = "deny", status = 403 }

[[tests]]
name = "nobody reaches the machine itself"
request = "CONNECT 127.0.0.1:443"
expect = { verdict = "deny", rule = "guard:loopback" }
"#;

fn test(suite: &str, arguments: &[&str]) -> Outcome {
    let scratch = Scratch::new("policy");
    scratch.write("proxyd.toml", CONFIG);
    scratch.write("ads.txt", "ads.test\n");
    scratch
        .write("open.toml", "[listeners.out]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n");
    scratch.write("tests/policy.toml", suite);
    let all = [&["test", "tests/policy.toml"], arguments].concat();
    proxyd::run_to_end(scratch.path(), &all)
}

#[test]
fn what_is_as_expected_is_0_and_a_line() {
    let outcome = test(SUITE, &[]);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert_eq!(outcome.stdout, "tests/policy.toml: 2 tests, all as expected\n");
}

#[test]
fn what_is_not_is_1_and_shows_what_was_decided() {
    let outcome = test(&SUITE.replace("www.ads.test", "www.test"), &[]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for part in [
        "tests/policy.toml:4:1: advertising is refused: GET http://www.test/banner\n",
        "  verdict: expected deny, found allow\n",
        "  status: expected 403, found nothing\n",
        "    upstream  chosen",
        "tests/policy.toml: 2 tests, 1 is not as expected\n",
    ] {
        assert!(outcome.stdout.contains(part), "{part}: {}", outcome.stdout);
    }
}

/// A changed policy is held against the same file.
#[test]
fn another_configuration_can_be_tested() {
    let outcome = test(SUITE, &["--config", "open.toml", "--json"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let all: serde_json::Value = serde_json::from_str(&outcome.stdout).expect("JSON");
    assert_eq!(all[0]["holds"], false);
    assert_eq!(all[0]["mismatches"][0]["found"], "allow");
    assert_eq!(all[0]["place"], "tests/policy.toml:4:1");
    assert_eq!(all[1]["holds"], true);
    assert_eq!(all[1]["explanation"]["listener"]["name"], "out");
}

#[test]
fn what_can_not_be_tested_is_2() {
    for (suite, arguments, part) in [
        (SUITE, &["nowhere.toml"][..], "cannot read nowhere.toml"),
        (SUITE, &["--config", "nowhere.toml"], "cannot read nowhere.toml"),
        ("[[tests]]\nrequest = \"GET /\"\nexpect.status = 403\n", &[], "missing key"),
        ("tests = []\n", &[], "there is none"),
        (
            "config = \"../proxyd.toml\"\n[[tests]]\nrequest = \"GET /\"\nlistener = \"in\"\n\
             expect.status = 403\n",
            &[],
            "tests/policy.toml:2:1: error: GET /: no listener is named `in`",
        ),
    ] {
        let outcome = test(suite, arguments);
        assert_eq!(outcome.code, Some(2), "{part}: {outcome:?}");
        assert!(outcome.stderr.contains(part), "{part}: {}", outcome.stderr);
        assert!(outcome.stdout.is_empty(), "{outcome:?}");
    }
}

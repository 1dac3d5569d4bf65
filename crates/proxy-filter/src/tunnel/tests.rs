use proxy_core::{ClientHelloReader, HelloFault, HelloProgress, NameSet};

use super::*;

/// Names that are blocked, by a list that may only report.
struct List {
    blocked: NameSet,
    enforced: bool,
}

impl NamePolicy for List {
    fn judge_name(&self, found: &FoundName<'_>, _: Option<&Exchange>) -> Vec<Finding> {
        assert_eq!(found.source, NameSource::ServerName);
        let blocked = self.blocked.contains(found.name);
        let finding = || Finding::refuse("list", "domain_blocked").enforced_if(self.enforced);
        blocked.then(finding).into_iter().collect()
    }
}

fn list(enforced: bool) -> Arc<dyn NamePolicy> {
    Arc::new(List { blocked: NameSet::parse(["blocked.test"]).expect("names"), enforced })
}

/// A ClientHello with a server name, encrypted or not.
fn hello(name: Option<&str>, encrypted: bool) -> ClientHello {
    let vector = |bytes: &[u8]| [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat();
    let mut extensions = Vec::new();
    if let Some(name) = name {
        let entry = [&[0][..], &vector(name.as_bytes())].concat();
        extensions.extend([&[0, 0][..], &vector(&vector(&entry))].concat());
    }
    if encrypted {
        extensions.extend([0xfe, 0x0d, 0, 1, 0]);
    }
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &vector(&extensions)].concat();
    let message = [&[1, 0][..], &vector(&body)].concat();
    let mut reader = ClientHelloReader::default();
    match reader.feed(&[&[22, 3, 1][..], &vector(&message)].concat()) {
        HelloProgress::Hello(hello) => (**hello).clone(),
        other => panic!("{other:?}"),
    }
}

/// The rules that are found against it; those that only report in brackets.
fn found(rules: &TunnelRules, host: &str, opening: TunnelOpening<'_>) -> Vec<String> {
    let word = |finding: Finding| match finding.enforced {
        true => finding.rule.to_string(),
        false => format!("[{}]", finding.rule),
    };
    rules.judge_opening(host, 443, &opening, None).into_iter().map(word).collect()
}

fn found_in(rules: &TunnelRules, host: &str, name: Option<&str>) -> Vec<String> {
    found(rules, host, TunnelOpening::Hello(&hello(name, false)))
}

#[test]
fn the_server_name_is_judged_by_the_lists() {
    let rules = TunnelRules::new().names(list(true));
    for (name, expected) in [
        (Some("x.test"), &[][..]),
        (Some("blocked.test"), &["list"]),
        (Some("a.Blocked.test."), &["list"]),
        (None, &[]),
    ] {
        assert_eq!(found_in(&rules, "x.test", name), expected, "{name:?}");
        assert_eq!(found_in(&rules, "192.0.2.1", name), expected, "{name:?}");
    }
    let reported = TunnelRules::new().names(list(false));
    assert_eq!(found_in(&reported, "x.test", Some("blocked.test")), ["[list]"]);
}

#[test]
fn the_server_name_may_have_to_be_the_host() {
    let rules = TunnelRules::new().match_host();
    for (host, name, expected) in [
        ("x.test", Some("x.test"), &[][..]),
        ("X.test.", Some("x.TEST"), &[]),
        ("x.test", Some("a.x.test"), &["tunnel:sni-mismatch"]),
        ("x.test", Some("y.test"), &["tunnel:sni-mismatch"]),
        ("x.test", None, &["tunnel:sni-missing"]),
        ("192.0.2.1", None, &[]),
        ("[2001:db8::1]", None, &[]),
        ("192.0.2.1", Some("192.0.2.1"), &[]),
        ("192.0.2.1", Some("x.test"), &["tunnel:sni-mismatch"]),
    ] {
        assert_eq!(found_in(&rules, host, name), expected, "{host} {name:?}");
    }
}

#[test]
fn tls_may_be_demanded_of_some_ports() {
    let rules = TunnelRules::new().require_tls([443..=443, 8000..=8099]);
    assert!(rules.asks(443) && rules.asks(8001) && !rules.asks(22));
    for opening in [TunnelOpening::NotTls, TunnelOpening::ServerFirst] {
        assert_eq!(found(&rules, "x.test", opening), ["tunnel:not-tls"]);
        assert!(rules.judge_opening("x.test", 22, &opening, None).is_empty());
        assert!(found(&TunnelRules::new().match_host(), "x.test", opening).is_empty());
    }
    assert!(found_in(&rules, "x.test", Some("y.test")).is_empty());
}

#[test]
fn what_can_not_be_read_is_refused_where_something_is_asked() {
    let malformed = TunnelOpening::Malformed(HelloFault::TooLong);
    for rules in [
        TunnelRules::new().names(list(true)),
        TunnelRules::new().match_host(),
        TunnelRules::new().require_tls([443..=443]),
    ] {
        assert_eq!(found(&rules, "x.test", malformed), ["tunnel:malformed-hello"]);
        let incomplete = found(&rules, "x.test", TunnelOpening::Incomplete);
        assert_eq!(incomplete, ["tunnel:incomplete-hello"]);
        assert!(found(&rules, "x.test", TunnelOpening::Silent).is_empty());
    }
    let silent = TunnelRules::new().refuse_silent();
    assert_eq!(found(&silent, "x.test", TunnelOpening::Silent), ["tunnel:silent"]);
    assert!(!TunnelRules::new().asks(443));
    assert!(found(&TunnelRules::new(), "x.test", malformed).is_empty());
}

#[test]
fn an_encrypted_hello_may_be_refused() {
    let opening = hello(Some("front.test"), true);
    let rules = TunnelRules::new().refuse_encrypted_hello();
    let refused = found(&rules, "front.test", TunnelOpening::Hello(&opening));
    assert_eq!(refused, ["tunnel:encrypted-hello"]);
    let rules = TunnelRules::new().match_host();
    assert!(found(&rules, "front.test", TunnelOpening::Hello(&opening)).is_empty());
    // The front is not what was asked for: so the demand for a match finds it.
    let hidden = found(&rules, "hidden.test", TunnelOpening::Hello(&opening));
    assert_eq!(hidden, ["tunnel:sni-mismatch"]);
}

#[test]
fn a_report_refuses_nothing() {
    let rules = TunnelRules::new().names(list(true)).match_host().require_tls([443..=443]);
    let rules = rules.report_only();
    let both = found_in(&rules, "x.test", Some("blocked.test"));
    assert_eq!(both, ["[list]", "[tunnel:sni-mismatch]"]);
    assert_eq!(found(&rules, "x.test", TunnelOpening::NotTls), ["[tunnel:not-tls]"]);
}

/// Rules that judge hosts judge server names as well, for the client at hand, and count nothing.
#[test]
fn rules_judge_the_server_name_as_if_connect_had_named_it() {
    let asked_by = |asked: &crate::Asked<'_>| {
        assert!(asked.exchange().is_none() || asked.is_rehearsal());
        assert_eq!((asked.method(), asked.port()), (&http::Method::CONNECT, 443));
        assert_eq!(asked.server_name().map(|name| name.0.to_string()), Some(asked.host().into()));
        if asked.host() == "reported.test" {
            let why = "would be refused".into();
            asked.note(Some(&"tried".into()), proxy_core::Verdict::Report, why);
        }
        match (asked.host(), asked.user().as_deref()) {
            ("video.test", user) if user != Some("ann") => {
                let status = http::StatusCode::FORBIDDEN;
                proxy_core::Refusal::new(status, "denied").rule("no-video").into()
            }
            _ => crate::Verdict::Allow,
        }
    };
    let rules = TunnelRules::new().names(Arc::new(ServerNamesBy::new(Arc::new(asked_by))));
    assert_eq!(found_in(&rules, "x.test", Some("video.test")), ["no-video"]);
    assert!(found_in(&rules, "video.test", Some("x.test")).is_empty());
    let exchange = proxy_testkit::ExchangeBuilder::new().build();
    let found = |name: &str| {
        let opening = hello(Some(name), false);
        rules.judge_opening("x.test", 443, &TunnelOpening::Hello(&opening), Some(&exchange))
    };
    assert_eq!(found("video.test").len(), 1);
    let reported = found("reported.test");
    assert_eq!(reported, [Finding::report("tried", "server_name_denied")]);
    exchange.decide(reported[0].decision("filter"));
    // Once is enough.
    assert!(found("reported.test").is_empty());
    exchange.set_user("ann".into());
    assert!(found("video.test").is_empty());
}

/// A tunnel that CONNECT was granted is not refused for being counted: real rules, a real limit.
#[test]
fn the_name_in_a_tunnel_is_not_counted_once_more() {
    use crate::rate::{Rate, RateLimit};
    use crate::rules::{ActionSpec, FieldTest, MatchSpec, Mode, Resources, RuleSpec, Rules};
    use crate::{Asked, Limit, Policy};

    let clock = proxy_testkit::ManualClock::new();
    let limit = RateLimit::new("few", Rate::per_second(1)).burst(1);
    let limit: Arc<dyn Limit> = Arc::new(limit.start(Arc::new(clock.clone())).expect("a limit"));
    let mut resources = Resources::new(Arc::new(clock));
    resources.limits.insert("few".into(), limit);
    let rule = |id: &str, matches, action| RuleSpec {
        id: id.to_owned(),
        matches,
        action,
        mode: Mode::Enforce,
    };
    let hosts = MatchSpec { hosts: vec!["bad.test".to_owned()], ..MatchSpec::default() };
    let field = vec![("X-Key".to_owned(), FieldTest::Exact("k".to_owned()))];
    let keyed = MatchSpec { fields: field, ..MatchSpec::default() };
    let specs = [
        rule("few", MatchSpec::default(), ActionSpec::RateLimit("few".into())),
        rule("bad", hosts, ActionSpec::Deny { status: 403, page: None }),
        rule("keyed", keyed, ActionSpec::Allow),
    ];
    let rules = Rules::compile(&specs, &resources).expect("rules").deny_by_default();
    let rules: Arc<dyn Policy> = Arc::new(rules);
    let exchange = proxy_testkit::ExchangeBuilder::new().build();
    let connect = http::Request::connect("x.test:443").header("x-key", "k");
    let connect = connect.extension(exchange.clone()).body(()).expect("a request");
    let asked = Asked::new(proxy_core::RequestHead::of(&connect));
    assert!(rules.judge(&asked).is_allow());
    let tunnel = TunnelRules::new().names(Arc::new(ServerNamesBy::new(rules)));
    for (name, refused) in
        [("x.test", None), ("X.test", None), ("y.test", None), ("a.bad.test", Some("bad"))]
    {
        let opening = hello(Some(name), false);
        let opening = TunnelOpening::Hello(&opening);
        let found = tunnel.judge_opening("x.test", 443, &opening, Some(&exchange));
        let found: Vec<&str> = found.iter().map(|finding| &*finding.rule).collect();
        assert_eq!(found, refused.into_iter().collect::<Vec<_>>(), "{name}");
    }
}

//! What rules match, in which order, and what they do.

use std::sync::Arc;

use http::{Method, Request};
use proxy_core::{ClientAddr, RequestHead, SystemClock, Tags};

use super::*;
use crate::limit::Exceeded;

fn texts(list: &[&str]) -> Vec<String> {
    list.iter().map(ToString::to_string).collect()
}

fn deny(id: &str, matches: MatchSpec) -> RuleSpec {
    let action = ActionSpec::Deny { status: 403, page: None };
    RuleSpec { id: id.to_owned(), matches, action, mode: Mode::Enforce }
}

fn resources() -> Resources {
    let mut resources = Resources::new(Arc::new(SystemClock));
    let never = |_: &Asked<'_>| Err(Exceeded { retry_after: None, fields: Default::default() });
    resources.limits.insert("never".into(), Arc::new(never));
    resources.limits.insert("always".into(), Arc::new(|_: &Asked<'_>| Ok(())));
    resources
}

fn compile(specs: &[RuleSpec]) -> Rules {
    Rules::compile(specs, &resources()).unwrap()
}

fn judge(rules: &Rules, request: &Request<()>) -> Verdict {
    rules.judge(&Asked::new(RequestHead::of(request)))
}

fn request() -> Request<()> {
    let mut request = Request::put("http://a.x.test:8080/v1/items?page=2&q=a%20b")
        .header("accept", "text/html")
        .body(())
        .unwrap();
    request.extensions_mut().insert(ClientAddr::new("10.1.2.3".parse().unwrap()));
    request.extensions_mut().insert(crate::User("anna".into()));
    request.extensions_mut().insert(Arc::new(proxy_core::ClientCertificate {
        subject: "CN=a".into(),
        issuer: "CN=CA".into(),
        serial: "01".into(),
        fingerprint: "0aff".into(),
        names: vec!["spiffe://x/a".into()],
        forwarded: None,
    }));
    request.extensions_mut().insert(Tags([Arc::from("seen")].into()));
    request
}

#[test]
fn each_condition_holds_or_does_not() {
    let spec = MatchSpec::default;
    let present = |there| vec![("Accept".to_owned(), FieldTest::Present(there))];
    let page = |test| vec![("page".to_owned(), test)];
    let cases = [
        (true, spec()),
        (true, MatchSpec { hosts: texts(&["y.test", "x.test"]), ..spec() }),
        (false, MatchSpec { hosts: texts(&["=x.test"]), ..spec() }),
        (true, MatchSpec { paths: texts(&["/v1/items"]), ..spec() }),
        (true, MatchSpec { path_prefixes: texts(&["/v1"]), ..spec() }),
        (false, MatchSpec { path_prefixes: texts(&["/v1/it"]), ..spec() }),
        (true, MatchSpec { path_regex: Some("/v[0-9]/.*".into()), ..spec() }),
        (false, MatchSpec { path_regex: Some("v1".into()), ..spec() }),
        (true, MatchSpec { methods: texts(&["POST", "PUT"]), ..spec() }),
        (false, MatchSpec { methods: texts(&["GET"]), ..spec() }),
        (true, MatchSpec { schemes: texts(&["http"]), ..spec() }),
        (false, MatchSpec { schemes: texts(&["https"]), ..spec() }),
        (true, MatchSpec { fields: present(true), ..spec() }),
        (false, MatchSpec { fields: present(false), ..spec() }),
        (true, MatchSpec { query: page(FieldTest::Exact("2".into())), ..spec() }),
        (false, MatchSpec { query: page(FieldTest::Regex("[3-9]".into())), ..spec() }),
        (true, MatchSpec { ports: texts(&["8000-8099"]), ..spec() }),
        (false, MatchSpec { ports: texts(&["80", "443"]), ..spec() }),
        (false, MatchSpec { listeners: texts(&["web"]), ..spec() }),
        (false, MatchSpec { routes: texts(&["app"]), ..spec() }),
        (true, MatchSpec { clients: texts(&["10.0.0.0/8"]), ..spec() }),
        (false, MatchSpec { clients: texts(&["10.1.2.4"]), ..spec() }),
        (true, MatchSpec { users: texts(&["otto", "anna"]), ..spec() }),
        (true, MatchSpec { users: texts(&["*"]), ..spec() }),
        (false, MatchSpec { users: texts(&["otto"]), ..spec() }),
        (true, MatchSpec { client_certificates: texts(&["*"]), ..spec() }),
        (true, MatchSpec { client_certificates: texts(&["b", "spiffe://x/a"]), ..spec() }),
        (true, MatchSpec { client_certificates: texts(&["CN=a"]), ..spec() }),
        (true, MatchSpec { client_certificates: texts(&["sha256:0AFF"]), ..spec() }),
        (false, MatchSpec { client_certificates: texts(&["a", "0aff", "sha256:"]), ..spec() }),
        (true, MatchSpec { tags: texts(&["seen"]), ..spec() }),
        (false, MatchSpec { tags: texts(&["other"]), ..spec() }),
        (true, MatchSpec { times: texts(&["mon-sun"]), ..spec() }),
        // All kinds must hold.
        (false, MatchSpec { methods: texts(&["PUT"]), hosts: texts(&["y.test"]), ..spec() }),
    ];
    for (expected, matches) in cases {
        let rules = compile(&[deny("r", matches.clone())]);
        assert_eq!(!judge(&rules, &request()).is_allow(), expected, "{matches:?}");
    }
}

#[test]
fn the_first_that_enforces_ends_them() {
    let all = MatchSpec::default;
    let rule = |id: &str, action, mode| RuleSpec { id: id.into(), matches: all(), action, mode };
    let allow = || rule("allow", ActionSpec::Allow, Mode::Enforce);
    let report = || rule("report", ActionSpec::Allow, Mode::Report);
    let denied = |specs: &[RuleSpec]| match judge(&compile(specs), &request()) {
        Verdict::Allow => None,
        Verdict::Deny(refusal) => refusal.rule_id.map(|id| id.to_string()),
        other => panic!("{other:?}"),
    };
    assert_eq!(denied(&[deny("a", all()), deny("b", all())]).as_deref(), Some("a"));
    assert_eq!(denied(&[allow(), deny("b", all())]), None);
    assert_eq!(denied(&[report(), deny("b", all())]).as_deref(), Some("b"));
    let candidate = RuleSpec { mode: Mode::Report, ..deny("a", all()) };
    assert_eq!(denied(&[candidate]), None);
    let limit = |id: &str| rule(id, ActionSpec::RateLimit(id.into()), Mode::Enforce);
    assert_eq!(denied(&[limit("always"), deny("b", all())]).as_deref(), Some("b"));
    assert_eq!(denied(&[limit("never"), deny("b", all())]).as_deref(), Some("never"));
    // A tag that one rule puts is what another matches.
    let tag = rule("tag", ActionSpec::Tag("new".into()), Mode::Enforce);
    let tagged = deny("tagged", MatchSpec { tags: texts(&["new"]), ..all() });
    assert_eq!(denied(&[tag.clone(), tagged.clone()]).as_deref(), Some("tagged"));
    assert_eq!(denied(&[RuleSpec { mode: Mode::Report, ..tag }, tagged]), None);
}

#[test]
fn nothing_decided_is_as_the_default_says() {
    let get = MatchSpec { methods: texts(&["GET"]), ..MatchSpec::default() };
    let allow =
        RuleSpec { id: "a".into(), matches: get, action: ActionSpec::Allow, mode: Mode::Enforce };
    let rules = compile(&[allow]).deny_by_default();
    let mut request = request();
    assert!(!judge(&rules, &request).is_allow());
    *request.method_mut() = Method::GET;
    assert!(judge(&rules, &request).is_allow());
    assert!(!Rules::default().deny_by_default().is_empty());
}

#[test]
fn a_redirect_leads_to_what_is_written_and_nowhere_else() {
    let to = |to: &str| {
        let action = ActionSpec::Redirect { to: to.into(), status: 302 };
        let spec =
            RuleSpec { id: "r".into(), matches: MatchSpec::default(), action, mode: Mode::Enforce };
        Rules::compile(&[spec], &resources())
    };
    for good in ["/", "/blocked?why=1#x", "https://x.test/a", "http://x.test"] {
        let Verdict::Redirect(redirect) = judge(&to(good).unwrap(), &request()) else {
            panic!("{good}")
        };
        assert_eq!(redirect.location, good);
    }
    let wrong = [
        "//evil.test/",
        "/\\evil.test",
        "\\\\evil.test",
        "javascript:alert(1)",
        "x.test",
        "",
        "http:///x",
        "https:x.test",
        "/a b",
        "/a\r\nset-cookie: b",
        "data:text/html,x",
        "/\tevil",
    ];
    for wrong in wrong {
        assert!(to(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn every_mistake_is_told_with_its_key() {
    let specs = [
        RuleSpec {
            id: "bad id".into(),
            matches: MatchSpec {
                hosts: texts(&["a.test", "http://b"]),
                methods: texts(&["get"]),
                ports: texts(&["0"]),
                clients: texts(&["10.0.0/8"]),
                times: texts(&["noon"]),
                path_regex: Some("(".into()),
                fields: vec![("Authorization".into(), FieldTest::Present(true))],
                ..MatchSpec::default()
            },
            action: ActionSpec::Deny { status: 200, page: None },
            mode: Mode::Enforce,
        },
        RuleSpec {
            id: "x".into(),
            matches: MatchSpec::default(),
            action: ActionSpec::SetField { name: "Host".into(), value: "a".into() },
            mode: Mode::Enforce,
        },
        RuleSpec {
            id: "x".into(),
            matches: MatchSpec::default(),
            action: ActionSpec::RateLimit("nowhere".into()),
            mode: Mode::Enforce,
        },
    ];
    let errors = Rules::compile(&specs, &resources()).unwrap_err();
    let keys: Vec<_> = errors.iter().map(|error| (error.index, error.key.as_str())).collect();
    assert_eq!(
        keys,
        [
            (0, "id"),
            (0, "match.hosts[1]"),
            (0, "match.path_regex"),
            (0, "match.methods[0]"),
            (0, "match.fields.Authorization"),
            (0, "match.ports[0]"),
            (0, "match.clients[0]"),
            (0, "match.times[0]"),
            (0, "status"),
            (1, "set_field"),
            (2, "id"),
            (2, "limit"),
        ]
    );
    assert!(errors.last().unwrap().message.contains("`always`, `never`"));
}

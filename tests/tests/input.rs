//! What requests may look like, and how many at a time, as a client sees it.

use std::net::{IpAddr, Ipv4Addr};

use proxyd_tests::client::{self, Client};
use proxyd_tests::configured;
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting::{self, Gate};

fn judging(origin: &Origin, input: &str) -> Proxyd {
    configured::gateway(&origin.url(), "", input).start()
}

/// Status and reason of what is said to a request.
fn judged(proxy: &Proxyd, request: &str) -> (u16, String) {
    let method = request.split(' ').next().expect("a method").to_owned();
    let answer = Client::connect(proxy.address()).ask(&method, request);
    let text = answer.text();
    let reason = text.split("\"reason\":\"").nth(1).and_then(|rest| rest.split('"').next());
    (answer.status(), reason.unwrap_or("").to_owned())
}

fn post(kind: &str, content: &str) -> String {
    format!(
        "POST /a?id=1 HTTP/1.1\r\nHost: a.test\r\nX-Must: 1\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n{content}",
        content.len()
    )
}

/// The same in pieces of unknown length.
fn chunked(kind: &str, pieces: &[&str]) -> String {
    let mut request = format!(
        "POST /a?id=1 HTTP/1.1\r\nHost: a.test\r\nX-Must: 1\r\nContent-Type: {kind}\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
    );
    for piece in pieces {
        request.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
    }
    request + "0\r\n\r\n"
}

#[test]
fn the_matrix() {
    let origin = Origin::saying("fine");
    let proxy = judging(
        &origin,
        "limits.body = \"1KiB\"\n\n[filter.input]\nmethods = [\"GET\", \"POST\"]\n\
         content_types = [\"application/json\", \"text/*\"]\ntarget_length = 100\n\
         parameters = 3\nparameter_name_length = 10\nparameter_value_length = 20\n\
         required_parameters = [\"id\"]\nfields = 6\nfield_length = 50\nfields_size = 200\n\
         required_fields = [\"X-Must\"]\nutf8 = true\n\
         json = { depth = 3, members = 2, string_length = 10 }\n",
    );
    let get = |target: &str, more: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: a.test\r\nX-Must: 1\r\n{more}\r\n")
    };
    let long = "x".repeat(60);
    let cases = [
        (get("/?id=1", ""), 200, ""),
        (
            "PUT /?id=1 HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n".into(),
            405,
            "method_not_allowed",
        ),
        (get(&format!("/{long}?id=1&a={long}"), ""), 414, "target_too_long"),
        (get("/?id=1&a=1&b=1&c=1", ""), 400, "too_many_parameters"),
        (get("/?id=1&a=123456789012345678901", ""), 400, "parameter_too_long"),
        (get("/?a=1", ""), 400, "parameter_required"),
        (get("/?id=%C3%28", ""), 400, "target_not_utf8"),
        ("GET /?id=1 HTTP/1.1\r\nHost: a.test\r\n\r\n".into(), 400, "field_required"),
        (get("/?id=1", &format!("X-Long: {long}\r\n")), 431, "field_too_long"),
        (get("/?id=1", &"X-Many: 1\r\n".repeat(5)), 431, "too_many_fields"),
        (get("/?id=1", &"X-Many: 1\r\n".repeat(4)), 200, ""),
        (get("/?id=1", &format!("X-A: {}\r\n", &long[..50]).repeat(4)), 431, "fields_too_large"),
        (post("application/json", "{\"a\": [1]}"), 200, ""),
        (post("application/json", "{\"a\":1,\"a\":2}"), 422, "json_member_repeated"),
        (post("text/csv", "a,b"), 200, ""),
        (post("image/png", "x"), 415, "content_type_not_allowed"),
        (post("text/plain; charset=latin1", "x"), 415, "charset_not_allowed"),
        (post("application/json", "[[[[1]]]]"), 422, "json_too_deep"),
        (post("application/json", "{\"a\":1,\"b\":2,\"c\":3}"), 422, "json_too_many_members"),
        (post("application/json", "[\"12345678901\"]"), 422, "json_string_too_long"),
        (post("application/json", "{\"a\": 1"), 400, "json_malformed"),
        (chunked("application/json", &["[[", "[", "[1]]]]"]), 422, "json_too_deep"),
        (chunked("application/json", &["[", "1,", "2]"]), 200, ""),
        (post("text/plain", &"x".repeat(2000)), 413, "content_too_large"),
    ];
    for (request, status, reason) in cases {
        assert_eq!(judged(&proxy, &request), (status, reason.to_owned()), "{request}");
    }
    let put = client::get(proxy.address(), "a.test", "/");
    assert_eq!(put.status(), 400, "nothing is echoed: {}", put.text());
}

#[test]
fn a_trial_refuses_nothing_and_says_what_it_would_refuse() {
    let folder = Scratch::new("trial");
    let audit = folder.path().join("audit.log");
    let origin = Origin::saying("fine");
    let proxy = judging(
        &origin,
        &format!(
            "[filter.input]\nmode = \"report\"\nmethods = [\"GET\", \"POST\"]\n\
             json = {{ depth = 1 }}\n\n[log.audit]\npath = \"{}\"\n",
            audit.display()
        ),
    );
    let put = "PUT /a HTTP/1.1\r\nHost: a.test\r\nContent-Length: 0\r\n\r\n";
    for request in [post("application/json", "[[1]]"), post("application/json", "[1]"), put.into()]
    {
        assert_eq!(judged(&proxy, &request).0, 200, "{request}");
    }
    assert_eq!(origin.requests().len(), 3);
    for line in [
        "proxy_filter_input_requests_total{outcome=\"passed\"} 1",
        "proxy_filter_input_requests_total{outcome=\"reported\"} 2",
        "proxy_filter_input_requests_total{outcome=\"refused\"} 0",
        "proxy_filter_input_faults_total{reason=\"json_too_deep\"} 1",
        "proxy_filter_input_faults_total{reason=\"method_not_allowed\"} 1",
    ] {
        waiting::until(line, || {
            proxy.ask_admin("/metrics").text().lines().any(|own| own == line).then_some(())
        });
    }
    for rule in ["input.json_too_deep", "input.method_not_allowed"] {
        let in_log = format!("\"reported\":[\"{rule}\"]");
        waiting::until("the rule in the access log", || {
            proxy.log().contains(&in_log).then_some(())
        });
        waiting::until(rule, || {
            let text = std::fs::read_to_string(&audit).unwrap_or_default();
            text.lines().any(|line| line.contains(rule) && line.contains("report")).then_some(())
        });
    }
}

#[test]
fn explain_says_what_would_be_refused() {
    let folder = Scratch::new("input-explain");
    folder.write(
        "a.toml",
        "listeners.web = { address = \"127.0.0.1:0\", role = \"gateway\" }\n\
         [[routes]]\nname = \"all\"\nrespond = { status = 200 }\n\
         [filter.input]\nmethods = [\"POST\"]\ncontent_types = [\"text/*\"]\n",
    );
    for (arguments, expected) in [
        (&["GET", "http://a.test/"][..], "input.method_not_allowed"),
        (
            &["POST", "http://a.test/", "-H", "Content-Type: image/png"],
            "input.content_type_not_allowed",
        ),
        (&["POST", "http://a.test/"], "as_asked_for"),
    ] {
        let arguments = [&["explain", "--config", "a.toml"], arguments].concat();
        let outcome = run_to_end(folder.path(), &arguments);
        assert!(outcome.stdout.contains(expected), "{arguments:?}: {outcome:?}");
    }
}

#[test]
fn a_route_says_it_otherwise() {
    let proxy = configured::gateway_routes(
        "http://127.0.0.1:9",
        "",
        "[[routes]]\nname = \"open\"\nmatch = { paths = [\"/open\"] }\n\
         respond = { status = 200 }\ninput = { methods = [\"GET\", \"DELETE\"] }\n\n\
         [[routes]]\nname = \"all\"\nrespond = { status = 200 }\n\n\
         [filter.input]\nmethods = [\"GET\"]\nparameters = 1\n",
    )
    .start();
    let ask = |method: &str, target: &str| {
        judged(&proxy, &format!("{method} {target} HTTP/1.1\r\nHost: a.test\r\n\r\n")).0
    };
    assert_eq!([ask("DELETE", "/open"), ask("DELETE", "/")], [200, 405]);
    // What the route does not say holds for it, too.
    assert_eq!([ask("GET", "/open?a"), ask("GET", "/open?a&b")], [200, 400]);
}

#[test]
fn a_schema() {
    let folder = Scratch::new("schema");
    let schema = folder.write("thing.json", r#"{"type": "object", "required": ["name"]}"#);
    let origin = Origin::saying("fine");
    let proxy = judging(
        &origin,
        &format!("input.json = {{ schema = \"{}\", schema_size = \"1KiB\" }}\n", schema.display()),
    );
    let text = "{\"name\": \"x\"}";
    assert_eq!(judged(&proxy, &post("application/json", text)).0, 200);
    assert_eq!(String::from_utf8_lossy(&origin.last().content), text);
    let seen = origin.requests().len();
    for (request, status, reason) in [
        (post("application/json", "{}"), 422, "schema_mismatch"),
        (post("application/json", "{"), 400, "json_malformed"),
        (post("text/plain", "{}"), 415, "content_type_not_allowed"),
        (
            chunked("application/json", &["{\"name\": \"", &"x".repeat(2000), "\"}"]),
            413,
            "content_too_large",
        ),
    ] {
        assert_eq!(judged(&proxy, &request), (status, reason.to_owned()), "{request}");
    }
    assert_eq!(origin.requests().len(), seen, "what is refused is not sent on");
}

#[test]
fn wrong_words_are_named() {
    let folder = Scratch::new("input");
    folder.write("bad.json", r#"{"pattern": "(?=a)b"}"#);
    for (input, expected) in [
        ("methods = [\"G T\"]", "`G T` is no method"),
        ("content_types = [\"json\"]", "expected a media type"),
        ("required_fields = [\"a b\"]", "`a b` is no name of a field"),
        ("json = { schema = \"none.json\" }", "cannot read"),
        ("json = { schema = \"bad.json\" }", "not a usable JSON Schema"),
        ("jsn = {}", "did you mean `json`?"),
    ] {
        folder.write(
            "a.toml",
            format!(
                "listeners.web = {{ address = \"127.0.0.1:0\", role = \"gateway\" }}\n\
                 [[routes]]\nname = \"all\"\nrespond = {{ status = 200 }}\n\
                 [filter.input]\n{input}\n"
            ),
        );
        let outcome = run_to_end(folder.path(), &["check", "--config", "a.toml"]);
        assert_eq!(outcome.code, Some(2), "{input}: {outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert!(said.contains(expected), "{input}: {said}");
    }
}

#[test]
fn what_a_schema_can_not_judge_is_told() {
    let folder = Scratch::new("deep");
    folder.write("thing.json", "true");
    for (depth, tells) in [(127, false), (128, true)] {
        folder.write(
            "a.toml",
            format!(
                "listeners.web = {{ address = \"127.0.0.1:0\", role = \"gateway\" }}\n\
                 [[routes]]\nname = \"all\"\nrespond = {{ status = 200 }}\n\
                 [filter.input]\njson = {{ schema = \"thing.json\", depth = {depth} }}\n"
            ),
        );
        let outcome = run_to_end(folder.path(), &["check", "--config", "a.toml"]);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let said = format!("{}{}", outcome.stdout, outcome.stderr);
        assert_eq!(said.contains("more than 127 containers"), tells, "{said}");
    }
}

/// An origin whose answers end when a gate opens.
fn slow(gate: &Gate) -> Origin {
    let gate = gate.clone();
    Origin::answering(move |request, _| {
        if request.head.target != "/slow" {
            return ok("quick");
        }
        vec![
            Act::Send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab".into()),
            Act::Until(gate.clone()),
            Act::Send("cd".into()),
        ]
    })
}

const ONE: &str = "[[filter.concurrency_limits]]\nid = \"one\"\nmax = 1\n";

#[test]
fn a_slow_answer_holds_its_place_until_it_ends() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let proxy = judging(&origin, &format!("{ONE}queue = 1\nqueue_timeout = \"20s\"\n"));
    let mut first = Client::connect(proxy.address());
    first.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    first.head().expect("a head");
    let mut second = Client::connect(proxy.address());
    second.send("GET /quick HTTP/1.1\r\nHost: a.test\r\n\r\n");
    waiting::until("the second waits", || {
        let metrics = proxy.ask_admin("/metrics").text();
        metrics.contains("proxy_filter_concurrency_waiting{limit=\"one\"} 1").then_some(())
    });
    // The line is full.
    let (status, reason) = judged(&proxy, "GET /quick HTTP/1.1\r\nHost: a.test\r\n\r\n");
    assert_eq!((status, reason.as_str()), (429, "too_many_at_once"));
    assert_eq!(origin.requests().len(), 1);
    gate.open();
    assert_eq!(second.expect("GET").text(), "quick");
}

#[test]
fn a_client_that_leaves_gives_its_place_back() {
    let gate = Gate::new();
    let origin = slow(&gate);
    let proxy = judging(&origin, &format!("{ONE}queue_timeout = \"20s\"\n"));
    let mut first = Client::connect(proxy.address());
    first.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
    first.head().expect("a head");
    let mut second = Client::connect(proxy.address());
    second.send("GET /quick HTTP/1.1\r\nHost: a.test\r\n\r\n");
    waiting::until("the second waits", || {
        let metrics = proxy.ask_admin("/metrics").text();
        metrics.contains("proxy_filter_concurrency_waiting{limit=\"one\"} 1").then_some(())
    });
    first.reset();
    assert_eq!(second.expect("GET").text(), "quick");
    gate.open();
}

/// A gateway whose route `slow` alone has a limit.
fn one_at_a_time(origin: &Origin, key: &str) -> Proxyd {
    configured::gateway_routes(
        &origin.url(),
        "",
        &format!(
            "[[routes]]\nname = \"slow\"\nmatch = {{ paths = [\"/slow\"] }}\nupstream = \"app\"\n\
             limits.concurrency = [\"one\"]\n\n[[routes]]\nname = \"all\"\nupstream = \"app\"\n\n\
             {ONE}queue = 0\nkey = {key}\n"
        ),
    )
    .start()
}

#[test]
fn places_are_for_each_key_and_for_the_routes_that_name_them() {
    let other = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));
    for (key, status, is_others) in [
        ("\"client\"", 429, false),
        ("[\"client\", \"route\"]", 429, false),
        ("\"route\"", 503, true),
        ("\"all\"", 503, true),
    ] {
        let gate = Gate::new();
        let origin = slow(&gate);
        let proxy = one_at_a_time(&origin, key);
        let mut first = Client::connect(proxy.address());
        first.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
        first.head().expect("a head");
        let refused = client::get(proxy.address(), "a.test", "/slow");
        assert_eq!((refused.status(), refused.field("retry-after")), (status, Some("1")), "{key}");
        assert_eq!(client::get(proxy.address(), "a.test", "/quick").status(), 200, "{key}");
        let mut second = Client::connect_from(other, proxy.address());
        second.send("GET /slow HTTP/1.1\r\nHost: a.test\r\n\r\n");
        let head = second.head().expect("a head");
        assert_eq!(head.status, if is_others { status } else { 200 }, "{key}");
        gate.open();
    }
}

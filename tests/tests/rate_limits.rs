//! Rate limits, as a client and an operator see them.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Instant;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Origin};
use proxyd_tests::proxyd::{Proxyd, run_to_end};
use proxyd_tests::waiting;

const ROUTE: &str = "[[routes]]\nname = \"all\"\nrespond = { status = 200, body = \"hello\" }\n";

/// A gateway that answers by itself, below limits.
fn limited(limits: &str) -> Proxyd {
    configured::gateway_routes("http://127.0.0.1:9", "", &format!("{ROUTE}{limits}")).start()
}

fn get(proxy: &Proxyd, path: &str) -> Answer {
    client::get(proxy.address(), "a.test", path)
}

fn statuses(proxy: &Proxyd, path: &str, count: usize) -> Vec<u16> {
    let mut client = Client::connect(proxy.address());
    let request = format!("GET {path} HTTP/1.1\r\nHost: a.test\r\n\r\n");
    (0..count).map(|_| client.ask("GET", &request).status()).collect()
}

fn metric(proxy: &Proxyd, line: &str) -> bool {
    proxy.ask_admin("/metrics").text().lines().any(|own| own == line)
}

#[test]
fn exactly_the_burst_passes() {
    let proxy = limited("[[filter.rate_limits]]\nid = \"few\"\nrate = \"1/h\"\nburst = 20\n");
    let seen = statuses(&proxy, "/", 25);
    assert_eq!(seen, [[200; 20].as_slice(), &[429; 5]].concat());
    let refused = get(&proxy, "/");
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("3600")));
    assert_eq!(refused.field("cache-control"), Some("no-store"));
    let page = refused.text();
    assert!(page.contains("\"reason\":\"rate_limited\""), "{page}");
    // The gateway shows rules to trusted peers only.
    assert!(!page.contains("few"), "{page}");
    // Another client has a burst of its own.
    let mut other = Client::connect_from(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), proxy.address());
    assert_eq!(other.ask("GET", "GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").status(), 200);
    for line in [
        "proxy_filter_rate_limit_requests_total{limit=\"few\",outcome=\"allowed\"} 21",
        "proxy_filter_rate_limit_requests_total{limit=\"few\",outcome=\"limited\"} 6",
        "proxy_filter_rate_limit_requests_total{limit=\"few\",outcome=\"reported\"} 0",
        "proxy_filter_rate_limit_keys{limit=\"few\"} 2",
        "proxy_filter_rate_limit_evictions_total{limit=\"few\"} 0",
    ] {
        assert!(metric(&proxy, line), "{line}: {}", proxy.ask_admin("/metrics").text());
    }
}

/// The limit of a corporate forward proxy: 100/s, burst 200.
#[test]
fn per_client_in_a_forward_proxy() {
    let origin = Origin::saying("content");
    let proxy = configured::forward(
        "",
        "[forward]\nallow_private_destinations = true\n\n[[filter.rate_limits]]\n\
         id = \"per-client\"\nkey = \"client\"\nrate = \"100/s\"\nburst = 200\n",
    )
    .start();
    let request = format!("GET {}/ HTTP/1.1\r\nHost: {}\r\n\r\n", origin.url(), origin.address());
    let mut client = Client::connect(proxy.address());
    // Each request that passes is paid for by the burst or by time that has gone by.
    let (mut passed, mut begun) = (0, Instant::now());
    let refused = loop {
        let answer = client.ask("GET", &request);
        if answer.status() != 200 {
            break answer;
        }
        passed += 1;
        let paid = 200 + begun.elapsed().as_millis() / 10 + 1;
        assert!(passed <= paid, "{passed} passed, {paid} were paid for");
        if passed == 200 {
            // However slow the machine is: what follows outruns the rate sooner or later.
            begun -= std::time::Duration::from_millis(1);
        }
        assert!(passed < 20_000, "there is no limit");
    };
    assert!(passed >= 200, "{passed}");
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("1")));
    let page = refused.text();
    assert!(page.contains("\"rule\":\"per-client\"") && page.contains("request_id"), "{page}");
    waiting::until("the log has it", || proxy.log().contains("429").then_some(()));
    // After the time that was said, a request passes.
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(client.ask("GET", &request).status(), 200);
}

#[test]
fn a_prohibited_port_takes_nothing_of_a_limit() {
    let origin = Origin::saying("content");
    let proxy = configured::forward(
        "",
        "[forward]\nallow_private_destinations = true\n\n[[filter.rate_limits]]\nid = \"few\"\n\
         rate = \"1/h\"\nburst = 1\n",
    )
    .start();
    let ask = |authority: &str| {
        let raw = format!("GET http://{authority}/ HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        Client::connect(proxy.address()).ask("GET", raw)
    };
    for _ in 0..3 {
        let refused = ask("127.0.0.1:25");
        assert_eq!(refused.status(), 403, "{}", refused.text());
    }
    let authority = origin.address().to_string();
    assert_eq!((ask(&authority).status(), ask(&authority).status()), (200, 429));
}

#[test]
fn fields_where_they_are_asked_for() {
    let proxy = limited(
        "[[filter.rate_limits]]\nid = \"told\"\nrate = \"60/h\"\nburst = 2\nfields = true\n\n\
         [[filter.rate_limits]]\nid = \"silent\"\nrate = \"1000/s\"\n",
    );
    for (left, status) in [("1", 200), ("0", 200), ("0", 429)] {
        let answer = get(&proxy, "/");
        assert_eq!(answer.status(), status);
        assert_eq!(answer.field("ratelimit-policy"), Some("\"told\";q=2;w=120"));
        let standing = answer.field("ratelimit").expect("RateLimit");
        assert!(standing.starts_with(&format!("\"told\";r={left};t=")), "{standing}");
    }
}

#[test]
fn reports_refuse_nothing_and_are_counted() {
    let proxy = limited(
        "[[filter.rate_limits]]\nid = \"trial\"\nrate = \"1/h\"\nburst = 2\nmode = \"report\"\n",
    );
    assert_eq!(statuses(&proxy, "/", 5), [200; 5]);
    let line = "proxy_filter_rate_limit_requests_total{limit=\"trial\",outcome=\"reported\"} 3";
    assert!(metric(&proxy, line));
}

#[test]
fn a_limit_that_a_route_names_holds_for_it_alone() {
    let proxy = configured::gateway_routes(
        "http://127.0.0.1:9",
        "",
        &format!(
            "[[routes]]\nname = \"login\"\nmatch = {{ paths = [\"/login\"] }}\n\
             respond = {{ status = 200 }}\nlimits.rate = [\"logins\"]\n\n{ROUTE}\n\
             [[filter.rate_limits]]\nid = \"logins\"\nrate = \"1/h\"\nburst = 2\n"
        ),
    )
    .start();
    assert_eq!(statuses(&proxy, "/", 5), [200; 5]);
    assert_eq!(statuses(&proxy, "/login", 3), [200, 200, 429]);
    assert_eq!(statuses(&proxy, "/", 5), [200; 5]);
}

#[test]
fn fields_make_keys() {
    let proxy = limited(
        "[[filter.rate_limits]]\nid = \"keyed\"\nrate = \"1/h\"\nburst = 1\n\
         key = [\"field:X-Key\", \"client\"]\n",
    );
    let mut client = Client::connect(proxy.address());
    let mut ask = |key: &str| {
        client.ask("GET", format!("GET / HTTP/1.1\r\nHost: a.test\r\n{key}\r\n")).status()
    };
    assert_eq!([ask("X-Key: a\r\n"), ask("X-Key: a\r\n"), ask("X-Key: b\r\n")], [200, 429, 200]);
    // Leaving it out is no way around.
    assert_eq!([ask(""), ask("")], [200, 429]);
}

#[test]
fn misses_alone() {
    let origin = Origin::answering(|_, _| {
        vec![origin::response("200 OK", &[("Cache-Control", "max-age=600")], "kept")]
    });
    let proxy = configured::gateway(
        &origin.url(),
        "",
        "cache = true\n\n[[filter.rate_limits]]\nid = \"misses\"\nrate = \"1/h\"\nburst = 2\n\
         count = \"misses\"\n",
    )
    .start();
    // One miss, then hits, which cost nothing.
    assert_eq!(statuses(&proxy, "/a", 10), [200; 10]);
    assert_eq!(statuses(&proxy, "/b", 1), [200]);
    let refused = get(&proxy, "/c");
    assert_eq!((refused.status(), refused.field("retry-after")), (429, Some("3600")));
    // What is stored is served all the same, and the refusal is not stored.
    assert_eq!(statuses(&proxy, "/a", 3), [200; 3]);
    assert_eq!(statuses(&proxy, "/c", 1), [429]);
    assert_eq!(origin.requests().len(), 2);
}

#[test]
fn misses_of_a_program_are_its_runs() {
    for (cache, expected) in
        [("{ ttl = \"10m\" }", [200, 200, 200, 429]), ("false", [200, 200, 429, 429])]
    {
        let proxy = configured::gateway_routes(
            "http://127.0.0.1:9",
            "",
            &format!(
                "[[routes]]\nname = \"run\"\nmatch = {{ hosts = [\"a.test\"] }}\ncache = {cache}\n\
                 [routes.exec]\nprogram = \"echo\"\nargs = [\"{{query.a}}\"]\n\
                 params.a = {{ in = \"query\", type = \"integer\", min = 1, max = 9 }}\n\n\
                 [cache]\nmemory = \"8MiB\"\n\n\
                 [[filter.rate_limits]]\nid = \"runs\"\nrate = \"1/h\"\nburst = 2\n\
                 count = \"misses\"\n"
            ),
        )
        .start();
        // The second asks for the output of the first again.
        let seen = ["/?a=1", "/?a=1", "/?a=2", "/?a=3"].map(|path| statuses(&proxy, path, 1)[0]);
        assert_eq!(seen, expected, "cache = {cache}");
        let passed = "proxy_filter_rate_limit_requests_total{limit=\"runs\",outcome=\"allowed\"} 2";
        assert!(metric(&proxy, passed));
    }
}

#[test]
fn explain_shows_the_level_and_counts_nothing() {
    let proxy = configured::gateway_routes(
        "http://127.0.0.1:9",
        "",
        &format!("{ROUTE}[[filter.rate_limits]]\nid = \"few\"\nrate = \"1/h\"\nburst = 2\n"),
    )
    .env("RUNTIME_DIRECTORY", ".")
    .start();
    let admin = proxy.admin().to_string();
    let token = format!("admin-{}.token", proxy.admin().port());
    let explained = || {
        let arguments = [
            "explain",
            "--admin",
            &admin,
            "--token-file",
            &token,
            "GET",
            "http://a.test/",
            "--from",
            "127.0.0.1",
        ];
        let outcome = run_to_end(proxy.folder(), &arguments);
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        outcome.stdout
    };
    for _ in 0..3 {
        let text = explained();
        assert!(text.contains("0 of 2 used"), "{text}");
    }
    assert_eq!(statuses(&proxy, "/", 3), [200, 200, 429]);
    let text = explained();
    assert!(text.contains("2 of 2 used") && text.contains("429"), "{text}");
}

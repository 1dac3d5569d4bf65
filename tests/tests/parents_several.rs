//! Several servers that are one parent: which of them is asked, and what becomes of those that are
//! gone.

use std::net::SocketAddr;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::operator;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Launch, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::scripted_parent::parent;
use proxyd_tests::{configured, ports, waiting};

/// A forward proxy whose parent is at these URLs.
fn among(urls: &[String], keys: &str) -> Launch {
    let urls: Vec<_> = urls.iter().map(|url| format!("\"{url}\"")).collect();
    let rest = format!(
        "[parents.corp]\nendpoints = [{}]\n{keys}\n\n[forward]\nparent = \"corp\"\n",
        urls.join(", ")
    );
    configured::forward("", &rest)
}

/// How many requests it got.
fn asked(origin: &Origin) -> usize {
    origin.requests().len()
}

fn get(proxy: SocketAddr, host: &str) -> Answer {
    let raw = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
    client::exchange(proxy, "GET", raw)
}

fn connect(proxy: SocketAddr, host: &str) -> (Client, Answer) {
    let mut client = Client::connect(proxy);
    let raw = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
    let answer = client.ask("CONNECT", raw);
    (client, answer)
}

#[test]
fn requests_take_turns_and_destinations_keep_theirs() {
    let origins = ["first", "second", "third"].map(Origin::saying);
    let urls = origins.each_ref().map(Origin::url);
    // By default one after the other, whatever connections are kept.
    let proxy = among(&urls, "").start();
    for _ in 0..9 {
        assert_eq!(get(proxy.address(), "a.test").status(), 200);
    }
    assert_eq!(origins.each_ref().map(asked), [3, 3, 3]);
    // A connection may come back to its pool a moment after the answer.
    waiting::until("connections are kept for each", || {
        let before = origins.each_ref().map(Origin::links);
        for _ in 0..3 {
            assert_eq!(get(proxy.address(), "a.test").status(), 200);
        }
        (origins.each_ref().map(Origin::links) == before).then_some(())
    });

    let proxy = among(&urls, "balance = \"hash\"").start();
    let mut chosen = Vec::new();
    for at in 0..12 {
        let host = format!("{at}.test");
        let first = get(proxy.address(), &host).text();
        for _ in 0..2 {
            assert_eq!(get(proxy.address(), &host.to_uppercase()).text(), first, "{host}");
        }
        chosen.push(first);
    }
    chosen.sort_unstable();
    chosen.dedup();
    assert!(chosen.len() > 1, "not all destinations have the same parent");
}

#[test]
fn a_destination_has_one_parent_for_requests_and_tunnels() {
    let parents =
        [0, 1].map(|_| parent("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"));
    let urls = parents.each_ref().map(|(address, _)| format!("http://{address}"));
    let proxy = among(&urls, "balance = \"hash\"").start();
    let counts = || parents.each_ref().map(|(_, heard)| heard.lock().expect("heard").len());
    let mut used = [false; 2];
    for at in 0..16 {
        let host = format!("{at}.test");
        let before = counts();
        assert_eq!(connect(proxy.address(), &host).1.status(), 200);
        assert_eq!(get(proxy.address(), &host).status(), 200);
        let after = counts();
        let own: Vec<_> = (0..2).filter(|which| after[*which] > before[*which]).collect();
        assert_eq!(own.len(), 1, "{host}: {before:?} {after:?}");
        used[own[0]] = true;
    }
    assert_eq!(used, [true; 2]);
}

#[test]
fn a_parent_that_is_gone_costs_no_request() {
    let (here, also) = (Origin::saying("here"), Origin::saying("also"));
    let gone = format!("http://{}", ports::free());
    let proxy = among(&[gone.clone(), here.url(), also.url()], "").start();
    for _ in 0..6 {
        // With content: nothing of it was sent, so that any request may go to the next.
        let raw = "POST http://a.test/ HTTP/1.1\r\nHost: a.test\r\nContent-Length: 3\r\n\r\nabc";
        assert_eq!(client::exchange(proxy.address(), "POST", raw).status(), 200);
    }
    assert_eq!(asked(&here) + asked(&also), 6);
    assert_eq!(here.last().content, b"abc");
    let parents = operator::json(&proxy.ask_admin("/parents"));
    assert_eq!(parents[0]["balance"], "round_robin", "{parents}");
    let states: Vec<_> = (0..3).map(|at| parents[0]["endpoints"][at]["state"].clone()).collect();
    assert_eq!(states, ["ejected", "unchecked", "unchecked"]);
    let gauge = format!(
        "proxy_upstream_endpoint_in_service{{upstream=\"parent:corp\",endpoint=\"{}\"}} 0",
        gone.trim_start_matches("http://")
    );
    waiting::until(&gauge, || proxy.ask_admin("/metrics").text().contains(&gauge).then_some(()));

    // One that goes away while it is asked for a tunnel, and one that refuses.
    let ((closing, _), (refusing, refused)) = (parent(""), parent("HTTP/1.1 403 No\r\n\r\n"));
    let (tunnel, _) = parent("HTTP/1.1 200 OK\r\n\r\n");
    let [closing, refusing, tunnel] =
        [closing, refusing, tunnel].map(|own| format!("http://{own}"));
    let proxy = among(&[gone.clone(), closing, tunnel.clone()], "balance = \"first\"").start();
    let (mut client, answer) = connect(proxy.address(), "a.test");
    assert_eq!(answer.status(), 200);
    assert!(client.send("ping"));
    assert_eq!(client.take(4), b"ping");
    let proxy = among(&[refusing, tunnel], "balance = \"first\"").start();
    assert_eq!(connect(proxy.address(), "a.test").1.status(), 502);
    assert_eq!(refused.lock().expect("heard").len(), 1, "its word is final");

    // Where none is there nobody goes around them, unless that is wanted.
    let proxy = among(&[gone.clone(), format!("http://{}", ports::free())], "").start();
    assert_eq!(get(proxy.address(), "a.test").status(), 502);
    assert_eq!(connect(proxy.address(), "a.test").1.status(), 502);
    let unreachable =
        "proxy_upstream_parent_connections_total{parent=\"corp\",outcome=\"unreachable\"} 2";
    waiting::until(unreachable, || {
        proxy.ask_admin("/metrics").text().contains(unreachable).then_some(())
    });
}

#[test]
fn endpoints_of_an_upstream_are_reached_through_several_too() {
    let origins = ["first", "second"].map(Origin::saying);
    let routes = format!(
        "[[routes]]\nname = \"far\"\nupstream = \"far\"\n\n\
         [upstreams.far]\nendpoints = [\"http://far.test\"]\nparent = \"corp\"\n\n\
         [parents.corp]\nendpoints = [\"http://{}\", \"{}\", {{ url = \"{}\", backup = true }}]\n",
        ports::free(),
        origins[0].url(),
        origins[1].url()
    );
    let proxy = configured::gateway_routes("http://127.0.0.1:9", "", &routes).start();
    for _ in 0..4 {
        assert_eq!(client::get(proxy.address(), "app.test", "/a").text(), "first");
    }
    assert_eq!(asked(&origins[1]), 0);
    assert_eq!(origins[0].last().line(), "GET http://far.test/a");
    waiting::until("a connection is idle", || {
        let upstreams = operator::json(&proxy.ask_admin("/upstreams"));
        let far = upstreams.as_array().and_then(|all| all.iter().find(|own| own["name"] == "far"));
        (far.expect("far")["endpoints"][0]["idle"].as_u64() > Some(0)).then_some(())
    });
}

#[test]
fn explain_says_who_would_be_asked_and_check_what_is_wrong() {
    let folder = Scratch::new("parents-several");
    let listener = "[listeners.out]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\n";
    let parents = "[parents.corp]\nendpoints = [\"http://p1.test\", \"http://p2.test\"]\n\
                   balance = \"first\"\n\n[forward]\nparent = \"corp\"\n";
    folder.write("proxyd.toml", format!("{listener}{parents}"));
    let all = ["explain", "--config", "proxyd.toml", "GET", "http://far.test/"];
    let text = run_to_end(folder.path(), &all).stdout;
    assert!(text.contains("p1.test:3128: first, 2 of 2 in service"), "{text}");

    folder.write(
        "proxyd.toml",
        format!(
            "{listener}[parents.a]\n\n\
             [parents.b]\nurl = \"http://p.test\"\nendpoints = [\"http://p.test\"]\n\n\
             [parents.c]\nendpoints = [\"http://p.test\", \"https://q.test\", \"http://p.test\"]\n\n\
             [parents.d]\nurl = \"http://p.test\"\ntls = {{}}\n\n\
             [parents.e]\nendpoints = [{{ url = \"ftp://p.test\" }}]\nfallbacks = [\"http://p.test\"]\n"
        ),
    );
    let outcome = run_to_end(folder.path(), &["check", "--config", "proxyd.toml"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for part in [
        "parents.a: expected `url`, or `endpoints`",
        "parents.b: expected `url` or `endpoints`, not both",
        "parents.c.endpoints[1]: expected the same scheme for all of them",
        "parents.c.endpoints[2]: `http://p.test` is there twice",
        "parents.d.tls: needs a parent with `https://`",
        "parents.e.endpoints[0].url: expected `http://HOST:PORT`",
        "parents.e.fallbacks: goes with `url`",
    ] {
        assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.stderr);
    }
}

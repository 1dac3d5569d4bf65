//! Some requests are copied.

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::h2_client::H2Client;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::{Act, Origin, Script, ok};
use proxyd_tests::waiting::{self, Gate};
use proxyd_tests::{ports, wire};

use super::{counted, get};

#[test]
fn copies_are_whole_and_without_what_is_not_theirs() {
    let (app, shadow) = (Origin::saying("served"), Origin::saying("unseen"));
    let rest = format!(
        "rewrite = {{ add_prefix = \"/v2\" }}\n\
         mirror = {{ upstream = \"shadow\", body = \"1KiB\", remove_fields = [\"Cookie\"] }}\n\n\
         [upstreams.shadow]\nendpoints = [\"{}\"]\n",
        shadow.url()
    );
    let proxy = configured::gateway(&app.url(), "", &rest).start();
    let ask = |content: &str| {
        let raw = format!(
            "POST /a HTTP/1.1\r\nHost: app.test\r\nCookie: a=b\r\nConnection: x-hop\r\nX-Hop: 1\r\n\
             TE: trailers\r\nX-Kept: 1\r\nContent-Length: {}\r\n\r\n{content}",
            content.len()
        );
        client::exchange(proxy.address(), "POST", raw).text()
    };
    assert_eq!(ask("content"), "served");
    shadow.wait_links(1);
    let copy = waiting::until("the copy", || shadow.requests().pop());
    assert_eq!(copy.line(), "POST /v2/a");
    assert_eq!(
        (copy.field("x-kept"), wire::latin1(&copy.content).as_str()),
        (Some("1"), "content")
    );
    assert_eq!((copy.field("cookie"), copy.field("x-hop")), (None, None));
    assert_eq!(copy.field("connection"), None);
    assert_eq!(ask(&"x".repeat(2000)), "served");
    counted(&proxy, "{upstream=\"shadow\",outcome=\"too_large\"} 1");
    let answered =
        "proxy_upstream_mirrored_requests_total{upstream=\"shadow\",outcome=\"answered\"} 1";
    counted(&proxy, answered);
    assert_eq!(shadow.requests().len(), 1);
}

/// The end of an HTTP/2 client's content may come in a frame of its own, for which nobody asks
/// who knows the length.
#[test]
fn a_copy_is_sent_although_the_end_of_the_content_comes_apart() {
    let (app, shadow) = (Origin::saying("served"), Origin::saying("unseen"));
    let rest = format!(
        "mirror = {{ upstream = \"shadow\" }}\n\n[upstreams.shadow]\nendpoints = [\"{}\"]\n",
        shadow.url()
    );
    let listener = "protocols = [\"h1\", \"h2\"]";
    let proxy = configured::gateway(&app.url(), listener, &rest).start();
    let mut client = H2Client::connect(proxy.address());
    let head = H2Client::head("POST", "/a", &[("content-length", "3")]);
    let stream = client.begin(&head, false);
    client.link.send_data(stream, b"abc", false);
    // The upstream has all of it, and so has the copy, before the client ends its stream.
    let copy = waiting::until("the copy", || shadow.requests().pop());
    assert_eq!((copy.line(), copy.content.as_slice()), ("POST /a".to_owned(), &b"abc"[..]));
    client.link.send_data(stream, b"", true);
    let answer = client.answer(stream);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "served"));
    counted(&proxy, "{upstream=\"shadow\",outcome=\"answered\"} 1");
    counted(&proxy, "{upstream=\"shadow\",outcome=\"incomplete\"} 0");
}

#[test]
fn nobody_waits_for_a_mirror() {
    let app = Origin::saying("served");
    let silent = Origin::start(Script::new().on_request(|_, _| vec![Act::AwaitEnd]));
    let rest = format!(
        "mirror = {{ upstream = \"shadow\", max_requests = 2, timeout = \"1h\" }}\n\n\
         [upstreams.shadow]\nendpoints = [\"{}\"]\n",
        silent.url()
    );
    let proxy = configured::gateway(&app.url(), "", &rest).start();
    for _ in 0..6 {
        assert_eq!(get(&proxy, "").text(), "served");
    }
    counted(&proxy, "{upstream=\"shadow\",outcome=\"busy\"} 4");
    waiting::until("both copies", || (silent.requests().len() == 2).then_some(()));

    let rest = format!(
        "mirror = {{ upstream = \"shadow\" }}\n\n[upstreams.shadow]\nendpoints = [\"http://{}\"]\n",
        ports::free()
    );
    let proxy = configured::gateway(&app.url(), "", &rest).start();
    assert_eq!(get(&proxy, "").text(), "served");
    counted(&proxy, "{upstream=\"shadow\",outcome=\"failed\"} 1");
}

/// Copies under way go on, and count, in the configuration that comes after theirs.
#[test]
fn copies_outlive_a_reload_and_so_does_their_bound() {
    let gate = Gate::new();
    let closed = gate.clone();
    let app = Origin::saying("served");
    let shadow = Origin::answering(move |_, _| {
        let _ = closed.wait();
        ok("unseen")
    });
    let rest = format!(
        "mirror = {{ upstream = \"shadow\", max_requests = 1, timeout = \"1h\" }}\n\
         response_fields = {{ set = {{ x-generation = \"1\" }} }}\n\n\
         [upstreams.shadow]\nendpoints = [\"{}\"]\n",
        shadow.url()
    );
    let proxy = configured::gateway(&app.url(), "", &rest).env(RUNTIME.0, RUNTIME.1).start();
    assert_eq!(get(&proxy, "").text(), "served");
    waiting::until("the copy", || (shadow.requests().len() == 1).then_some(()));
    operator::edit(&proxy, "x-generation = \"1\"", "x-generation = \"2\"");
    operator::reload(&proxy);
    let answer = get(&proxy, "");
    assert_eq!((answer.text().as_str(), answer.field("x-generation")), ("served", Some("2")));
    counted(&proxy, "{upstream=\"shadow\",outcome=\"busy\"} 1");
    gate.open();
    counted(&proxy, "{upstream=\"shadow\",outcome=\"answered\"} 1");
    waiting::until("its place is for another", || {
        assert_eq!(get(&proxy, "").text(), "served");
        (shadow.requests().len() > 1).then_some(())
    });
}

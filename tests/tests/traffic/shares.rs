//! Some requests go elsewhere.

use proxyd_tests::client::Client;
use proxyd_tests::configured;
use proxyd_tests::origin::{Origin, response};
use proxyd_tests::waiting;

use super::get;

#[test]
fn canaries_and_shares_go_where_they_belong() {
    let (stable, next, third) =
        (Origin::saying("stable"), Origin::saying("next"), Origin::saying("third"));
    let rest = format!(
        "cache = true\nsplit = {{ by = \"cookie:sid\", to = [\n\
         {{ upstream = \"app\", fields = {{ X-Canary = \"never\" }} }},\n\
         {{ upstream = \"next\", fields = {{ X-Canary = true }} }},\n\
         {{ upstream = \"next\", cookies = {{ canary = \"yes\" }} }},\n\
         {{ upstream = \"third\", share = \"50%\" }} ] }}\n\n\
         [upstreams.next]\nendpoints = [\"{}\"]\n[upstreams.third]\nendpoints = [\"{}\"]\n",
        next.url(),
        third.url()
    );
    let proxy = configured::gateway(&stable.url(), "", &rest).start();
    let text = |fields: &str| get(&proxy, fields).text();
    assert_eq!(text("X-Canary: 1\r\n"), "next");
    assert_eq!(text("Cookie: a=b; canary=yes\r\n"), "next");
    assert_eq!(text("X-Canary: never\r\nCookie: canary=yes\r\n"), "stable");
    let mut third = 0;
    for n in 0..40 {
        let cookie = format!("Cookie: sid={n}\r\n");
        let first = text(&cookie);
        assert_eq!(first, text(&cookie), "the same value, the same upstream");
        third += usize::from(first == "third");
    }
    assert!((8..=32).contains(&third), "{third} of 40");
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() == 83).then_some(log)
    });
    assert_eq!(log.lines().filter(|line| line.contains("\"next\"")).count(), 2, "{log}");
}

#[test]
fn a_canarys_answer_is_stored_for_canaries_only() {
    let kept = |name: &'static str| {
        Origin::answering(move |_, _| {
            vec![response("200 OK", &[("Cache-Control", "max-age=600")], name)]
        })
    };
    let (stable, next) = (kept("stable"), kept("next"));
    let rest = format!(
        "cache = true\nsplit = {{ to = [{{ upstream = \"next\", fields = {{ X-Canary = true }} }}] }}\n\
         [upstreams.next]\nendpoints = [\"{}\"]\n",
        next.url()
    );
    let proxy = configured::gateway(&stable.url(), "", &rest).start();
    for _ in 0..2 {
        assert_eq!(get(&proxy, "X-Canary: 1\r\n").text(), "next");
        assert_eq!(get(&proxy, "").text(), "stable");
    }
    assert_eq!((stable.requests().len(), next.requests().len()), (1, 1));
}

/// Copies are made of both parts of a split, not of the same half of the requests.
#[test]
fn shares_of_a_split_and_of_a_mirror_are_drawn_apart() {
    let (stable, next) = (Origin::saying("stable"), Origin::saying("next"));
    let shadow = Origin::saying("unseen");
    let rest = format!(
        "split = {{ to = [{{ upstream = \"next\", share = \"50%\" }}] }}\n\
         mirror = {{ upstream = \"shadow\", share = \"50%\", max_requests = 1000 }}\n\n\
         [upstreams.next]\nendpoints = [\"{}\"]\n[upstreams.shadow]\nendpoints = [\"{}\"]\n",
        next.url(),
        shadow.url()
    );
    let proxy = configured::gateway(&stable.url(), "", &rest).start();
    let mut client = Client::connect(proxy.address());
    for n in 0..100 {
        let raw = format!("GET /{n} HTTP/1.1\r\nHost: app.test\r\n\r\n");
        assert_eq!(client.ask("GET", raw).status(), 200);
    }
    waiting::until("copies of both", || {
        let (copied, nexts) = (shadow.lines(), next.lines());
        let of_next = copied.iter().filter(|line| nexts.contains(line)).count();
        (of_next > 0 && of_next < copied.len()).then_some(())
    });
}

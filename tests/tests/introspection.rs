//! What operators ask a running process: the view of `proxyd top`, the level of its own log.

use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Proxyd, run_to_end};

#[test]
fn top_shows_routes_and_upstreams() {
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), "", "").start();
    for _ in 0..3 {
        assert_eq!(client::get(proxy.address(), "a.test", "/").status(), 200);
    }
    let admin = proxy.admin().to_string();
    let shown =
        run_to_end(proxy.folder(), &["top", "--once", "--interval", "1", "--admin", &admin]);
    assert!(shown.code == Some(0), "{}", shown.stderr);
    let lines: Vec<&str> = shown.stdout.lines().collect();
    assert!(lines[0].starts_with("requests "), "{}", shown.stdout);
    let row = |name: &str| lines.iter().any(|line| line.starts_with(&format!("{name} ")));
    assert!(row("all") && row("app"), "{}", shown.stdout);
    assert!(!shown.stdout.contains('\x1b'), "no terminal, no control characters");
}

#[test]
fn top_says_whom_it_could_not_ask() {
    let folder = proxyd_tests::scratch::Scratch::new("top");
    let nobody = proxyd_tests::ports::free().to_string();
    let shown = run_to_end(folder.path(), &["top", "--once", "--admin", &nobody]);
    assert_eq!(shown.code, Some(1));
    assert!(shown.stderr.contains(&nobody), "{}", shown.stderr);
}

fn put_level(proxy: &Proxyd, token: &str, level: &str) -> Answer {
    let raw = format!(
        "PUT /log-level HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{level}",
        level.len()
    );
    client::exchange(proxy.admin(), "PUT", raw)
}

#[test]
fn the_level_of_the_log_is_changed_while_it_runs() {
    let origin = Origin::saying("hello");
    let proxy = configured::gateway(&origin.url(), "", "").env("RUNTIME_DIRECTORY", ".").start();
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"info\"}");
    assert_eq!(put_level(&proxy, "wrong", "debug").status(), 401);
    let token = proxy.folder().join(format!("admin-{}.token", proxy.admin().port()));
    let token = std::fs::read_to_string(token).expect("the token");
    let token = token.trim();
    assert_eq!(put_level(&proxy, token, "debug").text(), "{\"level\":\"debug\"}");
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"debug\"}");
    let wrong = put_level(&proxy, token, "proxyd=nonsense=x");
    assert_eq!(wrong.status(), 400, "{}", wrong.text());
    assert_eq!(put_level(&proxy, token, "{\"level\":\"warn\"}").status(), 200);
    assert_eq!(proxy.ask_admin("/log-level").text(), "{\"level\":\"warn\"}");
}

//! Names and passwords: 407 at a forward proxy, 401 on a gateway's routes, and what becomes of what
//! was sent.

use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;

/// `anna:secret` by bcrypt and `otto:geheim` by SHA-512-crypt.
const USERS: &str = "# staff\n\
    anna:$2y$04$5aEJbT4019DqEQG4/E3pr.nzS/KGtwWnyszFN7cDyA0XpU6Ih/6Yi\n\
    otto:$6$saltsalt$sfZR6YSW/Dp0uCiyF9fDipa6ORr5LVLOwXNgtzRlXXhkC7xA3w4zy97VIC3vL14AUXGJp3yBjZVztkdiBzJnX1\n";
const ANNA: &str = "Basic YW5uYTpzZWNyZXQ=";
const OTTO: &str = "Basic b3R0bzpnZWhlaW0=";

fn get(proxy: &Proxyd, target: &str, host: &str, fields: &str) -> Answer {
    let raw = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n");
    client::exchange(proxy.address(), "GET", raw)
}

#[test]
fn a_forward_proxy_asks_and_passes_nothing_on() {
    let scratch = Scratch::new("users");
    let file = scratch.write("users.htpasswd", USERS);
    let origin = Origin::saying("hello");
    let at = origin.address().to_string();
    let proxy = configured::forward(
        &format!("credentials = {{ file = \"{}\", realm = \"the proxy\" }}", file.display()),
        "[forward]\nallow_private_destinations = true\n\
         [[filter.rules]]\nid = \"otto-reads-b\"\nmatch = { users = [\"otto\"], paths = [\"/a\"] }\n\
         action = \"deny\"\n",
    )
    .start();
    let fetch = |fields: &str| get(&proxy, &format!("http://{at}/a"), &at, fields);
    let answer = fetch("");
    assert_eq!(answer.status(), 407);
    let challenge = answer.field("proxy-authenticate");
    assert_eq!(challenge, Some("Basic realm=\"the proxy\", charset=\"UTF-8\""));
    assert!(answer.text().contains("credentials_required"), "{}", answer.text());
    let raw = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(client::exchange(proxy.address(), "CONNECT", raw).status(), 407);
    // The wrong password, a name that nobody has, another scheme.
    for wrong in ["Basic YW5uYTp3cm9uZw==", "Basic bm9ib2R5OnNlY3JldA==", "Bearer x"] {
        assert_eq!(fetch(&format!("Proxy-Authorization: {wrong}\r\n")).status(), 407, "{wrong}");
    }
    assert_eq!(origin.links(), 0);
    for _ in 0..2 {
        let answer =
            fetch(&format!("Proxy-Authorization: {ANNA}\r\nAuthorization: Basic eDp5\r\n"));
        assert_eq!(answer.status(), 200, "{}", answer.text());
        let fields = &origin.last().head.fields;
        assert!(fields.all("proxy-authorization").is_empty(), "{fields:?}");
        assert_eq!(fields.all("authorization"), ["Basic eDp5"], "what is for the origin");
    }
    // Rules know who it is.
    let answer = fetch(&format!("Proxy-Authorization: {OTTO}\r\n"));
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("otto-reads-b"), "{}", answer.text());
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() >= 8).then_some(log)
    });
    for secret in ["secret", "geheim", "YW5uYTpzZWNyZXQ", "$2y$"] {
        assert!(!log.contains(secret) && !proxy.stderr().contains(secret), "{secret}: {log}");
    }
}

#[test]
fn a_route_names_its_users_and_others_ask_for_none() {
    let scratch = Scratch::new("users");
    let file = scratch.write("users.htpasswd", USERS);
    let origin = Origin::saying("hello");
    let proxy = configured::gateway_routes(
        &origin.url(),
        &format!("credentials = {{ file = \"{}\" }}", file.display()),
        "[[routes]]\nname = \"staff\"\nmatch = { path_prefixes = [\"/staff\"] }\n\
         upstream = \"app\"\nusers = [\"anna\"]\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n",
    )
    .start();
    let ask = |path: &str, fields: &str| get(&proxy, path, "origin.test", fields);
    let anna = format!("Authorization: {ANNA}\r\n");
    assert_eq!(ask("/", "").status(), 200);
    // What is not for us goes on.
    assert_eq!(ask("/", &anna).status(), 200);
    assert_eq!(origin.last().head.fields.all("authorization"), [ANNA]);
    let answer = ask("/staff/a", "");
    assert_eq!(answer.status(), 401);
    assert!(answer.field("www-authenticate").is_some_and(|value| value.contains("restricted")));
    assert_eq!(ask("/staff/a", &anna).status(), 200);
    assert!(origin.last().head.fields.all("authorization").is_empty());
    let answer = ask("/staff/a", &format!("Authorization: {OTTO}\r\n"));
    assert_eq!(answer.status(), 403);
    assert!(answer.text().contains("user_not_allowed"), "{}", answer.text());
}

#[test]
fn who_is_taken_out_of_the_file_is_out_though_remembered() {
    let scratch = Scratch::new("users");
    let file = scratch.write("users.htpasswd", USERS);
    let proxy = configured::gateway_routes(
        "http://127.0.0.1:9",
        &format!("credentials = {{ file = \"{}\" }}", file.display()),
        "[[routes]]\nname = \"all\"\nrespond = { status = 200, body = \"hello\" }\nusers = [\"*\"]\n",
    )
    .start();
    let ask =
        |who: &str| get(&proxy, "/", "origin.test", &format!("Authorization: {who}\r\n")).status();
    assert_eq!((ask(ANNA), ask(ANNA), ask(OTTO)), (200, 200, 200));
    let swap = |text: &str| {
        let new = scratch.write("users.new", text);
        std::fs::rename(new, &file).unwrap();
    };
    swap("anna without a colon\n");
    waiting::until("the broken file", || proxy.stderr().contains("line 1: expected").then_some(()));
    assert_eq!((ask(ANNA), ask(OTTO)), (200, 200));
    let otto = USERS.lines().find(|line| line.starts_with("otto:")).unwrap();
    swap(&format!("{otto}\n"));
    waiting::until("the shorter file", || (ask(ANNA) == 401).then_some(()));
    assert_eq!(ask(OTTO), 200);
    for outcome in ["kept", "swapped"] {
        let own =
            format!("proxy_filter_users_reloads_total{{listener=\"web\",outcome=\"{outcome}\"}} 1");
        waiting::until("it is counted", || {
            proxy.ask_admin("/metrics").text().contains(&own).then_some(())
        });
    }
}

#[test]
fn what_is_wrong_is_told_and_no_hash_is_shown() {
    let scratch = Scratch::new("users");
    scratch.write("users.htpasswd", "anna:$apr1$abcdefgh$xyz\n");
    let check = |config: &str| {
        scratch.write("proxyd.toml", config);
        proxyd::run_to_end(scratch.path(), &["check", "--config", "proxyd.toml"])
    };
    let everywhere = "[listeners.f]\naddress = \"0.0.0.0:3128\"\nrole = \"forward\"\n";
    let file = "credentials = { file = \"users.htpasswd\" }\n";
    let outcome = check(&format!("{everywhere}{file}"));
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    let told = &outcome.stderr;
    assert!(told.contains("proxyd.toml:4:24") && told.contains("line 1: MD5"), "{told}");
    assert!(!told.contains("abcdefgh"), "{told}");
    scratch.write("users.htpasswd", USERS);
    // Credentials are enough for a listener that anyone can reach.
    assert_eq!(check(&format!("{everywhere}{file}")).code, Some(0));
    let forward = format!("{everywhere}[forward]\n{file}");
    assert_eq!(check(&forward).code, Some(0));
    let outcome = check(
        "[listeners.g]\naddress = \"127.0.0.1:8080\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"a\"\nrespond = { status = 200 }\nusers = [\"anna\"]\n",
    );
    assert!(outcome.stderr.contains("needs `credentials` of the listener `g`"), "{outcome:?}");
}

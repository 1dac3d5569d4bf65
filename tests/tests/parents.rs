//! Other proxies behind this one: HTTP and SOCKS5 parents, what goes around them, and how they fail.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;

use proxyd_tests::client::{self, Answer, Client};
use proxyd_tests::configured;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::{Act, Origin, Script, response};
use proxyd_tests::proxyd::{Launch, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::scripted_parent::{echo, head, parent, server};
use proxyd_tests::waiting;
use proxyd_tests::{client_hello, ports, wire};

/// A forward proxy with a parent at this URL.
fn behind(url: &str, keys: &str, forward: &str) -> Launch {
    let folder = Scratch::new("parent-secret");
    folder.write("secret", "me:hush\n");
    let secret = folder.path().join("secret");
    let rest = format!(
        "[parents.corp]\nurl = \"{url}\"\n\
         credentials = {{ file = \"{}\" }}\n{keys}\n\n[forward]\nparent = \"corp\"\n{forward}\n",
        secret.display()
    );
    // The file is read when the process starts, and `folder` ends with the test's process.
    std::mem::forget(folder);
    configured::forward("", &rest)
}

fn connect(proxy: SocketAddr, target: &str) -> (Client, Answer) {
    let mut client = Client::connect(proxy);
    let raw = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    let answer = client.ask("CONNECT", raw);
    (client, answer)
}

#[test]
fn a_parent_that_is_not_there_is_looked_for_elsewhere() {
    let second = Origin::saying("by the second");
    let (third, heard) = parent("HTTP/1.1 200 OK\r\n\r\n");
    let (gone, also_gone) = (ports::free(), ports::free());
    let keys = format!("fallbacks = [\"http://{also_gone}\", \"{}\"]", second.url());
    let proxy = behind(&format!("http://{gone}"), &keys, "").start();
    let raw = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    for _ in 0..2 {
        assert_eq!(client::exchange(proxy.address(), "GET", raw).text(), "by the second");
    }
    assert_eq!(second.last().field("proxy-authorization"), Some("Basic bWU6aHVzaA=="));
    let keys = format!("fallbacks = [\"http://{third}\"]");
    let proxy = behind(&format!("http://{gone}"), &keys, "").start();
    let (mut client, answer) = connect(proxy.address(), "a.test:443");
    assert_eq!(answer.status(), 200);
    // What looks like TLS, for a tunnel to its port.
    let _ = client.send(client_hello::naming("a.test"));
    waiting::until("the parent was asked", || {
        heard
            .lock()
            .expect("heard")
            .iter()
            .any(|own| own.starts_with("CONNECT a.test:443"))
            .then_some(())
    });
    // Where nobody is anywhere it is as with one.
    let proxy =
        behind(&format!("http://{gone}"), &format!("fallbacks = [\"http://{also_gone}\"]"), "");
    let answer = client::exchange(proxy.start().address(), "GET", raw);
    assert_eq!(answer.status(), 502);
}

#[test]
fn requests_go_to_an_http_parent_in_absolute_form() {
    let parent = Origin::saying("by the parent");
    let proxy = behind(&parent.url(), "", "").start();
    let ask = |target: &str, host: &str| {
        let raw = format!(
            "GET {target} HTTP/1.1\r\nHost: {host}\r\nProxy-Authorization: Basic bWluZTptaW5l\r\n\r\n"
        );
        client::exchange(proxy.address(), "GET", raw)
    };
    assert_eq!(ask("http://A.test/x?y", "A.test").text(), "by the parent");
    assert_eq!(ask("http://b.test:8080/", "b.test:8080").text(), "by the parent");
    let seen = parent.requests();
    assert_eq!(seen[0].line(), "GET http://a.test/x?y");
    assert_eq!(seen[0].field("host").map(str::to_lowercase).as_deref(), Some("a.test"));
    assert_eq!(seen[0].field("proxy-authorization"), Some("Basic bWU6aHVzaA=="));
    assert!(seen[0].field("via").is_some_and(|via| via.starts_with("1.1 ")));
    assert_eq!(seen[1].line(), "GET http://b.test:8080/");
    assert_eq!(parent.links(), 1, "one connection leads to all destinations");
    let log = waiting::until("the log", || {
        let log = proxy.log();
        (log.lines().count() == 2).then_some(log)
    });
    for text in [log, proxy.stderr(), proxy.ask_admin("/config").text()] {
        assert!(!text.contains("hush") && !text.contains("bWU6"), "{text}");
    }
}

#[test]
fn a_parents_question_who_we_are_is_not_the_clients() {
    let parent = Origin::answering(|_, _| {
        let fields = [("Proxy-Authenticate", "Basic realm=\"parent\"")];
        vec![response("407 Proxy Authentication Required", &fields, "tell me your secrets")]
    });
    let proxy = behind(&parent.url(), "", "").start();
    let raw = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
    let answer = client::exchange(proxy.address(), "GET", raw);
    assert_eq!((answer.status(), answer.field("proxy-authenticate")), (502, None));
    assert!(!answer.text().contains("secrets"));
    let told = answer.field("proxy-status").unwrap_or_default();
    assert!(told.contains("error=proxy_configuration_error"), "{told}");
}

#[test]
fn tunnels_go_through_connect() {
    let (address, heard) = parent("HTTP/1.1 200 Connection established\r\n\r\nhello ");
    let proxy = behind(&format!("http://{address}"), "", "").start();
    let (mut client, answer) = connect(proxy.address(), "Far.test:443");
    assert_eq!(answer.status(), 200);
    client.send("there");
    assert_eq!(wire::latin1(&client.take(11)), "hello there");
    let heard = heard.lock().expect("heard");
    let lines: Vec<&str> = heard[0].lines().collect();
    assert_eq!(lines[..2], ["CONNECT far.test:443 HTTP/1.1", "Host: far.test:443"]);
    assert!(lines.contains(&"Proxy-Authorization: Basic bWU6aHVzaA=="), "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("Via: 1.1 proxyd-")), "{lines:?}");
    let series = "proxy_upstream_parent_connections_total{parent=\"corp\",outcome=\"connected\"} 1";
    waiting::until(series, || proxy.ask_admin("/metrics").text().contains(series).then_some(()));
}

#[test]
fn a_parent_that_does_not_connect_is_an_upstream_that_fails() {
    for (answer, status, error) in [
        ("HTTP/1.1 403 Forbidden\r\n\r\n", 502, "connection_refused"),
        ("HTTP/1.1 407 Who\r\nProxy-Authenticate: Basic\r\n\r\n", 502, "proxy_configuration_error"),
        ("HTTP/1.1 504 Late\r\n\r\n", 504, "connection_timeout"),
        ("HTTP/1.1 200 Conn", 502, "connection_terminated"),
        ("", 502, "connection_terminated"),
        ("SSH-2.0-OpenSSH\r\n\r\n", 502, "http_protocol_error"),
    ] {
        let (address, _) = parent(answer);
        let proxy = behind(&format!("http://{address}"), "", "").start();
        let (_, refused) = connect(proxy.address(), "far.test:443");
        assert_eq!(refused.status(), status, "{answer}");
        let told = refused.field("proxy-status").unwrap_or_default();
        assert!(told.contains(&format!("error={error}")), "{answer}: {told}");
        assert_eq!(refused.field("proxy-authenticate"), None);
    }
    // It says nothing, or is not there.
    let silent = server(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    let url = format!("http://{silent}");
    let proxy = behind(&url, "", "timeouts = { connect = \"200ms\" }").start();
    assert_eq!(connect(proxy.address(), "far.test:443").1.status(), 504);
    let proxy = behind(&format!("http://{}", ports::free()), "", "").start();
    assert_eq!(connect(proxy.address(), "far.test:443").1.status(), 502);
}

#[test]
fn what_is_excepted_goes_around_and_what_is_prohibited_nowhere() {
    let origin = Origin::saying("directly");
    let (address, heard) = parent("HTTP/1.1 200 OK\r\n\r\n");
    let keys = "no_proxy = [\"10.0.0.0/8\", \"near.test\"]";
    let url = format!("http://{address}");
    let open = "allow_private_destinations = true\nconnect_ports = [\"1-65535\"]";
    let proxy = behind(&url, keys, open).start();
    let raw = format!("GET {}/ HTTP/1.1\r\nHost: x\r\n\r\n", origin.url());
    assert_eq!(client::exchange(proxy.address(), "GET", raw).text(), "directly");
    assert_eq!(heard.lock().expect("heard").len(), 0);

    let proxy = behind(&url, keys, "").start();
    for target in ["10.0.0.1:443", "192.168.0.1:443", "[::ffff:192.168.0.1]:443", "localhost:443"] {
        assert_eq!(connect(proxy.address(), target).1.status(), 403, "{target}");
    }
    let raw = "GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n";
    assert_eq!(client::exchange(proxy.address(), "GET", raw).status(), 403);
    assert_eq!(heard.lock().expect("heard").len(), 0, "the parent heard of none of them");
}

#[test]
fn socks_parents_connect_too() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let address = server(move |mut stream| {
        let mut take = |count: usize| {
            let mut bytes = vec![0; count];
            stream.read_exact(&mut bytes).expect("a message");
            kept.lock().expect("heard").extend_from_slice(&bytes);
            stream.try_clone().expect("clone")
        };
        let mut out = take(3);
        out.write_all(b"\x05\x02").expect("method");
        take(1 + 1 + 2 + 1 + 4);
        out.write_all(b"\x01\x00").expect("verdict");
        take(4 + 1 + 8 + 2);
        out.write_all(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50").expect("reply");
        echo(out);
    });
    let proxy = behind(&format!("socks5://{address}"), "", "").start();
    let (mut client, answer) = connect(proxy.address(), "far.test:443");
    assert_eq!(answer.status(), 200);
    client.send("ping");
    assert_eq!(client.take(4), b"ping");
    let expected: &[u8] = b"\x05\x01\x02\x01\x02me\x04hush\x05\x01\x00\x03\x08far.test\x01\xbb";
    assert_eq!(*heard.lock().expect("heard"), expected);
}

#[test]
fn plain_requests_go_through_socks_as_to_the_origin() {
    let address = server(|mut stream| {
        let mut first = [0; 3];
        stream.read_exact(&mut first).expect("methods");
        stream.write_all(b"\x05\x00").expect("method");
        let mut request = [0; 4 + 1 + 8 + 2];
        stream.read_exact(&mut request).expect("request");
        stream.write_all(b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x50").expect("reply");
        let head = head(&mut stream);
        let content = head.lines().next().unwrap_or_default().to_owned();
        let length = content.len();
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{content}");
        stream.write_all(answer.as_bytes()).expect("answer");
    });
    let rest = format!("[parents.s]\nurl = \"socks5://{address}\"\n\n[forward]\nparent = \"s\"\n");
    let proxy = configured::forward("", &rest).start();
    let raw = "GET http://far.test/x HTTP/1.1\r\nHost: far.test\r\n\r\n";
    assert_eq!(client::exchange(proxy.address(), "GET", raw).text(), "GET /x HTTP/1.1");
}

#[test]
fn upstreams_have_parents_too_and_explain_names_them() {
    let parent = Origin::saying("by the parent");
    let rest = format!(
        "[[routes]]\nname = \"far\"\nupstream = \"far\"\n\n\
         [upstreams.far]\nendpoints = [\"http://far.test:8080\"]\nhost = \"upstream\"\nparent = \"corp\"\n\n\
         [parents.corp]\nurl = \"{}\"\n",
        parent.url()
    );
    let proxy = configured::gateway_routes("http://127.0.0.1:9", "", &rest).start();
    assert_eq!(client::get(proxy.address(), "app.test", "/a").text(), "by the parent");
    assert_eq!(parent.last().line(), "GET http://far.test:8080/a");
    assert_eq!(parent.last().field("host"), Some("far.test:8080"));

    let folder = Scratch::new("parent-explain");
    let config = format!(
        "[listeners.out]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\n\
         [parents.corp]\nurl = \"{}\"\nno_proxy = [\"near.test\"]\n\n[forward]\nparent = \"corp\"\n",
        parent.url()
    );
    folder.write("proxyd.toml", &config);
    let explained = |url: &str| {
        let all = ["explain", "--config", "proxyd.toml", "GET", url];
        run_to_end(folder.path(), &all).stdout
    };
    let text = explained("http://far.test/");
    assert!(text.contains("`corp` resolves it"), "{text}");
    assert!(!explained("http://near.test/").contains("corp"));
    assert_eq!(parent.links(), 1, "nobody was asked for that");
}

#[test]
fn two_proxies_that_are_each_others_parent_notice() {
    let addresses = [ports::free(), ports::free()];
    let proxies: Vec<_> = [0, 1]
        .into_iter()
        .map(|at| {
            let (own, other) = (addresses[at], addresses[1 - at]);
            let config = format!(
                "[listeners.web]\naddress = \"{own}\"\nrole = \"forward\"\n\n\
                 [parents.other]\nurl = \"http://{other}\"\n\n[forward]\nparent = \"other\"\n"
            );
            proxyd_tests::proxyd::run(own, &config).start()
        })
        .collect();
    let (_, refused) = connect(proxies[0].address(), "far.test:443");
    assert_eq!(refused.status(), 502, "{}", refused.text());
    let raw = "GET http://far.test/ HTTP/1.1\r\nHost: far.test\r\n\r\n";
    assert_eq!(client::exchange(proxies[0].address(), "GET", raw).status(), 508);
}

#[cfg(unix)]
#[test]
fn endpoints_may_be_sockets_in_the_file_system() {
    use std::os::unix::net::UnixListener;
    let folder = Scratch::new("unix-endpoint");
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).expect("bind");
    let served = Arc::new(Mutex::new(0));
    let count = Arc::clone(&served);
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            *count.lock().expect("count") += 1;
            thread::spawn(move || {
                loop {
                    let head = head(&mut stream);
                    let Some(line) = head.lines().next() else { return };
                    let host = head.lines().find(|line| line.starts_with("host")).unwrap_or("-");
                    let content = format!("{line}, {host}");
                    let length = content.len();
                    let raw = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
                    if stream.write_all((raw + &content).as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    let origin = format!("unix:{}", path.display());
    let proxy = configured::gateway(&origin, "", "").start();
    for _ in 0..3 {
        let text = client::get(proxy.address(), "app.test", "/a").text();
        assert_eq!(text.to_lowercase(), "get /a http/1.1, host: app.test");
    }
    assert_eq!(*served.lock().expect("count"), 1, "connections are kept");
    let upstreams = proxy.ask_admin("/upstreams").text();
    assert!(upstreams.contains(&origin), "{upstreams}");
    let gone = format!("unix:{}", folder.path().join("gone.sock").display());
    let proxy = configured::gateway(&gone, "", "").start();
    let answer = client::get(proxy.address(), "app.test", "/a");
    assert_eq!(answer.status(), 502);
    let told = answer.field("proxy-status").unwrap_or_default();
    assert!(told.contains("error=connection_refused"), "{told}");
}

#[test]
fn an_upstream_is_told_the_client_by_the_proxy_protocol() {
    for (version, begin) in
        [("v1", "PROXY TCP4 127.0.0.1 127.0.0.1 0 "), ("v2", "\r\n\r\n\0\r\nQUIT\n")]
    {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let address = server(move |mut stream| {
            let mut header = vec![0; if version == "v2" { 28 } else { 0 }];
            stream.read_exact(&mut header).expect("header");
            let mut line = Vec::new();
            while version == "v1" && !line.ends_with(b"\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).expect("line");
                line.push(byte[0]);
            }
            header.extend_from_slice(&line);
            let head = head(&mut stream);
            kept.lock().expect("heard").push((wire::latin1(&header), head));
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
            // Kept open: nobody may use it again.
            let _ = stream.read_to_end(&mut Vec::new());
        });
        let routes = format!(
            "[[routes]]\nname = \"all\"\nupstream = \"told\"\n\n[upstreams.told]\n\
             endpoints = [\"http://{address}\"]\nproxy_protocol = \"{version}\"\n"
        );
        let proxy = configured::gateway_routes("http://127.0.0.1:9", "", &routes).start();
        for _ in 0..2 {
            assert_eq!(client::get(proxy.address(), "app.test", "/").text(), "ok");
        }
        let heard = heard.lock().expect("heard");
        assert_eq!(heard.len(), 2, "a connection for each request");
        for (header, head) in heard.iter() {
            assert!(header.starts_with(begin), "{header:?}");
            assert!(head.starts_with("GET / HTTP/1.1\r\n"), "{head}");
        }
    }
}

#[test]
fn mistakes_are_named_and_secrets_are_not() {
    let folder = Scratch::new("parent-mistakes");
    folder.write("secret", "hush-without-a-colon\n");
    folder.write(
        "proxyd.toml",
        "[listeners.out]\naddress = \"127.0.0.1:3128\"\nrole = \"forward\"\n\n\
         [parents.corp]\nurl = \"http://me:hush@proxy.test\"\ncredentials = { file = \"secret\" }\n\
         no_proxy = [\"10.0.0.0/99\", \"a..b\"]\n\n[forward]\nparent = \"crop\"\n",
    );
    let outcome = run_to_end(folder.path(), &["check", "--config", "proxyd.toml"]);
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for part in [
        "parents.corp.url: a URL with a name or password",
        "parents.corp.credentials.file: expected one line `name:password`",
        "parents.corp.no_proxy[0]",
        "parents.corp.no_proxy[1]",
        "forward.parent: no parent is named `crop`; did you mean `corp`?",
    ] {
        assert!(outcome.stderr.contains(part), "{part}\n{}", outcome.stderr);
    }
    assert!(!outcome.stderr.contains("hush"), "{}", outcome.stderr);
}

/// A silent connection of the parent is found before a request is put on it.
#[test]
fn a_parent_that_dies_between_requests_costs_none() {
    let parent = Origin::start(Script::new().on_request(|request, turn| {
        let content = format!("{} on {}", request.head.target, turn.link);
        vec![response("200 OK", &[], content), Act::Close]
    }));
    let proxy = behind(&parent.url(), "", "").start();
    for at in 0..3 {
        let raw = format!("GET http://{at}.test/ HTTP/1.1\r\nHost: {at}.test\r\n\r\n");
        let text = client::exchange(proxy.address(), "GET", raw).text();
        assert_eq!(text, format!("http://{at}.test/ on {at}"));
    }
}

/// Connections that lead by another way are not used any more.
#[test]
fn another_parent_by_a_reload_has_the_next_request() {
    let (first, second) = (Origin::saying("first"), Origin::saying("second"));
    let proxy = behind(&first.url(), "", "").env(RUNTIME.0, RUNTIME.1).start();
    let ask = || {
        let raw = "GET http://a.test/ HTTP/1.1\r\nHost: a.test\r\n\r\n";
        client::exchange(proxy.address(), "GET", raw).text()
    };
    assert_eq!(ask(), "first");
    operator::edit(&proxy, &first.url(), &second.url());
    operator::reload(&proxy);
    assert_eq!(ask(), "second");
}

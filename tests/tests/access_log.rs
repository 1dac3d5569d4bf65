//! The access log of the running program: which requests have a line, where it goes, what it says
//! of each way in which a request can end, and that no line is lost uncounted.

use std::net::{TcpListener, UdpSocket};
use std::path::Path;
use std::time::Duration;

use proxyd_tests::client::{self, Client, Ending};
use proxyd_tests::origin::{Act, Origin, Script, ok, response};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::{configured, ports, proxyd, waiting};
use serde_json::Value;

const HOST: &str = "Host: origin.test\r\n";

fn objects(text: &str) -> Vec<Value> {
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
    text.lines().map(line).collect()
}

/// The line of the request for this target, once it is written.
fn line_of(proxy: &Proxyd, target: &str) -> Value {
    waiting::until(&format!("the line of {target}"), || {
        let log = proxy.log();
        let whole = log.rfind('\n').map_or("", |end| &log[..end]);
        objects(whole).into_iter().find(|line| line["target"] == target)
    })
}

fn get(proxy: &Proxyd, path: &str) -> u16 {
    client::get(proxy.address(), "origin.test", path).status()
}

/// A target that says how the origin answers.
fn moody() -> Origin {
    let by_path = |target: &str| match target {
        "/reset" => vec![Act::Reset],
        "/break" => {
            vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), Act::Reset]
        }
        "/silent" | "/wait" => vec![Act::AwaitEnd],
        "/long" => {
            vec![Act::send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf"), Act::AwaitEnd]
        }
        "/nonsense" => vec![Act::send("nonsense\r\n\r\n"), Act::Close],
        "/stored" => vec![response("200 OK", &[("Cache-Control", "max-age=3600")], "stored")],
        _ => ok("hello"),
    };
    Origin::start(
        Script::new()
            .on_head(
                move |head, _| {
                    if head.target == "/upload" { vec![Act::AwaitEnd] } else { Vec::new() }
                },
            )
            .on_request(move |request, _| by_path(&request.head.target)),
    )
}

/// Waits until the origin has received this.
fn reaches(origin: &Origin, line: &str) {
    waiting::until(line, || {
        let links = 0..origin.links();
        let mut texts = links.map(|link| String::from_utf8_lossy(&origin.bytes(link)).into_owned());
        texts.any(|text| text.contains(line)).then_some(())
    });
}

#[test]
fn every_way_in_which_a_request_ends() {
    let origin = moody();
    let refusing = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it");
    let rest = format!(
        "[[filter.rules]]\nid = \"no-secrets\"\naction = \"deny\"\n\
         match = {{ path_prefixes = [\"/secret\"] }}\n\
         [[filter.rate_limits]]\nid = \"few\"\nkey = \"client\"\nrate = \"1/h\"\nburst = 1\n\
         [upstreams.gone]\nendpoints = [\"http://{refusing}\"]\n\
         [[routes]]\nname = \"gone\"\nupstream = \"gone\"\nmatch = {{ paths = [\"/gone\"] }}\n\
         [[routes]]\nname = \"rated\"\nupstream = \"app\"\nmatch = {{ path_prefixes = [\"/rated\"] }}\n\
         limits = {{ rate = [\"few\"] }}\n\
         [[routes]]\nname = \"hasty\"\nupstream = \"app\"\nmatch = {{ paths = [\"/silent\"] }}\n\
         timeouts = {{ first_byte = \"100ms\" }}\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\ncache = true\n",
    );
    let proxy = configured::gateway_routes(&origin.url(), "", &rest).start();
    let check = |target: &str, status: Option<u64>, termination: &str, more: &[(&str, &str)]| {
        let line = line_of(&proxy, target);
        assert_eq!(line["status"].as_u64(), status, "{line}");
        assert_eq!(line["termination"], termination, "{line}");
        for (key, value) in more {
            assert_eq!(line[*key], *value, "{key} of {line}");
        }
        line
    };

    assert_eq!(get(&proxy, "/plain"), 200);
    let line = check("/plain", Some(200), "--", &[("route", "all"), ("ending", "complete")]);
    assert_eq!((&line["response_bytes"], &line["upstream"]["name"]), (&5.into(), &"app".into()));
    assert_eq!(line["upstream"]["address"], origin.address().to_string());
    assert_eq!(line["upstream"]["status"], 200);
    for key in ["answered_us", "duration_us", "since_accept_us", "connection"] {
        assert!(line[key].is_u64(), "{key} of {line}");
    }

    // Refused by the upstream, by a rule, by a limit, by the edge.
    assert_eq!(get(&proxy, "/gone"), 502);
    let refused = [("error", "connection_refused"), ("route", "gone")];
    check("/gone", Some(502), "SC", &refused);
    assert_eq!(get(&proxy, "/secret/x"), 403);
    check("/secret/x", Some(403), "PR", &[("denied_by", "filter"), ("rule", "no-secrets")]);
    assert_eq!((get(&proxy, "/rated/1"), get(&proxy, "/rated/2")), (200, 429));
    check("/rated/2", Some(429), "RQ", &[("rule", "few")]);

    // The upstream fails in each phase.
    assert_eq!(get(&proxy, "/silent"), 504);
    check("/silent", Some(504), "sH", &[("error", "http_response_timeout")]);
    assert_eq!(get(&proxy, "/nonsense"), 502);
    check("/nonsense", Some(502), "SH", &[]);
    assert_eq!(get(&proxy, "/reset"), 502);
    check("/reset", Some(502), "SH", &[]);
    let broken = client::get(proxy.address(), "origin.test", "/break");
    assert_ne!(broken.ending, Ending::Complete);
    check("/break", Some(200), "SD", &[("ending", "upstream_broke")]);

    // The client leaves in each phase.
    let mut client = Client::connect(proxy.address());
    client.send(format!("POST /upload HTTP/1.1\r\n{HOST}Content-Length: 1000\r\n\r\nhalf"));
    reaches(&origin, "POST /upload");
    client.reset();
    // Nobody reads the answer that was made for it.
    let line = check("/upload", Some(400), "CR", &[("reason", "content_incomplete")]);
    assert_eq!(line["request_bytes"], 4);
    for (path, code, status) in [("/wait", "CH", None), ("/long", "CD", Some(200))] {
        let mut client = Client::connect(proxy.address());
        client.send(format!("GET {path} HTTP/1.1\r\n{HOST}\r\n"));
        if status.is_some() {
            client.head().expect("a head");
            assert_eq!(client.take(4), b"half");
        } else {
            reaches(&origin, &format!("GET {path}"));
        }
        client.reset();
        check(path, status, code, &[("ending", "client_left")]);
    }

    // From the cache.
    assert_eq!((get(&proxy, "/stored"), get(&proxy, "/stored")), (200, 200));
    waiting::until("the hit", || {
        objects(&proxy.log()).iter().any(|line| line["cache"] == "hit").then_some(())
    });

    // A head that never became a request.
    let mut client = Client::connect(proxy.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nBad Name: x\r\n\r\n");
    assert_eq!(client.expect("GET").status(), 400);
    waiting::until("the refused head", || {
        let lines = objects(&proxy.log());
        let line = lines.iter().find(|line| line["ending"] == "head_refused")?;
        assert_eq!(line["termination"], "PR");
        Some(())
    });
}

/// A listener whose queue of connections is full: the next one hangs while it connects.
fn hanging() -> (Vec<std::net::TcpStream>, socket2::Socket, std::net::SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    let any: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    socket.bind(&any.into()).expect("a port");
    socket.listen(0).expect("it listens");
    let address = socket.local_addr().expect("it").as_socket().expect("an address");
    let mut held = Vec::new();
    // As many as the system takes.
    while let Ok(stream) =
        std::net::TcpStream::connect_timeout(&address, Duration::from_millis(300))
    {
        held.push(stream);
        assert!(held.len() < 100, "its queue has no end");
    }
    (held, socket, address)
}

#[test]
fn a_request_that_ends_before_an_upstream_has_it() {
    let origin = moody();
    let (_held, _socket, hanging) = hanging();
    let rest = format!(
        "[[filter.concurrency_limits]]\nid = \"one\"\nkey = \"route\"\nmax = 1\nqueue = 1\n\
         [upstreams.hanging]\nendpoints = [\"http://{hanging}\"]\n\
         [[routes]]\nname = \"hasty\"\nupstream = \"hanging\"\nmatch = {{ paths = [\"/late\"] }}\n\
         timeouts = {{ connect = \"100ms\" }}\n\
         [[routes]]\nname = \"hanging\"\nupstream = \"hanging\"\nmatch = {{ paths = [\"/dialled\"] }}\n\
         timeouts = {{ connect = \"60s\" }}\n\
         [[routes]]\nname = \"narrow\"\nupstream = \"app\"\nmatch = {{ path_prefixes = [\"/narrow\"] }}\n\
         limits = {{ concurrency = [\"one\"] }}\nrewrite = {{ strip_prefix = \"/narrow\" }}\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n",
    );
    let proxy = configured::gateway_routes(&origin.url(), "", &rest).start();
    let waits = |line: &'static str| {
        waiting::until(line, || {
            let metrics = proxy.ask_admin("/metrics").text();
            metrics.lines().any(|own| own == line).then_some(())
        });
    };

    // Connecting takes too long, or longer than the client wants to wait.
    assert_eq!(get(&proxy, "/late"), 504);
    let line = line_of(&proxy, "/late");
    assert_eq!(
        (&line["termination"], &line["error"]),
        (&"sC".into(), &"connection_timeout".into())
    );
    let mut client = Client::connect(proxy.address());
    client.send(format!("GET /dialled HTTP/1.1\r\n{HOST}\r\n"));
    waits("http_server_active_requests{protocol=\"http/1\"} 1");
    client.reset();
    let line = line_of(&proxy, "/dialled");
    assert_eq!((&line["termination"], &line["ending"]), (&"CC".into(), &"client_left".into()));

    // It waits for a place, and leaves; another finds no place to wait.
    let mut first = Client::connect(proxy.address());
    first.send(format!("GET /narrow/wait HTTP/1.1\r\n{HOST}\r\n"));
    waits("proxy_filter_concurrency_in_use{limit=\"one\"} 1");
    let mut second = Client::connect(proxy.address());
    second.send(format!("GET /narrow/2 HTTP/1.1\r\n{HOST}\r\n"));
    waits("proxy_filter_concurrency_waiting{limit=\"one\"} 1");
    assert_eq!(get(&proxy, "/narrow/3"), 503);
    let line = line_of(&proxy, "/narrow/3");
    assert_eq!((&line["termination"], &line["rule"]), (&"RQ".into(), &"one".into()), "{line}");
    second.reset();
    let line = line_of(&proxy, "/narrow/2");
    assert_eq!((&line["termination"], &line["status"]), (&"CQ".into(), &Value::Null), "{line}");
}

#[test]
fn a_request_that_joins_another_says_so() {
    let gate = waiting::Gate::new();
    let opened = gate.clone();
    let origin = Origin::answering(move |_, _| {
        vec![
            Act::Until(opened.clone()),
            response("200 OK", &[("Cache-Control", "max-age=60")], "once"),
        ]
    });
    let proxy = configured::gateway(&origin.url(), "", "cache = true\n").start();
    let mut clients: Vec<Client> = (0..2).map(|_| Client::connect(proxy.address())).collect();
    clients[0].send(format!("GET /one HTTP/1.1\r\n{HOST}\r\n"));
    origin.wait_received(0, "GET /one");
    clients[1].send(format!("GET /one HTTP/1.1\r\n{HOST}\r\n"));
    // It has come when the proxy is about two requests.
    waiting::until("the second request", || {
        let metrics = proxy.ask_admin("/metrics").text();
        let active = "http_server_active_requests{protocol=\"http/1\"} 2";
        metrics.lines().find(|line| *line == active).map(|_| ())
    });
    gate.open();
    for client in &mut clients {
        assert_eq!(client.expect("GET").text(), "once");
    }
    waiting::until("the collapsed request", || {
        let lines = objects(&proxy.log());
        (lines.len() == 2).then_some(())?;
        let collapsed = lines.iter().filter(|line| {
            matches!(line["cache"].as_str(), Some("collapsed" | "hit"))
                && line.get("upstream").is_none()
        });
        (collapsed.count() == 1).then_some(())
    });
}

#[test]
fn a_tunnel_says_how_it_ended() {
    let origin = Origin::echoing();
    let port = origin.address().port();
    let keys = format!("[forward]\nallow_private_destinations = true\nconnect_ports = [{port}]\n");
    let proxy = configured::forward("", &keys).start();
    let mut client = Client::connect(proxy.address());
    let target = format!("127.0.0.1:{port}");
    client.send(format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n"));
    assert_eq!(client.head().expect("a head").status, 200);
    client.send("hello");
    assert_eq!(client.take(5), b"hello");
    client.finish();
    client.expect_closed();
    let line = line_of(&proxy, &target);
    assert_eq!((&line["ending"], &line["tunnel_end"]), (&"tunnel".into(), &"closed".into()));
    assert_eq!((&line["request_bytes"], &line["response_bytes"]), (&5.into(), &5.into()));
    assert_eq!(line["termination"], "--");
}

#[test]
fn a_route_chooses_its_log() {
    let origin = Origin::saying("hello");
    let rest = "[log.more.api]\npath = \"api.log\"\nformat = \"template\"\n\
         template = \"{method} {path} {status} {route}\"\n\
         [log.more.failed]\npath = \"failed.log\"\nevery_route = true\nsample = \"0%\"\n\
         [[routes]]\nname = \"quiet\"\nupstream = \"app\"\nlog = false\n\
         match = { path_prefixes = [\"/health\"] }\n\
         [[routes]]\nname = \"api\"\nupstream = \"app\"\nlog = \"api\"\n\
         match = { path_prefixes = [\"/api\"] }\n\
         [[routes]]\nname = \"none\"\nmatch = { paths = [\"/broken\"] }\nrespond = { status = 503 }\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n";
    let proxy = configured::gateway_routes(&origin.url(), "", rest).start();
    for path in ["/health", "/api/x?token=1", "/broken", "/last"] {
        get(&proxy, path);
    }
    line_of(&proxy, "/last");
    let targets = |text: &str| -> Vec<String> {
        objects(text).iter().map(|line| line["target"].as_str().unwrap_or("").to_owned()).collect()
    };
    assert_eq!(targets(&proxy.log()), ["/broken", "/last"]);
    let read = |name| std::fs::read_to_string(proxy.folder().join(name)).unwrap_or_default();
    waiting::until("the line of the route", || {
        (read("api.log") == "GET /api/x 200 api\n").then_some(())
    });
    waiting::until("the line of what failed", || {
        (targets(&read("failed.log")) == ["/broken"]).then_some(())
    });
}

fn lines_in(folder: &Path) -> Vec<String> {
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("rot.log")))
        .collect();
    paths.sort();
    let text = paths.iter().map(|path| std::fs::read_to_string(path).unwrap_or_default());
    text.collect::<String>().lines().map(str::to_owned).collect()
}

#[test]
fn a_file_is_put_away_and_opened_anew() {
    let origin = Origin::saying("hello");
    let rest = "[log.more.rot]\npath = \"rot.log\"\nformat = \"common\"\nevery_route = true\n\
                rotate = { size = \"4KiB\", keep = 100, compress = false }\n";
    let mut proxy = configured::gateway(&origin.url(), "", rest).start();
    let mut client = Client::connect(proxy.address());
    for n in 0..200 {
        let answer = client.ask("GET", format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n"));
        assert_eq!(answer.status(), 200);
    }
    waiting::until("all lines", || (lines_in(proxy.folder()).len() == 200).then_some(()));
    for entry in std::fs::read_dir(proxy.folder()).expect("the folder") {
        let entry = entry.expect("an entry");
        if entry.file_name().to_string_lossy().starts_with("rot.log") {
            assert!(entry.metadata().expect("its size").len() <= 4 << 10);
        }
    }
    waiting::until("the other log", || (proxy.log().lines().count() == 200).then_some(()));
    // Somebody else moves the log away and says so.
    std::fs::rename(proxy.folder().join("access.log"), proxy.folder().join("access.old"))
        .expect("renamed");
    proxy.signal("USR1");
    waiting::until("the new file", || proxy.folder().join("access.log").exists().then_some(()));
    assert_eq!(get(&proxy, "/after"), 200);
    line_of(&proxy, "/after");
    assert!(proxy.is_running());
    let old = std::fs::read_to_string(proxy.folder().join("access.old")).expect("the old file");
    assert_eq!(old.lines().count(), 200);
}

#[test]
fn lines_go_to_syslog() {
    let server = UdpSocket::bind("127.0.0.1:0").expect("a port");
    server.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let origin = Origin::saying("hello");
    let rest = format!(
        "[log.more.sys]\npath = \"syslog:udp:{}\"\nevery_route = true\nformat = \"template\"\n\
         template = \"{{method}} {{target}} {{status}}\"\n",
        server.local_addr().expect("its address")
    );
    let proxy = configured::gateway(&origin.url(), "", &rest).start();
    get(&proxy, "/x");
    let mut buffer = [0; 4096];
    let n = server.recv(&mut buffer).expect("a message");
    let message = String::from_utf8_lossy(&buffer[..n]);
    assert!(message.starts_with("<134>1 "), "{message}");
    assert!(message.ends_with(" access - GET /x 200"), "{message}");
}

/// As many as a queue can not hold; the acceptance run has more.
const MANY: usize = 3_000;

/// Serves many requests while nobody reads the log's pipe; gives the lines that came in the end,
/// and how many were counted as lost.
fn with_a_full_pipe(on_full: &str) -> (usize, usize) {
    let origin = Origin::saying("hello");
    let (address, admin) = (ports::free(), ports::free());
    let folder = proxyd_tests::scratch::Scratch::new("fifo");
    let fifo = folder.join("log.fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    // Opened for both, so that the proxy's opening does not wait for a reader.
    let pipe = std::fs::OpenOptions::new().read(true).write(true).open(&fifo).expect("the pipe");
    let config = format!(
        "[admin]\naddress = \"{admin}\"\n\
         [log.access]\npath = \"{}\"\non_full = \"{on_full}\"\nqueue_size = \"64KiB\"\n\
         [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
         [upstreams.app]\nendpoints = [\"{}\"]\n\
         [[routes]]\nname = \"all\"\nupstream = \"app\"\n",
        fifo.display(),
        origin.url()
    );
    let proxy = proxyd::run(address, &config).admin(admin).start();
    let asked = std::thread::spawn(move || {
        let mut client = Client::connect(address).patient_for(Duration::from_secs(120));
        for n in 0..MANY {
            let answer = client.ask("GET", format!("GET /{n} HTTP/1.1\r\n{HOST}\r\n"));
            assert_eq!(answer.status(), 200);
        }
    });
    let lost = || {
        let metrics = proxy.ask_admin("/metrics").text();
        let name = "proxy_observe_log_dropped_total ";
        let line = metrics.lines().find_map(|line| line.strip_prefix(name))?;
        line.parse::<usize>().ok()
    };
    let waits = on_full == "block";
    if waits {
        // It stands still until somebody reads.
        waiting::until("the pipe to be full", || {
            let metrics = proxy.ask_admin("/metrics").text();
            let active = "http_server_active_requests{protocol=\"http/1\"} 1";
            metrics.lines().find(|line| *line == active).map(|_| ())
        });
    } else {
        asked.join().expect("all were answered though nobody reads the log");
        assert!(lost().expect("the counter") > 0);
        return (
            read_lines(pipe, |lines| lines + lost().unwrap_or(0) >= MANY),
            lost().unwrap_or(0),
        );
    }
    let lines = read_lines(pipe, |lines| lines + lost().unwrap_or(0) >= MANY);
    asked.join().expect("all were answered in the end");
    (lines, lost().expect("the counter"))
}

/// Reads a pipe until it is enough; gives the number of lines.
fn read_lines(pipe: std::fs::File, enough: impl Fn(usize) -> bool) -> usize {
    let counted = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let counting = std::sync::Arc::clone(&counted);
    // Ends with the test's process: it holds the pipe open for both.
    std::thread::spawn(move || {
        let mut pipe = std::io::BufReader::new(pipe);
        let mut line = String::new();
        while std::io::BufRead::read_line(&mut pipe, &mut line).is_ok_and(|n| n > 0) {
            let whole: Result<Value, _> = serde_json::from_str(&line);
            whole.unwrap_or_else(|error| panic!("{error}: {line}"));
            counting.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            line.clear();
        }
    });
    let seen = || counted.load(std::sync::atomic::Ordering::SeqCst);
    waiting::until_within(Duration::from_secs(120), "every line", || enough(seen()).then_some(()));
    seen()
}

#[test]
fn a_slow_log_loses_lines_and_counts_each() {
    let (lines, lost) = with_a_full_pipe("drop_and_count");
    assert!(lost > 0);
    assert_eq!(lines + lost, MANY);
}

#[test]
fn a_slow_log_that_blocks_loses_none() {
    assert_eq!(with_a_full_pipe("block"), (MANY, 0));
}

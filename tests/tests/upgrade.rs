//! Upgrade in place, socket activation and what systemd is told.

use std::fs;
use std::io::Write as _;
use std::net::TcpListener;
use std::os::unix::net::UnixDatagram;
use std::sync::mpsc;

use proxyd_tests::client::{self, Client};
use proxyd_tests::load::Load;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::processes::descendants;
use proxyd_tests::proxyd::{self, Launch, Proxyd};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::silent_file::SilentFile;
use proxyd_tests::successors::{Successors, signal};
use proxyd_tests::{configured, ports, waiting};

fn gateway(origin: &Origin, rest: &str) -> (Proxyd, Successors) {
    let listener = "protocols = [\"h1\", \"h2\"]";
    let launch = configured::gateway(&origin.url(), listener, rest);
    let (launch, successors) = Successors::mark(launch.env(RUNTIME.0, RUNTIME.1));
    (launch.start(), successors)
}

#[test]
fn no_request_fails_while_one_process_follows_another() {
    let origin = Origin::saying("hello");
    let (mut proxy, successors) = gateway(&origin, "");
    let first = proxy.id();
    let load = Load::start(proxy.address(), 3, 3);
    load.wait_for(50);
    let second = successors.upgrade(&proxy, first);
    load.wait_for(50);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    let third = successors.upgrade(&proxy, second);
    load.wait_for(50);
    successors.wait_end(second);
    load.wait_for(50);
    let seen = load.stop();
    assert_eq!(seen.failures, [""; 0], "{seen:?}");
    // Who asks again and again is told in an answer. Only who was not served for seconds, because
    // the machine was busy, can meet a closed connection: once in each upgrade at most.
    assert!(seen.repeated <= 6, "{seen:?}");
    assert_ne!(first, third);
    // Operators have the new one, by the token that they have read.
    assert_eq!(operator::metric(&proxy, "proxy_config_generation"), 1.0);
    assert_eq!(operator::reload(&proxy)["generation"], 2);
}

#[test]
fn a_new_process_that_does_not_come_to_serving_leaves_the_old_one() {
    let origin = Origin::saying("hello");
    let (mut proxy, successors) = gateway(&origin, "[log.audit]\npath = \"audit.jsonl\"\n");
    let good = operator::config(&proxy);
    for wrong in [
        good.replace("role = \"gateway\"", "role = \"gate\""),
        format!("{good}\n[log.more.x]\npath = \"no/such/folder/x\"\n"),
    ] {
        let before = proxy.stderr().matches("this process goes on").count();
        operator::configure(&proxy, &wrong);
        proxy.signal("USR2");
        waiting::until("the upgrade fails", || {
            (proxy.stderr().matches("this process goes on").count() > before).then_some(())
        });
        assert!(proxy.is_running());
        assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 200);
        assert_eq!(proxy.ask_admin("/readyz").status(), 200);
    }
    operator::configure(&proxy, &good);
    let id = proxy.id();
    let next = successors.upgrade(&proxy, id);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 200);
    signal(next, "TERM");
    successors.wait_end(next);
    // One chain, and what the first wrote while it drained beside it.
    let verified = proxyd::run_to_end(proxy.folder(), &["audit", "verify", "audit.jsonl"]);
    assert_eq!(verified.code, Some(0), "{verified:?}");
}

#[test]
fn tunnels_and_programs_go_on_in_the_process_that_has_them() {
    let folder = Scratch::new("pipe");
    let fifo = folder.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let echo = Origin::echoing();
    let at = echo.address();
    let web = ports::free();
    let rest = format!(
        "[listeners.in]\naddress = \"{web}\"\nrole = \"gateway\"\n\
         [[routes]]\nname = \"run\"\n[routes.exec]\nprogram = \"cat\"\nargs = [\"{}\"]\n\
         [forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n",
        fifo.display(),
        at.port()
    );
    let launch = configured::forward("", &rest).env(RUNTIME.0, RUNTIME.1);
    let (launch, successors) = Successors::mark(launch);
    let mut proxy = launch.start();
    let mut tunnel = Client::connect(proxy.address());
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(tunnel.ask("CONNECT", head).status(), 200);
    let mut run = Client::connect(web);
    run.send("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    waiting::until("the program runs", || {
        descendants(proxy.id()).iter().any(|own| own.name == "cat").then_some(())
    });
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).expect("the program reads");
    pipe.write_all(b"before ").expect("written");
    let id = proxy.id();
    let _ = successors.upgrade(&proxy, id);
    tunnel.send("still here");
    assert_eq!(tunnel.take(10), b"still here");
    pipe.write_all(b"and after").expect("written");
    drop(pipe);
    let answer = run.expect("GET");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "before and after"), "{answer:?}");
    tunnel.finish();
    tunnel.expect_closed();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// What is ordered meanwhile is not lost: the new process reads its files once more.
#[test]
fn a_reload_that_is_ordered_during_an_upgrade_is_done_by_who_serves_then() {
    let (address, admin) = (ports::free(), ports::free());
    let config = |mark: &str, rest: &str| {
        format!(
            "[admin]\naddress = \"{admin}\"\n\
             [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"{mark}\" }}\n{rest}"
        )
    };
    let launch = proxyd::run(address, &config("1", "")).admin(admin).env(RUNTIME.0, RUNTIME.1);
    let (launch, successors) = Successors::mark(launch);
    let mut proxy = launch.start();
    let pipe = SilentFile::make(proxy.folder(), "pipe");
    let text = || client::get(address, "a.test", "/").text();
    operator::configure(&proxy, &config("2", "[filter]\nblock_domains = [\"@pipe\"]\n"));
    proxy.signal("USR2");
    // The new process reads its configuration.
    let mut answer = pipe.is_read();
    operator::configure(&proxy, &config("3", ""));
    proxy.signal("HUP");
    waiting::until("the signal is heard", || proxy.stderr().contains("SIGHUP").then_some(()));
    assert_eq!(text(), "1");
    answer.write_all(b"blocked.test\n").expect("written");
    drop(answer);
    waiting::until("the newest configuration", || (text() == "3").then_some(()));
    assert_eq!(proxy.wait_exit().code(), Some(0));
    drop(successors);
}

/// Signals go to the process that is known. Once another one serves they are meant for that.
#[test]
fn what_is_told_to_the_old_process_while_it_drains_is_done_by_who_serves() {
    let echo = Origin::echoing();
    let at = echo.address();
    let (address, out, admin) = (ports::free(), ports::free(), ports::free());
    let config = |mark: &str| {
        format!(
            "[admin]\naddress = \"{admin}\"\n[log.access]\npath = \"lines\"\n\
             [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"{mark}\" }}\n\
             [listeners.out]\naddress = \"{out}\"\nrole = \"forward\"\n\
             [forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n",
            at.port()
        )
    };
    let launch = proxyd::run(address, &config("1")).admin(admin).env(RUNTIME.0, RUNTIME.1);
    let (launch, successors) = Successors::mark(launch);
    let mut proxy = launch.start();
    let mut tunnel = Client::connect(out);
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(tunnel.ask("CONNECT", head).status(), 200);
    let id = proxy.id();
    let _ = successors.upgrade(&proxy, id);
    let text = || client::get(address, "a.test", "/").text();
    waiting::until("the new one serves", || (text() == "1").then_some(()));
    let lines = proxy.folder().join("lines");
    fs::rename(&lines, proxy.folder().join("moved")).expect("a log");
    proxy.signal("USR1");
    waiting::until("a line of the new process in the new file", || {
        assert_eq!(text(), "1");
        fs::read_to_string(&lines).is_ok_and(|own| own.contains("a.test")).then_some(())
    });
    operator::configure(&proxy, &config("2"));
    proxy.signal("HUP");
    waiting::until("the new configuration", || (text() == "2").then_some(()));
    // Its tunnel went on all the while.
    tunnel.send("still here");
    assert_eq!(tunnel.take(10), b"still here");
    tunnel.finish();
    tunnel.expect_closed();
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// What a reload has read when nobody waits for it any more is of no use: nothing is opened by it.
#[test]
fn a_reload_that_is_given_up_opens_no_log() {
    let origin = Origin::saying("hello");
    let (mut proxy, successors) = gateway(&origin, "");
    let good = operator::config(&proxy);
    let pipe = SilentFile::make(proxy.folder(), "pipe");
    let late = good.replace("\"access.log\"", "\"late.log\"");
    assert_ne!(late, good);
    operator::configure(&proxy, &format!("{late}\n[filter]\nblock_domains = [\"@pipe\"]\n"));
    proxy.signal("HUP");
    let mut answer = pipe.is_read();
    operator::configure(&proxy, &good);
    let mut busy = Client::connect(proxy.address());
    busy.send("POST / HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 5\r\n\r\n");
    origin.wait_received(0, "POST /");
    let id = proxy.id();
    let _ = successors.upgrade(&proxy, id);
    answer.write_all(b"blocked.test\n").expect("written");
    drop(answer);
    waiting::until("the reload has ended", || (!has_thread(id, "reload")).then_some(()));
    assert!(!proxy.folder().join("late.log").exists());
    busy.send("hello");
    assert_eq!(busy.expect("POST").status(), 200);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// Whether a process has a thread of this name.
fn has_thread(pid: u32, name: &str) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("a process");
    threads.flatten().any(|thread| {
        fs::read_to_string(thread.path().join("comm")).is_ok_and(|own| own.trim() == name)
    })
}

/// Operators who stay connected are told to ask anew, as clients are.
#[test]
fn connections_of_operators_end_with_the_old_process_serving() {
    let origin = Origin::saying("hello");
    let (mut proxy, successors) = gateway(&origin, "");
    let ask = "GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let mut operator = Client::connect(proxy.admin());
    assert_eq!(operator.ask("GET", ask).status(), 200);
    let mut busy = Client::connect(proxy.address());
    busy.send("POST / HTTP/1.1\r\nHost: origin.test\r\nContent-Length: 5\r\n\r\n");
    let id = proxy.id();
    let _ = successors.upgrade(&proxy, id);
    // While the process is there still.
    operator.expect_closed();
    assert!(proxy.is_running());
    busy.send("hello");
    assert_eq!(busy.expect("POST").status(), 200);
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

/// Becomes the program with a listening socket as systemd hands it over.
const ACTIVATE: &str = "\
import os, socket, sys
s = socket.socket()
s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind((sys.argv[1], int(sys.argv[2])))
s.listen()
os.dup2(s.fileno(), 3)
os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[3], sys.argv[3:])
";

/// With a socket that listens here already.
fn activated(launch: Launch, address: std::net::SocketAddr) -> Launch {
    let (ip, port) = (address.ip().to_string(), address.port().to_string());
    launch.through(&["python3", "-c", ACTIVATE, &ip, &port])
}

#[test]
fn sockets_of_systemd_are_served() {
    let origin = Origin::saying("hello");
    let address = ports::free();
    let launch = configured::gateway_at(address, &origin.url(), "", "");
    let (launch, successors) = Successors::mark(launch.env(RUNTIME.0, RUNTIME.1));
    let mut proxy = activated(launch, address).start();
    assert_eq!(client::get(address, "origin.test", "/").status(), 200);
    // It is the socket that was handed over: no other can be bound beside it, and with it gone
    // from the configuration nobody listens any more.
    let inodes = listening(proxy.id());
    let id = proxy.id();
    let next = successors.upgrade(&proxy, id);
    assert_eq!(proxy.wait_exit().code(), Some(0));
    assert_eq!(listening(next), inodes, "the same sockets, in another process");
    assert_eq!(client::get(address, "origin.test", "/").status(), 200);
}

/// The inodes of the TCP sockets on which a process listens.
fn listening(pid: u32) -> Vec<String> {
    let table = fs::read_to_string(format!("/proc/{pid}/net/tcp")).expect("proc");
    let all: Vec<&str> = table
        .lines()
        .filter_map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            (fields.get(3) == Some(&"0A")).then(|| fields[9])
        })
        .collect();
    let links = fs::read_dir(format!("/proc/{pid}/fd")).expect("proc").flatten();
    let mut own: Vec<String> = links
        .filter_map(|link| fs::read_link(link.path()).ok())
        .filter_map(|to| {
            Some(to.to_str()?.strip_prefix("socket:[")?.trim_end_matches(']').to_owned())
        })
        .filter(|inode| all.contains(&inode.as_str()))
        .collect();
    own.sort();
    own.dedup();
    own
}

#[test]
fn systemd_is_told() {
    let origin = Origin::saying("hello");
    let folder = Scratch::new("notify");
    let path = folder.join("socket");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    // Read at once: who tells waits where nobody reads.
    let (packets, arrived) = mpsc::channel();
    std::thread::spawn(move || {
        let mut packet = [0; 4096];
        while let Ok(length) = socket.recv(&mut packet) {
            if packets.send(String::from_utf8_lossy(&packet[..length]).into_owned()).is_err() {
                return;
            }
        }
    });
    let told = |what: &str| {
        loop {
            let text = arrived
                .recv_timeout(waiting::PATIENCE)
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            if text.lines().any(|line| line == what) {
                return text;
            }
        }
    };
    let launch = configured::gateway(&origin.url(), "", "").env(RUNTIME.0, RUNTIME.1);
    let launch = launch.env("NOTIFY_SOCKET", path.to_str().expect("text"));
    let (launch, successors) = Successors::mark(launch.env("WATCHDOG_USEC", "300000"));
    let mut proxy = launch.start();
    let ready = told("READY=1");
    assert!(!ready.contains("MAINPID"), "{ready}");
    told("WATCHDOG=1");
    told("WATCHDOG=1");
    operator::reload(&proxy);
    let reloading = told("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    told("READY=1");
    let id = proxy.id();
    let next = successors.upgrade(&proxy, id);
    told(&format!("MAINPID={next}"));
    told("WATCHDOG=1");
    assert_eq!(proxy.wait_exit().code(), Some(0));
    signal(next, "TERM");
    told("STOPPING=1");
    successors.wait_end(next);
}

/// Where the one who is told reads nothing, nothing else waits for that.
#[test]
fn systemd_that_does_not_read_keeps_nobody_waiting() {
    let origin = Origin::saying("hello");
    let folder = Scratch::new("notify");
    let path = folder.join("socket");
    let _silent = UnixDatagram::bind(&path).expect("a socket");
    let filling = UnixDatagram::unbound().expect("a socket");
    filling.set_nonblocking(true).expect("a socket");
    while filling.send_to(b"X=1", &path).is_ok() {}
    let launch = configured::gateway(&origin.url(), "", "").env(RUNTIME.0, RUNTIME.1);
    let mut proxy = launch.env("NOTIFY_SOCKET", path.to_str().expect("text")).start();
    assert_eq!(client::get(proxy.address(), "origin.test", "/").status(), 200);
    operator::reload(&proxy);
    proxy.signal("TERM");
    assert_eq!(proxy.wait_exit().code(), Some(0));
}

#[test]
fn an_address_that_systemd_has_is_not_bound_again() {
    // Without activation the same configuration can not start: that is what the test above shows.
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address");
    let folder = Scratch::new("taken");
    let config = format!("[listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\n");
    folder.write("proxyd.toml", config);
    let outcome = proxyd::run_to_end(folder.path(), &["run", "--config", "proxyd.toml"]);
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("cannot listen on"), "{outcome:?}");
}

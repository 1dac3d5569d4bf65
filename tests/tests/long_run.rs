//! Reloads and upgrades for as long as is asked for, under load, with tunnels and a program that
//! runs. By hand:
//!
//! ```sh
//! PROXYD_BIN=target/release/proxyd RELOADS=300 UPGRADES=10 \
//!     cargo test --release -p proxyd-tests --test long_run -- --ignored --nocapture
//! ```
#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

use std::fs;
use std::io::Write as _;
use std::time::Instant;

use proxyd_tests::client::Client;
use proxyd_tests::load::Load;
use proxyd_tests::operator::{self, RUNTIME};
use proxyd_tests::origin::Origin;
use proxyd_tests::processes::{self, descendants, open_descriptors};
use proxyd_tests::proxyd;
use proxyd_tests::scratch::Scratch;
use proxyd_tests::successors::Successors;
use proxyd_tests::{ports, waiting};

fn asked(name: &str, usual: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Resident memory in KiB.
fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|own| own.trim().strip_suffix(" kB")?.trim().parse().ok()).expect("VmRSS")
}

#[test]
#[ignore = "takes minutes: it is run by hand, and its figures are read"]
fn nothing_is_lost_however_often() {
    let (reloads, upgrades) = (asked("RELOADS", 300), asked("UPGRADES", 10));
    let (address, admin, forward) = (ports::free(), ports::free(), ports::free());
    let echo = Origin::echoing();
    let at = echo.address();
    let folder = Scratch::new("pipe");
    let fifo = folder.join("fifo");
    let made = std::process::Command::new("mkfifo").arg(&fifo).status().expect("mkfifo");
    assert!(made.success());
    let config = |mark: usize| {
        format!(
            "[admin]\naddress = \"{admin}\"\n\
             [server]\ndrain_timeout = \"10m\"\n\
             [listeners.web]\naddress = \"{address}\"\nrole = \"gateway\"\nprotocols = [\"h1\", \"h2\"]\n\
             [listeners.out]\naddress = \"{forward}\"\nrole = \"forward\"\n\
             [forward]\nconnect_ports = [{}]\nallow_private_destinations = true\n\
             [[routes]]\nname = \"run\"\nmatch = {{ paths = [\"/run\"] }}\n\
             [routes.exec]\nprogram = \"cat\"\nargs = [\"{}\"]\n\
             [[routes]]\nname = \"all\"\nrespond = {{ status = 200, body = \"hello\" }}\n\
             response_fields = {{ set = {{ x-mark = \"{mark}\" }} }}\n\
             [[filter.rate_limits]]\nid = \"many\"\nrate = \"1000000/s\"\n",
            at.port(),
            fifo.display()
        )
    };
    let launch = proxyd::run(address, &config(0)).admin(admin).env(RUNTIME.0, RUNTIME.1);
    let (launch, successors) = Successors::mark(launch);
    let proxy = launch.start();
    let mut pid = proxy.id();

    let mut tunnel = Client::connect(forward);
    let head = format!("CONNECT {at} HTTP/1.1\r\nHost: {at}\r\n\r\n");
    assert_eq!(tunnel.ask("CONNECT", head).status(), 200);
    let mut run = Client::connect(address);
    run.send("GET /run HTTP/1.1\r\nHost: localhost\r\n\r\n");
    waiting::until("the program runs", || {
        descendants(pid).iter().any(|own| own.name == "cat").then_some(())
    });
    let mut pipe = fs::OpenOptions::new().write(true).open(&fifo).expect("the program reads");

    let (h1, h2) = (asked("H1", 8), asked("H2", 8));
    let load = Load::start(address, h1, h2);
    load.wait_for(1000);
    let (memory, descriptors) = (resident(pid), open_descriptors(pid));
    let begun = (Instant::now(), load.answered());
    let mut written = String::new();
    for turn in 1..=reloads {
        operator::configure(&proxy, &config(turn));
        operator::reload(&proxy);
        load.wait_for(20);
        let line = format!("{turn} ");
        tunnel.send(&line);
        assert_eq!(tunnel.take(line.len()), line.as_bytes());
        pipe.write_all(line.as_bytes()).expect("written");
        written.push_str(&line);
    }
    println!(
        "{reloads} reloads: {} KiB and {descriptors} descriptors before, {} KiB and {} after",
        memory,
        resident(pid),
        open_descriptors(pid)
    );
    // Connections to the admin listener come and go; what leaks at a reload does so at each.
    assert!(open_descriptors(pid) < descriptors + 8 + reloads / 10, "descriptors leak");
    for _ in 0..upgrades {
        pid = successors.upgrade(&proxy, pid);
        load.wait_for(1000);
        tunnel.send("and on");
        assert_eq!(tunnel.take(6), b"and on");
    }
    let (seconds, answered) = (begun.0.elapsed().as_secs_f64(), load.answered() - begun.1);
    println!("{upgrades} upgrades: {} KiB, {} descriptors", resident(pid), open_descriptors(pid));
    let seen = load.stop();
    println!("{answered} answers in {seconds:.1} s: {:.0} a second", answered as f64 / seconds);
    println!("{seen:?}");
    drop(pipe);
    let answer = run.expect("GET");
    assert_eq!((answer.status(), answer.text()), (200, written));
    tunnel.finish();
    tunnel.expect_closed();
    waiting::until_within(waiting::PATIENCE * 2, "all but the last have ended", || {
        let alive = |own: &processes::Process| own.name == "proxyd" && !own.is_zombie;
        let mine = successors.processes();
        let all = processes::all();
        let left = all.iter().filter(|own| mine.contains(&own.pid) && alive(own)).count();
        (left <= 1).then_some(())
    });
    assert_eq!(seen.failures, [""; 0]);
}

//! The soak: everything that goes on in a busy place, at once, for minutes.
//!
//! Honest clients over HTTP/1.1, HTTP/2 and TLS ask for what is cached and what is not, for small,
//! large and compressed content; they send content, speak to programs, go through tunnels; some of
//! them are slow. Others break off in the middle. Meanwhile the configuration changes each second,
//! certificates are replaced, and the endpoints of the upstream are killed and come back in turn.
//!
//! The load is paced: some two hundred requests a second, whatever the machine can do. So it is no
//! measurement, and a busy machine is no failure. It takes two minutes; by hand
//!
//! ```sh
//! PROXYD_BIN=target/release/proxyd SOAK_SECONDS=600 \
//!     cargo test -p proxyd-tests --test soak -- --nocapture
//! ```
//!
//! takes ten, and prints what it saw. `SOAK_PACE=300` makes it three times as busy.
//!
//! # What is asked
//!
//! - Of the requests that a healthy upstream could have answered at least 99.99 % are answered
//!   rightly: with the status, the whole content and the certificate that are due. What belongs to
//!   them and what does not is said in [`tally`].
//! - Each reload takes effect, each certificate is shown.
//! - A tunnel and a program that began before all of it are unharmed at the end.
//! - Resident memory in the last seconds is at most 5 % above that after the first minute; in less
//!   than five minutes at most 10 %.
//! - When all clients have gone, there is no descriptor and no process more than at the beginning;
//!   after SIGTERM none at all.
#![allow(clippy::print_stdout, reason = "its figures are what it is for")]

mod aborting;
mod belongings;
mod gauge;
mod honest;
mod line;
mod secrets;
mod site;
mod slow;
mod standing;
mod streams;
mod tally;
mod upheaval;

use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd_tests::{processes, waiting};

use belongings::Belongings;
use gauge::Gauge;
use site::Site;
use standing::Standing;
use tally::Tally;
use upheaval::Upheaval;

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().expect("a number"))
}

#[test]
fn it_serves_through_all_of_it() {
    let length = Duration::from_secs(asked("SOAK_SECONDS", 120));
    let site = Arc::new(Site::start());
    let pid = site.proxy.id();
    let tally = Arc::new(Tally::new(asked("SOAK_PACE", 100)));

    // Once each, so that what is begun at first use is there: the warden of programs, the cache.
    honest::once_each(&site, &tally);
    let quiet = Belongings::at_rest(pid);

    let mut standing = Standing::begin(&site);
    let gauge = Gauge::start(pid);
    let begun = Instant::now();
    let mut clients = honest::start(&site, &tally);
    clients.extend(slow::start(&site, &tally));
    clients.extend(streams::start(&site, &tally));
    clients.extend(aborting::start(&site, &tally));
    let mut upheaval = Upheaval::new(Arc::clone(&site), Arc::clone(&tally));
    let mut second = 0;
    while begun.elapsed() < length {
        upheaval.turn(second);
        standing.tick();
        second += 1;
        let due = begun + Duration::from_secs(1) * second;
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let memory = gauge.stop();
    upheaval.settle();
    tally.stop();
    for client in clients {
        client.join().expect("a client");
    }
    standing.end();

    println!("{}", tally.table());
    println!("{}", upheaval.summary());
    println!("{memory}");
    tally.judge();
    memory.judge();
    site.check_reloads(upheaval.reloads());
    drop(upheaval);

    let left = quiet.wait_no_more(pid);
    println!("descriptors: {} before, {} after", quiet.open(), left.open());
    let mine = quiet.pids(pid);
    let Ok(site) = Arc::try_unwrap(site) else { panic!("somebody has the site still") };
    site.end();
    waiting::until("no process is left", || {
        let all = processes::all();
        (!all.iter().any(|own| mine.contains(&own.pid))).then_some(())
    });
}

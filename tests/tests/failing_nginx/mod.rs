//! Three real nginx under load: one is killed, one is stopped, one is restarted.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use proxyd_tests::client::Client;
use proxyd_tests::nginx::Nginx;

use super::{await_states, gateway};

const CLIENTS: usize = 4;

/// What one client saw: requests, failures, and how long each took.
struct Seen {
    failed: Vec<String>,
    times: Vec<(Instant, Duration)>,
}

fn load(address: std::net::SocketAddr, ended: &AtomicBool) -> Seen {
    let mut seen = Seen { failed: Vec::new(), times: Vec::new() };
    let mut client = Client::connect(address);
    while !ended.load(Ordering::SeqCst) {
        let begun = Instant::now();
        client.send("GET /a.txt HTTP/1.1\r\nHost: app.test\r\n\r\n");
        match client.answer("GET") {
            Ok(answer) if answer.status() == 200 && answer.text() == "hello" => {}
            Ok(answer) => seen.failed.push(format!("{} {}", answer.status(), answer.text())),
            Err(error) => {
                seen.failed.push(format!("{error:?}"));
                client = Client::connect(address);
            }
        }
        seen.times.push((begun, begun.elapsed()));
        thread::sleep(Duration::from_millis(1));
    }
    seen
}

#[test]
fn clients_notice_nothing_of_three_nginx_that_fail() {
    let mut nginx = [(); 3].map(|()| Nginx::serving_files());
    nginx.iter().for_each(|own| own.file("a.txt", "hello"));
    let urls = nginx.each_ref().map(|own| format!("\"{}\"", own.url())).join(", ");
    let proxy = gateway(&format!(
        "endpoints = [{urls}]\nbalance = \"least_requests\"\nslow_start = \"1s\"\n\
         outlier = {{ eject_for = \"1s\", max_eject_for = \"2s\" }}\n\
         timeouts = {{ connect = \"10s\", first_byte = \"60s\" }}\n\
         retry = {{ retries = 2, on = [\"connect\", \"reset\"] }}\n\
         health_check = {{ path = \"/a.txt\", interval = \"500ms\", timeout = \"3s\", \
         healthy_after = 2, unhealthy_after = 2 }}"
    ))
    .start();
    await_states(&proxy, &["healthy"; 3]);
    let ended = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (address, ended) = (proxy.address(), Arc::clone(&ended));
            thread::spawn(move || load(address, &ended))
        })
        .collect();
    nginx[0].kill();
    await_states(&proxy, &["unhealthy", "healthy", "healthy"]);
    nginx[0].restart_after_kill();
    await_states(&proxy, &["healthy"; 3]);
    nginx[1].signal("STOP");
    await_states(&proxy, &["healthy", "unhealthy", "healthy"]);
    let found = Instant::now();
    nginx[2].restart();
    nginx[1].signal("CONT");
    await_states(&proxy, &["healthy"; 3]);
    ended.store(true, Ordering::SeqCst);
    let seen: Vec<Seen> = clients.into_iter().map(|own| own.join().expect("a client")).collect();
    let requests: usize = seen.iter().map(|own| own.times.len()).sum();
    let failed: Vec<&String> = seen.iter().flat_map(|own| &own.failed).collect();
    assert!(requests > 100, "{requests} requests are no load");
    assert!(failed.len() * 10_000 <= requests, "{} of {requests}: {failed:?}", failed.len());
    // Those who waited at the stopped one were moved when that was found, and not at the end of
    // their patience, which is a minute.
    let times = seen.iter().flat_map(|own| &own.times);
    let late = times.filter(|(begun, _)| *begun > found).map(|(_, time)| *time).max();
    assert!(late.unwrap_or_default() < Duration::from_secs(30), "{late:?}");
}

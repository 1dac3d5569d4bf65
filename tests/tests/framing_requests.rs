//! The corpora of malformed, ambiguous and valid requests, sent byte for byte; judged by what the
//! client got and by a strict reading of what the origin received.

use std::net::SocketAddr;
use std::time::Duration;

use proxyd_tests::client::{self, Client, NoAnswer};
use proxyd_tests::corpus::{self, Case};
use proxyd_tests::origin::{MARK, Origin, Rest, Seen};
use proxyd_tests::wire::{bytes, latin1};
use proxyd_tests::{configured, proxyd};

/// The path of the request by which a test knows that all before it has been dealt with.
const SENTINEL: &str = "/sentinel";

/// After so many faults the rest is not worth waiting for.
const ENOUGH: usize = 40;

struct Bench<'a> {
    proxy: SocketAddr,
    origin: &'a Origin,
    sentinel: String,
}

impl Bench<'_> {
    /// Runs a case; gives what is wrong.
    fn run(&self, case: &Case, piece: usize) -> Result<(), String> {
        let mark = self.origin.mark();
        let address = self.origin.address().to_string();
        let mut client = Client::connect(self.proxy).patient_for(Duration::from_secs(10));
        client.send_pieces(&case.bytes(&address), piece);
        if case.is("fin") {
            client.finish();
        }
        let statuses = self.answers(case, &mut client)?;
        drop(client);
        let after = client::exchange(self.proxy, "GET", &self.sentinel);
        if after.status() != 200 || after.field(MARK).is_none() {
            return Err(format!("the next client got {}", after.status()));
        }
        if !self.origin.partial_ones_end(&mark) {
            return Err("an upstream connection with half a message stays open".into());
        }
        let seen = without_sentinel(self.origin.since(&mark));
        judge(case, &statuses, &seen, &address)
            .map_err(|why| format!("answers {statuses:?}; {why}"))
    }

    /// Reads all answers that are due and gives their statuses; 0 for none.
    fn answers(&self, case: &Case, client: &mut Client) -> Result<Vec<u16>, String> {
        let mut allowed = vec![case.statuses()];
        allowed.extend(case.later_statuses());
        let mut statuses = Vec::new();
        for (number, allowed) in allowed.iter().enumerate() {
            let method = match case.json["methods"][number].as_str() {
                Some(method) => method,
                None if case.text("method").is_empty() => "GET",
                None => case.text("method"),
            };
            let status = match client.answer(method) {
                Ok(answer) if !answer.is_whole() => {
                    return Err(format!("answer {number} ended as {:?}", answer.ending));
                }
                Ok(answer) => {
                    let marked = answer.field(MARK).is_some();
                    if marked != (200..300).contains(&answer.status()) {
                        return Err(format!("{} with marked = {marked}", answer.status()));
                    }
                    answer.status()
                }
                Err(NoAnswer::Closed) => 0,
                Err(other) => return Err(format!("answer {number}: {other:?}")),
            };
            if !allowed.contains(&status) {
                return Err(format!("answer {number} is {status}, expected {allowed:?}"));
            }
            statuses.push(status);
        }
        if case.expects("closed") {
            let (rest, closed) = client.rest();
            if !closed {
                return Err(format!("{statuses:?}, and the connection stays open"));
            }
            if !rest.is_empty() {
                return Err(format!("{statuses:?}, then {:?}", latin1(&rest)));
            }
        }
        Ok(statuses)
    }
}

fn without_sentinel(mut seen: Vec<Seen>) -> Vec<Seen> {
    for one in &mut seen {
        one.requests.retain(|request| request.head.target != SENTINEL);
    }
    seen
}

/// Compares what the origin saw with what the case expects.
fn judge(case: &Case, statuses: &[u16], seen: &[Seen], origin: &str) -> Result<(), String> {
    for one in seen {
        if let Rest::Invalid(why, raw) = &one.rest {
            return Err(format!("the origin got an ambiguous message, {why}: {:?}", latin1(raw)));
        }
    }
    let requests: Vec<_> = seen.iter().flat_map(|one| &one.requests).collect();
    let lines: Vec<String> = requests.iter().map(|request| request.line()).collect();
    let partial = seen.iter().any(|one| one.rest != Rest::Nothing);
    let answered = statuses.iter().filter(|status| (200..300).contains(*status)).count();
    let saw = format!("the origin saw {lines:?}, a part of a message: {partial}");
    let fits = match case.expected("origin") {
        "nothing" => lines.is_empty() && !partial,
        "incomplete" => lines.is_empty(),
        "first-only" => lines.len() == 1 && !partial,
        "complete" => lines.len() == answered && !partial,
        "either" if answered > 0 => lines.len() == answered && !partial,
        "either" => lines.is_empty(),
        other => return Err(format!("unknown expectation {other:?}")),
    };
    if !fits {
        return Err(format!("{saw}, expected {:?}", case.expected("origin")));
    }
    let all: String = seen.iter().map(|one| latin1(&one.bytes).to_ascii_lowercase()).collect();
    for text in case.expected_list("absent") {
        if all.contains(&text.to_ascii_lowercase()) {
            return Err(format!("{text:?} reached the origin"));
        }
    }
    if answered == 0 {
        return Ok(());
    }
    for text in case.expected_list("present") {
        if !all.contains(&text.to_ascii_lowercase()) {
            return Err(format!("{text:?} did not reach the origin"));
        }
    }
    // What came on different connections has no order at the origin; the order of the answers is
    // judged by who asked.
    let sorted = |mut lines: Vec<String>| {
        lines.sort_unstable();
        lines
    };
    let targets: Vec<String> =
        case.expected_list("targets").iter().map(ToString::to_string).collect();
    if !targets.is_empty() && sorted(targets.clone()) != sorted(lines.clone()) {
        return Err(format!("{saw}, expected {targets:?}"));
    }
    let first = requests.first().ok_or(saw)?;
    if let Some(content) = case.json["expect"]["content"].as_str()
        && bytes(content) != first.content
    {
        return Err(format!("content {:?}, expected {content:?}", latin1(&first.content)));
    }
    let host = case.expected("host").replace("{origin}", origin);
    if !host.is_empty() && first.field("host") != Some(&host) {
        return Err(format!("Host {:?}, expected {host:?}", first.field("host")));
    }
    for name in case.expected_list("trailers_without") {
        if first.trailers.has(name) {
            return Err(format!("a trailer section with {name}"));
        }
    }
    Ok(())
}

/// Runs the cases whole and byte by byte, and panics with everything that is wrong.
fn run_all(bench: &Bench<'_>, via: &str) {
    let mut faults = Vec::new();
    let (mut count, cases) = (0, corpus::read("http1/requests.jsonl"));
    for case in cases.iter().filter(|case| case.text("via") == via) {
        let length = case.bytes("127.0.0.1:10000").len();
        for piece in [usize::MAX, 1] {
            if piece == 1 && length > 2000 {
                continue;
            }
            count += 1;
            if faults.len() < ENOUGH
                && let Err(why) = bench.run(case, piece)
            {
                let how = if piece == 1 { " (byte by byte)" } else { "" };
                faults.push(format!("{}{how}: {} [{}]", case.id, why, case.why));
            }
        }
    }
    assert!(count > 20, "{count} cases");
    assert!(faults.is_empty(), "{} of {count} wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn requests_to_a_gateway() {
    let origin = Origin::saying("hello");
    let proxy = proxyd::reverse(&origin.url()).start();
    let sentinel = format!("GET {SENTINEL} HTTP/1.1\r\nHost: origin.test\r\n\r\n");
    run_all(&Bench { proxy: proxy.address(), origin: &origin, sentinel }, "");
}

#[test]
fn requests_to_a_forward_proxy() {
    let origin = Origin::saying("hello");
    let address = origin.address();
    let port = address.port().to_string();
    let proxy = proxyd::forward().args(&["--allow-private", "--connect-port", &port]).start();
    let sentinel = format!("GET http://{address}{SENTINEL} HTTP/1.1\r\nHost: {address}\r\n\r\n");
    run_all(&Bench { proxy: proxy.address(), origin: &origin, sentinel }, "forward");
}

#[test]
fn the_vectors_of_llhttp() {
    let origin = Origin::saying("hello");
    // Some vectors end in the middle of a head; they need not wait for the default.
    let timeouts = "[server.timeouts]\nheader = \"1s\"\nbody_grace = \"1s\"\n";
    let proxy = configured::gateway(&origin.url(), "", timeouts).start();
    let mut faults = Vec::new();
    for case in corpus::read("http1/llhttp.jsonl") {
        let mark = origin.mark();
        let raw = bytes(&case.raw);
        let method = case.raw.split(' ').next().unwrap_or("GET");
        let mut client = Client::connect(proxy.address());
        client.send(&raw);
        let answer = client.answer(method);
        drop(client);
        let valid = case.text("class").starts_with("valid");
        if valid && !matches!(&answer, Ok(a) if a.status() == 200 && a.field(MARK).is_some()) {
            faults.push(format!("{}: valid, got {answer:?}", case.id));
        }
        if matches!(&answer, Err(NoAnswer::Malformed(_) | NoAnswer::InsideHead)) {
            faults.push(format!("{}: {answer:?}", case.id));
        }
        let after = client::get(proxy.address(), "localhost", SENTINEL);
        if after.status() != 200 {
            faults.push(format!("{}: the next client got {}", case.id, after.status()));
        }
        if !origin.partial_ones_end(&mark) {
            faults.push(format!("{}: half a message stays open upstream", case.id));
        }
        for one in origin.since(&mark) {
            if let Rest::Invalid(why, got) = one.rest {
                faults.push(format!("{}: ambiguous upstream, {why}: {:?}", case.id, latin1(&got)));
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

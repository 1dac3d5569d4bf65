//! The corpus of malformed, ambiguous and valid responses from an upstream: what the client got,
//! and that the next client is none the worse for it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use proxyd_tests::client::{self, Answer, Client, Ending, NoAnswer};
use proxyd_tests::corpus::{self, Case};
use proxyd_tests::origin::{Act, Origin, ok};
use proxyd_tests::proxyd::{self, Proxyd};
use proxyd_tests::waiting::Gate;
use proxyd_tests::wire::{self, latin1};

/// The field that every response of the corpus has, and no answer that the proxy makes.
const CASE: &str = "X-Case";

/// More interim responses than this are never relayed.
const MOST_INTERIM: usize = 32;

/// An origin that answers `/case/ID` with that case and all else with its own target.
fn origin(cases: &[Case]) -> Origin {
    let scripts: HashMap<String, Vec<Act>> = cases
        .iter()
        .map(|case| {
            let mut acts = vec![Act::Send(case.bytes(""))];
            if case.is("reset") {
                acts.push(Act::Reset);
            } else if case.is("close") {
                acts.push(Act::Close);
            }
            (format!("/case/{}", case.id), acts)
        })
        .collect();
    let scripts = Arc::new(scripts);
    Origin::answering(move |request, _| {
        let target = &request.head.target;
        scripts.get(target).cloned().unwrap_or_else(|| ok(target))
    })
}

fn judge(case: &Case, answer: &Answer) -> Result<(), String> {
    let status = answer.status();
    let relayed = answer.head.fields.has(CASE);
    let told = format!("{status}, relayed = {relayed}, {:?}", answer.ending);
    let allowed = case.statuses();
    if !allowed.contains(&status) {
        return Err(format!("{told}; expected {allowed:?}"));
    }
    let fits = match case.expected("outcome") {
        "refused" => !relayed && answer.is_whole(),
        "aborted" if relayed => answer.ending == Ending::Truncated,
        "aborted" => answer.is_whole(),
        "complete" => relayed && answer.is_whole(),
        "either" => answer.is_whole(),
        other => return Err(format!("unknown expectation {other:?}")),
    };
    if !fits {
        return Err(format!("{told}; expected {}", case.expected("outcome")));
    }
    if !relayed && !answer.head.fields.has("proxy-status") {
        return Err(format!("{told}; without Proxy-Status"));
    }
    if answer.interim.len() > MOST_INTERIM {
        return Err(format!("{told}; {} interim responses", answer.interim.len()));
    }
    if !relayed {
        return Ok(());
    }
    if let Some(content) = case.json["expect"]["content"].as_str()
        && answer.content != wire::bytes(content)
    {
        return Err(format!("{told}; content {:?}", latin1(&answer.content)));
    }
    if let Some(due) = case.json["expect"]["interim"].as_array() {
        let got: Vec<u64> = answer.interim.iter().map(|head| head.status.into()).collect();
        if due.iter().filter_map(serde_json::Value::as_u64).collect::<Vec<_>>() != got {
            return Err(format!("{told}; interim {got:?}"));
        }
    }
    let fields = format!("{:?}", answer.head.fields).to_ascii_lowercase();
    match case.expected_list("absent").iter().find(|text| fields.contains(**text)) {
        Some(text) => Err(format!("{told}; the head has {text:?}")),
        None => Ok(()),
    }
}

fn run(case: &Case, number: usize, proxy: &Proxyd, origin: &Origin) -> Result<(), String> {
    let method = if case.text("method").is_empty() { "GET" } else { case.text("method") };
    let mark = origin.mark();
    let target = format!("/case/{}", case.id);
    let mut client = Client::connect(proxy.address()).patient_for(Duration::from_secs(10));
    client.send(format!("{method} {target} HTTP/1.1\r\nHost: origin.test\r\n\r\n"));
    let answer = client.answer(method).map_err(|why| format!("no answer: {why:?}"))?;
    judge(case, &answer)?;
    if answer.ending == Ending::Complete && !answer.head.fields.lists("connection", "close") {
        // The same client goes on: what it gets next is its own answer or the end.
        let next = format!("/same/{number}");
        client.send(format!("GET {next} HTTP/1.1\r\nHost: origin.test\r\n\r\n"));
        match client.answer("GET") {
            Ok(again) if again.status() == 200 && again.text() == next => {}
            Ok(again) => return Err(format!("then {} {:?}", again.status(), again.text())),
            Err(NoAnswer::Closed) => {}
            Err(why) => return Err(format!("then {why:?}")),
        }
    }
    drop(client);
    let next = format!("/other/{number}");
    let other = client::get(proxy.address(), "origin.test", &next);
    if other.status() != 200 || other.text() != next {
        return Err(format!("the next client got {} {:?}", other.status(), other.text()));
    }
    if case.json["expect"]["reused"] == false {
        let shared = origin.since(&mark).into_iter().any(|seen| {
            let case = seen.requests.iter().position(|r| r.head.target == target);
            case.is_some_and(|at| at + 1 < seen.requests.len())
        });
        if shared {
            return Err("the connection was used again".into());
        }
    }
    Ok(())
}

#[test]
fn responses_of_an_upstream() {
    let cases = corpus::read("http1/responses.jsonl");
    let origin = origin(&cases);
    let proxy = proxyd::reverse(&origin.url()).start();
    let faults: Vec<String> = cases
        .iter()
        .enumerate()
        .filter_map(|(number, case)| {
            let why = run(case, number, &proxy, &origin).err()?;
            Some(format!("{}: {why} [{}]", case.id, case.why))
        })
        .take(40)
        .collect();
    assert!(faults.is_empty(), "{} wrong:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn cookies_are_never_merged() {
    let cases = corpus::read("http1/responses.jsonl");
    let origin = origin(&cases);
    let proxy = proxyd::reverse(&origin.url()).start();
    let answer = client::get(proxy.address(), "origin.test", "/case/valid-cookies");
    assert_eq!(answer.head.fields.all("set-cookie"), ["a=b", "c=d"]);
}

#[test]
fn bytes_that_come_after_the_answer_reach_nobody() {
    // The extra bytes arrive when the connection is already idle.
    let gate = Gate::new();
    let inside = gate.clone();
    let origin = Origin::answering(move |request, _| {
        let mut acts = ok(&request.head.target);
        if request.head.target == "/first" {
            acts.push(Act::Until(inside.clone()));
            acts.push(Act::send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nHIDDEN"));
            acts.push(Act::AwaitEnd);
        }
        acts
    });
    let proxy = proxyd::reverse(&origin.url()).start();
    let first = client::get(proxy.address(), "origin.test", "/first");
    assert_eq!(first.text(), "/first");
    gate.open();
    // The proxy sees bytes that nobody asked for and lets the connection go.
    origin.wait_ended(0);
    let second = client::get(proxy.address(), "origin.test", "/second");
    assert_eq!(second.text(), "/second");
}

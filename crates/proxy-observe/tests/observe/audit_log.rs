//! The audit log: what it writes, goes on from, and does when it can not write.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use proxy_core::{
    AddressPrivacy, AuditAnswer, AuditEvent, AuditRecord, ConnectionEvent, ConnectionEvents,
    ConnectionRefusal, Decision, Pseudonyms, TunnelEnd, TunnelOutcome, Verdict,
};
use proxy_observe::audit::{Fsync, HeadsTo, OnFull};
use proxy_observe::{AuditConfig, AuditLog, AuditTrail, ObserveLayer, Observer, Redaction};
use proxy_testkit::{ExchangeBuilder, ManualClock, ScriptedBody, StubService};
use serde_json::Value;
use tower::{Layer, ServiceExt};

use crate::scene::{Pipe, respond, until};
use crate::trail::{Folder, KEY, broken, config, deny, deny_by, open, verify};

const LONG: Duration = Duration::from_secs(60);

fn parsed(lines: &[String]) -> Vec<Value> {
    lines.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn events(folder: &Folder, name: &str) -> Vec<String> {
    let lines = parsed(&folder.lines(name));
    lines.iter().map(|line| line["event"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test]
async fn what_is_decided_about_a_request_becomes_records() {
    let clock = ManualClock::new();
    let pipe = Pipe::default();
    let log = AuditLog::builder(config(), Arc::new(clock.clone()));
    let log = log.start(pipe.clone()).expect("a log");
    log.set_generation(3);
    let redaction = Redaction::new(["token"], []);
    let trail = AuditTrail::new(log.sink(), redaction, Default::default());
    let observer = Observer::new(Arc::new(clock.clone()), [Arc::new(trail) as _]);
    let exchange = ExchangeBuilder::new().clock(&clock).peer("192.0.2.77").build();
    exchange.set_route("api".into());
    exchange.set_user("anna".into());
    let decision = |rule: &str, verdict| Decision {
        layer: "filter",
        rule: Some(rule.into()),
        verdict,
        reason: "because".into(),
    };
    let told = exchange.clone();
    exchange.decide(decision("first", Verdict::Allow));
    exchange.decide(decision("second", Verdict::Report));
    let layer = ObserveLayer::new(observer.clone());
    let service = layer.layer(StubService::once(respond(403, ScriptedBody::empty())).0);
    let request = http::Request::get("/a/../b?token=s3cret&x=1").header("host", "u:p@a.test");
    let request = request.extension(exchange).body(ScriptedBody::empty()).expect("a request");
    let response = service.oneshot(request).await.expect("an answer");
    assert!(log.flush(LONG));
    assert_eq!(pipe.lines().len(), 2, "it is told with the head, not with the end");
    told.decide(decision("third", Verdict::Deny));
    drop(response);
    assert!(log.flush(LONG));
    let lines = parsed(&pipe.lines());
    assert_eq!(lines.len(), 3, "each once: {lines:?}");
    let report = &lines[1];
    for (key, value) in [
        ("event", "decision"),
        ("client", "192.0.2.77"),
        ("layer", "filter"),
        ("rule", "second"),
        ("verdict", "report"),
        ("reason", "because"),
        ("route", "api"),
        ("user", "anna"),
        ("method", "GET"),
        ("host", "a.test"),
        ("target", "/b?token=[redacted]&x=1"),
    ] {
        assert_eq!(report[key], value, "{key}");
    }
    assert_eq!((&report["status"], &report["generation"]), (&403.into(), &3.into()));
    assert_eq!(report["id"].as_str().map(str::len), Some(32));
    assert_eq!(lines[2]["rule"], "third");
}

#[test]
fn connections_and_tunnels_become_records() {
    let clock = ManualClock::new();
    let pipe = Pipe::default();
    let salt = Pseudonyms::new(b"salt");
    let config = AuditConfig { privacy: AddressPrivacy::Pseudonym(salt), ..config() };
    let log = AuditLog::builder(config, Arc::new(clock.clone())).start(pipe.clone());
    let log = log.expect("a log");
    let trail = AuditTrail::new(log.sink(), Redaction::default(), Default::default());
    let observer = Observer::new(Arc::new(clock.clone()), [Arc::new(trail) as _]);
    let exchange = ExchangeBuilder::new().clock(&clock).peer("192.0.2.77").build();
    let connection = exchange.connection();
    let limit = ConnectionRefusal::ClientLimit;
    observer.on_event(connection, ConnectionEvent::Refused(ConnectionRefusal::Address));
    observer.on_event(connection, ConnectionEvent::Refused(limit));
    let status = http::StatusCode::BAD_REQUEST;
    observer.on_event(connection, ConnectionEvent::HeadRefused { status, reason: "bare_cr" });
    let service = ObserveLayer::new(observer.clone())
        .layer(StubService::once(respond(200, ScriptedBody::empty())).0);
    let request = http::Request::connect("b.test:443").extension(exchange.clone());
    let request = request.body(ScriptedBody::empty()).expect("a request");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    drop(runtime.block_on(service.oneshot(request)).expect("an answer"));
    let outcome = TunnelOutcome {
        end: TunnelEnd::Idle,
        sent: 5,
        received: 7,
        duration: Duration::from_secs(2),
    };
    let closed = ConnectionEvent::TunnelClosed { exchange: Some(&exchange), outcome: &outcome };
    observer.on_event(connection, closed);
    drop(log);
    let lines = parsed(&pipe.lines());
    let told: Vec<_> = lines
        .iter()
        .skip(1)
        .map(|line| {
            let word = |key: &str| line[key].as_str().unwrap_or_default().to_owned();
            assert!(word("client").starts_with('_'), "{line}");
            [word("event"), word("verdict"), word("reason")].join(" ")
        })
        .collect();
    assert_eq!(
        told,
        [
            "connection_refused deny address",
            "connection_refused limit client_limit",
            "head_refused deny bare_cr",
            "tunnel_closed limit idle_timeout",
        ]
    );
    let tunnel = lines.last().expect("one");
    assert_eq!(tunnel["target"], "b.test:443");
    assert_eq!((&tunnel["sent_bytes"], &tunnel["received_bytes"]), (&5.into(), &7.into()));
    assert!(!pipe.text().contains("192.0.2"));
}

#[test]
fn a_restart_goes_on_where_the_file_ends() {
    for key in [false, true] {
        let folder = Folder::new();
        folder.write("key", KEY);
        folder.write("copy", KEY);
        let path = || key.then(|| folder.path("key"));
        deny(&open(&folder.path("log"), path()), 0..3);
        deny(&open(&folder.path("log"), path()), 3..6);
        assert_eq!(events(&folder, "log").iter().filter(|event| *event == "opened").count(), 2);
        // A rotation while nobody writes.
        fs::rename(folder.path("log"), folder.path("log.1")).expect("rotated");
        deny(&open(&folder.path("log"), path()), 6..9);
        let copy = folder.path("copy");
        let report = verify(&folder.paths(&["log", "log.1"]), key.then_some(&*copy), &[]);
        assert_eq!((report.records, broken(&report)), (12, None));
        assert_eq!(report.with_mac, if key { 12 } else { 0 });
    }
}

#[test]
fn a_torn_line_is_noted() {
    let folder = Folder::new();
    deny(&open(&folder.path("log"), None), 0..3);
    let whole = folder.read("log");
    folder.write("log", &whole[..whole.len() - 20]);
    let unwritten = verify(&folder.paths(&["log"]), None, &[]);
    assert_eq!((unwritten.records, broken(&unwritten)), (3, None));
    assert!(unwritten.notes[0].contains("half a record"), "{:?}", unwritten.notes);
    deny(&open(&folder.path("log"), None), 3..6);
    let report = verify(&folder.paths(&["log"]), None, &[]);
    assert_eq!(broken(&report), None);
    assert!(report.notes[0].contains("noted by record 4"), "{:?}", report.notes);
    assert_eq!(events_of_records(&folder)[3..5], ["torn", "opened"]);
}

fn events_of_records(folder: &Folder) -> Vec<String> {
    let lines = folder.lines("log");
    let records = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    records.map(|line| line["event"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_cut_tail_is_noted_by_the_key() {
    let folder = Folder::new();
    folder.write("key", KEY);
    deny(&open(&folder.path("log"), Some(folder.path("key"))), 0..6);
    let lines = folder.lines("log");
    folder.write("log", &(lines[..4].join("\n") + "\n"));
    deny(&open(&folder.path("log"), Some(folder.path("key"))), 6..8);
    let lines = parsed(&folder.lines("log"));
    assert_eq!(lines[4]["event"], "missing");
    assert_eq!((&lines[4]["first"], &lines[4]["last"]), (&5.into(), &7.into()));
    assert_eq!(lines[4]["seq"], 8);
}

#[test]
fn what_is_repeated_is_counted() {
    let folder = Folder::new();
    let clock = ManualClock::new();
    let config = AuditConfig::default();
    let log = AuditLog::builder(config, Arc::new(clock.clone()));
    let log = log.open(folder.path("log")).expect("a log");
    let sink = log.sink();
    for _ in 0..16 {
        assert_eq!(deny_by(&*sink, 1, "a"), AuditAnswer::Taken, "each has its own target");
    }
    for _ in 0..1000 {
        assert_eq!(deny_by(&*sink, 1, "a"), AuditAnswer::Counted);
    }
    assert_eq!(deny_by(&*sink, 1, "b"), AuditAnswer::Taken);
    clock.advance(Duration::from_secs(11));
    until("the count", || folder.read("log").contains("\"event\":\"repeated\",\"count\":1000"));
    assert_eq!(deny_by(&*sink, 1, "a"), AuditAnswer::Taken, "a new window");
    drop(log);
    assert_eq!(broken(&verify(&folder.paths(&["log"]), None, &[])), None);
}

#[test]
fn a_hostile_target_makes_no_large_record() {
    let pipe = Pipe::default();
    let log = AuditLog::builder(config(), Arc::new(ManualClock::new()));
    let log = log.start(pipe.clone()).expect("a log");
    let long = "é\u{1}".repeat(20_000);
    let time = std::time::SystemTime::UNIX_EPOCH;
    let mut record = AuditRecord::new(time, AuditEvent::Decision, "t", Verdict::Deny, "r");
    record.target = Some(long.as_str().into());
    record.host = Some(long.as_str().into());
    let _ = log.sink().record(&record);
    drop(log);
    let line = &pipe.lines()[1];
    assert!(line.len() < 32 << 10, "{}", line.len());
    assert!(line.is_ascii() && serde_json::from_str::<Value>(line).is_ok());
}

fn limited(on_full: OnFull) -> AuditConfig {
    AuditConfig { on_full, queue_size: 4 << 10, fsync: Fsync::EveryWrite, ..config() }
}

#[test]
fn what_is_dropped_is_counted_and_stated() {
    let pipe = Pipe::default();
    let log = AuditLog::builder(limited(OnFull::DropAndCount), Arc::new(ManualClock::new()));
    let log = log.start(pipe.clone()).expect("a log");
    assert!(log.flush(LONG));
    assert!(log.door().is_none(), "requests go on");
    pipe.hold(true);
    let sink = log.sink();
    deny_by(&*sink, 0, "held");
    until("the writer", || pipe.is_waiting());
    let answers: Vec<_> = (1..100).map(|n| deny_by(&*sink, n, "more")).collect();
    let lost = answers.iter().filter(|answer| **answer == AuditAnswer::Lost).count();
    assert!(lost > 50 && lost < 99, "{lost}");
    pipe.hold(false);
    assert!(log.flush(LONG));
    deny_by(&*sink, 0, "after");
    drop(log);
    let lines = parsed(&pipe.lines());
    let stated: u64 = lines
        .iter()
        .filter(|line| line["event"] == "lost")
        .map(|line| line["count"].as_u64().unwrap_or_default())
        .sum();
    assert_eq!(stated, lost as u64);
    for (at, line) in lines.iter().enumerate() {
        assert_eq!(line["seq"], at as u64 + 1, "the chain has no gap");
    }
}

#[test]
fn a_failed_write_shuts_the_door_and_loses_nothing() {
    for on_full in [OnFull::RefuseRequests, OnFull::Block { timeout: LONG }] {
        let pipe = Pipe::default();
        let log = AuditLog::builder(limited(on_full), Arc::new(ManualClock::new()));
        let log = log.start(pipe.clone()).expect("a log");
        assert!(log.flush(LONG));
        let sink = log.sink();
        assert!(sink.can_take() && log.door().is_some());
        // In the middle of a line.
        pipe.break_after(Some(100));
        assert_eq!(deny_by(&*sink, 1, "a"), AuditAnswer::Taken);
        until("the door", || !sink.can_take());
        assert_eq!(deny_by(&*sink, 2, "b"), AuditAnswer::Taken, "there is a reserve");
        pipe.break_after(None);
        until("the door", || sink.can_take());
        drop(log);
        let text = pipe.text();
        assert!(text.contains("\"rule\":\"a\"") && text.contains("\"rule\":\"b\""));
        let folder = Folder::new();
        folder.write("log", &text);
        let report = verify(&folder.paths(&["log"]), None, &[]);
        assert_eq!(broken(&report), None);
        assert!(report.notes[0].contains("not written whole"), "{:?}", report.notes);
    }
}

#[test]
fn a_full_queue_shuts_the_door_and_has_a_reserve() {
    let pipe = Pipe::default();
    let log = AuditLog::builder(limited(OnFull::RefuseRequests), Arc::new(ManualClock::new()));
    let log = log.start(pipe.clone()).expect("a log");
    assert!(log.flush(LONG));
    pipe.hold(true);
    let sink = log.sink();
    deny_by(&*sink, 0, "held");
    until("the writer", || pipe.is_waiting());
    let mut taken_behind = 0;
    for n in 1..1000 {
        let open = sink.can_take();
        match deny_by(&*sink, n, "more") {
            AuditAnswer::Taken if !open => taken_behind += 1,
            AuditAnswer::Lost => break,
            _ => {}
        }
    }
    assert!(taken_behind > 5, "{taken_behind}");
    assert!(!sink.can_take());
    pipe.hold(false);
    until("the door", || sink.can_take());
}

#[test]
fn a_full_disk_is_one() {
    let log = AuditLog::builder(limited(OnFull::RefuseRequests), Arc::new(ManualClock::new()));
    let log = log.open("/dev/full").expect("a log");
    let sink = log.sink();
    until("the door", || !sink.can_take());
    drop(log);
}

#[test]
fn heads_are_told_elsewhere_and_are_what_verify_expects() {
    let folder = Folder::new();
    let log = AuditLog::builder(config(), Arc::new(ManualClock::new()));
    let log = log.heads(HeadsTo::File(folder.path("heads"))).open(folder.path("log"));
    deny(&log.expect("a log"), 0..5);
    let heads = folder.lines("heads");
    let last = heads.last().and_then(|line| line.split(' ').next_back()).expect("a head");
    let head = last.parse().expect("a head");
    let report = verify(&folder.paths(&["log"]), None, &[head]);
    assert_eq!((report.head, report.heads_found, broken(&report)), (Some(head), 1, None));
}

#[test]
fn a_key_that_is_none_is_refused() {
    let folder = Folder::new();
    folder.write("key", "secret");
    let log = AuditLog::builder(config(), Arc::new(ManualClock::new()));
    let error = log.key(folder.path("key")).open(folder.path("log")).expect_err("no key");
    assert!(error.to_string().contains("64 hex digits"), "{error}");
}

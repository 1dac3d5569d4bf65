//! The audit log of the running process, and `proxyd audit verify`.

use std::fs;
use std::path::Path;

use proxyd_tests::client;
use proxyd_tests::configured;
use proxyd_tests::origin::Origin;
use proxyd_tests::proxyd::{Outcome, Proxyd, run_to_end};
use proxyd_tests::scratch::Scratch;
use proxyd_tests::waiting;
use serde_json::Value;

const STAFF: &str = "allow_clients = [\"192.0.2.0/24\"]\n";

fn records(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn denied(proxy: &Proxyd) {
    assert_eq!(client::get(proxy.address(), "a.test", "/?token=s3cret&b=1").status(), 403);
}

fn verify(folder: &Path, arguments: &[&str]) -> Outcome {
    run_to_end(folder, &[&["audit", "verify"], arguments].concat())
}

#[test]
fn audit_a_denial_is_recorded_and_verified_across_rotation_and_restart() {
    let origin = Origin::saying("hello");
    let folder = Scratch::new("audit");
    let key = "0123456789abcdef".repeat(4);
    folder.write("key", &key);
    folder.write("copy", &key);
    let at = |name: &str| folder.join(name).display().to_string();
    let rest = format!(
        "{STAFF}[log.audit]\npath = \"{}\"\nkey = {{ file = \"{}\" }}\nheads = [\"{}\"]\n\
         head_interval = \"1s\"\n[privacy]\nredact_query = [\"token\"]\n",
        at("audit.jsonl"),
        at("key"),
        at("heads")
    );
    let log = folder.join("audit.jsonl");
    for _ in 0..2 {
        let mut proxy = configured::gateway(&origin.url(), "", &rest).start();
        denied(&proxy);
        waiting::until("the record", || {
            let last = records(&log).pop()?;
            (last["reason"] == "client_not_allowed").then_some(())
        });
        if !folder.join("audit.jsonl.1").exists() {
            fs::rename(&log, folder.join("audit.jsonl.1")).expect("rotated");
            proxy.signal("USR1");
            waiting::until("the new file", || (!records(&log).is_empty()).then_some(()));
        }
        proxy.sigterm();
        assert!(proxy.wait_exit().success());
    }
    let denial = records(&folder.join("audit.jsonl.1")).pop().expect("a record");
    for (field, value) in [
        ("event", "decision"),
        ("layer", "gateway"),
        ("verdict", "deny"),
        ("route", "all"),
        ("listener", "web"),
        ("target", "/?token=[redacted]&b=1"),
        ("client", "127.0.0.1"),
    ] {
        assert_eq!(denial[field], value, "{field}: {denial}");
    }
    let started = &records(&folder.join("audit.jsonl.1"))[1];
    assert_eq!((&started["event"], &started["reason"]), (&"configuration".into(), &"start".into()));
    assert!(started["detail"].as_str().is_some_and(|text| text.starts_with("sha256:")));

    let all = ["audit.jsonl", "audit.jsonl.1", "--key", "copy", "--heads", "heads"];
    let intact = verify(folder.path(), &all);
    assert_eq!((intact.code, intact.stderr.as_str()), (Some(0), ""), "{intact:?}");
    assert!(intact.stdout.starts_with("intact: "), "{intact:?}");

    let whole = fs::read_to_string(&log).expect("a log");
    let cut: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    fs::write(&log, cut).expect("written");
    let found = verify(folder.path(), &all);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(
        found.stdout.starts_with("broken: audit.jsonl:2: ") && found.stdout.contains("cut off")
    );

    fs::write(&log, whole.replacen("client_not_allowed", "client_is_allowed", 1)).expect("written");
    let found = verify(folder.path(), &["audit.jsonl", "audit.jsonl.1"]);
    assert_eq!(found.code, Some(1), "{found:?}");
    assert!(found.stdout.contains(": changed: "), "{found:?}");
    assert_eq!(verify(folder.path(), &["nowhere"]).code, Some(2));
}

#[test]
fn audit_a_full_disk_refuses_or_does_not_as_it_was_told() {
    let origin = Origin::saying("hello");
    for (on_full, status) in [
        ("on_full = \"refuse_requests\"", 503),
        ("on_full = \"block\"\nblock_timeout = \"1s\"", 503),
        ("on_full = \"drop_and_count\"", 200),
    ] {
        let rest = format!("[log.audit]\npath = \"/dev/full\"\n{on_full}\n");
        let proxy = configured::gateway(&origin.url(), "", &rest).start();
        waiting::until("the failed write", || {
            let metrics = proxy.ask_admin("/metrics").text();
            let line = metrics
                .lines()
                .find(|line| line.starts_with("proxy_observe_audit_write_errors_total"))?;
            (!line.ends_with(" 0")).then_some(())
        });
        let answer = client::get(proxy.address(), "a.test", "/");
        assert_eq!(answer.status(), status, "{on_full}");
        if status == 503 {
            assert!(answer.text().contains("audit_unavailable"), "{}", answer.text());
            assert!(answer.field("retry-after").is_some());
        }
        assert!(proxy.stderr().contains("the audit log cannot be written"));
    }
}

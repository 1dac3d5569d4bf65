//! `[privacy]` and `[log.audit]`.

use std::time::Duration;

use proxy_core::AddressPrivacy;
use proxy_observe::audit::{Fsync, HeadsTo, OnFull};

use super::Folder;
use crate::config::resolved::LogTarget;

const WEB: &str = "[listeners.web]\naddress = \"127.0.0.1:80\"\nrole = \"gateway\"\n";

fn folder(rest: &str) -> Folder {
    let main = format!("{WEB}{rest}");
    Folder::new(&[
        ("main.toml", &main),
        ("salt", "a salt that is long enough\n"),
        ("short", "salt"),
        ("key", &"ab".repeat(32)),
    ])
}

#[test]
fn every_sink_shows_what_it_is_told_to() {
    let folder = folder(
        "[privacy]\nclient_address = \"truncate\"\nipv4_prefix = 16\nsalt = { file = \"salt\" }\n\
         redact_query = [\"token\"]\n[privacy.sinks]\naudit = \"pseudonym\"\nforwarded = \"drop\"\n",
    );
    let loaded = folder.load("main.toml").unwrap();
    let privacy = loaded.resolved.privacy;
    let truncated = AddressPrivacy::Truncate { ipv4_prefix: 16, ipv6_prefix: 48 };
    assert_eq!((privacy.log, privacy.forwarded), (truncated, AddressPrivacy::Drop));
    assert!(matches!(privacy.audit, AddressPrivacy::Pseudonym(_)));
    assert_eq!(privacy.redaction.query("token=a"), "token=[redacted]");
}

#[test]
fn the_audit_log_is_as_it_is_told_to_be() {
    let plain = folder("[log.audit]\n").load("main.toml").unwrap().resolved.audit_log.unwrap();
    assert_eq!(plain.on_full, OnFull::Block { timeout: Duration::from_secs(30) });
    assert_eq!((plain.fsync, plain.queue_size), (Fsync::EverySecond, 4 << 20));
    let folder = folder(
        "[log.audit]\npath = \"a.jsonl\"\non_full = \"refuse_requests\"\n\
         key = { file = \"key\" }\nheads = [\"stderr\", \"heads\"]\nfsync = \"every_write\"\n\
         aggregate_window = \"none\"\n",
    );
    let own = folder.load("main.toml").unwrap().resolved.audit_log.unwrap();
    assert_eq!(own.target, LogTarget::File(folder.path("a.jsonl")));
    assert_eq!((own.on_full, own.fsync), (OnFull::RefuseRequests, Fsync::EveryWrite));
    assert_eq!(own.key, Some(folder.path("key")));
    assert_eq!(own.heads, [HeadsTo::Stderr, HeadsTo::File(folder.path("heads"))]);
    assert_eq!(own.aggregate_window, Duration::ZERO);
}

#[test]
fn what_is_wrong_is_named() {
    let folder = folder(
        "[privacy]\nclient_address = \"pseudonym\"\nsalt = { file = \"short\" }\n\
         salt_rotation_interval = \"5s\"\nredact_fields = [\"a b\"]\n\
         [log.access]\npath = \"same\"\n[log.audit]\npath = \"same\"\nqueue_size = \"1KiB\"\n\
         key = { file = \"no\" }\nheads = [\"-\"]\n",
    );
    let errors = folder.errors("main.toml").join("\n");
    for part in [
        "privacy.salt.file: expected at least 16 characters",
        "privacy.salt_rotation_interval: expected 1m or longer",
        "privacy.redact_fields[0]: expected the name of a field, found `a b`",
        "log.audit.path: the access log is written there already",
        "log.audit.queue_size: expected 64KiB to 1GiB",
        "log.audit.key.file: cannot read no",
        "log.audit.heads[0]: expected a file, or \"stderr\"",
    ] {
        assert!(errors.contains(part), "{part} is not in\n{errors}");
    }
}

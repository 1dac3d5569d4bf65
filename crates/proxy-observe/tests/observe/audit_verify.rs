//! What `verify` says of a trail that was tampered with, with a key and without.

use std::path::PathBuf;

use proxy_observe::audit::Head;
use proxy_observe::audit::verify::Fault;
use sha2::{Digest, Sha256};

use crate::trail::{Folder, KEY, broken, deny, open, verify};

/// A trail of ten records in `log`, its key's copy in `copy`.
fn trail() -> Folder {
    let folder = Folder::new();
    folder.write("key", KEY);
    folder.write("copy", KEY);
    let log = open(&folder.path("log"), Some(folder.path("key")));
    deny(&log, 0..9);
    drop(log);
    assert_eq!(folder.lines("log").len(), 10, "one that it was opened, nine denials");
    folder
}

/// The first fault without a key, with one, and with the head that was kept.
fn faults(folder: &Folder, head: Head) -> [Option<(u64, Option<u64>, Fault)>; 3] {
    let files = folder.paths(&["log"]);
    let copy = folder.path("copy");
    [
        broken(&verify(&files, None, &[])),
        broken(&verify(&files, Some(&copy), &[])),
        broken(&verify(&files, None, &[head])),
    ]
}

fn kept_head(folder: &Folder) -> Head {
    verify(&folder.paths(&["log"]), None, &[]).head.expect("a head")
}

fn rewrite(folder: &Folder, change: impl FnOnce(&mut Vec<String>)) {
    let mut lines = folder.lines("log");
    change(&mut lines);
    folder.write("log", &(lines.join("\n") + "\n"));
}

/// What an attacker does who knows how the chain is made: every hash from a line on anew. MACs are
/// left as they are.
fn recompute(lines: &mut [String], from: usize) {
    let hash_of = |line: &str| line.split_once(",\"hash\":\"").expect("a hash").1[..64].to_owned();
    for at in from..lines.len() {
        let previous = match at {
            0 => "0".repeat(64),
            _ => hash_of(&lines[at - 1]),
        };
        let (body, rest) = lines[at].split_once(",\"hash\":\"").expect("a hash");
        let (start, end) = body.split_once(",\"prev\":\"").expect("the one before");
        let sequence = at + 1;
        let _ = start;
        let body = format!("{{\"seq\":{sequence},\"prev\":\"{previous}{}", &end[64..]);
        let hash: [u8; 32] =
            Sha256::digest([b"proxyd audit record v1\n", body.as_bytes()].concat()).into();
        let hash: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
        lines[at] = format!("{body},\"hash\":\"{hash}{}", &rest[64..]);
    }
}

#[test]
fn an_untouched_trail_is_intact() {
    let folder = trail();
    let files = folder.paths(&["log"]);
    let head = kept_head(&folder);
    let report = verify(&files, Some(&folder.path("copy")), &[head]);
    assert_eq!(report.broken, None);
    assert_eq!((report.records, report.with_mac, report.heads_found), (10, 10, 1));
    assert_eq!(report.head, Some(head));
    assert!(report.notes.is_empty(), "{:?}", report.notes);
}

#[test]
fn an_edit_is_found_without_a_key() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| lines[4] = lines[4].replace("rule-3", "rule-7"));
    let found = Some((5, Some(5), Fault::Changed));
    assert_eq!(faults(&folder, head), [found, found, found]);
}

#[test]
fn an_edit_with_the_hashes_made_anew_needs_the_key_or_a_head() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| {
        lines[4] = lines[4].replace("rule-3", "rule-7");
        recompute(lines, 4);
    });
    let forged = Some((5, Some(5), Fault::Forged));
    let differs = Some((10, Some(10), Fault::HeadDiffers));
    assert_eq!(faults(&folder, head), [None, forged, differs]);
}

#[test]
fn a_removed_record_is_found() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| drop(lines.drain(4..6)));
    let found = Some((5, Some(7), Fault::Removed { first: 5, last: 6 }));
    assert_eq!(faults(&folder, head), [found, found, found]);
}

#[test]
fn a_removed_record_with_all_made_anew_needs_the_key_or_a_head() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| {
        lines.remove(4);
        recompute(lines, 4);
    });
    let forged = Some((5, Some(5), Fault::Forged));
    let cut = Some((9, Some(9), Fault::Cut { expected: 10 }));
    assert_eq!(faults(&folder, head), [None, forged, cut]);
}

#[test]
fn swapped_records_are_found() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| lines.swap(4, 6));
    let found = Some((5, Some(7), Fault::Moved { expected: 5 }));
    assert_eq!(faults(&folder, head), [found, found, found]);
}

#[test]
fn swapped_records_with_all_made_anew_need_the_key_or_a_head() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| {
        lines.swap(4, 6);
        recompute(lines, 4);
    });
    let forged = Some((5, Some(5), Fault::Forged));
    let differs = Some((10, Some(10), Fault::HeadDiffers));
    assert_eq!(faults(&folder, head), [None, forged, differs]);
}

#[test]
fn a_cut_tail_is_found_by_a_head_alone() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| lines.truncate(7));
    let cut = Some((7, Some(7), Fault::Cut { expected: 10 }));
    assert_eq!(faults(&folder, head), [None, None, cut]);
    folder.write("log", "");
    let cut = Some((0, None, Fault::Cut { expected: 10 }));
    assert_eq!(faults(&folder, head), [None, None, cut]);
}

#[test]
fn a_repeated_or_a_foreign_line_is_found() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| lines.insert(5, lines[4].clone()));
    let found = Some((6, Some(5), Fault::Moved { expected: 6 }));
    assert_eq!(faults(&folder, head), [found, found, found]);
    rewrite(&folder, |lines| lines[5] = "{\"seq\":6}".to_owned());
    let found = Some((6, None, Fault::NotARecord));
    assert_eq!(faults(&folder, head), [found, found, found]);
}

#[test]
fn taking_the_macs_away_does_not_help() {
    let folder = trail();
    let head = kept_head(&folder);
    rewrite(&folder, |lines| {
        for line in lines.iter_mut() {
            let (record, _) = line.split_once(",\"mac\":").expect("a MAC");
            *line = format!("{record}}}");
        }
    });
    let none = Some((1, Some(1), Fault::NoMac));
    assert_eq!(faults(&folder, head), [None, none, None]);
}

/// What forward security is for: with the key file as it is on the machine now, no record that is
/// written can be made anew.
#[test]
fn the_key_on_the_machine_makes_no_earlier_record() {
    let folder = trail();
    let held = folder.read("key");
    assert!(!held.contains(KEY.trim()), "the first key is gone");
    let key = held.lines().find_map(|line| line.strip_prefix("key ")).expect("a key").to_owned();
    // The thief makes a trail of its own from it.
    let head = kept_head(&folder);
    folder.write("stolen", &key);
    let log = open(&folder.path("made"), Some(folder.path("stolen")));
    deny(&log, 20..29);
    drop(log);
    let made = folder.read("made");
    folder.write("log", &made);
    let [without, with, anchored] = faults(&folder, head);
    assert_eq!(without, None);
    assert_eq!(with, Some((1, Some(1), Fault::Forged)));
    assert_eq!(anchored, Some((10, Some(10), Fault::HeadDiffers)));
}

#[test]
fn rotated_files_are_checked_in_any_order() {
    let folder = Folder::new();
    folder.write("key", KEY);
    folder.write("copy", KEY);
    let log = open(&folder.path("log"), Some(folder.path("key")));
    for (round, name) in ["log.2", "log.1", "log"].into_iter().enumerate() {
        let round = round as u32;
        deny(&log, round * 3..round * 3 + 3);
        if name != "log" {
            std::fs::rename(folder.path("log"), folder.path(name)).expect("rotated");
            log.reopen(folder.path("log")).expect("reopened");
        }
    }
    drop(log);
    let copy = folder.path("copy");
    for order in [["log", "log.1", "log.2"], ["log.2", "log", "log.1"], ["log.1", "log.2", "log"]] {
        let report = verify(&folder.paths(&order), Some(&copy), &[]);
        assert_eq!(report.broken, None, "{order:?}");
        assert_eq!((report.records, report.with_mac), (12, 12));
    }
    let first = folder.lines("log")[0].clone();
    assert!(first.contains("\"event\":\"opened\",\"reason\":\"reopen\""), "{first}");
    let without_the_middle = verify(&folder.paths(&["log", "log.2"]), None, &[]);
    assert_eq!(
        broken(&without_the_middle),
        Some((1, Some(9), Fault::Removed { first: 5, last: 8 }))
    );
    let without_the_oldest = verify(&folder.paths(&["log", "log.1"]), Some(&copy), &[]);
    assert_eq!(without_the_oldest.broken, None);
    assert_eq!(without_the_oldest.notes.len(), 1, "told, and not judged");
    let swapped: Vec<PathBuf> = folder.paths(&["log", "log.1", "log.2"]);
    folder.write("log.1", &folder.read("log.2"));
    let report = verify(&swapped, None, &[]);
    assert_eq!(report.broken.expect("a copy in the place of another").file, folder.path("log.2"));
}

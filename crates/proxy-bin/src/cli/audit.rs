//! `proxyd audit verify`: checks the files of an audit log.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use proxy_observe::audit::Head;
use proxy_observe::audit::verify::{Report, Verifier};

use crate::config::plain;

const EXAMPLES: &str = "\
Examples:
  proxyd audit verify audit.jsonl audit.jsonl.1 audit.jsonl.2
  proxyd audit verify audit.jsonl --key /safe/audit.key --heads /other/host/heads
  proxyd audit verify audit.jsonl --expect 812:4c0e...

The exit status is 0 if nothing is broken, 1 if something is, 2 if it could not be checked.";

/// `proxyd audit`.
#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// Say whether an audit log is as it was written, and name the first record that is not
    Verify(AuditVerify),
}

/// `proxyd audit verify`.
#[derive(Args, Clone, Debug, Default)]
#[command(after_help = EXAMPLES)]
pub struct AuditVerify {
    /// Files of the log, rotated ones too, in any order
    #[arg(value_name = "FILE", required = true)]
    pub files: Vec<PathBuf>,
    /// A head that was kept: this record must be there; repeatable
    #[arg(long, value_name = "SEQ:HASH")]
    pub expect: Vec<Head>,
    /// A file of heads as `[log.audit] heads` writes it: all of them must be there
    #[arg(long, value_name = "FILE")]
    pub heads: Option<PathBuf>,
    /// The copy of the key that was made before the first record
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The first record that was written with the key, where the log began without one
    #[arg(long, value_name = "SEQ", requires = "key", default_value_t = 1)]
    pub keyed_from: u64,
}

/// What a check came to.
#[derive(Clone, Debug)]
pub struct Verified {
    /// What to print.
    pub text: String,
    /// Whether nothing is broken.
    pub intact: bool,
}

/// Checks.
///
/// # Errors
/// What could not be read.
pub fn verify(order: &AuditVerify) -> io::Result<Verified> {
    let mut verifier = Verifier::new().keyed_from(order.keyed_from);
    if let Some(key) = &order.key {
        verifier = verifier.key(key).map_err(|error| unread(key, &error))?;
    }
    let mut expected = order.expect.clone();
    if let Some(file) = &order.heads {
        expected.extend(heads(file)?);
    }
    for head in &expected {
        verifier = verifier.expect(*head);
    }
    let unread = |error: io::Error| io::Error::other(format!("cannot read {}", plain(&error)));
    let report = verifier.verify(&order.files).map_err(unread)?;
    let intact = report.broken.is_none();
    Ok(Verified { text: told(&report, order, expected.len()), intact })
}

fn unread(file: &Path, error: &io::Error) -> io::Error {
    io::Error::other(format!("cannot read {}: {}", file.display(), plain(error)))
}

/// The last word of each line.
fn heads(file: &Path) -> io::Result<Vec<Head>> {
    let named =
        |error: &dyn std::fmt::Display| io::Error::other(format!("{}: {error}", file.display()));
    let text = fs::read_to_string(file).map_err(|error| unread(file, &error))?;
    let words = text.lines().filter_map(|line| line.split_whitespace().next_back());
    words.map(|word| word.parse().map_err(|error| named(&error))).collect()
}

fn told(report: &Report, order: &AuditVerify, expected: usize) -> String {
    let mut text = String::new();
    match &report.broken {
        Some(broken) => {
            let _ = write!(text, "broken: {}:{}: ", broken.file.display(), broken.line);
            if let Some(sequence) = broken.sequence {
                let _ = write!(text, "record {sequence}: ");
            }
            let _ = writeln!(text, "{}", broken.fault);
            let _ = writeln!(text, "before it: {} records without a fault", report.records);
        }
        None => {
            let range = match (report.first, report.head) {
                (Some(first), Some(last)) => format!(", {} to {}", first.sequence, last.sequence),
                _ => String::new(),
            };
            let _ = writeln!(text, "intact: {} records{range}", report.records);
            if let Some(head) = report.head {
                let _ = writeln!(text, "head: {head}");
            }
        }
    }
    for note in &report.notes {
        let _ = writeln!(text, "note: {note}");
    }
    let _ = match order.key {
        Some(_) => writeln!(
            text,
            "key: {} records have their MAC; nobody without the key changed one of them, nor who \
             took the machine after it was written",
            report.with_mac
        ),
        None => writeln!(
            text,
            "key: none; edits are found, but not by who computed all later hashes anew"
        ),
    };
    let _ = match expected {
        0 => writeln!(
            text,
            "heads: none to compare with; that records are missing at the end is not found"
        ),
        _ => writeln!(text, "heads: {} of {expected} found", report.heads_found),
    };
    text
}

//! The run of a program that answered a request.

use std::time::Duration;

use super::Exchange;

/// How the program that answered ran: its exit, why it ended, and what it used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ProgramRun {
    /// Why it ended, as a token: `exit`, `failed`, `signal`, `client_left`, `total_timeout`, ...
    pub why: &'static str,
    /// Its exit status, where it ended by itself.
    pub exit: Option<i32>,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// How long the request waited for its turn.
    pub queued: Duration,
    /// From the order to start to the first byte of output.
    pub first_byte: Option<Duration>,
    /// From the order to start to the end, as far as the request is concerned.
    pub duration: Duration,
    /// Processor time of the program itself.
    pub user: Duration,
    /// Processor time of the system for it.
    pub system: Duration,
    /// The most memory that it had, in bytes.
    pub peak_memory: u64,
    /// Bytes of content that it was given.
    pub input_bytes: u64,
    /// Bytes that it wrote to standard output.
    pub output_bytes: u64,
}

impl ProgramRun {
    /// A run of which no more is known than why it ended.
    pub fn new(why: &'static str) -> Self {
        Self { why, ..Self::default() }
    }

    /// Writes it into the record. The last one stays.
    pub fn record(self, exchange: &Exchange) {
        exchange.insert(self);
    }
}

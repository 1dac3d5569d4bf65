//! What an origin received on one connection, split into requests, strictly.

use crate::wire::{self, Request};

/// What a connection received since a mark.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The number of the connection.
    pub link: usize,
    /// The complete, unambiguous requests.
    pub requests: Vec<Request>,
    /// What came after them.
    pub rest: Rest,
    /// Whether the other end has closed.
    pub ended: bool,
    /// All of it, as it came.
    pub bytes: Vec<u8>,
}

/// What came after the last complete request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rest {
    /// Nothing.
    Nothing,
    /// The beginning of a message that is valid so far.
    Partial(Vec<u8>),
    /// Something that is no valid message, and why.
    Invalid(String, Vec<u8>),
}

/// Splits what a connection received into requests, strictly.
pub(crate) fn judge(link: usize, bytes: &[u8], ended: bool) -> Seen {
    let (mut at, mut requests) = (0, Vec::new());
    let rest = loop {
        let left = &bytes[at..];
        if left.is_empty() {
            break Rest::Nothing;
        }
        match wire::read_request(left) {
            Ok(Some((request, used))) => {
                requests.push(request);
                at += used;
            }
            Ok(None) => break Rest::Partial(left.to_vec()),
            Err(reason) => break Rest::Invalid(reason, left.to_vec()),
        }
    };
    Seen { link, requests, rest, ended, bytes: bytes.to_vec() }
}

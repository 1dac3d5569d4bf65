//! What a scripted origin does, step by step.

use std::time::Duration;

use crate::waiting::Gate;
use crate::wire::{Request, RequestHead};

/// The field by which a test knows that an answer is the origin's own and not the proxy's.
pub const MARK: &str = "X-Origin-Mark";

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Act {
    /// Send these bytes.
    Send(Vec<u8>),
    /// Wait, where a test is about slowness itself.
    Pause(Duration),
    /// Wait until the test opens the gate.
    Until(Gate),
    /// Open a gate: what stands before this has been sent.
    Open(Gate),
    /// Wait until the other end closes the connection.
    AwaitEnd,
    /// End the sending half and go on reading.
    Finish,
    /// Close the connection.
    Close,
    /// Reset the connection.
    Reset,
}

impl Act {
    /// Sends text.
    #[must_use]
    pub fn send(text: impl AsRef<[u8]>) -> Self {
        Self::Send(text.as_ref().to_vec())
    }
}

/// A 200 response with the mark, and `content` under a Content-Length.
#[must_use]
pub fn ok(content: impl AsRef<[u8]>) -> Vec<Act> {
    vec![response("200 OK", &[], content)]
}

/// A response with the mark, these fields, and `content` under a Content-Length.
#[must_use]
pub fn response(status: &str, fields: &[(&str, &str)], content: impl AsRef<[u8]>) -> Act {
    let content = content.as_ref();
    let mut raw = format!("HTTP/1.1 {status}\r\n{MARK}: yes\r\n").into_bytes();
    for (name, value) in fields {
        raw.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    }
    raw.extend_from_slice(format!("Content-Length: {}\r\n\r\n", content.len()).as_bytes());
    raw.extend_from_slice(content);
    Act::Send(raw)
}

/// Where in the life of the origin a request stands.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// The number of the connection, from 0.
    pub link: usize,
    /// The number of the request on this connection, from 0.
    pub nth: usize,
}

type OnAccept = Box<dyn Fn(usize) -> Vec<Act> + Send + Sync>;
type OnHead = Box<dyn Fn(&RequestHead, Turn) -> Vec<Act> + Send + Sync>;
type OnRequest = Box<dyn Fn(&Request, Turn) -> Vec<Act> + Send + Sync>;

/// What an origin does, and when.
#[derive(Default)]
pub struct Script {
    pub(crate) on_accept: Option<OnAccept>,
    pub(crate) on_head: Option<OnHead>,
    pub(crate) on_request: Option<OnRequest>,
    pub(crate) raw: bool,
}

impl Script {
    /// An origin that answers every complete request with a marked 200.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// What it does with a new connection, before it reads.
    #[must_use]
    pub fn on_accept(mut self, act: impl Fn(usize) -> Vec<Act> + Send + Sync + 'static) -> Self {
        self.on_accept = Some(Box::new(act));
        self
    }

    /// What it does when the head of a request is there, before its content.
    #[must_use]
    pub fn on_head(
        mut self,
        act: impl Fn(&RequestHead, Turn) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        self.on_head = Some(Box::new(act));
        self
    }

    /// What it does when a request is complete.
    #[must_use]
    pub fn on_request(
        mut self,
        act: impl Fn(&Request, Turn) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        self.on_request = Some(Box::new(act));
        self
    }

    /// It only records, and parses nothing: the destination of a tunnel.
    #[must_use]
    pub fn raw(mut self) -> Self {
        self.raw = true;
        self
    }
}

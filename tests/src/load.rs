//! Load: clients that ask and ask, each on its connection, until they are told to stop; every
//! answer that is not the expected one is a failure.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use crate::client::{Client, NoAnswer};
use crate::h2_client::{self, H2Client};

/// Clients at work.
pub struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    answered: AtomicU64,
    connections: AtomicU64,
    repeated: AtomicU64,
    failures: Mutex<Vec<String>>,
}

/// What clients saw.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Whole answers with 200.
    pub answered: u64,
    /// Connections that were opened.
    pub connections: u64,
    /// Requests that met the end of a connection that waited, and were sent once more.
    pub repeated: u64,
    /// All else.
    pub failures: Vec<String>,
}

impl Load {
    /// Starts so many clients over HTTP/1.1 and over HTTP/2, the latter with prior knowledge. They
    /// ask for `/` and expect 200.
    #[must_use]
    pub fn start(to: SocketAddr, h1: usize, h2: usize) -> Self {
        let shared = Arc::new(Shared::default());
        let client = |work: fn(SocketAddr, &Shared)| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || work(to, &shared))
        };
        let clients = (0..h1).map(|_| client(over_h1)).chain((0..h2).map(|_| client(over_h2)));
        let clients = clients.collect();
        Self { shared, clients }
    }

    /// Whole answers so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.shared.answered.load(Ordering::Relaxed)
    }

    /// Waits until so many more answers were whole, or something failed.
    pub fn wait_for(&self, more: u64) {
        let enough = self.answered() + more;
        crate::waiting::until("answers under load", || {
            let failed = !self.shared.failures.lock().expect("failures").is_empty();
            (failed || self.answered() >= enough).then_some(())
        });
    }

    /// Stops the clients.
    #[must_use]
    pub fn stop(self) -> Seen {
        self.shared.stop.store(true, Ordering::Relaxed);
        for client in self.clients {
            client.join().expect("a client");
        }
        Seen {
            answered: self.shared.answered.load(Ordering::Relaxed),
            connections: self.shared.connections.load(Ordering::Relaxed),
            repeated: self.shared.repeated.load(Ordering::Relaxed),
            failures: std::mem::take(&mut *self.shared.failures.lock().expect("failures")),
        }
    }
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn answered(&self) {
        self.answered.fetch_add(1, Ordering::Relaxed);
    }

    fn failed(&self, what: String) {
        let mut failures = self.failures.lock().expect("failures");
        if failures.len() < 20 {
            failures.push(what);
        }
    }
}

fn over_h1(to: SocketAddr, shared: &Shared) {
    const REQUEST: &str = "GET / HTTP/1.1\r\nHost: origin.test\r\n\r\n";
    while shared.goes_on() {
        let mut client = Client::connect(to);
        shared.connections.fetch_add(1, Ordering::Relaxed);
        let mut asked = 0;
        while shared.goes_on() {
            let sent = client.send(REQUEST);
            match client.answer("GET") {
                Ok(answer) if answer.status() == 200 && answer.is_whole() => {
                    shared.answered();
                    asked += 1;
                    if answer.head.fields.lists("connection", "close") {
                        break;
                    }
                }
                Ok(answer) => return shared.failed(format!("HTTP/1.1: {answer:?}")),
                // A kept-alive connection that waits may be closed while a request is on its way,
                // which nobody reads: every client sends it once more (RFC 9112 section 9.3.1).
                // Only one that was not served for seconds can find that.
                Err(NoAnswer::Closed) if asked > 0 => {
                    shared.repeated.fetch_add(1, Ordering::Relaxed);
                    break;
                }
                Err(error) => {
                    return shared.failed(format!("HTTP/1.1: no answer ({error:?}, sent: {sent})"));
                }
            }
        }
    }
}

fn over_h2(to: SocketAddr, shared: &Shared) {
    while shared.goes_on() {
        let mut client = H2Client::connect(to);
        shared.connections.fetch_add(1, Ordering::Relaxed);
        while shared.goes_on() && !client.is_told_to_go() {
            let answer = client.get("/");
            match answer.ending {
                h2_client::Ending::Whole if answer.status() == 200 => shared.answered(),
                // Told to go elsewhere, with a stream that was not taken: it is sent once more.
                h2_client::Ending::Gone(Some(0)) => break,
                _ => return shared.failed(format!("HTTP/2: {answer:?}")),
            }
        }
    }
}

//! A raw HTTP/2 origin: each connection is served by a function of the test, frame by frame.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::h2_wire::{Event, Link, PREFACE};
use crate::hpack::FieldLines;
use crate::waiting;

/// A request, as it came.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The number of its connection, from 0.
    pub link: usize,
    /// Its stream.
    pub stream: u32,
    /// Its header section.
    pub fields: FieldLines,
    /// Whether there is nothing behind the head.
    pub end: bool,
}

/// One connection, as a test's function sees it.
pub struct Connection {
    /// Its number, from 0.
    pub number: usize,
    /// The connection itself.
    pub link: Link,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Connection {
    /// The next request; `None` where the connection ends before.
    pub fn request(&mut self) -> Option<Asked> {
        loop {
            match self.link.event() {
                Event::Fields { stream, fields, end } => {
                    let asked = Asked { link: self.number, stream, fields, end };
                    self.log.lock().expect("the log").push(asked.clone());
                    return Some(asked);
                }
                Event::Closed | Event::Silence => return None,
                _ => {}
            }
        }
    }

    /// Reads a request's content; `None` where it breaks off.
    pub fn content(&mut self, of: &Asked) -> Option<Vec<u8>> {
        let mut content = Vec::new();
        let mut ended = of.end;
        while !ended {
            match self.link.event() {
                Event::Data { stream, content: piece, end } if stream == of.stream => {
                    let more = u32::try_from(piece.len()).expect("a frame's length");
                    if more > 0 {
                        self.link.send_window(0, more);
                        self.link.send_window(stream, more);
                    }
                    content.extend(piece);
                    ended = end;
                }
                Event::Fields { stream, .. } if stream == of.stream => ended = true,
                Event::Reset { .. } | Event::Closed | Event::Silence => return None,
                _ => {}
            }
        }
        Some(content)
    }

    /// Answers with 200 and this content.
    pub fn answer(&mut self, stream: u32, content: &str) {
        self.link.send_fields(stream, &[(":status", "200")], false);
        self.link.send_data(stream, content.as_bytes(), true);
    }
}

/// A running origin; it stops accepting on drop.
pub struct H2Origin {
    address: SocketAddr,
    log: Arc<Mutex<Vec<Asked>>>,
    links: Arc<AtomicUsize>,
    stopped: Arc<AtomicBool>,
}

impl H2Origin {
    /// Starts one; `serve` has each connection once the prefaces are exchanged.
    #[must_use]
    pub fn start(serve: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let origin =
            Self { address, log: Arc::default(), links: Arc::default(), stopped: Arc::default() };
        let (log, links) = (Arc::clone(&origin.log), Arc::clone(&origin.links));
        let (stopped, serve) = (Arc::clone(&origin.stopped), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_nodelay(true).expect("nodelay");
                let number = links.fetch_add(1, Ordering::SeqCst);
                let (log, serve) = (Arc::clone(&log), Arc::clone(&serve));
                std::thread::spawn(move || {
                    let mut link = Link::new(stream);
                    link.send_settings(&[]);
                    if link.expect_raw(PREFACE) {
                        serve(Connection { number, link, log });
                    }
                });
            }
        });
        origin
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many connections there were.
    #[must_use]
    pub fn links(&self) -> usize {
        self.links.load(Ordering::SeqCst)
    }

    /// All requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.log.lock().expect("the log").clone()
    }

    /// Waits until so many requests have come.
    pub fn wait_asked(&self, count: usize) {
        waiting::until("requests at the origin", || (self.asked().len() >= count).then_some(()));
    }
}

impl Drop for H2Origin {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if that fails it is already gone.
        let _ = TcpStream::connect(self.address);
    }
}

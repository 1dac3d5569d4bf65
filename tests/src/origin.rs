//! A scripted origin server: it records every byte that each connection received, and answers
//! with whatever a test makes it say, in pieces, late, broken off or reset.
//!
//! Each connection has a thread that only reads, so that the end of a connection is seen while a
//! script waits, and a thread that parses strictly ([`wire`]) and runs the script.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

use socket2::SockRef;

use crate::received::judge;
pub use crate::received::{Rest, Seen};
pub use crate::script::{Act, MARK, Script, Turn, ok, response};
use crate::waiting::PATIENCE;
use crate::wire::{self, Request, RequestHead};

/// What one connection received so far.
#[derive(Clone, Debug, Default)]
struct Link {
    bytes: Vec<u8>,
    ended: bool,
}

/// How much each connection had received at some moment.
#[derive(Clone, Debug)]
pub struct Mark(Vec<usize>);

#[derive(Default)]
struct Shared {
    links: Mutex<Vec<Link>>,
    changed: Condvar,
    stopped: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Vec<Link>> {
        self.links.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<T>(&self, mut condition: impl FnMut(&[Link]) -> Option<T>) -> Option<T> {
        let mut links = self.lock();
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition(&links) {
                return Some(value);
            }
            let left = deadline.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                return None;
            }
            links = match self.changed.wait_timeout(links, left) {
                Ok((guard, _)) => guard,
                Err(poisoned) => poisoned.into_inner().0,
            };
        }
    }
}

/// A running origin; it stops accepting on drop.
pub struct Origin {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Origin {
    /// Starts one that answers each request with what `answer` says.
    #[must_use]
    pub fn answering(answer: impl Fn(&Request, Turn) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::start(Script::new().on_request(answer))
    }

    /// Starts one that answers each request with a marked 200 and `content`.
    #[must_use]
    pub fn saying(content: &'static str) -> Self {
        Self::answering(move |_, _| ok(content))
    }

    /// Starts one that sends everything back that it receives.
    #[must_use]
    pub fn echoing() -> Self {
        let shared = Arc::new(Shared::default());
        Self::listen(shared, |shared, stream, link| {
            let mut out = stream.try_clone().expect("clone");
            read_all(&shared, stream, link, |piece| drop(out.write_all(piece)));
            // The other end may have gone entirely; then there is nothing to end.
            let _ = out.shutdown(Shutdown::Write);
        })
    }

    /// Starts one with a script.
    #[must_use]
    pub fn start(script: Script) -> Self {
        let script = Arc::new(script);
        Self::listen(Arc::new(Shared::default()), move |shared, stream, link| {
            let reading = stream.try_clone().expect("clone");
            let reader = Arc::clone(&shared);
            std::thread::spawn(move || read_all(&reader, reading, link, |_| ()));
            perform(&script, &shared, &stream, link);
        })
    }

    fn listen(
        shared: Arc<Shared>,
        serve: impl Fn(Arc<Shared>, TcpStream, usize) + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let address = listener.local_addr().expect("address");
        let (accepting, serve) = (Arc::clone(&shared), Arc::new(serve));
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if accepting.stopped.load(Ordering::SeqCst) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                stream.set_nodelay(true).expect("nodelay");
                let link = {
                    let mut links = accepting.lock();
                    links.push(Link::default());
                    links.len() - 1
                };
                accepting.changed.notify_all();
                let (shared, serve) = (Arc::clone(&accepting), Arc::clone(&serve));
                std::thread::spawn(move || serve(shared, stream, link));
            }
        });
        Self { address, shared }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its URL, without a path.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How much each connection has received up to now.
    #[must_use]
    pub fn mark(&self) -> Mark {
        Mark(self.shared.lock().iter().map(|link| link.bytes.len()).collect())
    }

    /// What was received since the mark: one entry for each connection that received something.
    #[must_use]
    pub fn since(&self, mark: &Mark) -> Vec<Seen> {
        let links = self.shared.lock();
        links
            .iter()
            .enumerate()
            .filter_map(|(number, link)| {
                let from = mark.0.get(number).copied().unwrap_or(0);
                let fresh = &link.bytes[from..];
                (!fresh.is_empty()).then(|| judge(number, fresh, link.ended))
            })
            .collect()
    }

    /// The lines of all complete requests so far, by connection and then in order.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.requests().iter().map(Request::line).collect()
    }

    /// All complete requests so far, by connection and then in order.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        self.since(&Mark(Vec::new())).into_iter().flat_map(|seen| seen.requests).collect()
    }

    /// The last complete request; panics if there is none.
    #[must_use]
    pub fn last(&self) -> Request {
        self.requests().pop().expect("the origin saw no request")
    }

    /// How many bytes it has received, over all connections.
    #[must_use]
    pub fn received(&self) -> usize {
        self.shared.lock().iter().map(|link| link.bytes.len()).sum()
    }

    /// How many connections there were.
    #[must_use]
    pub fn links(&self) -> usize {
        self.shared.lock().len()
    }

    /// Everything that one connection received.
    #[must_use]
    pub fn bytes(&self, link: usize) -> Vec<u8> {
        self.shared.lock().get(link).map(|link| link.bytes.clone()).unwrap_or_default()
    }

    /// Waits until that connection has received `needle`.
    pub fn wait_received(&self, link: usize, needle: &str) {
        let needle = needle.as_bytes();
        let found = self.shared.wait(|links| {
            let bytes = &links.get(link)?.bytes;
            bytes.windows(needle.len()).any(|window| window == needle).then_some(())
        });
        assert!(
            found.is_some(),
            "connection {link} never received {:?}, but {:?}",
            wire::latin1(needle),
            wire::latin1(&self.bytes(link))
        );
    }

    /// Waits until that connection has received at least so many bytes.
    pub fn wait_bytes(&self, link: usize, count: usize) {
        let enough =
            self.shared.wait(|links| (links.get(link)?.bytes.len() >= count).then_some(()));
        assert!(enough.is_some(), "connection {link} received {} bytes", self.bytes(link).len());
    }

    /// Waits until so many connections were made.
    pub fn wait_links(&self, count: usize) {
        let enough = self.shared.wait(|links| (links.len() >= count).then_some(()));
        assert!(enough.is_some(), "{} connections, {count} were due", self.links());
    }

    /// Waits until the other end has closed that connection.
    pub fn wait_ended(&self, link: usize) {
        let ended = self.shared.wait(|links| links.get(link)?.ended.then_some(()));
        assert!(
            ended.is_some(),
            "connection {link} stayed open; it received {:?}",
            wire::latin1(&self.bytes(link))
        );
    }

    /// Waits until each connection that received only a part of a message has ended; `false` if
    /// one stays open.
    #[must_use]
    pub fn partial_ones_end(&self, mark: &Mark) -> bool {
        self.shared
            .wait(|links| {
                let open = links.iter().enumerate().any(|(number, link)| {
                    let from = mark.0.get(number).copied().unwrap_or(0);
                    !link.ended
                        && from < link.bytes.len()
                        && judge(number, &link.bytes[from..], false).rest != Rest::Nothing
                });
                (!open).then_some(())
            })
            .is_some()
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread; if that fails it is already gone.
        let _ = TcpStream::connect(self.address);
    }
}

fn read_all(shared: &Shared, mut stream: TcpStream, link: usize, mut also: impl FnMut(&[u8])) {
    let mut piece = vec![0; 65_536];
    loop {
        let read = stream.read(&mut piece).unwrap_or(0);
        {
            let mut links = shared.lock();
            links[link].bytes.extend_from_slice(&piece[..read]);
            links[link].ended |= read == 0;
        }
        shared.changed.notify_all();
        if read == 0 {
            return;
        }
        also(&piece[..read]);
    }
}

/// Runs the script over one connection, until it ends or the script ends it.
fn perform(script: &Script, shared: &Shared, stream: &TcpStream, link: usize) {
    let run = |acts: Vec<Act>| acts.into_iter().all(|act| run_act(act, shared, stream, link));
    if let Some(on_accept) = &script.on_accept
        && !run(on_accept(link))
    {
        return;
    }
    if script.raw {
        return;
    }
    let (mut at, mut nth, mut head_seen) = (0, 0, false);
    loop {
        enum Next {
            Head(RequestHead),
            Whole(Request, usize),
            Fault(String),
        }
        let next = shared.wait_long(|links| {
            let fresh = &links[link].bytes[at..];
            if !head_seen
                && script.on_head.is_some()
                && let Ok(Some(((head, _), _))) = wire::read_request_head(fresh)
            {
                return Some(Some(Next::Head(head)));
            }
            match wire::read_request(fresh) {
                Ok(Some((request, used))) => Some(Some(Next::Whole(request, used))),
                Err(reason) => Some(Some(Next::Fault(reason))),
                Ok(None) if links[link].ended => Some(None),
                Ok(None) => None,
            }
        });
        let turn = Turn { link, nth };
        match next {
            None => return,
            Some(Next::Fault(reason)) => {
                let told = response("400 Bad Request", &[("X-Origin-Fault", &reason)], "");
                run(vec![told, Act::Close]);
                return;
            }
            Some(Next::Head(head)) => {
                head_seen = true;
                let acts = script.on_head.as_ref().map(|act| act(&head, turn)).unwrap_or_default();
                if !run(acts) {
                    return;
                }
            }
            Some(Next::Whole(request, used)) => {
                at += used;
                nth += 1;
                head_seen = false;
                let acts = match &script.on_request {
                    Some(act) => act(&request, turn),
                    None => ok("ok"),
                };
                let last =
                    request.head.fields.lists("connection", "close") || request.head.minor == 0;
                if !run(acts) || (last && !run(vec![Act::Close])) {
                    return;
                }
            }
        }
    }
}

impl Shared {
    /// Waits without a deadline, until the condition gives something or the origin stops.
    fn wait_long<T>(&self, mut condition: impl FnMut(&[Link]) -> Option<Option<T>>) -> Option<T> {
        loop {
            if let Some(value) = self.wait(&mut condition) {
                return value;
            }
            if self.stopped.load(Ordering::SeqCst) {
                return None;
            }
        }
    }
}

/// Does one step; `false` when the connection is over.
fn run_act(act: Act, shared: &Shared, mut stream: &TcpStream, link: usize) -> bool {
    match act {
        Act::Send(bytes) => stream.write_all(&bytes).is_ok(),
        Act::Pause(time) => {
            std::thread::sleep(time);
            true
        }
        Act::Until(gate) => gate.wait(),
        Act::Open(gate) => {
            gate.open();
            true
        }
        Act::AwaitEnd => shared.wait(|links| links[link].ended.then_some(())).is_some(),
        Act::Finish => stream.shutdown(Shutdown::Write).is_ok(),
        Act::Close => {
            // Already closed by the other end is as good.
            let _ = stream.shutdown(Shutdown::Both);
            false
        }
        Act::Reset => {
            // With no time to linger, a close is a reset; the reading thread's handle goes when
            // its read fails.
            let _ = SockRef::from(stream).set_linger(Some(Duration::ZERO));
            let _ = stream.shutdown(Shutdown::Read);
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::{Client, NoAnswer};
    use crate::waiting::Gate;

    const GET: &str = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";

    #[test]
    fn it_records_and_answers() {
        let origin = Origin::saying("hello");
        let mut client = Client::connect(origin.address());
        let answer = client.ask("GET", GET);
        assert_eq!((answer.text().as_str(), answer.field(MARK)), ("hello", Some("yes")));
        let mark = origin.mark();
        client.send("POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nab");
        client.finish();
        origin.wait_ended(0);
        let seen = origin.since(&mark);
        assert_eq!(seen.len(), 1);
        assert!(seen[0].requests.is_empty() && matches!(seen[0].rest, Rest::Partial(_)));
        assert_eq!(origin.lines(), ["GET /a"]);
    }

    #[test]
    fn it_tells_of_an_ambiguous_request() {
        let origin = Origin::saying("hello");
        let raw = "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n";
        let answer = Client::connect(origin.address()).ask("GET", raw);
        assert_eq!(answer.status(), 400);
        assert!(matches!(&origin.since(&Mark(Vec::new()))[0].rest, Rest::Invalid(..)));
    }

    #[test]
    fn it_resets_and_waits_for_gates() {
        let origin = Origin::answering(|_, _| vec![Act::Reset]);
        let mut client = Client::connect(origin.address());
        client.send(GET);
        assert_eq!(client.answer("GET").expect_err("reset"), NoAnswer::Closed);

        let gate = Gate::new();
        let inside = gate.clone();
        let origin = Origin::answering(move |_, _| {
            let mut acts = vec![Act::Until(inside.clone())];
            acts.extend(ok("late"));
            acts
        });
        let mut client = Client::connect(origin.address());
        client.send(GET);
        origin.wait_received(0, "GET /a");
        gate.open();
        assert_eq!(client.expect("GET").text(), "late");
    }
}

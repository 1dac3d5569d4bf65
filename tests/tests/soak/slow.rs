//! Honest clients that are slow: in their heads, their content and their reading, but within what
//! every client is allowed.

use std::sync::Arc;
use std::thread::{JoinHandle, sleep};
use std::time::{Duration, Instant};

use proxyd_tests::wire::{self, Framing};

use crate::line::Line;
use crate::site::{SIPPED, SMALL, Site, content};
use crate::tally::{Fault, Tally};

type Ask = fn(&Site) -> Result<(), Fault>;

const KINDS: [(&str, Ask); 3] =
    [("slow head", slow_head), ("slow content", slow_content), ("slow reader", slow_reader)];

/// Sends in so many pieces, some time apart.
fn trickle(line: &mut Line, bytes: &[u8], pieces: usize) {
    for piece in bytes.chunks(bytes.len().div_ceil(pieces)) {
        line.send(piece);
        sleep(Duration::from_millis(150));
    }
}

fn slow_head(site: &Site) -> Result<(), Fault> {
    let mut line = Line::clear(site.web)?;
    let head = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nX-Slow: yes\r\n\r\n", SMALL.0);
    trickle(&mut line, head.as_bytes(), 8);
    let answer = line.answer("GET")?.with(200)?;
    if answer == content(SMALL.0, SMALL.1) {
        Ok(())
    } else {
        Err(Fault::Other("other content".into()))
    }
}

/// Its content is on the way to an endpoint while more of it comes; where that endpoint dies, what
/// was sent is sent again, for a PUT is idempotent.
fn slow_content(site: &Site) -> Result<(), Fault> {
    let mut line = Line::clear(site.web)?;
    let sent = content("slow", 8_000);
    let head = format!(
        "PUT /put/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n",
        sent.len()
    );
    line.send(head.as_bytes());
    trickle(&mut line, &sent, 8);
    let answer = line.answer("PUT")?;
    let status = if answer.head.status == 204 { 204 } else { 201 };
    answer.with(status).map(drop)
}

/// Takes what comes in small sips.
fn slow_reader(site: &Site) -> Result<(), Fault> {
    let mut line = Line::narrow(site.web)?;
    let request = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n", SIPPED.0);
    line.send(request.as_bytes());
    let head = line.head()?;
    if head.status != 200 {
        return Err(Fault::Other(format!("{head:?}")));
    }
    let framing = wire::response_framing("GET", &head).map_err(Fault::Other)?;
    let Framing::Length(length) = framing else {
        return Err(Fault::Other(format!("{framing:?}")));
    };
    let mut taken = Vec::new();
    while (taken.len() as u64) < length {
        let piece = line.sip(16_000).map_err(|error| Fault::Cut(error.to_string()))?;
        if piece.is_empty() {
            return Err(Fault::Cut(format!("{} bytes of {length}", taken.len())));
        }
        taken.extend(piece);
        sleep(Duration::from_millis(100));
    }
    if taken == content(SIPPED.0, SIPPED.1) {
        Ok(())
    } else {
        Err(Fault::Other("other content".into()))
    }
}

/// Starts two of each kind.
pub(crate) fn start(site: &Arc<Site>, tally: &Arc<Tally>) -> Vec<JoinHandle<()>> {
    let client = |(name, ask): (&'static str, Ask)| {
        let (site, tally) = (Arc::clone(site), Arc::clone(tally));
        std::thread::spawn(move || {
            tally.paced(1.0, |_| {
                let begun = Instant::now();
                tally.count(name, begun, ask(&site));
            });
        })
    };
    KINDS.into_iter().chain(KINDS).map(client).collect()
}

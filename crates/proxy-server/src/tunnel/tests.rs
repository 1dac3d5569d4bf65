use proxy_core::{
    Finding, HelloFault, OpeningLimits, TunnelEnd, TunnelOpening, TunnelOutcome, TunnelPolicy,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;

use super::relay::relay;
use super::*;
use crate::drain::Drain;

fn start(
    settings: TunnelSettings,
    early: &'static [u8],
) -> (DuplexStream, DuplexStream, JoinHandle<TunnelOutcome>, Drain) {
    let (client, mut near) = duplex(64);
    let (far, upstream) = duplex(64);
    let drain = Drain::default();
    let mut guard = drain.register_any();
    let task = tokio::spawn(async move {
        relay(&mut near, far, BytesMut::from(early), settings, None, &mut guard).await
    });
    (client, upstream, task, drain)
}

#[tokio::test]
async fn early_bytes_come_first_and_half_close_is_kept() {
    let (mut client, mut upstream, task, _) = start(TunnelSettings::default(), b"early ");
    client.write_all(b"late").await.expect("write");
    client.shutdown().await.expect("shutdown");
    let mut got = String::new();
    upstream.read_to_string(&mut got).await.expect("read");
    assert_eq!(got, "early late");
    upstream.write_all(b"answer after the half-close").await.expect("write");
    drop(upstream);
    let mut got = String::new();
    client.read_to_string(&mut got).await.expect("read");
    assert_eq!(got, "answer after the half-close");
    let outcome = task.await.expect("task");
    assert_eq!((outcome.end, outcome.sent, outcome.received), (TunnelEnd::Closed, 10, 27));
}

#[tokio::test(start_paused = true)]
async fn silence_ends_a_tunnel_and_so_does_age() {
    let settings =
        TunnelSettings { idle: Duration::from_secs(60), lifetime: Duration::from_secs(100) };
    let (_client, _upstream, task, _) = start(settings, b"");
    assert_eq!(task.await.expect("task").end, TunnelEnd::Idle);
    let (mut client, mut upstream, task, _) = start(settings, b"");
    for _ in 0..2 {
        tokio::time::sleep(Duration::from_secs(45)).await;
        client.write_all(b"x").await.expect("write");
        upstream.read_u8().await.expect("read");
    }
    let outcome = task.await.expect("task");
    assert_eq!((outcome.end, outcome.duration.as_secs()), (TunnelEnd::Lifetime, 100));
}

#[tokio::test]
async fn draining_waits_and_ending_does_not() {
    let (mut client, mut upstream, task, drain) = start(TunnelSettings::default(), b"");
    drain.drain();
    client.write_all(b"x").await.expect("write");
    upstream.read_u8().await.expect("still relayed");
    drain.end();
    assert_eq!(task.await.expect("task").end, TunnelEnd::Drained);
}

#[tokio::test]
async fn large_transfers_pass_whole() {
    let (mut client, mut upstream, task, _) = start(TunnelSettings::default(), b"");
    let writer = tokio::spawn(async move {
        client.write_all(&vec![7; 300_000]).await.expect("write");
        client.shutdown().await.expect("shutdown");
        client
    });
    let mut got = Vec::new();
    upstream.read_to_end(&mut got).await.expect("read");
    assert_eq!(got.len(), 300_000);
    drop(upstream);
    let _client = writer.await.expect("writer");
    assert_eq!(task.await.expect("task").sent, 300_000);
}

/// Refuses what it is told to, and writes down what it is asked.
#[derive(Default)]
struct Doorman {
    refused: Vec<&'static str>,
    asked: Mutex<Vec<&'static str>>,
}

impl TunnelPolicy for Doorman {
    fn judge_opening(
        &self,
        host: &str,
        port: u16,
        opening: &TunnelOpening<'_>,
        _: Option<&Exchange>,
    ) -> Vec<Finding> {
        assert_eq!((host, port), ("x.test", 443));
        let word = match opening {
            TunnelOpening::Hello(hello) => {
                assert_eq!(hello.server_name.as_deref(), Some("www.origin.test"));
                "hello"
            }
            TunnelOpening::NotTls => "not_tls",
            TunnelOpening::Malformed(HelloFault::TooLong) => "too_long",
            TunnelOpening::Malformed(_) => "malformed",
            TunnelOpening::Incomplete => "incomplete",
            TunnelOpening::Silent => "silent",
            TunnelOpening::ServerFirst => "server_first",
            _ => "new",
        };
        self.asked.lock().expect("lock").push(word);
        let refused = self.refused.contains(&word);
        refused.then(|| Finding::refuse("a", "b")).into_iter().collect()
    }
}

const HELLO: &[u8] =
    include_bytes!("../../../proxy-core/tests/data/client_hello/openssl_tls13.bin");
const ALERTED: bool = true;

/// A tunnel before which a doorman stands.
struct Guarded {
    client: DuplexStream,
    upstream: DuplexStream,
    task: JoinHandle<(TunnelOutcome, bool)>,
    doorman: Arc<Doorman>,
}

fn guarded(refused: &[&'static str], early: &'static [u8]) -> Guarded {
    let (client, mut near) = duplex(64);
    let (far, upstream) = duplex(64);
    let doorman = Arc::new(Doorman { refused: refused.to_vec(), ..Doorman::default() });
    let policy = Arc::clone(&doorman) as Arc<dyn TunnelPolicy>;
    let task = tokio::spawn(async move {
        let limits = OpeningLimits::default();
        let check = TunnelCheck { policy, host: "x.test".into(), port: 443, limits };
        let mut opening = Opening::new(&check, None);
        let mut guard = Drain::default().register_any();
        let (early, settings) = (BytesMut::from(early), TunnelSettings::default());
        let opened = Some(&mut opening);
        let outcome = relay(&mut near, far, early, settings, opened, &mut guard).await;
        (outcome, opening.takes_alert())
    });
    Guarded { client, upstream, task, doorman }
}

impl Guarded {
    /// It ends by a refusal; no byte of the client went on.
    async fn refused(mut self, asked: &[&str]) -> bool {
        let mut got = Vec::new();
        self.upstream.read_to_end(&mut got).await.expect("read");
        let (outcome, alerted) = self.task.await.expect("task");
        assert_eq!((outcome.end, outcome.sent, got.len()), (TunnelEnd::Refused, 0, 0));
        assert_eq!(*self.doorman.asked.lock().expect("lock"), asked);
        alerted
    }

    /// Everything the client sends arrives, in order.
    async fn carries(mut self, sent: &[u8], asked: &[&str]) {
        self.client.shutdown().await.expect("shutdown");
        let mut got = Vec::new();
        self.upstream.read_to_end(&mut got).await.expect("read");
        assert_eq!(got, sent);
        drop(self.upstream);
        let outcome = self.task.await.expect("task").0;
        assert_eq!((outcome.end, outcome.sent), (TunnelEnd::Closed, sent.len() as u64));
        assert_eq!(*self.doorman.asked.lock().expect("lock"), asked);
    }
}

#[tokio::test]
async fn a_hello_in_any_pieces_is_asked_about_and_forwarded_intact() {
    for size in [1, 7, 100, HELLO.len()] {
        let mut tunnel = guarded(&[], b"");
        let sent = [HELLO, b"and what follows"].concat();
        for piece in sent.chunks(size) {
            let writing = tunnel.client.write_all(piece);
            writing.await.expect("write");
            // Bytes that may go on must be taken, for there is little room.
            tokio::task::yield_now().await;
        }
        tunnel.carries(&sent, &["hello"]).await;
    }
}

#[tokio::test]
async fn bytes_sent_ahead_are_judged_too() {
    let tunnel = guarded(&["hello"], HELLO);
    assert_eq!(tunnel.refused(&["hello"]).await, ALERTED);
    guarded(&[], HELLO).carries(HELLO, &["hello"]).await;
    let tunnel = guarded(&["not_tls"], b"GET / HTTP/1.1\r\n");
    assert_eq!(tunnel.refused(&["not_tls"]).await, !ALERTED);
}

#[tokio::test(start_paused = true)]
async fn a_slow_hello_and_a_broken_off_one_are_incomplete() {
    let mut tunnel = guarded(&["incomplete"], b"");
    tunnel.client.write_all(&HELLO[..20]).await.expect("write");
    assert_eq!(tunnel.refused(&["incomplete"]).await, ALERTED);
    let mut tunnel = guarded(&["incomplete"], b"");
    tunnel.client.write_all(&HELLO[..20]).await.expect("write");
    tunnel.client.shutdown().await.expect("shutdown");
    assert_eq!(tunnel.refused(&["incomplete"]).await, ALERTED);
    let mut tunnel = guarded(&["malformed"], b"");
    tunnel.client.write_all(b"\x16\x03\x01\x00\x00").await.expect("write");
    assert_eq!(tunnel.refused(&["malformed"]).await, ALERTED);
    let mut tunnel = guarded(&["too_long"], b"");
    tunnel.client.write_all(b"\x16\x03\x01\x40\x00\x01\x00\xff\xff").await.expect("write");
    assert_eq!(tunnel.refused(&["too_long"]).await, ALERTED);
}

#[tokio::test(start_paused = true)]
async fn who_stays_silent_is_judged_when_it_speaks() {
    let tunnel = guarded(&["silent"], b"");
    assert_eq!(tunnel.refused(&["silent"]).await, !ALERTED);
    let mut tunnel = guarded(&["hello"], b"");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let _ = tunnel.client.write_all(HELLO).await;
    assert_eq!(tunnel.refused(&["silent", "hello"]).await, ALERTED);
}

#[tokio::test]
async fn a_client_that_only_closes_is_nothing_to_judge() {
    guarded(&["silent", "not_tls", "incomplete"], b"").carries(b"", &[]).await;
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_before_the_client_is_judged() {
    let mut tunnel = guarded(&[], b"");
    tunnel.upstream.write_all(b"220 hello").await.expect("write");
    let mut banner = [0; 9];
    tunnel.client.read_exact(&mut banner).await.expect("read");
    assert_eq!(&banner, b"220 hello");
    tunnel.client.write_all(b"EHLO\r\n").await.expect("write");
    tunnel.carries(b"EHLO\r\n", &["server_first", "not_tls"]).await;
}

#[tokio::test]
async fn a_server_that_speaks_first_may_be_refused() {
    let mut tunnel = guarded(&["server_first"], b"");
    tunnel.upstream.write_all(b"SSH-2.0-x").await.expect("write");
    let mut got = Vec::new();
    tunnel.upstream.shutdown().await.expect("shutdown");
    assert_eq!(tunnel.task.await.expect("task").0.end, TunnelEnd::Refused);
    tunnel.client.read_to_end(&mut got).await.expect("read");
    assert!(got.is_empty(), "{got:?}");
}

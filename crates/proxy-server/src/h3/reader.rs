//! What quinn reads and writes: a UDP socket, less the packets that are for another process.

use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, Runtime as _, TokioRuntime, UdpPoller};

use super::bound::{Before, BoundUdp, Reads};
use super::ids;
use crate::connections::lock;

/// The reader of a socket.
#[derive(Debug)]
pub(super) struct Reader {
    /// A second descriptor of it, as quinn uses it.
    inner: Arc<dyn AsyncUdpSocket>,
    bound: BoundUdp,
    ended: AtomicBool,
}

impl Reader {
    pub(super) fn new(bound: &BoundUdp) -> io::Result<Self> {
        let inner = TokioRuntime.wrap_udp_socket(bound.second()?)?;
        Ok(Self { inner, bound: bound.clone(), ended: AtomicBool::new(false) })
    }

    /// Reads nothing more: another one may.
    pub(super) fn end(&self) {
        // Who reads at this moment has done so before the next one begins.
        let _source = lock(&self.bound.0.source);
        self.ended.store(true, Ordering::Release);
    }
}

impl AsyncUdpSocket for Reader {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Arc::clone(&self.inner).create_io_poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.inner.try_send(transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let held = &self.bound.0;
        let mut source = lock(&held.source);
        if self.ended.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        held.reader.register(cx.waker());
        if let Reads::Line(line) = &source.reads
            && let ([buffer, ..], [meta, ..]) = (&mut *buffers, &mut *metas)
        {
            if ready!(line.poll_packet(cx, buffer, meta)) {
                return Poll::Ready(Ok(1));
            }
            tracing::info!("nobody else reads a UDP socket: this process does again");
            source.reads = Reads::Socket;
        }
        if matches!(source.reads, Reads::Nothing) {
            return Poll::Pending;
        }
        // Of whoever is gone nothing is asked any more: each packet would cost two HMACs for it.
        source.before.retain_mut(|own| {
            own.line.as_mut().is_some_and(|line| line.poll_gone(cx).is_pending())
        });
        let count = ready!(self.inner.poll_recv(cx, buffers, metas))?;
        if !source.before.is_empty() {
            for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()).take(count) {
                keep_own(&mut source.before, buffer, meta);
            }
        }
        Poll::Ready(Ok(count))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn max_transmit_segments(&self) -> usize {
        self.inner.max_transmit_segments()
    }

    fn max_receive_segments(&self) -> usize {
        self.inner.max_receive_segments()
    }

    fn may_fragment(&self) -> bool {
        self.inner.may_fragment()
    }
}

/// Passes on what is for connections of the processes before, and leaves the rest. Several packets
/// that came together are of one size, only the last may be shorter: so are those that are left.
fn keep_own(before: &mut Vec<Before>, buffer: &mut [u8], meta: &mut RecvMeta) {
    let (mut at, mut kept) = (0, 0);
    while at < meta.len {
        let end = meta.len.min(at + meta.stride.max(1));
        let packet = &buffer[at..end];
        let maker = ids::destination(packet)
            .and_then(|id| before.iter_mut().find(|own| own.ids.has_made(id)));
        let passed_on = match maker {
            Some(Before { line: own @ Some(_), .. }) => {
                let there = own.as_ref().is_some_and(|line| line.pass_on(meta, packet));
                if !there {
                    // Its connections are gone with it, and their clients are told so.
                    *own = None;
                }
                there
            }
            _ => false,
        };
        if !passed_on {
            buffer.copy_within(at..end, kept);
            kept += end - at;
        }
        at = end;
    }
    meta.len = kept;
    before.retain(|own| own.line.is_some());
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use quinn::ConnectionIdGenerator as _;

    use super::super::bound::{HandedUdp, UdpPast};
    use super::super::ids::Ids;
    use super::super::line::{self, Receiving, Sending};
    use super::*;

    /// A socket that was handed over by processes that follow each other, the first one first, and
    /// what they have kept of the lines to them.
    fn handed(before: u8) -> (BoundUdp, Vec<socket2::Socket>) {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let lines = (0..before).map(|generation| {
            let (line, kept) = line::pair().expect("a pair");
            (UdpPast { generation, ids: [generation; 32], secret: Some([1; 32]), line }, kept)
        });
        let (before, kept) = lines.unzip();
        (HandedUdp { socket: socket.into(), before }.into(), kept)
    }

    /// Nothing has to come for it: whoever has ended costs the packets of others nothing.
    #[tokio::test]
    async fn who_has_ended_is_forgotten_before_a_packet_comes() {
        let (bound, mut kept) = handed(2);
        bound.begin();
        let reader = Reader::new(&bound).expect("within a runtime");
        let lines_are = async |count| {
            poll_fn(|cx| {
                let (mut into, mut metas) = ([0; 100], [RecvMeta::default()]);
                let read = reader.poll_recv(cx, &mut [IoSliceMut::new(&mut into)], &mut metas);
                assert!(read.is_pending(), "nobody sends anything");
                match lock(&bound.0.source).before.len() == count {
                    true => Poll::Ready(()),
                    false => Poll::Pending,
                }
            })
            .await;
        };
        lines_are(2).await;
        drop(kept.remove(0));
        lines_are(1).await;
        assert_eq!(lock(&bound.0.source).before[0].ids.generation(), 1);
        kept.clear();
        lines_are(0).await;
    }

    /// The oldest would read the socket again, beside the newest, once those between have ended.
    #[tokio::test]
    async fn no_process_is_left_without_its_line() {
        for (before, is_handed) in [(7, true), (8, false)] {
            let (bound, _kept) = handed(before);
            let on = bound.to_hand_over();
            assert_eq!(on.is_ok(), is_handed, "{before}: {on:?}");
            assert!(on.is_err() || on.is_ok_and(|on| on.before.len() == 8));
        }
    }

    #[tokio::test]
    async fn packets_that_came_together_are_taken_apart() {
        let (sending, receiving) = line::pair().expect("a pair");
        let receiving = Receiving::new(receiving).expect("within a runtime");
        let mut theirs = Ids::of(b"secret", 1);
        let mut ours = Ids::of(b"secret", 2);
        let mut before = vec![Before { ids: theirs.clone(), line: Some(Sending::from(sending)) }];
        let packet = |ids: &mut Ids, mark: u8, length: usize| {
            let mut packet = vec![0x40];
            packet.extend_from_slice(&ids.generate_cid());
            packet.resize(length, mark);
            packet
        };
        let packets = [
            packet(&mut theirs, 1, 20),
            packet(&mut ours, 2, 20),
            packet(&mut theirs, 3, 20),
            packet(&mut ours, 4, 12),
        ];
        let mut buffer = packets.concat();
        let mut meta = RecvMeta { len: buffer.len(), stride: 20, ..RecvMeta::default() };
        keep_own(&mut before, &mut buffer, &mut meta);
        assert_eq!(buffer[..meta.len], [&packets[1][..], &packets[3]].concat());
        for sent in [&packets[0], &packets[2]] {
            let (mut seen, mut into) = (RecvMeta::default(), [0; 100]);
            assert!(poll_fn(|cx| receiving.poll_packet(cx, &mut into, &mut seen)).await);
            assert_eq!(into[..seen.len], sent[..]);
        }
        // Whoever is gone gets nothing: what is for it is answered here.
        drop(receiving);
        let mut buffer = packets[0].clone();
        let mut meta = RecvMeta { len: 20, stride: 20, ..RecvMeta::default() };
        keep_own(&mut before, &mut buffer, &mut meta);
        assert_eq!((meta.len, before.len()), (20, 0));
    }
}

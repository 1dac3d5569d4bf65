//! The content of a response, read ahead of its client.

use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;
use proxy_core::{Body, BoxError, Reply};

use super::files::{Appending, Pending, Spill};
use super::meters::{Direction, Full};
use super::{BufferLimits, Shared};

/// What a piece counts in memory, at least: it has more around it than its bytes.
const LEAST: u64 = 512;

/// A piece of less than this is copied where it has to wait: it may hold a whole buffer of 32 KiB, of
/// which only its own bytes are counted.
const COPIED: usize = 16 << 10;

pin_project! {
    /// The content of a response of [`Buffered`](super::Buffered).
    pub struct BufferedBody<B> {
        #[pin]
        state: State<B>,
    }
}

pin_project! {
    #[project = StateProjection]
    enum State<B> {
        // As it is, or made here.
        Passed { #[pin] body: Reply<B> },
        // A task reads it.
        Held { reader: Box<Reader> },
    }
}

impl<B> BufferedBody<B> {
    pub(super) fn made(body: Reply<B>) -> Self {
        Self { state: State::Passed { body } }
    }

    pub(super) fn passed(body: B) -> Self {
        Self::made(Reply::Inner { body })
    }
}

impl<B> BufferedBody<B>
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    /// Begins to read it.
    pub(super) fn hold(body: B, limits: BufferLimits, shared: &Arc<Shared>) -> Self {
        if body.is_end_stream() {
            return Self::passed(body);
        }
        let queue = Arc::new(Queue::new(&shared.spilling));
        let reader = Reader { queue: Arc::clone(&queue), reading: None, hint: body.size_hint() };
        let (body, shared) = (Body::new(body), Arc::clone(shared));
        let pump = Pump { body, limits, shared: Arc::clone(&shared), queue };
        shared.spilling.spawn().spawn(Box::pin(pump.run()));
        Self { state: State::Held { reader: Box::new(reader) } }
    }
}

/// Between who reads the upstream's content and who gives it to the client.
struct Queue(Mutex<Inner>);

struct Inner {
    /// What is given first.
    memory: VecDeque<Bytes>,
    /// What it counts.
    in_memory: u64,
    /// What comes after it.
    spill: Spill,
    /// Bytes of it that were given.
    read: u64,
    end: Option<End>,
    /// The client's side is gone.
    abandoned: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// How the content ended.
enum End {
    Whole(Option<HeaderMap>),
    Broken(BoxError),
}

impl Queue {
    fn new(spilling: &super::Spilling) -> Self {
        Self(Mutex::new(Inner {
            memory: VecDeque::new(),
            in_memory: 0,
            spill: Spill::new(spilling),
            read: 0,
            end: None,
            abandoned: false,
            reader: None,
            writer: None,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when all that is held was given, or nobody wants it.
    async fn given(&self) {
        poll_fn(|cx| {
            let mut queue = self.lock();
            if queue.abandoned || (queue.memory.is_empty() && queue.is_drained()) {
                return Poll::Ready(());
            }
            queue.writer = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

fn cost(piece: &Bytes) -> u64 {
    (piece.len() as u64).max(LEAST)
}

impl Inner {
    /// Nothing is in the file that was not given.
    fn is_drained(&self) -> bool {
        self.read >= self.spill.len()
    }

    fn wake_reader(&mut self) {
        self.reader.take().into_iter().for_each(Waker::wake);
    }

    fn wake_writer(&mut self) {
        self.writer.take().into_iter().for_each(Waker::wake);
    }
}

/// The task that reads the upstream's content.
struct Pump {
    body: Body,
    limits: BufferLimits,
    shared: Arc<Shared>,
    queue: Arc<Queue>,
}

/// Where a piece goes.
enum Place {
    Memory,
    File(Appending),
    /// Nowhere, before something was given.
    Later(Full),
    /// Nobody wants it.
    Nowhere,
}

impl Pump {
    async fn run(mut self) {
        let mut told = false;
        loop {
            let end = match self.frame().await {
                None => return,
                Some(None) => End::Whole(None),
                Some(Some(Err(error))) => End::Broken(error),
                Some(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) if data.is_empty() => continue,
                    Ok(data) => match self.put(data, &mut told).await {
                        true => continue,
                        false => return,
                    },
                    Err(frame) => End::Whole(frame.into_trailers().ok()),
                },
            };
            let mut queue = self.queue.lock();
            queue.end = Some(end);
            queue.wake_reader();
            // The upstream's content goes with the task: its connection is for others.
            return;
        }
    }

    /// The next frame; `None` where the client has left.
    async fn frame(&mut self) -> Option<Option<Result<Frame<Bytes>, BoxError>>> {
        poll_fn(|cx| {
            {
                let mut queue = self.queue.lock();
                if queue.abandoned {
                    return Poll::Ready(None);
                }
                queue.writer = Some(cx.waker().clone());
            }
            Pin::new(&mut self.body).poll_frame(cx).map(Some)
        })
        .await
    }

    /// `false` where the client has left.
    async fn put(&mut self, piece: Bytes, told: &mut bool) -> bool {
        let mut failed = false;
        loop {
            match self.place(&piece, failed) {
                Place::Memory => return true,
                Place::Nowhere => return false,
                Place::Later(why) => {
                    if !std::mem::replace(told, true) {
                        self.shared.meters.overflow(Direction::Response, why);
                    }
                    failed |= why == Full::Disk;
                    self.queue.given().await;
                }
                Place::File(Appending { done, reserved }) => match done.await {
                    Ok(Ok(file)) => {
                        let mut queue = self.queue.lock();
                        queue.spill.written(file, reserved);
                        queue.wake_reader();
                        self.shared.meters.spilled(Direction::Response, piece.len() as u64);
                        return true;
                    }
                    // The client's own pace is left.
                    _ => failed = true,
                },
            }
        }
    }

    /// Puts a piece into memory, or begins to write it.
    fn place(&self, piece: &Bytes, failed: bool) -> Place {
        let mut queue = self.queue.lock();
        if queue.abandoned {
            return Place::Nowhere;
        }
        if queue.is_drained() {
            if queue.spill.len() > 0 {
                queue.spill.clear();
                queue.read = 0;
            }
            let has_room = queue.in_memory + cost(piece) <= self.limits.memory;
            if has_room || queue.memory.is_empty() {
                queue.in_memory += cost(piece);
                let is_awaited = queue.memory.is_empty() && queue.reader.is_some();
                let piece = match is_awaited || piece.len() >= COPIED {
                    true => piece.clone(),
                    false => Bytes::copy_from_slice(piece),
                };
                queue.memory.push_back(piece);
                queue.wake_reader();
                return Place::Memory;
            }
        }
        if failed {
            return Place::Later(Full::Disk);
        }
        if queue.spill.len() + piece.len() as u64 > self.limits.disk {
            return Place::Later(Full::Limit);
        }
        match queue.spill.append(piece.clone()) {
            Some(appending) => Place::File(appending),
            None => Place::Later(Full::Disk),
        }
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        if queue.end.is_none() {
            // The runtime ends, or the content panicked.
            queue.end = Some(End::Broken("the response is not read any more".into()));
            queue.wake_reader();
        }
    }
}

/// The client's side.
struct Reader {
    queue: Arc<Queue>,
    reading: Option<Pending<Bytes>>,
    hint: SizeHint,
}

impl Reader {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let data = loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(pin!(reading).poll(cx));
                self.reading = None;
                let chunk = match read {
                    Ok(Ok(chunk)) => chunk,
                    Ok(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                    Err(closed) => return Poll::Ready(Some(Err(closed.into()))),
                };
                let mut queue = self.queue.lock();
                queue.read += chunk.len() as u64;
                queue.wake_writer();
                break chunk;
            }
            let mut queue = self.queue.lock();
            if let Some(piece) = queue.memory.pop_front() {
                queue.in_memory -= cost(&piece);
                queue.wake_writer();
                break piece;
            }
            if !queue.is_drained() {
                self.reading = queue.spill.read(queue.read);
                continue;
            }
            return match queue.end.take() {
                Some(End::Whole(trailers)) => {
                    queue.end = Some(End::Whole(None));
                    Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
                }
                Some(End::Broken(error)) => {
                    queue.end = Some(End::Whole(None));
                    Poll::Ready(Some(Err(error)))
                }
                None => {
                    queue.reader = Some(cx.waker().clone());
                    Poll::Pending
                }
            };
        };
        let given = data.len() as u64;
        let (lower, upper) = (self.hint.lower(), self.hint.upper());
        self.hint = SizeHint::new();
        if let Some(upper) = upper {
            self.hint.set_upper(upper.saturating_sub(given));
        }
        self.hint.set_lower(lower.saturating_sub(given));
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    /// Nothing will come: what ends the content has come, and it has no trailers.
    fn is_end(&self) -> bool {
        let queue = self.queue.lock();
        self.reading.is_none()
            && queue.memory.is_empty()
            && queue.is_drained()
            && matches!(queue.end, Some(End::Whole(None)))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let mut queue = self.queue.lock();
        queue.abandoned = true;
        queue.memory.clear();
        queue.wake_writer();
    }
}

impl<B> HttpBody for BufferedBody<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match self.project().state.project() {
            StateProjection::Passed { body } => body.poll_frame(cx),
            StateProjection::Held { reader } => reader.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.state {
            State::Passed { body } => body.is_end_stream(),
            State::Held { reader } => reader.is_end(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.state {
            State::Passed { body } => body.size_hint(),
            State::Held { reader } => reader.hint,
        }
    }
}

impl<B> std::fmt::Debug for BufferedBody<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferedBody").finish_non_exhaustive()
    }
}

//! Watches the content of one request as it passes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use proxy_core::{BoxError, ErrorKind, ProxyError, Refusal};

use super::record::Record;
use super::{HOLD_LIMIT, SLICE};
use crate::inspect::verdict::{Inspection, Step};

/// Where the body leaves its refusal for the future.
#[derive(Clone, Default)]
pub(in crate::inspect) struct Verdict(Arc<Mutex<VerdictState>>);

#[derive(Default)]
struct VerdictState {
    refusal: Option<Box<Refusal>>,
    waker: Option<Waker>,
}

impl Verdict {
    fn lock(&self) -> MutexGuard<'_, VerdictState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&self, refusal: Refusal) {
        let mut state = self.lock();
        state.refusal = Some(Box::new(refusal));
        let waker = state.waker.take();
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The refusal, once.
    pub(in crate::inspect) fn take(&self) -> Option<Box<Refusal>> {
        self.lock().refusal.take()
    }

    /// The refusal, or a wake when there is one.
    pub(in crate::inspect) fn poll_take(&self, cx: &mut Context<'_>) -> Option<Box<Refusal>> {
        let mut state = self.lock();
        if state.refusal.is_none() {
            match &mut state.waker {
                Some(waker) => waker.clone_from(cx.waker()),
                none => *none = Some(cx.waker().clone()),
            }
        }
        state.refusal.take()
    }
}

/// The state of content that is inspected.
pub(in crate::inspect) struct Watch {
    inspection: Option<Box<dyn Inspection>>,
    record: Option<Record>,
    verdict: Verdict,
    /// Came from below and is not judged yet.
    unjudged: Bytes,
    /// A slice that is not judged to its end, and whether more follows it.
    judging: Option<(Bytes, bool)>,
    /// Judged, but not free to go. Copied, so that small pieces do not keep large buffers alive.
    held: BytesMut,
    /// Free to go, in this order.
    data: Bytes,
    trailers: Option<HeaderMap>,
    error: Option<BoxError>,
    is_ended: bool,
    may_replace: bool,
    /// Whether what is held goes on where nothing more is there at the moment.
    goes_on_when_pending: bool,
}

impl Watch {
    pub(in crate::inspect) fn new(
        inspection: Box<dyn Inspection>,
        record: Record,
        verdict: Verdict,
    ) -> Self {
        Self {
            may_replace: inspection.may_replace(),
            inspection: Some(inspection),
            record: Some(record),
            verdict,
            unjudged: Bytes::new(),
            judging: None,
            held: BytesMut::new(),
            data: Bytes::new(),
            trailers: None,
            error: None,
            is_ended: false,
            goes_on_when_pending: false,
        }
    }

    /// Holds content only as long as more of it is there at once.
    pub(in crate::inspect) fn goes_on_when_pending(&mut self) {
        self.goes_on_when_pending = true;
    }

    pub(in crate::inspect) fn poll_frame<B>(
        &mut self,
        body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        ready!(self.poll_ready(body, cx));
        Poll::Ready(if !self.data.is_empty() {
            Some(Ok(Frame::data(std::mem::take(&mut self.data))))
        } else if let Some(trailers) = self.trailers.take() {
            Some(Ok(Frame::trailers(trailers)))
        } else {
            self.error.take().map(Err)
        })
    }

    /// Reads and judges until something is free to go, or all is said.
    pub(in crate::inspect) fn poll_ready<B>(
        &mut self,
        mut body: Pin<&mut B>,
        cx: &mut Context<'_>,
    ) -> Poll<()>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut turn = SLICE;
        while !self.has_something() && !self.is_ended {
            if turn == 0 && (self.judging.is_some() || !self.unjudged.is_empty()) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some((slice, unread)) = self.judging.take() {
                turn = 0;
                self.judge(&Bytes::new(), slice, unread);
            } else if self.unjudged.is_empty() {
                let polled = body.as_mut().poll_frame(cx);
                if polled.is_pending() && self.goes_on_when_pending && !self.held.is_empty() {
                    self.data = self.held.split().freeze();
                    break;
                }
                match ready!(polled) {
                    Some(Ok(frame)) => match frame.into_data() {
                        Ok(data) => self.unjudged = data,
                        Err(frame) => {
                            let trailers = frame.into_trailers().ok();
                            self.judge_trailers(trailers.as_ref());
                            if !self.is_ended {
                                self.finish();
                            }
                            if self.error.is_none() {
                                self.trailers = trailers;
                                // The body says itself when it is at its end.
                                self.is_ended = false;
                            }
                            return Poll::Ready(());
                        }
                    },
                    Some(Err(error)) => {
                        // What is held belongs to a message that will never be whole.
                        self.end();
                        self.held.clear();
                        self.error = Some(error.into());
                    }
                    None => self.finish(),
                }
            } else {
                let slice = self.unjudged.split_to(turn.min(self.unjudged.len()));
                turn -= slice.len();
                let unread = !self.unjudged.is_empty() || !body.is_end_stream();
                self.judge(&slice.clone(), slice, unread);
                if self.judging.is_some() {
                    turn = 0;
                }
            }
        }
        Poll::Ready(())
    }

    fn has_something(&self) -> bool {
        !self.data.is_empty() || self.trailers.is_some() || self.error.is_some()
    }

    /// Judges a slice, or goes on with it.
    fn judge(&mut self, chunk: &Bytes, slice: Bytes, unread: bool) {
        if let Some(inspection) = &mut self.inspection {
            let step = inspection.chunk(chunk);
            if inspection.is_busy() {
                self.judging = Some((slice, unread));
                return;
            }
            if let Some(record) = &mut self.record {
                record.seen(slice.len(), inspection.report());
            }
            self.take_step(step, slice, unread);
        } else {
            self.data = slice;
        }
        if !unread {
            // A reader that knows the length need not ask again.
            self.finish();
        }
    }

    fn judge_trailers(&mut self, trailers: Option<&HeaderMap>) {
        let (Some(trailers), Some(inspection)) = (trailers, &mut self.inspection) else { return };
        let step = inspection.trailers(trailers);
        if let Some(record) = &mut self.record {
            record.seen(0, inspection.report());
        }
        if step == Step::Block {
            self.block(false);
        }
    }

    fn take_step(&mut self, step: Step, slice: Bytes, unread: bool) {
        match step {
            Step::Block => return self.block(unread),
            Step::Hold if self.held.len() + slice.len() > HOLD_LIMIT => return self.block(unread),
            Step::Hold => self.held.extend_from_slice(&slice),
            Step::Pass if self.held.is_empty() => self.data = slice,
            Step::Pass => {
                self.held.extend_from_slice(&slice);
                self.data = self.held.split().freeze();
            }
            Step::Replace(bytes) => {
                self.held.clear();
                self.data = bytes;
            }
        }
        if let Some(record) = &mut self.record {
            record.go_on();
        }
    }

    /// All content has come.
    fn finish(&mut self) {
        if let Some(inspection) = &mut self.inspection {
            let step = inspection.finish();
            if let Some(record) = &mut self.record {
                record.seen(0, inspection.report());
            }
            // At the end nothing can be held any more.
            let step = if step == Step::Hold { Step::Pass } else { step };
            // What is free already goes first.
            let first = std::mem::take(&mut self.data);
            self.take_step(step, Bytes::new(), false);
            if !first.is_empty() && self.error.is_none() {
                self.data = if self.data.is_empty() {
                    first
                } else {
                    [first, std::mem::take(&mut self.data)].concat().into()
                };
            }
        }
        self.end();
    }

    /// Nothing more will come.
    fn end(&mut self) {
        self.is_ended = true;
        self.inspection = None;
        self.record = None;
    }

    fn block(&mut self, unread: bool) {
        let reason = self.record.as_ref().map_or("request_inspection", Record::reason);
        if let Some(record) = self.record.take() {
            self.verdict.refuse(record.refuse(unread));
        }
        self.end();
        self.unjudged.clear();
        self.judging = None;
        self.held.clear();
        self.data.clear();
        let denied = ProxyError::new(ErrorKind::HttpRequestDenied).detail(reason);
        self.error = Some(denied.into());
    }

    pub(in crate::inspect) fn is_end_stream(&self, body: &impl Body) -> bool {
        !self.has_something()
            && (self.is_ended
                || self.held.is_empty()
                    && self.unjudged.is_empty()
                    && self.judging.is_none()
                    && body.is_end_stream())
    }

    pub(in crate::inspect) fn size_hint(&self, body: &impl Body) -> SizeHint {
        let judging = self.judging.as_ref().map_or(0, |(slice, _)| slice.len());
        let ready = (self.data.len() + self.held.len() + self.unjudged.len() + judging) as u64;
        if self.may_replace && !self.is_ended {
            return SizeHint::default();
        }
        let below = body.size_hint();
        let mut hint = SizeHint::new();
        if let Some(upper) = below.upper().and_then(|upper| upper.checked_add(ready)) {
            hint.set_upper(upper);
        }
        hint.set_lower(below.lower().saturating_add(ready).min(hint.upper().unwrap_or(u64::MAX)));
        hint
    }
}

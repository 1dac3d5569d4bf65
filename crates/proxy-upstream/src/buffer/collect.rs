//! The content of a request, read until it is whole or can not be held.

use std::time::Duration;

use bytes::BytesMut;
use http::header::{EXPECT, TRAILER};
use http::{HeaderMap, Request, StatusCode};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use proxy_core::{Body, BoxError, ErrorKind, ProxyError, Refusal};

use super::content::{Content, Stored, chained};
use super::files::{Appending, Spill};
use super::meters::{Direction, Full};
use super::{BufferLimits, OnLimit, Shared};

/// What is written to a file at a time, at least: beside a file so much may be in memory.
const BATCH: usize = 16 << 10;

/// When a client may come back whose content could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// The same request, with its content here; or why it is refused.
pub(super) async fn collect(
    shared: &Shared,
    limits: BufferLimits,
    mut request: Request<Body>,
) -> Result<Request<Body>, Box<Refusal>> {
    let body = std::mem::take(request.body_mut());
    let most = limits.memory.saturating_add(limits.disk);
    if body.size_hint().lower() > most {
        // It need not be read to know that.
        return match limits.on_limit {
            OnLimit::Stream => {
                shared.meters.overflow(Direction::Request, Full::Limit);
                Ok(request.map(|_| body))
            }
            OnLimit::Refuse => Err(shared.refusal(Full::Limit)),
        };
    }
    let mut held = Held::new(shared, limits, &body);
    let rest = held.fill(body).await?;
    // The client was told to go on: nobody has to say so any more (RFC 9110 section 10.1.1).
    request.headers_mut().remove(EXPECT);
    if rest.is_none() && held.trailers.is_none() {
        // What was announced has not come.
        request.headers_mut().remove(TRAILER);
    }
    *request.body_mut() = match rest {
        Some(rest) => chained(held.content(), rest),
        None if held.is_in_memory() => Body::full(held.memory.freeze()),
        None => {
            let stored = Stored::new(held.content());
            let body = stored.body();
            request.extensions_mut().insert(stored);
            body
        }
    };
    Ok(request)
}

/// What has come so far.
struct Held<'a> {
    shared: &'a Shared,
    limits: BufferLimits,
    /// What is in the file, and what came after it.
    spill: Spill,
    memory: BytesMut,
    trailers: Option<HeaderMap>,
}

impl<'a> Held<'a> {
    fn new(shared: &'a Shared, limits: BufferLimits, body: &Body) -> Self {
        let known = body.size_hint().exact().unwrap_or(0).min(limits.memory);
        Self {
            shared,
            limits,
            memory: BytesMut::with_capacity(usize::try_from(known).unwrap_or(0)),
            spill: Spill::new(&shared.spilling),
            trailers: None,
        }
    }

    fn is_in_memory(&self) -> bool {
        self.spill.len() == 0 && self.trailers.is_none()
    }

    /// Reads all of it, and gives what is left where it can not be held and is to be passed on.
    async fn fill(&mut self, mut body: Body) -> Result<Option<Body>, Box<Refusal>> {
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|error| content_refusal(&error))?;
            match frame.into_data() {
                // Copied: small pieces may each hold a large buffer.
                Ok(data) => self.memory.extend_from_slice(&data),
                Err(frame) => self.trailers = frame.into_trailers().ok(),
            }
            if self.memory.len() as u64 > self.limits.memory.max(BATCH as u64)
                && let Some(why) = self.write().await
            {
                return self.overflows(why).map(|()| Some(body));
            }
        }
        match self.write().await {
            Some(why) => self.overflows(why).map(|()| Some(Body::empty())),
            None => Ok(None),
        }
    }

    /// Writes what is in memory, where that is more than may be there. What can not be written
    /// stays.
    async fn write(&mut self) -> Option<Full> {
        let (memory, spilled) = (self.memory.len() as u64, self.spill.len());
        if memory <= self.limits.memory {
            return None;
        }
        let fits = memory.min(self.limits.disk.saturating_sub(spilled));
        if memory - fits > self.limits.memory {
            return Some(Full::Limit);
        }
        let fits = usize::try_from(fits).unwrap_or(usize::MAX);
        let data = self.memory.split_to(fits).freeze();
        let written = match self.spill.append(data.clone()) {
            Some(Appending { done, reserved }) => match done.await {
                Ok(Ok(file)) => {
                    self.spill.written(file, reserved);
                    true
                }
                _ => false,
            },
            None => false,
        };
        if written {
            self.shared.meters.spilled(Direction::Request, data.len() as u64);
            return None;
        }
        let rest = std::mem::replace(&mut self.memory, BytesMut::from(data));
        self.memory.unsplit(rest);
        Some(Full::Disk)
    }

    fn overflows(&self, why: Full) -> Result<(), Box<Refusal>> {
        match self.limits.on_limit {
            OnLimit::Stream => {
                self.shared.meters.overflow(Direction::Request, why);
                Ok(())
            }
            OnLimit::Refuse => Err(self.shared.refusal(why)),
        }
    }

    fn content(&mut self) -> Content {
        Content {
            spill: std::mem::replace(&mut self.spill, Spill::new(&self.shared.spilling)),
            memory: std::mem::take(&mut self.memory).freeze(),
            trailers: self.trailers.take(),
        }
    }
}

impl Shared {
    fn refusal(&self, why: Full) -> Box<Refusal> {
        self.meters.overflow(Direction::Request, why);
        Box::new(match why {
            Full::Limit => Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large").close(),
            Full::Disk => {
                let error = ProxyError::new(ErrorKind::ProxyInternalError);
                let error = error.with_status(StatusCode::SERVICE_UNAVAILABLE).detail("buffer");
                Refusal::from_error(&error).retry_after(RETRY_AFTER).close()
            }
        })
    }
}

/// What content says of its own failure; what says nothing has lost its client.
fn content_refusal(error: &BoxError) -> Box<Refusal> {
    Box::new(match ProxyError::find(&**error) {
        Some(found) => Refusal::from_error(found).close(),
        None => Refusal::from_error(&ProxyError::new(ErrorKind::HttpRequestError)).close(),
    })
}

//! A request upstream, and what its response means for the store.

mod confirming;
mod storing;

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::SystemTime;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE};
use http::response::Parts;
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt as _;
use proxy_core::{BoxError, Refusal};

use crate::fill::{Fill, FillReader};
use crate::flight::{Arrival, Flight};
use crate::look::UnsafeTarget;
use crate::parts;
use crate::semantics::directives::RequestDirectives;
use crate::semantics::reuse::{Failure, stale_on_error};
use crate::semantics::validation;
use crate::shared::{Epoch, Shared, Ties};
use crate::store::{KeyHash, KeyText, Stored, StoredBody, StoredHead};
use confirming::Confirmed;
pub(crate) use storing::NotKept;

/// What a response is judged by, kept while it is awaited.
pub(crate) struct Fetch {
    pub(crate) shared: Arc<Shared>,
    pub(crate) hash: KeyHash,
    pub(crate) key: Arc<KeyText>,
    pub(crate) method: Method,
    /// As the client sent them: what `Vary` selects by.
    pub(crate) fields: HeaderMap,
    pub(crate) directives: RequestDirectives,
    /// Stored responses whose validators go with the request.
    pub(crate) candidates: Vec<Arc<Stored>>,
    /// The one that would answer the request if it were fresh.
    pub(crate) selected: Option<Arc<Stored>>,
    /// The stored beginning of what is asked for.
    pub(crate) beginning: Option<Arc<Stored>>,
    /// What an answer that is no error makes invalid.
    pub(crate) unsafe_target: Option<Box<UnsafeTarget>>,
    /// It asks for one slice, and nothing else is stored under its key.
    pub(crate) slice: bool,
    /// Whether those who come later may join.
    pub(crate) joinable: bool,
}

/// The leader's own part of what arrives.
pub(crate) enum Own<B, E> {
    /// The whole response is the leader's.
    Response(Box<Response<B>>, Option<NotKept>),
    /// Its content goes through a fill.
    Head(Box<Parts>, FillReader),
    /// Upstream confirmed a stored response, for this exchange alone.
    Confirmed(Arc<Stored>),
    /// Upstream answered to what the cache knows, and the cache does not know it: it must be asked
    /// as the client asks.
    Mismatch,
    /// The inner service failed.
    Failed(E),
}

/// Where the leader finds it.
pub(crate) struct OwnSlot<B, E>(Mutex<Option<Own<B, E>>>);

impl<B, E> OwnSlot<B, E> {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(None)))
    }

    fn put(&self, own: Own<B, E>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(own);
    }

    pub(crate) fn take(&self) -> Option<Own<B, E>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Fetch {
    /// Awaits the response and decides what becomes of it.
    pub(crate) async fn run<F, B, E>(
        self,
        call: F,
        own: Arc<OwnSlot<B, E>>,
        flight: Weak<Flight>,
    ) -> Arrival
    where
        F: Future<Output = Result<Response<B>, E>>,
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (requested_at, mut epoch) = (self.shared.wall(), self.shared.epoch());
        let result = call.await;
        let received_at = self.shared.wall();
        let mut response = match result {
            Ok(response) => response,
            Err(error) => {
                return self.or_stale(Failure::Disconnected, received_at).unwrap_or_else(|| {
                    own.put(Own::Failed(error));
                    Arrival::Own
                });
            }
        };
        let made_here = response.extensions().get::<Refusal>().is_some();
        if let Some(target) = &self.unsafe_target {
            target.invalidate(&self.shared, &response);
            // What it answers itself is newer than what it has made invalid.
            epoch = self.shared.epoch();
        }
        let failure = match response.status().as_u16() {
            502..=504 if made_here => Some(Failure::Disconnected),
            500 | 502 | 503 | 504 => Some(Failure::Status(response.status())),
            _ => None,
        };
        if let Some(failure) = failure
            && let Some(stale) = self.or_stale(failure, received_at)
        {
            return stale;
        }
        if made_here {
            own.put(Own::Response(Box::new(response), None));
            return Arrival::Own;
        }
        if response.status() == StatusCode::NOT_MODIFIED && !self.candidates.is_empty() {
            return match self.validated(response.headers(), requested_at, received_at) {
                Confirmed::ForAll(stored) => Arrival::Validated(stored),
                Confirmed::ForOne(stored) => {
                    own.put(Own::Confirmed(stored));
                    Arrival::Own
                }
                Confirmed::Unknown => {
                    own.put(Own::Mismatch);
                    Arrival::Own
                }
            };
        }
        validation::add_date(response.headers_mut(), received_at);
        let mut continues = false;
        if let Some(beginning) = &self.beginning
            && matches!(response.status().as_u16(), 206 | 416)
        {
            let Some(complete) = parts::is_rest(beginning, response.headers()) else {
                own.put(Own::Mismatch);
                return Arrival::Own;
            };
            // The rest makes it the whole.
            continues = true;
            *response.status_mut() = StatusCode::OK;
            response.headers_mut().remove(CONTENT_RANGE);
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(complete));
        }
        match self.storable(&response, requested_at, received_at) {
            Ok(mut head) => {
                if let Some(coder) = &self.shared.coder {
                    let len = response.body().size_hint().exact();
                    coder.mark(&mut head.fields, len);
                    coder.mark(response.headers_mut(), len);
                }
                self.fill(response, head, &own, &flight, (continues, epoch))
            }
            // The rest alone is no answer.
            Err(_) if continues => {
                own.put(Own::Mismatch);
                Arrival::Own
            }
            Err(why) => {
                let at = (requested_at, received_at);
                self.passed_by(response.status(), response.headers(), why, at);
                own.put(Own::Response(Box::new(response), Some(why)));
                Arrival::Own
            }
        }
    }

    /// The stored response in the place of a failure, where that is allowed.
    fn or_stale(&self, failure: Failure, now: SystemTime) -> Option<Arrival> {
        let stored = self.selected.as_ref()?;
        let lifetime = self.shared.lifetime_on_error(stored);
        stale_on_error(&lifetime, &self.directives, failure, now)
            .then(|| Arrival::Stale(Arc::clone(stored)))
    }

    /// The stored part that a part of the same representation would take the place of.
    fn part_before(&self) -> Option<Arc<Stored>> {
        let variants = self.shared.store.lookup(&self.hash)?;
        Shared::select(&variants, &self.fields).filter(|stored| stored.head.part.is_some()).cloned()
    }

    /// Begins to store a response, and lets others read it. `continues`: it follows what is stored
    /// as its beginning.
    fn fill<B, E>(
        &self,
        response: Response<B>,
        head: StoredHead,
        own: &OwnSlot<B, E>,
        flight: &Weak<Flight>,
        (continues, epoch): (bool, Epoch),
    ) -> Arrival
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let told = response.headers().get(CONTENT_LENGTH);
        let told = told.and_then(|told| told.to_str().ok()?.parse().ok());
        let len = match continues {
            true => told,
            false => response.body().size_hint().exact().or(told),
        };
        let Some(writer) = self.shared.store.begin(head.clone(), len) else {
            if len.is_some_and(|len| len > self.shared.store.max_object()) {
                self.shared.remember_unshareable(self.hash);
            }
            own.put(if continues {
                Own::Mismatch
            } else {
                Own::Response(Box::new(response), Some(NotKept::TooLarge))
            });
            return Arrival::Own;
        };
        let part_before = head.part.as_ref().and_then(|_| self.part_before());
        let (parts, body) = response.into_parts();
        let ties = Ties {
            shared: Arc::clone(&self.shared),
            key: self.hash,
            flight: flight.upgrade().filter(|_| self.joinable),
            epoch,
            part_before,
        };
        let source = Box::pin(body.map_err(Into::into));
        let fill = Fill::new(Arc::new(head), len, source, writer, Arc::new(ties));
        // Its place is taken before others may read it to its end, and it is let go.
        let reader = FillReader::new(&fill, None);
        if let (true, Some(StoredBody::Memory { chunks, .. })) =
            (continues, self.beginning.as_ref().map(|stored| &stored.body))
        {
            fill.begin_with(chunks.iter().cloned());
        }
        if let Some(reader) = reader {
            own.put(Own::Head(Box::new(parts), reader));
        }
        Arrival::Fill(fill)
    }
}

//! Coded forms of stored responses: made once, kept beside the original, gone with it.
//!
//! The quick form is made first: at once where there is little content, else in the background. Where
//! it is used again, the thorough one is made in the background, in a queue of its own, and takes its
//! place. What waits there holds no content: what the store drops meanwhile is gone.
//!
//! Where a coder is given, the cache owns `Accept-Encoding` towards upstream: it asks for identity
//! and codes by itself, so that one stored response serves every client.

mod attempt;
mod settled;
mod sibling;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue};
use proxy_core::{ContentCoder, Effort, WorkQueue, coding};

use crate::semantics::vary::{self, Vary};
use crate::shared::Shared;
use crate::store::{KeyHash, Stored, StoredBody, StoredHead, Variants};

use attempt::Attempt;
use settled::Settled;
pub(crate) use sibling::Sibling;

/// Content up to this is coded while the first client waits; more, in the background.
const INLINE: u64 = 32 * 1024;

/// Attempts that came to nothing: at most so many are remembered.
const REMEMBERED: usize = 16 * 1024;

/// For how long, where the store had no room for what was made, the queue none for the making, or
/// the coder no time or memory.
const NO_ROOM: Duration = Duration::from_secs(10);

/// Where coded forms are made, away from those who asked for them.
///
/// A thorough form may take a second, and many may wait at once: behind them a first form, of which
/// every client has use, would come late.
#[derive(Clone, Debug)]
pub struct DerivingQueues {
    /// For first forms ([`Effort::Quick`]).
    pub quick: WorkQueue,
    /// For those that take their place ([`Effort::Thorough`]).
    pub thorough: WorkQueue,
}

/// The coder, and what it is busy with.
pub(crate) struct Coder {
    coder: Arc<dyn ContentCoder>,
    queues: DerivingQueues,
    busy: Mutex<HashSet<Form>>,
    useless: quick_cache::sync::Cache<Form, Useless>,
    originals: RandomState,
    settled: Settled,
    /// Held by those who ask for siblings.
    asked: Arc<()>,
}

/// One coded form of one original.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    key: KeyHash,
    coding: &'static str,
    effort: Effort,
    /// It is asked for, where the upstream has it, and not made.
    is_sibling: bool,
    /// The hash of what tells the original from those before and beside it.
    original: u64,
}

/// That a form is not to be made.
#[derive(Clone, Copy)]
enum Useless {
    /// It can not be made, or is no smaller.
    Ever,
    /// There was no room for it.
    Until(Instant),
}

impl Coder {
    pub(crate) fn new(coder: Arc<dyn ContentCoder>, queues: DerivingQueues) -> Self {
        Self {
            coder,
            queues,
            busy: Mutex::default(),
            useless: quick_cache::sync::Cache::new(REMEMBERED),
            originals: RandomState::new(),
            settled: Settled::default(),
            asked: Arc::default(),
        }
    }

    fn form(&self, key: KeyHash, coding: &'static str, original: &Stored) -> Form {
        let (head, len) = (&original.head, original.body.len());
        let original = (&head.variant, head.lifetime.response_time, len);
        let original = self.originals.hash_one(original);
        Form { key, coding, effort: Effort::Quick, is_sibling: false, original }
    }

    /// The thorough form in the place of one of this length. It stays what it is while the original
    /// is confirmed again and again.
    fn thorough(&self, of: Form, original: &Stored, kept: u64) -> Form {
        let original = (&original.head.variant, original.body.len(), kept);
        let original = self.originals.hash_one(original);
        Form { effort: Effort::Thorough, is_sibling: false, original, ..of }
    }

    /// The form that the upstream may have of just this content.
    fn sibling(&self, of: Form, content: &Arc<[Bytes]>) -> Form {
        let place = Arc::as_ptr(content).cast::<Bytes>().addr();
        let original = self.originals.hash_one((place, content.len()));
        Form { effort: Effort::Thorough, is_sibling: true, original, ..of }
    }

    fn is_useless(&self, form: &Form, now: Instant) -> bool {
        self.useless.get(form).is_some_and(|useless| match useless {
            Useless::Ever => true,
            Useless::Until(end) => now < end,
        })
    }

    fn is_useless_for_ever(&self, form: &Form) -> bool {
        matches!(self.useless.get(form), Some(Useless::Ever))
    }

    /// The coding that serves a client best, as far as its word goes.
    fn best(&self, request: &HeaderMap) -> Option<&'static str> {
        coding::best(request, self.coder.codings())
    }

    fn is_eligible(&self, head: &HeaderMap, len: Option<u64>) -> bool {
        !coding::is_coded(head) && self.coder.is_eligible(head, len)
    }

    /// Marks a response that will be there in several codings.
    pub(crate) fn mark(&self, fields: &mut HeaderMap, len: Option<u64>) {
        if self.is_eligible(fields, len) {
            coding::vary_by_coding(fields);
        }
    }
}

/// Asks upstream for identity.
pub(crate) fn ask_for_identity(request: &mut HeaderMap) {
    request.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
}

/// What a response without coding is selected by, where codings are ours.
pub(crate) fn vary_but_coding(response: &HeaderMap) -> Vary {
    if coding::is_coded(response) {
        return vary::parse(response);
    }
    let mut others = HeaderMap::new();
    for name in proxy_core::fields::list(response, &VARY) {
        if !name.eq_ignore_ascii_case("accept-encoding")
            && let Ok(name) = HeaderValue::from_str(name)
        {
            others.append(VARY, name);
        }
    }
    vary::parse(&others)
}

/// What serves a client best.
pub(crate) struct Best {
    pub(crate) form: Arc<Stored>,
    /// What the upstream is to be asked for, for those who come later.
    pub(crate) sibling: Option<Box<Sibling>>,
}

impl From<Arc<Stored>> for Best {
    fn from(form: Arc<Stored>) -> Self {
        Self { form, sibling: None }
    }
}

impl Shared {
    /// The form of a stored response that serves a client best: itself, or a coded one.
    pub(crate) fn best_form(
        self: &Arc<Self>,
        hash: KeyHash,
        variants: &Variants,
        stored: &Arc<Stored>,
        request: &HeaderMap,
    ) -> Best {
        let original = || Best::from(Arc::clone(stored));
        let Some(coder) = &self.coder else { return original() };
        if stored.head.part.is_some()
            || stored.head.trailers.is_some()
            || request.contains_key(http::header::RANGE)
            || is_not_to_be_transformed(request)
        {
            return original();
        }
        let Some(best) = coder.best(request) else { return original() };
        let kept = variants.iter().find(|kept| {
            kept.head.derived.as_deref() == Some(best) && kept.head.variant == stored.head.variant
        });
        if let Some(kept) = kept {
            // Whether it was worth coding has been judged when it was made.
            let sibling = match coder.settled.has(kept) {
                true => None,
                false => self.improve(coder, coder.form(hash, best, stored), stored, kept),
            };
            if kept.head.lifetime == stored.head.lifetime {
                return Best { form: Arc::clone(kept), sibling };
            }
            // The original has been confirmed meanwhile.
            let Some(head) = coded_head(&stored.head, best) else { return original() };
            let renewed = self.store.replace_head(kept, head.clone());
            let form =
                renewed.unwrap_or_else(|| Arc::new(Stored { head, body: kept.body.clone() }));
            return Best { form, sibling };
        }
        if !coder.is_eligible(&stored.head.fields, Some(stored.body.len())) {
            return original();
        }
        // What is not in memory is not read for it.
        let StoredBody::Memory { chunks, len } = &stored.body else { return original() };
        let in_background = *len > INLINE;
        let form = coder.form(hash, best, stored);
        if coder.is_useless(&form, self.clock.now()) {
            return original();
        }
        let Some(attempt) = Attempt::begin(self, form) else { return original() };
        if in_background {
            attempt.queue(stored, chunks);
            return original();
        }
        let content = Arc::downgrade(chunks);
        let made = attempt.derive(&content, stored.head.variant.as_ref(), u64::MAX);
        made.map_or_else(original, Best::from)
    }

    /// A form that is used again is worth more effort, or a question.
    fn improve(
        self: &Arc<Self>,
        coder: &Coder,
        form: Form,
        stored: &Arc<Stored>,
        kept: &Arc<Stored>,
    ) -> Option<Box<Sibling>> {
        let StoredBody::Memory { chunks, len } = &stored.body else { return None };
        let mut is_last_word = true;
        if let Some(ending) = coder.coder.sibling(form.coding)
            && self.may_have_siblings(stored)
        {
            let form = coder.sibling(form, chunks);
            if !coder.is_useless(&form, self.clock.now()) {
                // What is made here waits for the answer.
                let attempt = Attempt::begin(self, form)?;
                let content = Arc::downgrade(chunks);
                return Some(Box::new(Sibling::new(attempt, ending, content, kept.body.len())));
            }
            is_last_word = coder.is_useless_for_ever(&form);
        }
        let form = coder.thorough(form, stored, kept.body.len());
        if !coder.coder.has_thorough(form.coding, *len) || coder.is_useless_for_ever(&form) {
            if is_last_word {
                coder.settled.add(kept);
            }
            return None;
        }
        if !coder.is_useless(&form, self.clock.now())
            && let Some(attempt) = Attempt::begin(self, form)
        {
            attempt.queue_smaller(stored, chunks, kept.body.len());
        }
        None
    }
}

/// Whether the client wants nothing changed (RFC 9111 section 5.2.1.6).
fn is_not_to_be_transformed(request: &HeaderMap) -> bool {
    proxy_core::fields::list(request, &CACHE_CONTROL)
        .any(|name| name.eq_ignore_ascii_case("no-transform"))
}

fn coded_head(original: &StoredHead, best: &'static str) -> Option<StoredHead> {
    let mut head = original.clone();
    head.derived = Some(best.into());
    coding::mark_coded(&mut head.fields, best);
    Some(head)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

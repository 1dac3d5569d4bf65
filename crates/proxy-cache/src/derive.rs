//! Coded forms of stored responses: made once, kept beside the original, gone with it.
//!
//! The quick form is made first: at once where there is little content, else in the background. Where
//! it is used again, the thorough one is made in the background, in a queue of its own, and takes its
//! place. What waits there holds no content: what the store drops meanwhile is gone.
//!
//! Where a coder is given, the cache owns `Accept-Encoding` towards upstream: it asks for identity
//! and codes by itself, so that one stored response serves every client.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{ACCEPT_ENCODING, CACHE_CONTROL, VARY};
use http::{HeaderMap, HeaderValue};
use proxy_core::{ContentCoder, Effort, NotCoded, WorkQueue, coding};

use crate::semantics::vary::{self, VariantKey, Vary};
use crate::shared::Shared;
use crate::store::{KeyHash, StoreError, Stored, StoredBody, StoredHead, Variants};

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
}

/// One coded form of one original.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Form {
    key: KeyHash,
    coding: &'static str,
    effort: Effort,
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
        }
    }

    fn form(&self, key: KeyHash, coding: &'static str, original: &Stored) -> Form {
        let (head, len) = (&original.head, original.body.len());
        let original = (&head.variant, head.lifetime.response_time, len);
        let original = self.originals.hash_one(original);
        Form { key, coding, effort: Effort::Quick, original }
    }

    /// The thorough form in the place of one of this length. It stays what it is while the original
    /// is confirmed again and again.
    fn thorough(&self, of: Form, original: &Stored, kept: u64) -> Form {
        let original = (&original.head.variant, original.body.len(), kept);
        Form { effort: Effort::Thorough, original: self.originals.hash_one(original), ..of }
    }

    fn is_useless(&self, form: &Form, now: Instant) -> bool {
        self.useless.get(form).is_some_and(|useless| match useless {
            Useless::Ever => true,
            Useless::Until(end) => now < end,
        })
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

impl Shared {
    /// The form of a stored response that serves a client best: itself, or a coded one.
    pub(crate) fn best_form(
        self: &Arc<Self>,
        hash: KeyHash,
        variants: &Variants,
        stored: &Arc<Stored>,
        request: &HeaderMap,
    ) -> Arc<Stored> {
        let original = || Arc::clone(stored);
        let Some(coder) = &self.coder else { return original() };
        if stored.head.part.is_some()
            || stored.head.trailers.is_some()
            || request.contains_key(http::header::RANGE)
            || is_not_to_be_transformed(request)
            || !coder.is_eligible(&stored.head.fields, Some(stored.body.len()))
        {
            return original();
        }
        // The coder's own name of it, which lives long enough.
        let best = coding::best(request, coder.coder.codings());
        let Some(best) = coder.coder.codings().iter().find(|c| Some(**c) == best).copied() else {
            return original();
        };
        let kept = variants.iter().find(|kept| {
            kept.head.derived.as_deref() == Some(best) && kept.head.variant == stored.head.variant
        });
        if let Some(kept) = kept {
            self.improve(coder, coder.form(hash, best, stored), stored, kept);
            if kept.head.lifetime == stored.head.lifetime {
                return Arc::clone(kept);
            }
            // The original has been confirmed meanwhile.
            let Some(head) = coded_head(&stored.head, best) else { return original() };
            let renewed = self.store.replace_head(kept, head.clone());
            return renewed.unwrap_or_else(|| Arc::new(Stored { head, body: kept.body.clone() }));
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
        attempt.derive(&content, stored.head.variant.as_ref(), u64::MAX).unwrap_or_else(original)
    }

    /// A form that is used again is worth more effort.
    fn improve(self: &Arc<Self>, coder: &Coder, form: Form, stored: &Arc<Stored>, kept: &Stored) {
        let StoredBody::Memory { chunks, len } = &stored.body else { return };
        let form = coder.thorough(form, stored, kept.body.len());
        if coder.coder.has_thorough(form.coding, *len)
            && !coder.is_useless(&form, self.clock.now())
            && let Some(attempt) = Attempt::begin(self, form)
        {
            attempt.queue_smaller(stored, chunks, kept.body.len());
        }
    }
}

/// A form that is being made. Dropping it ends that, also where the coder panics.
struct Attempt {
    shared: Arc<Shared>,
    form: Form,
    /// What is remembered of it in the end.
    useless: Option<Useless>,
}

impl Attempt {
    /// `None` where the form is being made already.
    fn begin(shared: &Arc<Shared>, form: Form) -> Option<Self> {
        let is_first = lock(&shared.coder.as_ref()?.busy).insert(form);
        is_first.then(|| Self { shared: Arc::clone(shared), form, useless: None })
    }

    /// Has it made in the background.
    fn queue(self, stored: &Arc<Stored>, chunks: &Arc<[Bytes]>) {
        self.queue_smaller(stored, chunks, u64::MAX);
    }

    fn queue_smaller(self, stored: &Arc<Stored>, chunks: &Arc<[Bytes]>, than: u64) {
        let shared = Arc::clone(&self.shared);
        let Some(coder) = &shared.coder else { return };
        let (form, variant, content) =
            (self.form, stored.head.variant.clone(), Arc::downgrade(chunks));
        let queue = match form.effort {
            Effort::Quick => &coder.queues.quick,
            Effort::Thorough => &coder.queues.thorough,
        };
        let taken = queue.push(Box::new(move || {
            self.derive(&content, variant.as_ref(), than);
        }));
        if !taken {
            coder.useless.insert(form, Useless::Until(shared.clock.now() + NO_ROOM));
        }
    }

    /// Makes a coded form of this content, and stores it where it is smaller than so many bytes.
    fn derive(
        mut self,
        content: &Weak<[Bytes]>,
        variant: Option<&VariantKey>,
        than: u64,
    ) -> Option<Arc<Stored>> {
        let shared = Arc::clone(&self.shared);
        let Form { coding, effort, .. } = self.form;
        let coder = shared.coder.as_ref()?;
        // It may have gone while this waited.
        let chunks = &content.upgrade()?;
        self.original(chunks, variant)?;
        // Also where the coder panics.
        self.useless = Some(Useless::Ever);
        let content = match coder.coder.code(coding, chunks, effort) {
            Ok(content) => content,
            Err(NotCoded::Useless) => return None,
            Err(NotCoded::NotNow) => {
                self.useless = Some(self.later());
                return None;
            }
        };
        let len = content.len() as u64;
        if len >= than {
            return None;
        }
        // It may have been replaced while this was made, or confirmed: then its head is another.
        let Some(stored) = &self.original(chunks, variant) else {
            self.useless = None;
            return None;
        };
        let head = coded_head(&stored.head, coding)?;
        self.useless = Some(self.later());
        let mut writer = shared.store.begin(head, Some(content.len() as u64))?;
        writer.write(content).ok()?;
        let made = match writer.commit(None) {
            Ok(made) => made,
            Err(error) => {
                self.useless = match error {
                    // Beside what is under the key there is no room for it.
                    StoreError::TooLarge => Some(Useless::Ever),
                    StoreError::Superseded => None,
                    _ => self.useless,
                };
                return None;
            }
        };
        self.useless = None;
        if effort == Effort::Thorough {
            // It is there now: it is not to be made of itself.
            coder.useless.insert(coder.thorough(self.form, stored, len), Useless::Ever);
        }
        Some(made)
    }

    /// The original as it is stored now: with the same content, under whatever head.
    fn original(&self, chunks: &Arc<[Bytes]>, variant: Option<&VariantKey>) -> Option<Arc<Stored>> {
        let is_it = |now: &&Arc<Stored>| match &now.body {
            StoredBody::Memory { chunks: these, .. } => {
                now.head.derived.is_none()
                    && now.head.variant.as_ref() == variant
                    && Arc::ptr_eq(these, chunks)
            }
            _ => false,
        };
        self.shared.store.lookup(&self.form.key)?.iter().find(is_it).cloned()
    }

    fn later(&self) -> Useless {
        Useless::Until(self.shared.clock.now() + NO_ROOM)
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let Some(coder) = &self.shared.coder else { return };
        // In this order: nobody is to begin in between.
        if let Some(useless) = self.useless {
            coder.useless.insert(self.form, useless);
        }
        lock(&coder.busy).remove(&self.form);
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

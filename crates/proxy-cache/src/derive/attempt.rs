//! One coded form on its way: made, compared with what it should stand for, and stored.

use std::sync::{Arc, Weak};

use bytes::Bytes;
use proxy_core::{Effort, NotCoded};

use super::{Form, NO_ROOM, Useless, coded_head, lock};
use crate::semantics::vary::VariantKey;
use crate::shared::Shared;
use crate::store::{StoreError, Stored, StoredBody};

/// A form that is being made. Dropping it ends that, also where the coder panics.
pub(super) struct Attempt {
    pub(super) shared: Arc<Shared>,
    pub(super) form: Form,
    /// What is remembered of it in the end.
    pub(super) useless: Option<Useless>,
}

impl Attempt {
    /// `None` where the form is being made already.
    pub(super) fn begin(shared: &Arc<Shared>, form: Form) -> Option<Self> {
        let is_first = lock(&shared.coder.as_ref()?.busy).insert(form);
        is_first.then(|| Self { shared: Arc::clone(shared), form, useless: None })
    }

    /// Has it made in the background.
    pub(super) fn queue(self, stored: &Arc<Stored>, chunks: &Arc<[Bytes]>) {
        self.queue_smaller(stored, chunks, u64::MAX);
    }

    pub(super) fn queue_smaller(self, stored: &Arc<Stored>, chunks: &Arc<[Bytes]>, than: u64) {
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
    pub(super) fn derive(
        mut self,
        content: &Weak<[Bytes]>,
        variant: Option<&VariantKey>,
        than: u64,
    ) -> Option<Arc<Stored>> {
        let shared = Arc::clone(&self.shared);
        let coder = shared.coder.as_ref()?;
        // It may have gone while this waited.
        let chunks = &content.upgrade()?;
        self.original(chunks, variant)?;
        // Also where the coder panics.
        self.useless = Some(Useless::Ever);
        let content = match coder.coder.code(self.form.coding, chunks, self.form.effort) {
            Ok(content) => content,
            Err(NotCoded::Useless) => return None,
            Err(NotCoded::NotNow) => {
                self.useless = Some(self.later());
                return None;
            }
        };
        self.keep(content, chunks, variant, than)
    }

    /// Stores a form of this content, where it is smaller than so many bytes.
    pub(super) fn keep(
        &mut self,
        content: Bytes,
        chunks: &Arc<[Bytes]>,
        variant: Option<&VariantKey>,
        than: u64,
    ) -> Option<Arc<Stored>> {
        let shared = Arc::clone(&self.shared);
        let coder = shared.coder.as_ref()?;
        let Form { coding, effort, is_sibling, .. } = self.form;
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
        self.useless = is_sibling.then_some(Useless::Ever);
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

//! What a response says of what is stored already: a 304 that confirms it, a 200 to HEAD, another
//! representation.

use std::sync::Arc;
use std::time::SystemTime;

use http::{HeaderMap, Method, StatusCode};

use super::Fetch;
use super::storing::{NotKept, is_about_request};
use crate::semantics::storability::ResponseView;
use crate::semantics::validation::{self, HeadUpdate};
use crate::store::Stored;

/// What a 304 confirms.
pub(super) enum Confirmed {
    /// A stored response, refreshed.
    ForAll(Arc<Stored>),
    /// A stored response, with fields that are not for others.
    ForOne(Arc<Stored>),
    /// None that is known.
    Unknown,
}

impl Fetch {
    /// 304: the stored response it confirms, with its fields updated (RFC 9111 section 4.3.4).
    pub(super) fn validated(
        &self,
        confirmed: &HeaderMap,
        requested_at: SystemTime,
        received_at: SystemTime,
    ) -> Confirmed {
        let candidates: Vec<&HeaderMap> =
            self.candidates.iter().map(|stored| &stored.head.fields).collect();
        let Some(n) = validation::selected(confirmed, &candidates) else {
            return Confirmed::Unknown;
        };
        let stored = &self.candidates[n];
        let mut head = stored.head.clone();
        let mut fresh = confirmed.clone();
        validation::add_date(&mut fresh, received_at);
        validation::update_fields(&mut head.fields, &fresh);
        if let Some(coder) = &self.shared.coder {
            coder.mark(&mut head.fields, Some(stored.body.len()));
        }
        let view = ResponseView { status: head.status, headers: &head.fields };
        let judged = self.judge_as(&Method::GET, &view, requested_at, received_at);
        let renamed = match confirmed.contains_key(http::header::VARY) {
            true => self.variant(&head.fields),
            false => Ok(head.variant.clone()),
        };
        match (judged, renamed) {
            (Ok(lifetime), Ok(variant)) => {
                self.rename(&mut head);
                head.lifetime = lifetime;
                head.variant = variant;
                let replaced = self.shared.store.replace_head(stored, head.clone());
                Confirmed::ForAll(
                    replaced
                        .unwrap_or_else(|| Arc::new(Stored { head, body: stored.body.clone() })),
                )
            }
            (judged, _) => {
                // What is about this exchange alone leaves the stored response as it is.
                if !judged.is_err_and(is_about_request) {
                    self.shared.store.remove(&self.hash, Some(stored));
                }
                head.lifetime.expire();
                Confirmed::ForOne(Arc::new(Stored { head, body: stored.body.clone() }))
            }
        }
    }

    /// 200 to HEAD: the stored response is still the same, or is not (RFC 9111 section 4.3.5).
    pub(super) fn updated_by_head(
        &self,
        stored: &Arc<Stored>,
        fields: &HeaderMap,
        (requested_at, received_at): (SystemTime, SystemTime),
    ) {
        let mut head = stored.head.clone();
        let len = stored.body.len();
        if validation::head_update_of(&head.fields, Some(len), fields) == HeadUpdate::Changed {
            head.lifetime.invalidate();
            self.shared.store.replace_head(stored, head);
            return;
        }
        validation::update_fields(&mut head.fields, fields);
        if let Some(coder) = &self.shared.coder {
            // It replaces `Vary`, which names more here than the origin server knows.
            coder.mark(&mut head.fields, Some(len));
        }
        let view = ResponseView { status: head.status, headers: &head.fields };
        match self.judge_as(&Method::GET, &view, requested_at, received_at) {
            Ok(lifetime) => {
                self.rename(&mut head);
                head.lifetime = lifetime;
                self.shared.store.replace_head(stored, head);
            }
            Err(why) if is_about_request(why) => {}
            Err(_) => {
                self.shared.store.remove(&self.hash, Some(stored));
            }
        }
    }

    /// A response that is not stored: what it says about what is.
    pub(super) fn passed_by(
        &self,
        status: StatusCode,
        fields: &HeaderMap,
        why: NotKept,
        at: (SystemTime, SystemTime),
    ) {
        if self.method == Method::HEAD {
            if let (Some(stored), StatusCode::OK) = (&self.selected, status) {
                self.updated_by_head(stored, fields, at);
            }
            return;
        }
        if why.is_about_response() && self.method == Method::GET {
            self.shared.remember_unshareable(self.hash);
        }
        // A newer representation that must not be kept supersedes the old one.
        if status.is_success()
            && let Some(stored) = &self.selected
        {
            self.shared.store.remove(&self.hash, Some(stored));
        }
    }
}

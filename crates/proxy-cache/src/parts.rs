//! Parts of representations: joined where they touch, completed where the whole is asked for
//! (RFC 9111 sections 3.3 and 3.4).

use std::sync::Arc;

use bytes::Bytes;
use http::header::{ETAG, IF_RANGE, RANGE};
use http::{HeaderMap, HeaderValue, StatusCode};

use crate::segments::slices;
use crate::semantics::range::{self, may_combine};
use crate::store::{CacheStore, Part, Stored, StoredBody};

/// Stores two parts of one representation as one, where they overlap or touch. `new` is stored
/// already, and `old` no longer is.
pub(crate) fn join(store: &dyn CacheStore, old: &Stored, new: &Stored) -> Option<Arc<Stored>> {
    let (Some(first), Some(second)) = (&old.head.part, &new.head.part) else { return None };
    let touch = first.range.start <= second.range.end && second.range.start <= first.range.end;
    if !touch
        || first.complete != second.complete
        || old.head.variant != new.head.variant
        || !may_combine(&old.head.fields, &new.head.fields)
    {
        return None;
    }
    let range = first.range.start.min(second.range.start)..first.range.end.max(second.range.end);
    // What is newer counts where they overlap: it is the same by its validator.
    let mut chunks = Vec::new();
    if first.range.start < second.range.start {
        chunks.extend(cut(old, 0..second.range.start - first.range.start)?);
    }
    chunks.extend(cut(new, 0..new.body.len())?);
    if first.range.end > second.range.end {
        chunks.extend(cut(old, second.range.end - first.range.start..old.body.len())?);
    }
    let mut head = new.head.clone();
    head.part = Some(Part { range: range.clone(), complete: second.complete });
    if second.complete == Some(range.end) && range.start == 0 {
        head.part = None;
        head.status = StatusCode::OK;
    }
    let mut writer = store.begin(head, Some(range.end - range.start))?;
    for chunk in chunks {
        writer.write(chunk).ok()?;
    }
    writer.commit(None).ok()
}

/// Bytes of a stored response in memory.
fn cut(stored: &Stored, range: std::ops::Range<u64>) -> Option<Vec<Bytes>> {
    match &stored.body {
        StoredBody::Memory { chunks, .. } => Some(slices(chunks, range).collect()),
        StoredBody::Source(_) => None,
    }
}

/// Whether a stored part is the beginning of a whole that the rest can be asked for.
pub(crate) fn is_beginning(stored: &Stored) -> bool {
    let Some(part) = &stored.head.part else { return false };
    part.range.start == 0
        && part.complete.is_some()
        && matches!(stored.body, StoredBody::Memory { .. })
        && stored.head.fields.get(ETAG).is_some_and(|tag| !tag.as_bytes().starts_with(b"W/"))
}

/// Asks for what follows a stored beginning.
pub(crate) fn ask_for_rest(request: &mut HeaderMap, beginning: &Stored) {
    let (Some(part), Some(tag)) = (&beginning.head.part, beginning.head.fields.get(ETAG)) else {
        return;
    };
    if let Ok(wanted) = HeaderValue::try_from(format!("bytes={}-", part.range.end)) {
        request.insert(RANGE, wanted);
        request.insert(IF_RANGE, tag.clone());
    }
}

/// Whether a 206 is the rest that was asked for; the length of the whole.
pub(crate) fn is_rest(beginning: &Stored, response: &HeaderMap) -> Option<u64> {
    let part = beginning.head.part.as_ref()?;
    let told = range::parse_content_range(response)?;
    let complete = part.complete?;
    (told.complete == Some(complete)
        && told.range.start == part.range.end
        && told.range.end == complete
        && may_combine(&beginning.head.fields, response))
    .then_some(complete)
}

//! What a stored response takes of the memory, estimated honestly: with its fields, its key and
//! what the allocator adds.

use std::mem::size_of;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

use super::{KeyText, Stored, StoredBody, StoredHead};

/// What a key takes beside its responses: its place in the cache's table and ring, the hashes of
/// evicted keys it remembers for each one that is there, and the room both keep for growth.
pub(super) const OF_KEY: u64 = 224;

/// What the allocator hands out for `len` bytes: sizes go up in steps of 16 bytes, then in four
/// steps to each doubling.
pub(super) fn of_allocation(len: u64) -> u64 {
    match len {
        0 => 0,
        1..=64 => len.next_multiple_of(16),
        _ => len.next_multiple_of(1 << (len.ilog2() - 2)),
    }
}

/// Bytes of memory that one stored response takes, with content that is in memory.
pub(super) fn of_stored(stored: &Stored) -> u64 {
    // Its counters, its place in the list of variants.
    let own = of_allocation(size_of::<Stored>() as u64 + 16) + size_of::<usize>() as u64;
    own + of_head(&stored.head) + of_body(&stored.body)
}

fn of_body(body: &StoredBody) -> u64 {
    match body {
        StoredBody::Memory { chunks, .. } => {
            let list = of_allocation(size_of_val::<[Bytes]>(chunks) as u64 + 16);
            // A shared `Bytes` has an allocation with a counter beside its content.
            list + chunks.iter().map(|chunk| of_allocation(chunk.len() as u64) + 32).sum::<u64>()
        }
        StoredBody::Source(_) => 0,
    }
}

fn of_head(head: &StoredHead) -> u64 {
    let key = &*head.key;
    let texts = [&key.space, &key.scheme, &key.authority, &key.target, &key.extra];
    let words = head.tags.iter().chain(&head.groups);
    let derived = head.derived.iter();
    of_allocation(size_of::<KeyText>() as u64 + 16)
        + texts.into_iter().map(|text| of_allocation(text.len() as u64)).sum::<u64>()
        + of_fields(&head.fields)
        + head.trailers.as_ref().map_or(0, of_fields)
        + head.variant.as_ref().map_or(0, |variant| of_allocation(variant.to_bytes().len() as u64))
        + words.map(|word| of_allocation(word.len() as u64) + 16).sum::<u64>()
        + derived.map(|coding| of_allocation(coding.len() as u64)).sum::<u64>()
}

fn of_fields(fields: &HeaderMap) -> u64 {
    if fields.is_empty() {
        return 0;
    }
    // Field lines with their links, of which there is room for some more; an index of two `u16`.
    let line = (size_of::<HeaderName>() + size_of::<HeaderValue>() + 32) as u64;
    let capacity = fields.capacity() as u64;
    let repeated = (fields.len() - fields.keys_len()) as u64;
    let lines = of_allocation(capacity * line) + of_allocation(repeated * 2 * line);
    let index = of_allocation(capacity * 4 / 3 * 4);
    let names: u64 = fields
        .keys()
        .map(|name| if is_standard(name) { 0 } else { of_allocation(name.as_str().len() as u64) })
        .sum();
    let values: u64 = fields.values().map(|value| value.len() as u64).sum();
    lines + index + names + of_allocation(values) + 32
}

/// Whether a name is one of those that take no memory. There is no telling from outside, so the
/// usual ones of a response are listed.
fn is_standard(name: &HeaderName) -> bool {
    use http::header;
    const USUAL: [HeaderName; 16] = [
        header::AGE,
        header::ACCEPT_RANGES,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LANGUAGE,
        header::CONTENT_LENGTH,
        header::CONTENT_SECURITY_POLICY,
        header::CONTENT_TYPE,
        header::DATE,
        header::ETAG,
        header::EXPIRES,
        header::LAST_MODIFIED,
        header::SERVER,
        header::SET_COOKIE,
        header::VARY,
        header::VIA,
    ];
    USUAL.contains(name)
}

/// Lets go of what a head came in: its values point into the buffer that its connection was read
/// with, which is far larger than they are.
pub(super) fn compact(mut head: StoredHead) -> StoredHead {
    head.fields = compact_fields(&head.fields);
    head.trailers = head.trailers.as_ref().map(compact_fields);
    // The key is often shared with requests under way, and small: it is left as it is.
    head.key = Arc::clone(&head.key);
    head
}

fn compact_fields(fields: &HeaderMap) -> HeaderMap {
    let mut values = BytesMut::with_capacity(fields.values().map(HeaderValue::len).sum());
    for value in fields.values() {
        values.extend_from_slice(value.as_bytes());
    }
    let mut values = values.freeze();
    let mut compact = HeaderMap::with_capacity(fields.keys_len());
    for (name, value) in fields {
        let bytes = values.split_to(value.len());
        // The bytes come from a value; were they refused, the value itself is as good.
        let mut own = HeaderValue::from_maybe_shared(bytes).unwrap_or_else(|_| value.clone());
        own.set_sensitive(value.is_sensitive());
        compact.append(name, own);
    }
    compact
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allocations_are_rounded_up_by_at_most_a_quarter() {
        for len in 1..100_000_u64 {
            let rounded = of_allocation(len);
            assert!(rounded >= len && (len <= 64 || rounded <= len + len / 4), "{len} {rounded}");
        }
    }

    #[test]
    fn compact_fields_are_the_same_fields() {
        let mut fields = HeaderMap::new();
        fields.append("etag", HeaderValue::from_static("\"a\""));
        fields.append("x-own", HeaderValue::from_bytes(b"caf\xe9").unwrap());
        fields.append("link", HeaderValue::from_static("<a>"));
        fields.append("link", HeaderValue::from_static(""));
        let mut secret = HeaderValue::from_static("id=1");
        secret.set_sensitive(true);
        fields.append("set-cookie", secret);
        let compact = compact_fields(&fields);
        assert_eq!(compact, fields);
        assert!(compact["set-cookie"].is_sensitive());
    }
}

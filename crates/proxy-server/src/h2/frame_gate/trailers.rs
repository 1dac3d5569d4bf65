//! Trailers with a field of ours in front.
//!
//! h2 drops pseudo-fields in trailers unseen, where the message is malformed (RFC 9113 section 8.3).
//! It does refuse them behind a field. So each header block on a stream that has one already gets a
//! field in front, which [`unmark`] takes out again.

use bytes::{BufMut as _, BytesMut};
use http::{HeaderMap, HeaderName};

use super::{CONTINUATION, END_HEADERS, FrameHead, HEAD, LARGEST, PADDED};

const PRIORITY: u8 = 0x20;
/// The bytes of a priority (RFC 9113 section 6.2).
const PRIORITY_LENGTH: usize = 5;

const NAME: &str = "proxyd-trailers";
/// Its field without a value: a literal that is not remembered (RFC 7541 section 6.2.2).
const FIELD: &[u8] = b"\x00\x0fproxyd-trailers\x00";

/// Writes a frame of HEADERS with the field in front of its block. `payload` is the frame's.
/// `None` where it is none: it goes on as it is, to be refused.
pub(in crate::h2) fn mark(head: FrameHead, payload: &[u8], out: &mut BytesMut) -> Option<()> {
    debug_assert_eq!(head.length, payload.len());
    let mut block = payload;
    let mut flags = head.flags;
    if flags & PADDED != 0 {
        let (&padding, rest) = block.split_first()?;
        block = &rest[..rest.len().checked_sub(usize::from(padding))?];
        flags &= !PADDED;
    }
    let mut front = BytesMut::with_capacity(PRIORITY_LENGTH + FIELD.len());
    if flags & PRIORITY != 0 {
        let (priority, rest) = block.split_at_checked(PRIORITY_LENGTH)?;
        front.put_slice(priority);
        block = rest;
    }
    let (sizes, fields) = block.split_at(table_sizes(block));
    front.put_slice(sizes);
    front.put_slice(FIELD);
    // What finds no room any more goes into a frame of its own.
    let room = LARGEST - front.len();
    let (near, far) = fields.split_at(fields.len().min(room));
    let last = flags & END_HEADERS;
    if !far.is_empty() {
        flags &= !END_HEADERS;
    }
    FrameHead { length: front.len() + near.len(), flags, ..head }.write(out);
    out.put_slice(&front);
    out.put_slice(near);
    if !far.is_empty() {
        let stream = head.stream;
        FrameHead { length: far.len(), kind: CONTINUATION, flags: last, stream }.write(out);
        out.put_slice(far);
    }
    Some(())
}

/// Changes of the table's size that may stand in front, and the bytes of one that says anything
/// (RFC 7541 sections 4.2 and 5.1). What is beyond is refused behind our field.
const TABLE_SIZES: usize = 2;
const TABLE_SIZE_LENGTH: usize = 6;

/// The bytes of changes of the table's size, which stand in front.
fn table_sizes(block: &[u8]) -> usize {
    let mut at = 0;
    for _ in 0..TABLE_SIZES {
        let Some(first) = block.get(at).filter(|first| *first & 0xe0 == 0x20) else { break };
        let more = match first & 0x1f {
            0x1f => block[at + 1..].iter().take_while(|byte| *byte & 0x80 != 0).count() + 1,
            _ => 0,
        };
        if 1 + more > TABLE_SIZE_LENGTH || at + 1 + more > block.len() {
            break;
        }
        at += 1 + more;
    }
    at
}

/// Takes our field out of trailers.
pub(in crate::h2) fn unmark(trailers: &mut HeaderMap) {
    trailers.remove(HeaderName::from_static(NAME));
}

/// The whole frame that `bytes` begin with, if it is there: its payload.
pub(in crate::h2) fn payload(head: FrameHead, bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(HEAD..HEAD + head.length)
}

#[cfg(test)]
mod tests {
    use super::super::{END_STREAM, HEADERS};
    use super::*;

    const STREAM: u32 = 5;

    fn marked(flags: u8, payload: &[u8]) -> Option<Vec<(FrameHead, Vec<u8>)>> {
        let head = FrameHead { length: payload.len(), kind: HEADERS, flags, stream: STREAM };
        let mut out = BytesMut::new();
        mark(head, payload, &mut out)?;
        let (mut frames, mut rest) = (Vec::new(), &out[..]);
        while let Some(head) = FrameHead::read(rest) {
            frames.push((head, super::payload(head, rest).expect("whole").to_vec()));
            rest = &rest[HEAD + head.length..];
        }
        assert!(rest.is_empty());
        Some(frames)
    }

    fn block(flags: u8, payload: &[u8]) -> (u8, Vec<u8>) {
        let frames = marked(flags, payload).expect("a frame");
        assert_eq!(frames.len(), 1);
        (frames[0].0.flags, frames[0].1.clone())
    }

    #[test]
    fn the_field_stands_in_front() {
        let whole = END_STREAM | END_HEADERS;
        assert_eq!(block(whole, b"rest"), (whole, [FIELD, b"rest"].concat()));
        assert_eq!(block(whole | PADDED, b"\x02rest\0\0"), (whole, [FIELD, b"rest"].concat()));
        let prior = [b"\0\0\0\0\x10", FIELD, b"rest"].concat();
        assert_eq!(block(whole | PRIORITY, b"\0\0\0\0\x10rest"), (whole | PRIORITY, prior));
        // Behind what must be first.
        let sized = [b"\x20\x3f\xe1\x1f", FIELD, b"\x82"].concat();
        assert_eq!(block(whole, b"\x20\x3f\xe1\x1f\x82"), (whole, sized));
        assert_eq!(block(END_STREAM, b""), (END_STREAM, FIELD.to_vec()));
        // What is no change of it, or one too many, stands behind.
        assert_eq!(block(whole, b"\x3f"), (whole, [FIELD, b"\x3f"].concat()));
        assert_eq!(block(whole, b"\x20\x21\x22"), (whole, [b"\x20\x21", FIELD, b"\x22"].concat()));
    }

    #[test]
    fn what_finds_no_room_has_a_frame_of_its_own() {
        let long = vec![b'x'; LARGEST];
        for last in [0, END_HEADERS] {
            let frames = marked(END_STREAM | last, &long).expect("frames");
            let [(first, near), (second, far)] = &frames[..] else { panic!("{frames:?}") };
            assert_eq!((first.length, first.flags, first.kind), (LARGEST, END_STREAM, HEADERS));
            assert_eq!((second.flags, second.kind, second.stream), (last, CONTINUATION, STREAM));
            assert_eq!([&near[FIELD.len()..], far].concat(), long);
        }
    }

    #[test]
    fn a_block_of_nothing_but_sizes_has_room() {
        let sizes = vec![0x20; LARGEST];
        let frames = marked(END_STREAM | END_HEADERS, &sizes).expect("frames");
        assert_eq!(frames.len(), 2);
        assert!(frames.iter().all(|(head, _)| head.length <= LARGEST));
    }

    #[test]
    fn what_is_no_frame_is_left_alone() {
        assert!(marked(PADDED, b"").is_none());
        assert!(marked(PADDED, b"\x05rest").is_none());
        assert!(marked(PRIORITY, b"\0\0\0\0").is_none());
    }
}

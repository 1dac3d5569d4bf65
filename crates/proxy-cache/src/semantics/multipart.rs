//! Several ranges in one answer: `multipart/byteranges` (RFC 9110 sections 14.6 and 15.3.7.2).

use std::fmt::Write as _;
use std::ops::Range;

use bytes::Bytes;
use http::HeaderValue;

/// The frame around the parts: what stands before each and behind the last, and how long it all is.
#[derive(Clone, Debug)]
pub struct Multipart {
    boundary: String,
    heads: Vec<(Bytes, Range<u64>)>,
    end: Bytes,
}

impl Multipart {
    /// Frames these ranges of content of this length and media type.
    ///
    /// `seed` makes the boundary. It must be drawn anew for each answer, so that nobody can put the
    /// boundary into content beforehand.
    pub fn new(
        seed: u128,
        ranges: &[Range<u64>],
        complete: u64,
        content_type: Option<&HeaderValue>,
    ) -> Self {
        let boundary = format!("{seed:032x}");
        let heads = ranges
            .iter()
            .enumerate()
            .map(|(i, range)| {
                let mut head = Vec::with_capacity(160);
                head.extend_from_slice(if i == 0 { b"--" } else { b"\r\n--" });
                head.extend_from_slice(boundary.as_bytes());
                if let Some(content_type) = content_type {
                    head.extend_from_slice(b"\r\nContent-Type: ");
                    head.extend_from_slice(content_type.as_bytes());
                }
                head.extend_from_slice(b"\r\nContent-Range: ");
                head.extend_from_slice(super::range::content_range(range, complete).as_bytes());
                head.extend_from_slice(b"\r\n\r\n");
                (Bytes::from(head), range.clone())
            })
            .collect();
        let end = Bytes::from(format!("\r\n--{boundary}--\r\n"));
        Self { boundary, heads, end }
    }

    /// `Content-Type` of the answer, in place of the content's own.
    pub fn content_type(&self) -> HeaderValue {
        let mut value = String::with_capacity(70);
        // Writing to a String does not fail.
        let _ = write!(value, "multipart/byteranges; boundary={}", self.boundary);
        HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("multipart/byteranges"))
    }

    /// For each range what stands before its bytes, delimiter and fields, and the range.
    pub fn parts(&self) -> &[(Bytes, Range<u64>)] {
        &self.heads
    }

    /// What stands behind the bytes of the last range.
    pub fn end(&self) -> Bytes {
        self.end.clone()
    }

    /// `Content-Length` of the answer, in bytes.
    pub fn total_len(&self) -> u64 {
        let len = |bytes: &Bytes| u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.heads.iter().fold(len(&self.end), |total, (head, range)| {
            total.saturating_add(len(head)).saturating_add(range.end.saturating_sub(range.start))
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(multipart: &Multipart, content: &[u8]) -> Vec<u8> {
        let mut all = Vec::new();
        for (head, range) in multipart.parts() {
            all.extend_from_slice(head);
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            all.extend_from_slice(&content[range]);
        }
        all.extend_from_slice(&multipart.end());
        all
    }

    #[test]
    fn it_looks_as_in_rfc_9110_section_14_6() {
        let content = b"0123456789";
        let kind = HeaderValue::from_static("text/plain");
        let multipart = Multipart::new(0xabc, &[0..2, 8..10], 10, Some(&kind));
        let boundary = "00000000000000000000000000000abc";
        let want = format!(
            "--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n01\
             \r\n--{boundary}\r\nContent-Type: text/plain\r\nContent-Range: bytes 8-9/10\r\n\r\n89\
             \r\n--{boundary}--\r\n"
        );
        assert_eq!(String::from_utf8(written(&multipart, content)).unwrap(), want);
        let kind = multipart.content_type();
        assert_eq!(kind, format!("multipart/byteranges; boundary={boundary}"));
        let bare = Multipart::new(1, &[0..1, 5..6], 10, None);
        assert!(!String::from_utf8_lossy(&written(&bare, content)).contains("Content-Type"));
    }

    proptest! {
        #[test]
        fn the_length_is_what_is_written(
            seed in any::<u128>(),
            bounds in prop::collection::vec((0_u64..500, 1..500_u64), 2..8),
        ) {
            let ranges: Vec<_> = bounds.iter().map(|&(start, len)| start..start + len).collect();
            let multipart = Multipart::new(seed, &ranges, 1000, None);
            let len = written(&multipart, &[b'x'; 1000]).len();
            prop_assert_eq!(multipart.total_len(), u64::try_from(len).unwrap());
        }
    }
}

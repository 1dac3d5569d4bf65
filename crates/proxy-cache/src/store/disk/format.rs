//! The bytes of a file: one stored response.
//!
//! ```text
//! MAGIC 8 | version 4 | head length 4 | id 8 | key 16 | checksum 4 | head
//! block: up to 65,532 bytes of content | checksum 4        (as many as it takes)
//! trailer section | content length 8 | trailer length 4 | checksum 4 | END 8
//! ```
//!
//! Numbers are little-endian. A file whose last bytes are missing has no end, one with other bytes
//! in it has another checksum. The id is part of every checksum, the number of a block of its own:
//! the right bytes in the wrong place are wrong. A full block with its checksum is 64 KiB, and a
//! range of content is verified by reading the blocks that it touches.
//!
//! A response whose head was replaced has a file of its own for it beside this one:
//!
//! ```text
//! HEAD_MAGIC 8 | version 4 | head length 4 | id 8 | revision 8 | checksum 4 | head
//! ```

use crc32fast::Hasher;

use crate::store::KeyHash;

/// Content in a full block.
pub(super) const BLOCK: u64 = 65_532;

/// A full block with its checksum.
pub(super) const BLOCK_ON_DISK: u64 = BLOCK + SUM as u64;

/// What stands before the head.
pub(super) const HEADER: usize = 44;

/// What stands after the trailer section.
pub(super) const END_LEN: usize = 24;

/// Anything else is another program's, or another version's.
const VERSION: u32 = 1;

const MAGIC: &[u8; 8] = b"proxyd\0R";
const HEAD_MAGIC: &[u8; 8] = b"proxyd\0H";
const END: &[u8; 8] = b"proxyd\0E";
const SUM: usize = 4;

/// The largest head that is believed.
const MAX_HEAD: u32 = 16 << 20;

/// What a header says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) id: u64,
    pub(super) key: KeyHash,
    pub(super) head_len: usize,
    sum: u32,
}

/// What an end says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) content: u64,
    pub(super) trailers_len: usize,
    sum: u32,
}

/// What the head of a replaced head's file says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct HeadFile<'a> {
    pub(super) id: u64,
    pub(super) revision: u64,
    pub(super) head: &'a [u8],
}

/// Bytes that so much content takes.
pub(super) fn content_on_disk(len: u64) -> u64 {
    len + len.div_ceil(BLOCK) * SUM as u64
}

/// Bytes that a whole file takes, in what a file system hands out.
pub(super) fn file_on_disk(head: u64, content: u64, trailers: u64) -> u64 {
    let len = HEADER as u64 + head + content_on_disk(content) + trailers + END_LEN as u64;
    len.next_multiple_of(4096)
}

fn sum_of(parts: &[&[u8]]) -> u32 {
    let mut hasher = Hasher::new();
    parts.iter().for_each(|part| hasher.update(part));
    hasher.finalize()
}

/// The checksum of a block.
pub(super) fn block_sum(id: u64, block: u64, content: &[u8]) -> [u8; SUM] {
    sum_of(&[&id.to_le_bytes(), &block.to_le_bytes(), content]).to_le_bytes()
}

pub(super) fn header(id: u64, key: &KeyHash, head: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(HEADER + head.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&key.0);
    let sum = sum_of(&[&bytes, head]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(head);
    bytes
}

/// Reads the first [`HEADER`] bytes; what they say holds once [`head_is_whole`].
pub(super) fn read_header(bytes: &[u8]) -> Option<Header> {
    let bytes: &[u8; HEADER] = bytes.get(..HEADER)?.try_into().ok()?;
    let head_len = u32_at(bytes, 12);
    if &bytes[..8] != MAGIC || u32_at(bytes, 8) != VERSION || head_len > MAX_HEAD {
        return None;
    }
    let mut key = KeyHash([0; 16]);
    key.0.copy_from_slice(&bytes[24..40]);
    Some(Header {
        id: u64_at(bytes, 16),
        key,
        head_len: head_len as usize,
        sum: u32_at(bytes, HEADER - SUM),
    })
}

/// Whether header and head, together, are what was written.
pub(super) fn head_is_whole(header: &Header, bytes: &[u8]) -> bool {
    let Some(head) = bytes.get(HEADER..HEADER + header.head_len) else { return false };
    sum_of(&[&bytes[..HEADER - SUM], head]) == header.sum
}

/// The trailer section, and the end.
pub(super) fn end(id: u64, content: u64, trailers: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(trailers.len() + END_LEN);
    bytes.extend_from_slice(trailers);
    bytes.extend_from_slice(&content.to_le_bytes());
    bytes.extend_from_slice(&(trailers.len() as u32).to_le_bytes());
    let sum = sum_of(&[&id.to_le_bytes(), &bytes]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(END);
    bytes
}

/// Reads the last [`END_LEN`] bytes; what they say holds once [`end_is_whole`].
pub(super) fn read_end(bytes: &[u8; END_LEN]) -> Option<End> {
    let trailers_len = u32_at(bytes, 8);
    (&bytes[16..] == END && trailers_len <= MAX_HEAD).then(|| End {
        content: u64_at(bytes, 0),
        trailers_len: trailers_len as usize,
        sum: u32_at(bytes, 12),
    })
}

/// Whether trailer section and end, together, are what was written with this id.
pub(super) fn end_is_whole(id: u64, end: &End, trailers: &[u8]) -> bool {
    let content = end.content.to_le_bytes();
    let len = (trailers.len() as u32).to_le_bytes();
    sum_of(&[&id.to_le_bytes(), trailers, &content, &len]) == end.sum
}

/// A file for a replaced head.
pub(super) fn head_file(id: u64, revision: u64, head: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(36 + head.len());
    bytes.extend_from_slice(HEAD_MAGIC);
    bytes.extend_from_slice(&VERSION.to_le_bytes());
    bytes.extend_from_slice(&(head.len() as u32).to_le_bytes());
    bytes.extend_from_slice(&id.to_le_bytes());
    bytes.extend_from_slice(&revision.to_le_bytes());
    let sum = sum_of(&[&bytes, head]);
    bytes.extend_from_slice(&sum.to_le_bytes());
    bytes.extend_from_slice(head);
    bytes
}

/// Reads the file of a replaced head; none unless it is what was written.
pub(super) fn read_head_file(bytes: &[u8]) -> Option<HeadFile<'_>> {
    let (fixed, head) = bytes.split_at_checked(36)?;
    let is_ours = &fixed[..8] == HEAD_MAGIC && u32_at(fixed, 8) == VERSION;
    let is_whole = u32_at(fixed, 12) as usize == head.len()
        && sum_of(&[&fixed[..32], head]) == u32_at(fixed, 32);
    (is_ours && is_whole).then(|| HeadFile {
        id: u64_at(fixed, 16),
        revision: u64_at(fixed, 24),
        head,
    })
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lengths_on_disk() {
        assert_eq!(content_on_disk(0), 0);
        assert_eq!(content_on_disk(1), 5);
        assert_eq!(content_on_disk(BLOCK), BLOCK_ON_DISK);
        assert_eq!(content_on_disk(BLOCK + 1), BLOCK_ON_DISK + 5);
        assert_eq!(BLOCK_ON_DISK, 65_536);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_any_flipped_bit_is_found(
            id: u64, key: [u8; 16], revision: u64, content: u64,
            head in proptest::collection::vec(any::<u8>(), 0..200),
            at: prop::sample::Index, bit in 0..8,
        ) {
            let mut file = header(id, &KeyHash(key), &head);
            let read = read_header(&file).unwrap();
            prop_assert_eq!((read.id, read.key, read.head_len), (id, KeyHash(key), head.len()));
            prop_assert!(head_is_whole(&read, &file));
            let flipped = at.index(file.len());
            file[flipped] ^= 1_u8 << bit;
            prop_assert!(read_header(&file).is_none_or(|read| !head_is_whole(&read, &file)));

            let mut file = end(id, content, &head);
            let (trailers, fixed) = file.split_at(head.len());
            let read = read_end(fixed.try_into().unwrap()).unwrap();
            prop_assert_eq!((read.content, read.trailers_len), (content, head.len()));
            prop_assert!(end_is_whole(id, &read, trailers));
            prop_assert!(!end_is_whole(id ^ 1, &read, trailers));
            let flipped = at.index(file.len());
            file[flipped] ^= 1_u8 << bit;
            let (trailers, fixed) = file.split_at(head.len());
            let read = read_end(fixed.try_into().unwrap());
            let is_whole = read.is_some_and(|read| {
                read.trailers_len == head.len() && end_is_whole(id, &read, trailers)
            });
            prop_assert!(!is_whole);

            let mut file = head_file(id, revision, &head);
            let read = read_head_file(&file).unwrap();
            prop_assert_eq!((read.id, read.revision, read.head), (id, revision, &head[..]));
            let flipped = at.index(file.len());
            file[flipped] ^= 1_u8 << bit;
            prop_assert!(read_head_file(&file).is_none());
            file.pop();
            prop_assert!(read_head_file(&file).is_none());
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(header) = read_header(&bytes) {
                head_is_whole(&header, &bytes);
            }
            read_head_file(&bytes);
        }
    }
}

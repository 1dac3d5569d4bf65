//! Content on its way into memory: copied into blocks of its own.
//!
//! A chunk that arrives is a slice of the buffer its connection was read with. Were it kept, it
//! would keep all of that, of a size that no one can ask for; and a response in many small chunks
//! would be more bookkeeping than content. One copy at the fill makes each hit cheap and the
//! count of bytes true.

use bytes::Bytes;

/// The size of a block: large enough that a hit is few writes, small enough for the allocator.
pub(super) const BLOCK: usize = 256 << 10;

/// What the first block of content of unknown length begins with; it grows.
const FIRST: usize = 4 << 10;

/// Content, so far.
pub(super) struct Blocks {
    done: Vec<Bytes>,
    open: Vec<u8>,
    len: u64,
    expected: Option<u64>,
}

impl Blocks {
    pub(super) fn new(expected: Option<u64>) -> Self {
        Self { done: Vec::new(), open: Vec::new(), len: 0, expected }
    }

    /// Bytes of content.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Bytes of memory after so many more of content.
    pub(super) fn allocated_with(&self, more: usize) -> u64 {
        let full = (self.done.len() * BLOCK) as u64;
        let open = self.len - full + more as u64;
        full + open.max(self.open.capacity() as u64)
    }

    pub(super) fn push(&mut self, mut chunk: &[u8]) {
        self.len += chunk.len() as u64;
        while !chunk.is_empty() {
            let (now, rest) = chunk.split_at(chunk.len().min(BLOCK - self.open.len()));
            self.reserve(now.len());
            self.open.extend_from_slice(now);
            chunk = rest;
            if self.open.len() == BLOCK {
                self.done.push(Bytes::from(std::mem::take(&mut self.open)));
            }
        }
    }

    /// The content in blocks, none larger than what is in it.
    pub(super) fn finish(mut self) -> Vec<Bytes> {
        if !self.open.is_empty() {
            self.done.push(Bytes::from(self.open.into_boxed_slice()));
        }
        self.done
    }

    fn reserve(&mut self, more: usize) {
        let needed = self.open.len() + more;
        if needed <= self.open.capacity() {
            return;
        }
        let left = self.expected.map(|all| all.saturating_sub((self.done.len() * BLOCK) as u64));
        let size = match left {
            Some(left) => usize::try_from(left).map_or(BLOCK, |left| left.min(BLOCK)),
            None if !self.done.is_empty() => BLOCK,
            None => (self.open.capacity() * 4).max(FIRST),
        };
        let size = size.clamp(needed, BLOCK);
        self.open.reserve_exact(size - self.open.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(len: usize) -> Vec<u8> {
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn content_comes_back_whatever_the_chunks_were() {
        for len in [0, 1, 100, FIRST, FIRST + 1, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 7] {
            for chunk in [1, 1000, 16 << 10, BLOCK, 2 * BLOCK + 5] {
                if len / chunk > 10_000 {
                    continue;
                }
                for expected in [None, Some(len as u64), Some(10)] {
                    let content = content(len);
                    let mut blocks = Blocks::new(expected);
                    content.chunks(chunk).for_each(|chunk| blocks.push(chunk));
                    assert_eq!(blocks.len(), len as u64);
                    let blocks = blocks.finish();
                    assert!(blocks.iter().rev().skip(1).all(|block| block.len() == BLOCK));
                    assert_eq!(blocks.concat(), content);
                }
            }
        }
    }

    #[test]
    fn content_of_known_length_is_allocated_once() {
        let mut blocks = Blocks::new(Some(1000));
        blocks.push(&content(1));
        assert_eq!(blocks.open.capacity(), 1000);
        blocks.push(&content(999));
        assert_eq!(blocks.open.capacity(), 1000);
        assert_eq!(blocks.allocated_with(0), 1000);
    }
}

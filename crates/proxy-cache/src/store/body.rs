//! Stored content, read whole or in ranges.

use std::any::Any;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

use super::StoreError;

/// The content of a stored response. A clone shares the bytes.
#[derive(Clone)]
pub enum StoredBody {
    /// In memory, as the chunks it came in.
    Memory {
        /// The chunks; none is empty.
        chunks: Arc<[Bytes]>,
        /// Bytes in all.
        len: u64,
    },
    /// Elsewhere.
    Source(Arc<dyn BodySource>),
}

/// Content that is read from elsewhere as it is sent.
pub trait BodySource: Any + Send + Sync {
    /// Bytes in all.
    fn len(&self) -> u64;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Opens a range of it, which lies within [`BodySource::len`].
    fn open(&self, range: Range<u64>) -> Box<dyn BodyReader>;
}

/// Reads a range of stored content. Dropping it ends the reading.
pub trait BodyReader: Send {
    /// The next bytes, not empty; `None` at the end of the range.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, StoreError>>>;
}

impl StoredBody {
    /// Content in memory.
    pub fn memory(chunks: impl IntoIterator<Item = Bytes>) -> Self {
        let chunks: Arc<[Bytes]> = chunks.into_iter().filter(|chunk| !chunk.is_empty()).collect();
        let len = chunks.iter().map(|chunk| chunk.len() as u64).sum();
        Self::Memory { chunks, len }
    }

    /// Bytes in all.
    pub fn len(&self) -> u64 {
        match self {
            Self::Memory { len, .. } => *len,
            Self::Source(source) => source.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for StoredBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if matches!(self, Self::Memory { .. }) { "memory" } else { "source" };
        f.debug_struct("StoredBody").field("kind", &kind).field("len", &self.len()).finish()
    }
}

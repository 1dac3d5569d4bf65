//! Reads stored content where there is no runtime.

use std::ops::Range;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use crate::store::{StoreError, StoredBody};

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// All of it.
///
/// # Errors
/// What its reader says.
pub fn read(body: &StoredBody) -> Result<Vec<u8>, StoreError> {
    read_range(body, 0..body.len())
}

/// A range of it, which lies within it.
///
/// # Errors
/// What its reader says.
///
/// # Panics
/// Where its reader does not wake, gives nothing, or more than was asked for.
pub fn read_range(body: &StoredBody, range: Range<u64>) -> Result<Vec<u8>, StoreError> {
    match body {
        StoredBody::Memory { chunks, .. } => {
            let all = chunks.concat();
            Ok(all[range.start as usize..range.end as usize].to_vec())
        }
        StoredBody::Source(source) => {
            let wanted = range.end - range.start;
            let mut reader = source.open(range);
            let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
            let mut cx = Context::from_waker(&waker);
            let mut read = Vec::new();
            loop {
                match reader.poll_read(&mut cx) {
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(chunk)) => {
                        let chunk = chunk?;
                        assert!(!chunk.is_empty(), "a reader gave an empty chunk");
                        read.extend_from_slice(&chunk);
                    }
                    Poll::Pending => {
                        let asleep = Instant::now();
                        std::thread::park_timeout(Duration::from_secs(20));
                        assert!(asleep.elapsed().as_secs() < 20, "a reader did not wake");
                    }
                }
            }
            assert_eq!(read.len() as u64, wanted, "a reader gave another length");
            Ok(read)
        }
    }
}

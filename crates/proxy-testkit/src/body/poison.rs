//! Content that nobody may read.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::Frame;

use super::ScriptError;

/// Content that nobody may read: it panics when it is polled.
///
/// For what a layer must leave alone: the content of a request that it refuses, or of a response
/// to HEAD.
#[derive(Clone, Copy, Debug, Default)]
pub struct PoisonBody;

impl http_body::Body for PoisonBody {
    type Data = Bytes;
    type Error = ScriptError;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ScriptError>>> {
        panic!("content was read that nobody may read");
    }
}

//! Response content that holds a place until it is whole.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError};

use crate::cluster::Permit;

/// The content holds the place as long as any of it is to come from the endpoint.
pub(crate) fn hold(content: &mut Body, permit: Permit) {
    // What is in memory already holds nothing at the endpoint.
    if content.is_empty() || content.as_bytes().is_some() {
        return;
    }
    *content = Body::new(Holding { content: std::mem::take(content), permit: Some(permit) });
}

struct Holding {
    content: Body,
    permit: Option<Permit>,
}

impl HttpBody for Holding {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = Pin::new(&mut self.content).poll_frame(cx);
        if self.content.is_end_stream() || matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.permit = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

//! A limit on the content of requests.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};
use http_body::{Body as HttpBody, Frame, SizeHint};
use proxy_core::{Body, BoxError, ErrorKind, ProxyError, Refusal};

/// Applies a limit: refuses what is announced larger, and watches what is not announced.
///
/// # Errors
/// The 413 for content whose announced length is over the limit; nothing of it is read.
pub fn limit(fields: &HeaderMap, body: Body, limit: Option<u64>) -> Result<Body, Box<Refusal>> {
    let Some(limit) = limit else { return Ok(body) };
    let announced = fields.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let known: Option<u64> = announced.or_else(|| body.size_hint().exact());
    match known {
        Some(length) if length > limit => {
            let refusal = Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large");
            Err(Box::new(refusal.close()))
        }
        Some(_) => Ok(body),
        None => Ok(Body::new(Limited { body, left: limit })),
    }
}

struct Limited {
    body: Body,
    left: u64,
}

impl HttpBody for Limited {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            match self.left.checked_sub(data.len() as u64) {
                Some(left) => self.left = left,
                None => {
                    self.body = Body::empty();
                    let error = ProxyError::new(ErrorKind::HttpRequestError)
                        .with_status(StatusCode::PAYLOAD_TOO_LARGE)
                        .detail("content_too_large");
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::{BodyExt, StreamBody};

    #[tokio::test]
    async fn announced_and_unannounced_content() {
        let mut fields = HeaderMap::new();
        fields.insert(header::CONTENT_LENGTH, 11.into());
        let refused = limit(&fields, Body::full("hello world"), Some(10)).expect_err("too large");
        assert_eq!(refused.status, 413);
        assert!(limit(&fields, Body::full("hello world"), Some(11)).is_ok());

        let pieces = [
            Ok::<_, BoxError>(Frame::data(Bytes::from("hello "))),
            Ok(Frame::data("world".into())),
        ];
        let stream = StreamBody::new(futures_util::stream::iter(pieces));
        let mut body = limit(&HeaderMap::new(), Body::new(stream), Some(10)).expect("unannounced");
        assert!(body.frame().await.expect("a frame").is_ok());
        let error = body.frame().await.expect("a frame").expect_err("too large");
        assert_eq!(ProxyError::find(&*error).expect("ours").status(), 413);
    }
}

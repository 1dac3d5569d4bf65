//! The head of a request, as it goes out.

use bytes::{BufMut, BytesMut};
use http::header::{CONTENT_LENGTH, TRAILER, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request};
use http_body::Body as _;
use proxy_core::fields::list;
use proxy_core::framing::{write_field, write_request_line};
use proxy_core::{Body, ErrorKind, ProxyError, Retry};

/// How the content of a request is framed (RFC 9112 section 6).
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    /// There is none.
    #[default]
    None,
    /// So many bytes are still to come.
    Length(u64),
    /// The chunked transfer coding; these trailer fields are announced.
    Chunked(Box<[HeaderName]>),
}

/// Writes the head of `request`. Its framing is ours: one `Content-Length` where the length is
/// known, the chunked coding where not, nothing where there is no content.
///
/// # Errors
/// `Content-Length` that is not one number, or not the length of the content.
pub(super) fn write(request: &Request<Body>, out: &mut BytesMut) -> Result<Coding, ProxyError> {
    write_request_line(out, request.method(), request.uri(), http::Version::HTTP_11);
    let mut announced_length = None;
    let mut trailers = false;
    for (name, value) in request.headers() {
        let name = name.as_str();
        // By length first: hardly a field is one of these.
        match name.len() {
            7 => trailers |= name == TRAILER.as_str(),
            14 if name == CONTENT_LENGTH.as_str() => {
                let length = decimal(value.as_bytes()).filter(|_| announced_length.is_none());
                announced_length = Some(length.ok_or_else(unsound)?);
            }
            // Of another hop.
            17 if name == TRANSFER_ENCODING.as_str() => continue,
            _ => {}
        }
        write_field(out, name, value.as_bytes());
    }
    let body = request.body();
    let coding = match announced_length {
        Some(0) if body.is_empty() => Coding::None,
        Some(length) if body.size_hint().exact().is_none_or(|exact| exact == length) => {
            Coding::Length(length)
        }
        // Sent like this it would swallow the next request, or be cut off by it.
        Some(_) => return Err(unsound()),
        None if body.is_empty() => Coding::None,
        None => match body.size_hint().exact() {
            Some(length) => {
                write_field(out, "content-length", itoa::Buffer::new().format(length).as_bytes());
                Coding::Length(length)
            }
            None => {
                write_field(out, "transfer-encoding", b"chunked");
                Coding::Chunked(if trailers {
                    announced(request.headers())
                } else {
                    Box::default()
                })
            }
        },
    };
    out.put_slice(b"\r\n");
    Ok(coding)
}

/// The trailer fields that `Trailer` announces.
pub(crate) fn announced(fields: &HeaderMap) -> Box<[HeaderName]> {
    list(fields, &TRAILER).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
}

/// Removes the trailer fields that are not announced.
pub(crate) fn keep_announced(trailers: &mut HeaderMap, announced: &[HeaderName]) {
    let unknown: Vec<HeaderName> =
        trailers.keys().filter(|name| !announced.contains(name)).cloned().collect();
    for name in unknown {
        trailers.remove(name);
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |n, b| {
        let digit = b.is_ascii_digit().then_some(u64::from(b.wrapping_sub(b'0')))?;
        n.checked_mul(10)?.checked_add(digit)
    })
}

fn unsound() -> ProxyError {
    ProxyError::new(ErrorKind::HttpRequestError).detail("content_length").retry(Retry::NothingSent)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::StreamBody;

    fn written(request: http::request::Builder, body: Body) -> Result<(String, Coding), ErrorKind> {
        let mut out = BytesMut::new();
        let request = request.body(body).expect("a request");
        let coding = write(&request, &mut out).map_err(|e| e.kind())?;
        Ok((String::from_utf8(out.to_vec()).expect("text"), coding))
    }

    fn streamed() -> Body {
        let frames: [Result<http_body::Frame<bytes::Bytes>, std::io::Error>; 0] = [];
        Body::new(StreamBody::new(futures_util::stream::iter(frames)))
    }

    /// RFC 9112 section 6: one framing, and it is ours.
    #[test]
    fn framing() {
        let post = || Request::post("/x?y").header("host", "a.test");
        let line = "POST /x?y HTTP/1.1\r\nhost: a.test\r\n";
        for (request, body, rest, coding) in [
            (post(), Body::empty(), "\r\n", Coding::None),
            (
                post().header("content-length", "0"),
                Body::empty(),
                "content-length: 0\r\n\r\n",
                Coding::None,
            ),
            (
                post().header("content-length", "003"),
                Body::full("abc"),
                "content-length: 003\r\n\r\n",
                Coding::Length(3),
            ),
            (post(), Body::full("abc"), "content-length: 3\r\n\r\n", Coding::Length(3)),
            (
                post().header("content-length", "9"),
                streamed(),
                "content-length: 9\r\n\r\n",
                Coding::Length(9),
            ),
            (
                post().header("transfer-encoding", "chunked").header("te", "trailers"),
                streamed(),
                "te: trailers\r\ntransfer-encoding: chunked\r\n\r\n",
                Coding::Chunked(Box::default()),
            ),
            (
                post().header("trailer", "x-sum, X-Other"),
                streamed(),
                "trailer: x-sum, X-Other\r\ntransfer-encoding: chunked\r\n\r\n",
                Coding::Chunked(
                    [HeaderName::from_static("x-sum"), HeaderName::from_static("x-other")].into(),
                ),
            ),
        ] {
            assert_eq!(written(request, body), Ok((format!("{line}{rest}"), coding)));
        }
    }

    /// What two recipients would frame differently is not sent.
    #[test]
    fn lengths_that_are_not_true() {
        let post = || Request::post("/");
        for (request, body) in [
            (post().header("content-length", "3"), Body::empty()),
            (post().header("content-length", "3"), Body::full("four")),
            (post().header("content-length", "+4"), Body::full("four")),
            (post().header("content-length", ""), Body::empty()),
            (post().header("content-length", "99999999999999999999"), streamed()),
            (post().header("content-length", "4").header("content-length", "4"), streamed()),
        ] {
            assert_eq!(written(request, body), Err(ErrorKind::HttpRequestError));
        }
    }

    #[test]
    fn targets() {
        let options = written(Request::options("*"), Body::empty()).expect("sound").0;
        assert_eq!(options, "OPTIONS * HTTP/1.1\r\n\r\n");
        let old = Request::get("/").version(http::Version::HTTP_10);
        assert_eq!(written(old, Body::empty()).expect("sound").0, "GET / HTTP/1.1\r\n\r\n");
    }
}

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
        if name == CONTENT_LENGTH {
            let length = decimal(value.as_bytes()).filter(|_| announced_length.is_none());
            announced_length = Some(length.ok_or_else(unsound)?);
        } else if name == TRANSFER_ENCODING {
            // Of another hop.
            continue;
        }
        trailers |= name == TRAILER;
        write_field(out, name.as_str(), value.as_bytes());
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
fn announced(fields: &HeaderMap) -> Box<[HeaderName]> {
    list(fields, &TRAILER).filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok()).collect()
}

/// Removes the trailer fields that are not announced.
pub(super) fn keep_announced(trailers: &mut HeaderMap, announced: &[HeaderName]) {
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

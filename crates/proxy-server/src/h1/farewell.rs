//! The edge's own pages.

use bytes::{BufMut, Bytes, BytesMut};
use http::header::CONTENT_LENGTH;
use http::{HeaderMap, Version};
use proxy_core::Refusal;
use proxy_core::error_pages::Page;
use proxy_core::framing::{write_fields, write_status_line};

use super::end::Refused;

/// The whole response to a head that never became a request.
pub(super) fn page(refused: &Refused, proxy: &str) -> Bytes {
    let refusal = Refusal::new(refused.status, refused.reason).close();
    let page = Page { refusal: &refusal, id: None, show_rule: false };
    let content = page.write(false);
    let mut fields = HeaderMap::new();
    page.set_fields(&mut fields, false, proxy);
    let mut out = BytesMut::with_capacity(512 + content.len());
    write_status_line(&mut out, Version::HTTP_11, refused.status, None);
    fields.insert(CONTENT_LENGTH, content.len().into());
    write_fields(&mut out, &fields);
    out.put_slice(b"\r\n");
    out.put_slice(&content);
    out.freeze()
}

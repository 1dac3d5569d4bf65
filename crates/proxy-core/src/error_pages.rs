//! `ErrorPagesLayer`: writes the page of every [`Refusal`] that comes from below.
//!
//! ```
//! use proxy_core::ErrorPagesLayer;
//! use tower::ServiceBuilder;
//! let stack = ServiceBuilder::new().layer(ErrorPagesLayer::new("proxyd"));
//! ```
//!
//! # Ordering
//! Outside every layer that refuses, inside the one that logs.
//!
//! # Errors and responses
//! A response with a [`Refusal`] in its extensions gets a problem document (RFC 9457), or HTML
//! where `Accept` names `text/html`; `Proxy-Status` (RFC 9209), `Cache-Control: no-store`,
//! `Content-Security-Policy`, `X-Content-Type-Options`, and `Retry-After` and `Connection: close`
//! where the refusal asks. Other responses pass untouched. Nothing of the request is echoed.
//!
//! # Cancellation
//! Holds nothing.
//!
//! # Metrics
//! None; the refusal and its error are written to the exchange.

use std::fmt::Write as _;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{
    ACCEPT, CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, CONTENT_TYPE, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use crate::body::Reply;
use crate::exchange::Exchange;
use crate::refusal::Refusal;

/// See the [module](self).
#[derive(Clone, Debug)]
pub struct ErrorPagesLayer {
    pages: Arc<Pages>,
}

#[derive(Debug)]
struct Pages {
    /// The name that `Proxy-Status` uses.
    name: Box<str>,
    /// Whether every client may see the rule's id (else only trusted peers).
    show_rules: bool,
}

impl ErrorPagesLayer {
    /// `name` stands in `Proxy-Status`, which takes a token (RFC 9651 section 3.3.4): other bytes
    /// become `-`.
    pub fn new(name: &str) -> Self {
        let token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '*');
        let mut name: String = name.chars().map(|c| if token(c) { c } else { '-' }).collect();
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '*') {
            name.insert(0, 'p');
        }
        Self { pages: Arc::new(Pages { name: name.into(), show_rules: false }) }
    }

    /// Shows the rule's id to every client, as a forward proxy does. Default: trusted peers only.
    #[must_use]
    pub fn show_rules(self, show: bool) -> Self {
        Self { pages: Arc::new(Pages { name: self.pages.name.clone(), show_rules: show }) }
    }
}

impl<S> Layer<S> for ErrorPagesLayer {
    type Service = ErrorPages<S>;
    fn layer(&self, inner: S) -> ErrorPages<S> {
        ErrorPages { inner, pages: Arc::clone(&self.pages) }
    }
}

/// The service of [`ErrorPagesLayer`].
#[derive(Clone, Debug)]
pub struct ErrorPages<S> {
    inner: S,
    pages: Arc<Pages>,
}

impl<S, ReqB, ResB> Service<Request<ReqB>> for ErrorPages<S>
where
    S: Service<Request<ReqB>, Response = Response<ResB>>,
{
    type Response = Response<Reply<ResB>>;
    type Error = S::Error;
    type Future = ErrorPagesFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqB>) -> Self::Future {
        ErrorPagesFuture {
            html: accepts_html(request.headers()),
            exchange: Exchange::of(&request).cloned(),
            pages: Arc::clone(&self.pages),
            inner: self.inner.call(request),
        }
    }
}

pin_project! {
    /// The future of [`ErrorPages`].
    #[derive(Debug)]
    pub struct ErrorPagesFuture<F> {
        #[pin]
        inner: F,
        html: bool,
        exchange: Option<Exchange>,
        pages: Arc<Pages>,
    }
}

impl<F, ResB, E> Future for ErrorPagesFuture<F>
where
    F: Future<Output = Result<Response<ResB>, E>>,
{
    type Output = Result<Response<Reply<ResB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let response = ready!(this.inner.poll(cx))?;
        let Some(refusal) = response.extensions().get::<Refusal>().cloned() else {
            return Poll::Ready(Ok(response.map(Reply::inner)));
        };
        if let Some(exchange) = this.exchange {
            exchange.set_error(refusal.error);
        }
        let (mut parts, _) = response.into_parts();
        let trusted = this.exchange.as_ref().is_some_and(|x| x.connection().peer_trusted);
        let page = Page {
            refusal: &refusal,
            id: this.exchange.as_ref().map(|x| x.id().to_string()),
            show_rule: this.pages.show_rules || trusted,
        };
        let content = page.write(*this.html);
        page.set_fields(&mut parts.headers, *this.html, &this.pages.name);
        Poll::Ready(Ok(Response::from_parts(parts, Reply::made(content))))
    }
}

/// Whether a client would rather read HTML: it names it, and not with `q=0`.
pub fn accepts_html(fields: &HeaderMap) -> bool {
    fields.get_all(ACCEPT).iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(',')).any(
        |range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next().is_some_and(|t| t.eq_ignore_ascii_case("text/html"))
                && !parts.any(|p| {
                    p.strip_prefix(['q', 'Q'])
                        .and_then(|p| p.strip_prefix('='))
                        .is_some_and(|q| q.parse::<f32>().is_ok_and(|q| q == 0.0))
                })
        },
    )
}

/// One page to write; also used by the edge, which answers without a stack.
#[derive(Debug)]
pub struct Page<'a> {
    /// What is refused.
    pub refusal: &'a Refusal,
    /// The request's id, where there is one.
    pub id: Option<String>,
    /// Whether the rule's id may be shown.
    pub show_rule: bool,
}

impl Page<'_> {
    /// The content: HTML, or a problem document.
    pub fn write(&self, html: bool) -> Bytes {
        if html { self.html() } else { self.problem() }
    }

    /// Sets the fields that go with it.
    pub fn set_fields(&self, fields: &mut HeaderMap, html: bool, proxy: &str) {
        let kind = if html { "text/html; charset=utf-8" } else { "application/problem+json" };
        fields.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        fields.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        fields.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        let status =
            format!("{proxy}; error={}; details=\"{}\"", self.refusal.error, self.refusal.reason);
        if let Ok(value) = HeaderValue::try_from(status) {
            fields.insert(HeaderName::from_static("proxy-status"), value);
        }
        if let Some(after) = self.refusal.retry_after {
            fields.insert(RETRY_AFTER, HeaderValue::from(after.as_secs().max(1)));
        }
        if self.refusal.close {
            fields.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }

    fn title(&self) -> &'static str {
        self.refusal.status.canonical_reason().unwrap_or("Error")
    }

    /// RFC 9457. All texts are fixed tokens, or an id that was checked: no escaping is needed
    /// beyond what `escape` does for rule ids.
    fn problem(&self) -> Bytes {
        let status = self.refusal.status.as_u16();
        let mut out = String::with_capacity(256);
        let _ = write!(
            out,
            "{{\"type\":\"about:blank\",\"title\":\"{}\",\"status\":{status},\"reason\":\"{}\"",
            self.title(),
            self.refusal.reason
        );
        if let Some(detail) = self.refusal.sentence() {
            let _ = write!(out, ",\"detail\":\"{}\"", escape(detail));
        }
        if let (true, Some(rule)) = (self.show_rule, &self.refusal.rule_id) {
            let _ = write!(out, ",\"rule\":\"{}\"", escape(rule));
        }
        if let Some(id) = &self.id {
            let _ = write!(out, ",\"request_id\":\"{}\"", escape(id));
        }
        out.push_str("}\n");
        Bytes::from(out)
    }

    fn html(&self) -> Bytes {
        let status = self.refusal.status.as_u16();
        let title = self.title();
        let mut out = String::with_capacity(1024);
        let _ = write!(
            out,
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{status} {title}</title>\
             <meta name=\"viewport\" content=\"width=device-width\">\
             <meta name=\"color-scheme\" content=\"light dark\"></head>\
             <body><h1>{status} {title}</h1>"
        );
        if let Some(detail) = self.refusal.sentence() {
            let _ = write!(out, "<p>{}</p>", escape(detail));
        }
        let _ = write!(out, "<p>Reason: <code>{}</code>", self.refusal.reason);
        if let (true, Some(rule)) = (self.show_rule, &self.refusal.rule_id) {
            let _ = write!(out, "<br>Rule: <code>{}</code>", escape(rule));
        }
        if let Some(id) = &self.id {
            let _ = write!(out, "<br>Request: <code>{}</code>", escape(id));
        }
        out.push_str("</p></body></html>\n");
        Bytes::from(out)
    }
}

/// Escapes for JSON strings and HTML text alike: the few characters that matter in either.
fn escape(text: &str) -> String {
    text.chars()
        .map(|c| if matches!(c, '"' | '\\' | '<' | '>' | '&') || c.is_control() { '_' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::StatusCode;

    #[test]
    fn html_only_where_it_is_asked_for() {
        let accepts = |v: &str| {
            let mut fields = HeaderMap::new();
            fields.insert(ACCEPT, HeaderValue::from_str(v).expect("a value"));
            accepts_html(&fields)
        };
        assert!(accepts("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(accepts("application/json, Text/HTML;q=0.5"));
        assert!(!accepts("*/*"));
        assert!(!accepts("text/html;q=0, */*"));
    }

    #[test]
    fn a_page_shows_the_rule_only_where_it_may() {
        let refusal = Refusal::new(StatusCode::FORBIDDEN, "blocked").rule("no-\"uploads\"");
        let page = |show_rule| Page { refusal: &refusal, id: Some("x1".into()), show_rule };
        let shown = page(true).write(false);
        let text = std::str::from_utf8(&shown).expect("text");
        assert!(text.contains("\"rule\":\"no-_uploads_\""), "{text}");
        assert!(text.contains("\"request_id\":\"x1\""));
        assert!(!std::str::from_utf8(&page(false).write(true)).expect("text").contains("Rule"));
    }
}

//! From a request to the head of its response: judged, queued, started, waited for.

mod failure;
mod judge;
mod start;

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED, TRAILER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use proxy_core::{BoxError, Exchange, Refusal, Reply};

use crate::body::ExecBody;
use crate::browser;
use crate::cgi;
use crate::config::{ExecConfig, Stderr};
use crate::frames::{Format, Framer, Stream};
use crate::live::{Live, Piece};
use crate::metrics::Why;
use crate::service::Shared;

use failure::failed;

/// How long a program may be quiet before the head of frames is sent. What fails within it has a
/// status of its own.
const FRAMES_HEAD: Duration = Duration::from_secs(1);

type Answer<B> = Response<Reply<ExecBody<B>>>;

impl Shared {
    pub(crate) async fn answer<B>(self: Arc<Self>, request: Request<B>) -> Answer<B>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let exchange = Exchange::of(&request).cloned();
        match self.run(request, exchange.as_ref()).await {
            Ok(response) => response,
            Err(refusal) => refusal.recorded(exchange.as_ref(), "exec").into_response(),
        }
    }

    async fn run<B>(
        &self,
        request: Request<B>,
        exchange: Option<&Exchange>,
    ) -> Result<Answer<B>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        browser::judge(&request, &self.config.origins, self.config.any_host)?;
        let (parts, body) = request.into_parts();
        let (mut checked, body) = self.check(&parts, body).await?;
        self.locate(&mut checked).await?;
        self.show(&checked, exchange);
        if exchange.is_some_and(Exchange::is_rehearsal) {
            return Ok(Response::new(Reply::made(Bytes::new())));
        }
        let format = Some(())
            .filter(|()| self.config.stderr == Stderr::Frames)
            .and_then(|()| Format::of(&parts.headers));
        // What a GET would say of itself, without a run.
        if parts.method == Method::HEAD && !self.config.cgi {
            let mut response = Response::new(Reply::inner(ExecBody::empty()));
            let mut fields = self.fields(format);
            // Those of no run: a cache would take its own for outdated by them.
            fields.remove(ETAG);
            fields.remove(LAST_MODIFIED);
            *response.headers_mut() = fields;
            return Ok(response);
        }
        let live = self.start(&parts, &checked, body, format, exchange).await?;
        self.head(live, &parts, format).await
    }

    /// Waits for the first byte, or for the end of a run that writes none.
    async fn head<B>(
        &self,
        mut live: Live<B>,
        parts: &Parts,
        format: Option<Format>,
    ) -> Result<Answer<B>, Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let mut framer = format.map(Framer::new);
        let mut reader = self.config.cgi.then(cgi::HeadReader::default);
        let (mut status, mut fields) = (StatusCode::OK, self.fields(format));
        let mut ended = None;
        let mut quiet = None;
        let first = loop {
            let piece = poll_fn(|cx| {
                if let Poll::Ready(piece) = live.poll_piece(cx) {
                    return Poll::Ready(Some(piece));
                }
                // Who takes frames is told that it runs: a log may have no line for hours.
                if framer.is_some() && live.is_started() {
                    let clock = &self.runner.clock;
                    let quiet =
                        quiet.get_or_insert_with(|| clock.sleep_until(clock.now() + FRAMES_HEAD));
                    return quiet.as_mut().poll(cx).map(|()| None);
                }
                Poll::Pending
            });
            let (stream, data) = match piece.await {
                Some(Piece::Data(stream, data)) => (stream, data),
                Some(Piece::End(why)) => {
                    ended = Some(why);
                    break Bytes::new();
                }
                None => break Bytes::new(),
            };
            if let Some(reading) = &mut reader {
                match reading.push(&data) {
                    Ok(None) => continue,
                    Ok(Some(head)) => {
                        status = head.status;
                        for name in head.fields.keys() {
                            fields.remove(name);
                        }
                        fields.extend(head.fields);
                        live.has_head();
                        break head.rest;
                    }
                    Err(cgi::BadHead) => {
                        live.conclude(Why::BadHead);
                        return Err(failed(Why::BadHead, None));
                    }
                }
            }
            let data = match &mut framer {
                Some(framer) => framer.push(stream, &data),
                None if stream == Stream::Output => data,
                None => continue,
            };
            if !data.is_empty() {
                break data;
            }
        };
        match ended {
            Some(Why::Exit) | None => {}
            Some(why) => return Err(failed(why, live.failure)),
        }
        let takes_trailers = format.is_none() && takes_trailers(parts);
        if takes_trailers {
            fields.insert(TRAILER, HeaderValue::from_static("Exit-Status"));
        }
        let body = match (ended, format, takes_trailers) {
            (Some(_), None, false) => ExecBody::empty(),
            _ => ExecBody::new(live, first, framer, takes_trailers, &self.runner.clock),
        };
        let mut response = Response::new(Reply::inner(body));
        *response.status_mut() = status;
        *response.headers_mut() = fields;
        Ok(response)
    }

    fn fields(&self, format: Option<Format>) -> HeaderMap {
        let config: &ExecConfig = &self.config;
        let mut fields = HeaderMap::new();
        let content_type = format.map_or_else(|| config.content_type.clone(), Format::content_type);
        fields.insert(header::CONTENT_TYPE, content_type);
        fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if format.is_some() {
            // Told as it happens: of no use later, and never whole where it failed.
            fields.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
        if config.stderr == Stderr::Frames {
            fields.append(VARY, HeaderValue::from_static("Accept"));
        }
        for name in config.params.fields() {
            if let Ok(name) = HeaderValue::from_str(name) {
                fields.append(VARY, name);
            }
        }
        if config.validators && format.is_none() {
            // Two runs may write the same or not; of one run every byte is the same.
            let run = self.runner.spawner.next_number();
            let tag = format!("\"{:016x}-{run:x}\"", self.runner.salt);
            if let Ok(tag) = HeaderValue::try_from(tag) {
                fields.insert(ETAG, tag);
            }
            if let Some(date) = http_date(self.runner.clock.wall()) {
                fields.insert(LAST_MODIFIED, date);
            }
        }
        fields
    }
}

/// A date as fields have it.
fn http_date(time: std::time::SystemTime) -> Option<HeaderValue> {
    HeaderValue::try_from(httpdate::fmt_http_date(time)).ok()
}

/// Whether the client said that it takes trailers.
fn takes_trailers(parts: &Parts) -> bool {
    let exchange: Option<&Exchange> = parts.extensions.get();
    match exchange.and_then(Exchange::facts) {
        Some(facts) => facts.takes_trailers,
        None => {
            parts.headers.get(header::TE).and_then(|te| te.to_str().ok()).is_some_and(|te| {
                te.split(',').any(|te| te.trim().eq_ignore_ascii_case("trailers"))
            })
        }
    }
}

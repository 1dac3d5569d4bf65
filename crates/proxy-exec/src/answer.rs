//! From a request to the head of its response: judged, queued, started, waited for.

use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ETAG, LAST_MODIFIED, TRAILER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use proxy_core::exchange::ProgramRun;
use proxy_core::{BoxError, Decision, ErrorKind, Exchange, Refusal, Reply, Verdict};

use crate::body::ExecBody;
use crate::browser;
use crate::cgi;
use crate::config::{Directory, ExecConfig, Stderr};
use crate::frames::{Format, Framer, Stream};
use crate::live::{Live, Piece};
use crate::metrics::{Ticket, Why};
use crate::params::{Checked, Source};
use crate::pipes::{Input, Output};
use crate::process::ExecError;
use crate::process::message::Start;
use crate::service::Shared;

/// What the log and the audit have of a command line, in bytes.
const SHOWN: usize = 4096;

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
        let (checked, body) = self.check(&parts, body).await?;
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

    /// Judges the parameters. The content is given back where it is none of them.
    async fn check<B>(&self, parts: &Parts, body: B) -> Result<(Checked, Option<B>), Refusal>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        let Some(source) = self.config.params.content() else {
            return Ok((self.checked(parts, None)?, Some(body)));
        };
        let expected: &[u8] = match source {
            Source::Json => b"application/json",
            _ => b"application/x-www-form-urlencoded",
        };
        let found = parts.headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        let essence = found.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
        if !essence.eq_ignore_ascii_case(expected) {
            return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "param_media_type"));
        }
        let most = usize::try_from(self.config.limits.params).unwrap_or(usize::MAX);
        let content = Limited::new(body, most).collect().await.map_err(|error| {
            if error.downcast_ref::<LengthLimitError>().is_some() {
                return Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "content_too_large");
            }
            Refusal::new(StatusCode::BAD_REQUEST, "content_incomplete").close()
        })?;
        Ok((self.checked(parts, Some(&content.to_bytes()))?, None))
    }

    pub(crate) fn checked(
        &self,
        parts: &Parts,
        content: Option<&[u8]>,
    ) -> Result<Checked, Refusal> {
        self.config.params.read(parts, content).map_err(|error| {
            let status = match error.reason {
                "no_route" | "param_path_unknown" => StatusCode::NOT_FOUND,
                _ => StatusCode::BAD_REQUEST,
            };
            let refusal = Refusal::new(status, error.reason);
            match error.param {
                Some(name) => refusal.rule(&*name),
                None => refusal,
            }
        })
    }

    /// Writes the command line into the record, for audit and `explain`.
    fn show(&self, checked: &Checked, exchange: Option<&Exchange>) {
        let Some(exchange) = exchange else { return };
        let mut shown = quoted(&self.config.program);
        for word in &self.config.args {
            shown.push(' ');
            shown.push_str(&quoted(&checked.fill_shown(word)));
            if shown.len() > SHOWN {
                shown.truncate(shown.floor_char_boundary(SHOWN));
                shown.push_str(" ...");
                break;
            }
        }
        exchange.decide(Decision {
            layer: "exec",
            rule: None,
            verdict: Verdict::Allow,
            reason: format!("run: {shown}").into(),
        });
    }

    async fn start<B>(
        &self,
        parts: &Parts,
        checked: &Checked,
        body: Option<B>,
        format: Option<Format>,
        exchange: Option<&Exchange>,
    ) -> Result<Live<B>, Refusal>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let config = &self.config;
        let clock = &self.runner.clock;
        let before = clock.now();
        let Some(places) = self.places().await else {
            self.metrics.ended(Why::Queue);
            if let Some(exchange) = exchange {
                ProgramRun::new(Why::Queue.token()).record(exchange);
            }
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "runs_exhausted");
            return Err(refusal.retry_after(Duration::from_secs(1)));
        };
        let queued = clock.now().saturating_duration_since(before);
        let failed = |_| not_started(ExecError::Exhausted);
        let mut descriptors: Vec<OwnedFd> = Vec::with_capacity(3);
        let mut input = None;
        if let Some(body) = body.filter(|body| config.stdin && !body.is_end_stream()) {
            let (writer, theirs) = Input::open(body).map_err(failed)?;
            input = Some(writer);
            descriptors.push(theirs);
        }
        let (output, theirs) = Output::open().map_err(failed)?;
        let merged = match config.stderr {
            Stderr::Merge => Some(theirs.try_clone().map_err(failed)?),
            _ => None,
        };
        descriptors.push(theirs);
        let mut errors = None;
        match (config.stderr, merged) {
            (Stderr::Discard, _) => {}
            (_, Some(theirs)) => descriptors.push(theirs),
            (_, None) => {
                let (reader, theirs) = Output::open().map_err(failed)?;
                errors = Some(reader);
                descriptors.push(theirs);
            }
        }
        let streams = [input.is_some(), true, config.stderr != Stderr::Discard];
        let start = self.order(parts, checked, streams);
        let ticket = Box::new(Ticket::new(&self.metrics, places));
        let running = self.runner.spawner.start(start, descriptors, ticket).map_err(not_started)?;
        let streams = (input, output, errors);
        let frames = format.is_some();
        let metrics = &self.metrics;
        Ok(Live::new(running, config, streams, frames, clock, metrics, exchange, queued))
    }

    /// A place among the runs of this program and of all, in time.
    async fn places(&self) -> Option<impl Send + 'static> {
        struct Queued<'a>(&'a metrics::Gauge);
        impl Drop for Queued<'_> {
            fn drop(&mut self) {
                self.0.decrement(1.0);
            }
        }
        let clock = &self.runner.clock;
        self.metrics.queued.increment(1.0);
        let _queued = Queued(&self.metrics.queued);
        let take = async {
            let own = self.slots.take().await.ok()?;
            let total = self.runner.slots.take().await.ok()?;
            Some((own, total))
        };
        tokio::select! {
            biased;
            places = take => places,
            () = clock.sleep_until(clock.now() + self.config.timeouts.queue) => None,
        }
    }

    fn order(&self, parts: &Parts, checked: &Checked, streams: [bool; 3]) -> Start {
        let config = &self.config;
        let fill = |(name, value): &(String, _)| (name.clone(), checked.fill(value));
        let mut env: Vec<_> = config.env.iter().map(fill).collect();
        if config.cgi {
            env.extend(cgi::variables(parts, &config.client_address));
        }
        let (directory, scratch) = match &config.directory {
            Directory::Fixed(path) => (Some(path.to_string_lossy().into_owned()), String::new()),
            Directory::Fresh(below) => (None, below.to_string_lossy().into_owned()),
        };
        let confine = Some(config.confine.clone()).filter(|confine| !confine.is_empty());
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        let (grace, total) =
            (millis(config.timeouts.kill_after), config.timeouts.total.map(millis));
        Start {
            run: 0,
            program: config.program.clone(),
            file: None,
            args: config.args.iter().map(|word| checked.fill(word)).collect(),
            env,
            directory,
            scratch,
            streams,
            umask: config.umask,
            nice: config.nice,
            uid: config.uid,
            gid: config.gid,
            grace,
            total,
            confine,
        }
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
        let first = loop {
            let (stream, data) = match poll_fn(|cx| live.poll_piece(cx)).await {
                Piece::Data(stream, data) => (stream, data),
                Piece::End(why) => {
                    ended = Some(why);
                    break Bytes::new();
                }
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
                        reader = None;
                        break head.rest;
                    }
                    Err(cgi::BadHead) => {
                        live.refuse(Why::BadHead);
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
            Some(Why::Exit) if reader.is_some() => {
                return Err(failed(Why::BadHead, None));
            }
            Some(Why::Exit) | None => {}
            Some(why) => return Err(failed(why, live.failure)),
        }
        let takes_trailers = format.is_none() && takes_trailers(parts);
        if takes_trailers {
            fields.insert(TRAILER, HeaderValue::from_static("Exit-Status"));
        }
        let body = match (ended, format, takes_trailers) {
            (Some(_), None, false) => ExecBody::empty(),
            _ => ExecBody::new(live, first, framer, takes_trailers),
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

fn not_started(error: ExecError) -> Refusal {
    failed(Why::NotStarted, Some(error))
}

/// The answer to a request whose program failed before its first byte.
fn failed(why: Why, error: Option<ExecError>) -> Refusal {
    let (status, reason, kind) = match (why, error) {
        (Why::NotStarted, Some(ExecError::Exhausted)) => {
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "processes_exhausted");
            return refusal.retry_after(Duration::from_secs(1));
        }
        (Why::NotStarted, Some(ExecError::TooLarge)) => {
            return Refusal::new(StatusCode::BAD_REQUEST, "arguments_too_large");
        }
        (Why::NotStarted, error) => {
            let reason = match error {
                Some(ExecError::NotFound) => "program_not_found",
                Some(ExecError::NotExecutable) => "program_not_executable",
                Some(ExecError::Directory) => "program_directory",
                Some(ExecError::Confinement) => "program_confinement",
                _ => "program_not_started",
            };
            let kind = ErrorKind::ProxyConfigurationError;
            (StatusCode::INTERNAL_SERVER_ERROR, reason, kind)
        }
        (Why::StartTimeout | Why::FirstByteTimeout | Why::IdleTimeout | Why::TotalTimeout, _) => {
            (StatusCode::GATEWAY_TIMEOUT, why.reason(), ErrorKind::HttpResponseTimeout)
        }
        (Why::InputBroke, _) => {
            return Refusal::new(StatusCode::BAD_REQUEST, "content_incomplete").close();
        }
        _ => (StatusCode::BAD_GATEWAY, why.reason(), ErrorKind::HttpResponseIncomplete),
    };
    let mut refusal = Refusal::new(status, reason);
    refusal.error = kind;
    refusal
}

impl Why {
    /// The reason in a problem document.
    const fn reason(self) -> &'static str {
        match self {
            Self::Failed => "program_failed",
            Self::Signal => "program_ended_by_signal",
            Self::StartTimeout | Self::FirstByteTimeout | Self::IdleTimeout => "program_silent",
            Self::TotalTimeout => "program_too_slow",
            Self::OutputLimit => "program_output_too_large",
            Self::BadHead => "program_output_without_fields",
            other => other.token(),
        }
    }
}

/// A word as a shell would read it as one.
fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_split_it() {
        for (word, expected) in [
            ("a-b=c", "a-b=c"),
            ("", "''"),
            ("a b", "'a b'"),
            ("it's", r"'it'\''s'"),
            ("$x", "'$x'"),
        ] {
            assert_eq!(quoted(word), expected);
        }
    }
}

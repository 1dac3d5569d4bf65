//! The start of a run: its turn, its streams, and the order to the warden.

use std::future::Future;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body::Body;
use proxy_core::clock::later;
use proxy_core::exchange::ProgramRun;
use proxy_core::{BoxError, ErrorKind, Exchange, ProxyError, Refusal};

use super::failure::failed;
use crate::cgi;
use crate::config::{Directory, Stderr};
use crate::fetch::{self, Content};
use crate::frames::Format;
use crate::live::Live;
use crate::metrics::{Ticket, Why};
use crate::params::Checked;
use crate::pipes::{Input, Output};
use crate::process::ExecError;
use crate::process::message::Start;
use crate::service::Shared;
use crate::slots::QueueFull;

impl Shared {
    pub(super) async fn start<B>(
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
        let patience = config.timeouts.queue;
        let (own, waited) = self.queued(self.slots.take(), patience, exchange).await?;
        // With a place of this program, so that as many are fetched as may run; without one of all
        // programs, so that a server that does not answer keeps no other program from running.
        let fetched = self.fetch(checked, exchange).await?;
        let patience = patience.saturating_sub(waited);
        let (total, more) = self.queued(self.runner.slots.take(), patience, exchange).await?;
        let (places, queued) = ((own, total), waited + more);
        let not_started = |error| self.not_started(error, exchange);
        let failed = |_| not_started(ExecError::Exhausted);
        let mut descriptors: Vec<OwnedFd> = Vec::with_capacity(3);
        let mut input = None;
        let client = body.map(|body| Content::Client { body });
        let content = fetched.or(client.filter(|body| config.stdin && !body.is_end_stream()));
        if let Some(body) = content {
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

    /// A place, in time, and how long it was waited for.
    async fn queued<P>(
        &self,
        place: impl Future<Output = Result<P, QueueFull>>,
        patience: Duration,
        exchange: Option<&Exchange>,
    ) -> Result<(P, Duration), Refusal> {
        struct Queued<'a>(&'a metrics::Gauge);
        impl Drop for Queued<'_> {
            fn drop(&mut self) {
                self.0.decrement(1.0);
            }
        }
        let clock = &self.runner.clock;
        let before = clock.now();
        self.metrics.queued.increment(1.0);
        let _queued = Queued(&self.metrics.queued);
        let place = tokio::select! {
            biased;
            place = place => place.ok(),
            () = clock.sleep_until(later(before, patience)) => None,
        };
        let waited = clock.now().saturating_duration_since(before);
        place.map(|place| (place, waited)).ok_or_else(|| {
            self.not_run(Why::Queue, exchange);
            let refusal = Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "runs_exhausted");
            refusal.retry_after(Duration::from_secs(1))
        })
    }

    /// What the URL of a parameter names, where one is to be fetched.
    async fn fetch<B>(
        &self,
        checked: &Checked,
        exchange: Option<&Exchange>,
    ) -> Result<Option<Content<B>>, Refusal> {
        let Some(name) = self.config.params.fetched() else { return Ok(None) };
        let url = checked.value(name).zip(self.runner.fetcher.as_ref());
        let Some((url, fetcher)) = url else { return Ok(None) };
        let mut asking = Asking { shared: self, exchange, why: Some(Why::ClientLeft) };
        let fetched = match url.parse() {
            Ok(url) => {
                let clock = &self.runner.clock;
                let (begun, most) = (clock.now(), self.config.timeouts.fetch);
                // Where a secret leads is one, too: nothing of it is recorded.
                let is_secret = self.config.params.get(name).is_none_or(|param| param.secret);
                let told = exchange.filter(|_| !is_secret);
                tokio::select! {
                    biased;
                    response = fetcher.fetch(url, told) => response
                        .map_err(|error| self.not_fetched(&error, exchange))
                        .and_then(|response| {
                            let spent = clock.now().saturating_duration_since(begun);
                            let left = most.saturating_sub(spent);
                            let most = self.config.limits.fetch;
                            fetch::content(response, most, Arc::clone(clock), left)
                        }),
                    () = clock.sleep_until(begun + most) => {
                        Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "url_slow"))
                    }
                }
            }
            // Its type has been judged.
            Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "param_not_a_url")),
        };
        asking.why = fetched.is_err().then_some(Why::NotFetched);
        drop(asking);
        fetched.map(|body| Some(Content::Fetched { body }))
    }

    /// A client learns of all that lies between it and a server only that this one was not
    /// reached: whether a name is known here, an address is ours, or a port is open is not its
    /// business. The log says more.
    fn not_fetched(&self, error: &ProxyError, exchange: Option<&Exchange>) -> Refusal {
        let id = exchange.map(|exchange| exchange.id().to_string());
        tracing::info!(program = &*self.config.name, id, %error, "a URL was not fetched");
        // A list of names is about what the client has written itself.
        if error.kind() == ErrorKind::HttpRequestDenied {
            return Refusal::from_error(error);
        }
        let mut refusal = Refusal::new(StatusCode::BAD_GATEWAY, "url_not_fetched");
        refusal.error = ErrorKind::DestinationUnavailable;
        refusal
    }

    /// Counts one that has not run.
    fn not_run(&self, why: Why, exchange: Option<&Exchange>) {
        self.metrics.ended(why);
        if let Some(exchange) = exchange {
            ProgramRun::new(why.token()).record(exchange);
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
            cgroup: None,
        }
    }

    /// One that there was not even an attempt to start.
    fn not_started(&self, error: ExecError, exchange: Option<&Exchange>) -> Refusal {
        self.not_run(Why::NotStarted, exchange);
        let id = exchange.map(|exchange| exchange.id().to_string());
        tracing::warn!(program = &*self.config.name, id, %error, "not started");
        failed(Why::NotStarted, Some(error))
    }
}

/// A URL that is being asked for. Where this is dropped before there is an answer, its client has
/// left.
struct Asking<'a> {
    shared: &'a Shared,
    exchange: Option<&'a Exchange>,
    /// Why no program runs.
    why: Option<Why>,
}

impl Drop for Asking<'_> {
    fn drop(&mut self) {
        if let Some(why) = self.why {
            self.shared.not_run(why, self.exchange);
        }
    }
}

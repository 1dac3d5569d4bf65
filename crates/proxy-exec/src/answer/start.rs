//! The start of a run: its turn, its streams, and the order to the warden.

use std::os::fd::OwnedFd;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::request::Parts;
use http_body::Body;
use proxy_core::exchange::ProgramRun;
use proxy_core::{BoxError, Exchange, Refusal};

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
        // Not before there is a place for it: as many are fetched as run.
        let fetched = self.fetch(checked, exchange).await?;
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

    /// What the URL of a parameter names, where one is to be fetched.
    async fn fetch<B>(
        &self,
        checked: &Checked,
        exchange: Option<&Exchange>,
    ) -> Result<Option<Content<B>>, Refusal> {
        let url = self.config.params.fetched().and_then(|name| checked.value(name));
        let Some((url, fetcher)) = url.zip(self.runner.fetcher.as_ref()) else { return Ok(None) };
        let fetched = match url.parse() {
            Ok(url) => {
                let clock = &self.runner.clock;
                let late = clock.now() + self.config.timeouts.start;
                tokio::select! {
                    biased;
                    response = fetcher.fetch(url, exchange) => response
                        .map_err(|error| Refusal::from_error(&error))
                        .and_then(|response| fetch::content(response, self.config.limits.fetch)),
                    () = clock.sleep_until(late) => {
                        Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "url_slow"))
                    }
                }
            }
            // Its type has been judged.
            Err(_) => Err(Refusal::new(StatusCode::BAD_REQUEST, "param_not_a_url")),
        };
        if fetched.is_err() {
            self.metrics.ended(Why::NotFetched);
            if let Some(exchange) = exchange {
                ProgramRun::new(Why::NotFetched.token()).record(exchange);
            }
        }
        fetched.map(|body| Some(Content::Fetched { body }))
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
        self.metrics.ended(Why::NotStarted);
        let id = exchange.map(|exchange| exchange.id().to_string());
        tracing::warn!(program = &*self.config.name, id, %error, "not started");
        if let Some(exchange) = exchange {
            ProgramRun::new(Why::NotStarted.token()).record(exchange);
        }
        failed(Why::NotStarted, Some(error))
    }
}

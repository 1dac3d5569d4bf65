//! A run under way: its streams, its events and its times, as one thing to poll.

mod account;
mod deadlines;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::Body;
use proxy_core::clock::later;
use proxy_core::exchange::ProgramRun;
use proxy_core::{BoxError, Clock, Exchange};

use crate::config::ExecConfig;
use crate::errors_log::ErrorsLog;
use crate::fetch::Content;
use crate::frames::Stream;
use crate::metrics::{ExecMetrics, Why};
use crate::pipes::{Input, InputEnd, Output};
use crate::process::message::Exit;
use crate::process::{Event, ExecError, Running};

use account::Account;
use deadlines::{AfterExit, Times};

/// Reads before the task lets others have their turn.
const READS: usize = 16;

/// What a run gives next.
#[derive(Debug)]
pub(crate) enum Piece {
    /// Output.
    Data(Stream, Bytes),
    /// It has ended, and there is no more.
    End(Why),
}

/// A run under way. Dropping it ends the program.
pub(crate) struct Live<B> {
    running: Running,
    config: Arc<ExecConfig>,
    input: Option<Input<Content<B>>>,
    output: Option<Output>,
    errors: Option<Output>,
    /// Whether standard errors are given as pieces.
    as_frames: bool,
    log: ErrorsLog,
    pub(crate) exit: Option<Exit>,
    pub(crate) failure: Option<ExecError>,
    times: Times,
    account: Account,
    /// It is a CGI program whose fields have not been read.
    awaits_head: bool,
}

impl<B> Live<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    #[allow(clippy::too_many_arguments, reason = "made in one place")]
    pub(crate) fn new(
        running: Running,
        config: &Arc<ExecConfig>,
        (input, output, errors): (Option<Input<Content<B>>>, Output, Option<Output>),
        as_frames: bool,
        clock: &Arc<dyn Clock>,
        metrics: &Arc<ExecMetrics>,
        exchange: Option<&Exchange>,
        queued: Duration,
    ) -> Self {
        let began = clock.now();
        let mut run = ProgramRun::new(Why::ClientLeft.token());
        run.queued = queued;
        if let Some(exchange) = exchange {
            // Where the record is finished before this is: what is known by then.
            run.clone().record(exchange);
        }
        let id = exchange.map(|exchange| exchange.id().to_string()).unwrap_or_default();
        Self {
            running,
            config: Arc::clone(config),
            input,
            output: Some(output),
            errors,
            as_frames,
            log: ErrorsLog::new(&config.name, id),
            exit: None,
            failure: None,
            times: Times {
                clock: Arc::clone(clock),
                began,
                started: false,
                first_byte: None,
                moved: began,
                exited: None,
                sleep: None,
            },
            account: Account {
                program: Arc::clone(&config.name),
                metrics: Arc::clone(metrics),
                clock: Arc::clone(clock),
                exchange: exchange.cloned(),
                began,
                run,
                told: false,
            },
            awaits_head: config.cgi,
        }
    }

    /// The next piece. After the end it gives the end again.
    pub(crate) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        if let Poll::Ready(why) = self.poll_events(cx) {
            return self.end(why);
        }
        // Whoever writes without end is never idle.
        if let Some(why) = self.over() {
            return self.end(why);
        }
        if let Some(input) = &mut self.input {
            let end = input.poll_end(cx);
            if input.sent() > self.account.run.input_bytes {
                self.times.moved = self.times.clock.now();
            }
            self.account.run.input_bytes = input.sent();
            if let Poll::Ready(end) = end {
                let is_fetched = input.content().is_fetched();
                self.input = None;
                if let InputEnd::Broken(error) = end {
                    tracing::debug!(%error, is_fetched, "what the program reads broke off");
                    return self.end(if is_fetched { Why::FetchBroke } else { Why::InputBroke });
                }
            }
        }
        if let Some((stream, data)) = self.poll_streams(cx) {
            return match self.take(stream, &data) {
                Some(why) => self.end(why),
                None => Poll::Ready(Piece::Data(stream, data)),
            };
        }
        // An exit is heard after the last bytes that were in the pipes have been read.
        if let Some(exit) = self.exit
            && self.output.is_none()
            && self.errors.is_none()
        {
            return self.end(self.judge(&exit));
        }
        if let Poll::Ready(why) = self.poll_times(cx) {
            return self.end(why);
        }
        Poll::Pending
    }

    fn poll_events(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        while self.exit.is_none()
            && let Poll::Ready(event) = self.running.poll_event(cx)
        {
            match event {
                Event::Started => self.times.start(),
                Event::Failed(error) => {
                    self.failure = Some(error);
                    return Poll::Ready(Why::NotStarted);
                }
                Event::Lost => {
                    // Whoever has written has run, though the warden died before it could say so.
                    let has_run = self.times.started || self.in_pipes() > 0;
                    self.failure = (!has_run).then_some(ExecError::Exhausted);
                    return Poll::Ready(if has_run { Why::Lost } else { Why::NotStarted });
                }
                Event::Exited { exit, .. } => {
                    self.times.start();
                    let until = later(self.times.clock.now(), self.config.timeouts.kill_after);
                    let owed = self.in_pipes();
                    self.times.exited = Some(AfterExit { until, owed, is_over: false });
                    self.exit = Some(exit);
                    let run = &mut self.account.run;
                    (run.exit, run.signal) = (exit.code, exit.signal);
                    run.user = Duration::from_micros(exit.user_micros);
                    run.system = Duration::from_micros(exit.system_micros);
                    run.peak_memory = exit.peak_bytes;
                }
            }
        }
        Poll::Pending
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) -> Option<(Stream, Bytes)> {
        for stream in [Stream::Output, Stream::Errors] {
            let mut reads = 0;
            let pipe = match stream {
                Stream::Output => &mut self.output,
                Stream::Errors => &mut self.errors,
            };
            while let Some(open) = pipe
                && let Poll::Ready(read) = open.poll_read(cx)
            {
                match read {
                    Ok(data) if !data.is_empty() => {
                        self.times.start();
                        if let Some(after) = &mut self.times.exited {
                            after.owed = after.owed.saturating_sub(data.len() as u64);
                        }
                        if stream == Stream::Output || self.as_frames {
                            return Some((stream, data));
                        }
                        self.log.push(&data);
                        reads += 1;
                        if reads == READS {
                            cx.waker().wake_by_ref();
                            break;
                        }
                    }
                    _ => *pipe = None,
                }
            }
        }
        None
    }

    /// Accounts for output.
    fn take(&mut self, stream: Stream, data: &Bytes) -> Option<Why> {
        let now = self.times.clock.now();
        self.times.moved = now;
        if self.times.first_byte.is_none() {
            self.times.first_byte = Some(now);
            let after = now.saturating_duration_since(self.times.began);
            self.account.run.first_byte = Some(after);
            self.account.metrics.first_byte(after);
        }
        if stream == Stream::Errors {
            self.log.push(data);
        }
        self.account.run.output_bytes += data.len() as u64;
        let over =
            self.config.limits.output.is_some_and(|most| self.account.run.output_bytes > most);
        over.then_some(Why::OutputLimit)
    }

    fn judge(&self, exit: &Exit) -> Why {
        match exit.code {
            _ if exit.out_of_memory => Why::OutOfMemory,
            _ if exit.timed_out => Why::TotalTimeout,
            Some(code) if self.awaits_head && self.config.success.contains(&code) => Why::BadHead,
            Some(code) if self.config.success.contains(&code) => Why::Exit,
            Some(_) => Why::Failed,
            None => Why::Signal,
        }
    }

    fn end(&mut self, why: Why) -> Poll<Piece> {
        self.conclude(why);
        Poll::Ready(Piece::End(why))
    }
}

impl<B> Live<B> {
    /// The head of a CGI program has been read.
    pub(crate) const fn has_head(&mut self) {
        self.awaits_head = false;
    }

    /// Whether the program runs, or has.
    pub(crate) const fn is_started(&self) -> bool {
        self.times.started
    }

    /// Ends what is left of it, and says so: in the log, in the record, in the metrics. Once.
    pub(crate) fn conclude(&mut self, why: Why) {
        // What is left of it does not outlive what it was for.
        self.running.end();
        (self.input, self.output, self.errors) = (None, None, None);
        let tail = self.log.finish();
        self.account.tell(why, self.failure, &tail);
    }
}

impl<B> Drop for Live<B> {
    fn drop(&mut self) {
        // Whoever is still running has lost its client.
        self.conclude(Why::ClientLeft);
    }
}

impl<B> std::fmt::Debug for Live<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("program", &self.config.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;

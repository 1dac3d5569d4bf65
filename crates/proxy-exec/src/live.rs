//! A run under way: its streams, its events and its times, as one thing to poll.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body::Body;
use proxy_core::exchange::ProgramRun;
use proxy_core::{BoxError, Clock, Exchange, Sleep};

use crate::config::ExecConfig;
use crate::errors_log::ErrorsLog;
use crate::frames::{Stream, signal_name};
use crate::metrics::{ExecMetrics, Why};
use crate::pipes::{Input, InputEnd, Output};
use crate::process::message::Exit;
use crate::process::{Event, ExecError, Running};

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
    input: Option<Input<B>>,
    output: Option<Output>,
    errors: Option<Output>,
    /// Whether standard errors are given as pieces.
    as_frames: bool,
    log: ErrorsLog,
    pub(crate) exit: Option<Exit>,
    pub(crate) failure: Option<ExecError>,
    times: Times,
    account: Account,
}

/// Deadlines. One timer: it is set again when it fires too early, which is seldom.
struct Times {
    clock: Arc<dyn Clock>,
    began: Instant,
    started: bool,
    first_byte: Option<Instant>,
    /// When something moved last.
    moved: Instant,
    exited: Option<AfterExit>,
    sleep: Option<(Instant, Sleep)>,
}

/// What is still to be read after the program has ended. Its own last bytes are in the pipes by
/// then, and a client takes them as slowly as it likes; others may hold the pipes for a while.
struct AfterExit {
    /// Until when whoever else holds the pipes may write.
    until: Instant,
    /// Bytes that are read whatever the time.
    owed: u64,
    /// The time is over, and `owed` is what was in the pipes then.
    is_over: bool,
}

/// What a run is accounted as when it is over, however that comes about.
struct Account {
    metrics: Arc<ExecMetrics>,
    clock: Arc<dyn Clock>,
    exchange: Option<Exchange>,
    began: Instant,
    run: ProgramRun,
    told: bool,
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
        (input, output, errors): (Option<Input<B>>, Output, Option<Output>),
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
                metrics: Arc::clone(metrics),
                clock: Arc::clone(clock),
                exchange: exchange.cloned(),
                began,
                run,
                told: false,
            },
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
                self.input = None;
                if let InputEnd::Broken(error) = end {
                    tracing::debug!(%error, "the content of the request broke off");
                    return self.end(Why::InputBroke);
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
                Event::Started => {
                    self.times.started = true;
                    self.times.moved = self.times.clock.now();
                }
                Event::Failed(error) => {
                    self.failure = Some(error);
                    return Poll::Ready(Why::NotStarted);
                }
                Event::Lost => {
                    let started = std::mem::replace(&mut self.times.started, true);
                    self.failure = (!started).then_some(ExecError::Exhausted);
                    return Poll::Ready(if started { Why::Lost } else { Why::NotStarted });
                }
                Event::Exited { exit, .. } => {
                    self.times.started = true;
                    let until = self.times.clock.now() + self.config.timeouts.kill_after;
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
            _ if exit.timed_out => Why::TotalTimeout,
            Some(code) if self.config.success.contains(&code) => Why::Exit,
            Some(_) => Why::Failed,
            None => Why::Signal,
        }
    }

    fn poll_times(&mut self, cx: &mut Context<'_>) -> Poll<Why> {
        loop {
            let Some((at, why)) = self.deadline() else { return Poll::Pending };
            if at <= self.times.clock.now() {
                // Who holds the output after the program has ended is asked at the next turn.
                if let Some(why) = why.or_else(|| self.over()) {
                    return Poll::Ready(why);
                }
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if self.times.sleep.as_ref().is_none_or(|(until, _)| *until > at) {
                self.times.sleep = Some((at, self.times.clock.sleep_until(at)));
            }
            let Some((_, sleep)) = &mut self.times.sleep else { return Poll::Pending };
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.times.sleep = None;
        }
    }

    /// Bytes that wait in the pipes.
    fn in_pipes(&self) -> u64 {
        let waiting = |pipe: &Option<Output>| pipe.as_ref().map_or(0, Output::waiting);
        waiting(&self.output) + waiting(&self.errors)
    }

    /// Whether the time is over that nothing moves: of the whole, or of those who hold the output
    /// after the program has ended. Nothing that was in the pipes by then is lost.
    fn over(&mut self) -> Option<Why> {
        let now = self.times.clock.now();
        let Some(exit) = self.exit else {
            let total = self.config.timeouts.total?;
            return (self.times.began + total <= now).then_some(Why::TotalTimeout);
        };
        let waiting = self.in_pipes();
        let after = self.times.exited.as_mut()?;
        if after.until > now || (after.owed > 0 && waiting > 0) {
            return None;
        }
        if !std::mem::replace(&mut after.is_over, true) {
            after.owed = waiting;
        }
        if after.owed > 0 && waiting > 0 {
            return None;
        }
        let given = self.output.as_ref().is_none_or(|pipe| pipe.waiting() == 0);
        Some(match self.judge(&exit) {
            // There is always more: what has been given is not all.
            Why::Exit if !given => Why::OutputHeld,
            why => why,
        })
    }

    /// The next deadline, and what it means; of `over` otherwise.
    fn deadline(&self) -> Option<(Instant, Option<Why>)> {
        let (own, times) = (&self.config.timeouts, &self.times);
        if let Some(after) = &times.exited {
            return Some((after.until, None));
        }
        let total = own.total.map(|most| (times.began + most, Some(Why::TotalTimeout)));
        let step = if !times.started {
            Some((times.began + own.start, Some(Why::StartTimeout)))
        } else if times.first_byte.is_none() {
            own.first_byte.map(|most| (times.moved + most, Some(Why::FirstByteTimeout)))
        } else {
            own.read_idle.map(|most| (times.moved + most, Some(Why::IdleTimeout)))
        };
        total.into_iter().chain(step).min_by_key(|(at, _)| *at)
    }

    fn end(&mut self, why: Why) -> Poll<Piece> {
        if !self.account.told {
            // What is left of it does not outlive what it was for.
            self.running.end();
            (self.input, self.output, self.errors) = (None, None, None);
            let tail = self.log.finish();
            let run = &self.account.run;
            let (exit, signal) = (run.exit, run.signal.map(signal_name));
            let program = &*self.config.name;
            match why {
                Why::Exit => tracing::debug!(program, exit, "ended"),
                Why::NotStarted => {
                    let error = self.failure.map(|error| error.to_string());
                    tracing::warn!(program, error, "not started");
                }
                _ => {
                    let (why, signal) = (why.token(), signal.as_deref());
                    tracing::warn!(program, exit, signal, why, errors = tail, "failed");
                }
            }
            self.account.tell(why);
        }
        Poll::Ready(Piece::End(why))
    }
}

impl<B> Live<B> {
    /// Says that the client does not take what it would be given.
    pub(crate) fn refuse(&mut self, why: Why) {
        self.running.end();
        self.account.tell(why);
    }
}

impl Account {
    fn tell(&mut self, why: Why) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.run.why = why.token();
        self.run.duration = self.clock.now().saturating_duration_since(self.began);
        let run = &self.run;
        self.metrics.ended(why);
        self.metrics.carried(run.duration, run.input_bytes, run.output_bytes);
        if let Some(exchange) = &self.exchange {
            self.run.clone().record(exchange);
        }
    }
}

impl Drop for Account {
    fn drop(&mut self) {
        self.tell(Why::ClientLeft);
    }
}

impl<B> std::fmt::Debug for Live<B> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live").field("program", &self.config.name).finish_non_exhaustive()
    }
}

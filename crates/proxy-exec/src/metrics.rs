//! What runs are counted as.

use std::sync::Arc;
use std::time::Duration;

use metrics::{
    Counter, Gauge, Histogram, Key, KeyName, Label, Level, Metadata, Recorder, SharedString, Unit,
};

use crate::process::message::Exit;

/// A metric: its name and what it means. All have the label `route`.
pub const METRICS: &[(&str, &str)] = &[
    (RUNS, "Runs of programs, by why they ended (label `outcome`)."),
    (RUNNING, "Runs of programs under way, those that are being ended among them."),
    (QUEUED, "Requests that wait for a run to end."),
    (DURATION, "Seconds from the order to start a program to the end of its output."),
    (FIRST_BYTE, "Seconds from the order to start a program to its first byte."),
    (INPUT, "Bytes of content that programs were given."),
    (OUTPUT, "Bytes that programs wrote to standard output."),
    (CPU, "Processor time that programs used."),
    (PEAK_MEMORY, "The most memory that a program had, in bytes."),
];

const RUNS: &str = "proxy_exec_runs_total";
const RUNNING: &str = "proxy_exec_running";
const QUEUED: &str = "proxy_exec_queued";
const DURATION: &str = "proxy_exec_run_duration_seconds";
const FIRST_BYTE: &str = "proxy_exec_first_byte_duration_seconds";
const INPUT: &str = "proxy_exec_input_bytes_total";
const OUTPUT: &str = "proxy_exec_output_bytes_total";
const CPU: &str = "proxy_exec_cpu_microseconds_total";
const PEAK_MEMORY: &str = "proxy_exec_peak_memory_bytes";

/// Why a run ended. The tokens stand in logs and labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[non_exhaustive]
pub enum Why {
    /// It ended by itself, with a status that means success.
    Exit,
    /// With another status.
    Failed,
    /// By a signal that was not ours.
    Signal,
    /// It could not be started.
    NotStarted,
    /// Its turn did not come.
    Queue,
    /// The client left.
    ClientLeft,
    /// The client's content broke off.
    InputBroke,
    /// What a URL names could not be had.
    NotFetched,
    /// What a URL names broke off, or was too much.
    FetchBroke,
    /// It did not start in time.
    StartTimeout,
    /// Its first byte did not come in time.
    FirstByteTimeout,
    /// Its next byte did not come in time.
    IdleTimeout,
    /// It took too long.
    TotalTimeout,
    /// It wrote too much.
    OutputLimit,
    /// Its output began with no fields, and it is a CGI program.
    BadHead,
    /// It ended well, and something that it left behind wrote on without end.
    OutputHeld,
    /// The process that starts and ends programs was killed.
    Lost,
    /// Its control group had no memory left.
    OutOfMemory,
}

const WHYS: [(Why, &str); 18] = [
    (Why::Exit, "exit"),
    (Why::Failed, "failed"),
    (Why::Signal, "signal"),
    (Why::NotStarted, "not_started"),
    (Why::Queue, "queue"),
    (Why::ClientLeft, "client_left"),
    (Why::InputBroke, "input_broke"),
    (Why::NotFetched, "not_fetched"),
    (Why::FetchBroke, "fetch_broke"),
    (Why::StartTimeout, "start_timeout"),
    (Why::FirstByteTimeout, "first_byte_timeout"),
    (Why::IdleTimeout, "idle_timeout"),
    (Why::TotalTimeout, "total_timeout"),
    (Why::OutputLimit, "output_limit"),
    (Why::BadHead, "bad_head"),
    (Why::OutputHeld, "output_held"),
    (Why::Lost, "lost"),
    (Why::OutOfMemory, "out_of_memory"),
];

impl Why {
    /// The word in logs and labels.
    pub const fn token(self) -> &'static str {
        WHYS[self as usize].1
    }
}

/// The counters of one program.
#[derive(Debug)]
pub(crate) struct ExecMetrics {
    runs: [Counter; WHYS.len()],
    pub(crate) running: Gauge,
    pub(crate) queued: Gauge,
    duration: Histogram,
    first_byte: Histogram,
    input: Counter,
    output: Counter,
    cpu: Counter,
    peak_memory: Histogram,
}

impl Default for ExecMetrics {
    fn default() -> Self {
        Self {
            runs: std::array::from_fn(|_| Counter::noop()),
            running: Gauge::noop(),
            queued: Gauge::noop(),
            duration: Histogram::noop(),
            first_byte: Histogram::noop(),
            input: Counter::noop(),
            output: Counter::noop(),
            cpu: Counter::noop(),
            peak_memory: Histogram::noop(),
        }
    }
}

impl ExecMetrics {
    pub(crate) fn new(recorder: &dyn Recorder, route: &str) -> Self {
        for (name, what) in METRICS {
            let (name, what) = (KeyName::from_const_str(name), SharedString::const_str(what));
            match name.as_str() {
                RUNS | INPUT | OUTPUT | CPU => recorder.describe_counter(name, None, what),
                RUNNING | QUEUED => recorder.describe_gauge(name, Some(Unit::Count), what),
                _ => recorder.describe_histogram(name, None, what),
            }
        }
        let metadata = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));
        let route = Label::new("route", route.to_owned());
        let key = |name: &'static str| Key::from_parts(name, vec![route.clone()]);
        Self {
            runs: std::array::from_fn(|n| {
                let outcome = Label::from_static_parts("outcome", WHYS[n].1);
                let key = Key::from_parts(RUNS, vec![route.clone(), outcome]);
                recorder.register_counter(&key, &metadata)
            }),
            running: recorder.register_gauge(&key(RUNNING), &metadata),
            queued: recorder.register_gauge(&key(QUEUED), &metadata),
            duration: recorder.register_histogram(&key(DURATION), &metadata),
            first_byte: recorder.register_histogram(&key(FIRST_BYTE), &metadata),
            input: recorder.register_counter(&key(INPUT), &metadata),
            output: recorder.register_counter(&key(OUTPUT), &metadata),
            cpu: recorder.register_counter(&key(CPU), &metadata),
            peak_memory: recorder.register_histogram(&key(PEAK_MEMORY), &metadata),
        }
    }

    pub(crate) fn ended(&self, why: Why) {
        self.runs[why as usize].increment(1);
    }

    pub(crate) fn first_byte(&self, after: Duration) {
        self.first_byte.record(after);
    }

    pub(crate) fn carried(&self, duration: Duration, input: u64, output: u64) {
        self.duration.record(duration);
        self.input.increment(input);
        self.output.increment(output);
    }
}

/// Held as long as anybody of a run is there.
#[derive(Debug)]
pub(crate) struct Ticket<P> {
    metrics: Arc<ExecMetrics>,
    _places: P,
}

impl<P: Send + 'static> Ticket<P> {
    pub(crate) fn new(metrics: &Arc<ExecMetrics>, places: P) -> Self {
        metrics.running.increment(1.0);
        Self { metrics: Arc::clone(metrics), _places: places }
    }
}

impl<P> Drop for Ticket<P> {
    fn drop(&mut self) {
        self.metrics.running.decrement(1.0);
    }
}

impl<P: Send> crate::process::RunTicket for Ticket<P> {
    fn exited(&mut self, exit: &Exit) {
        self.metrics.cpu.increment(exit.user_micros + exit.system_micros);
        self.metrics.peak_memory.record(exit.peak_bytes as f64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_stands_at_its_place() {
        for (at, (why, _)) in WHYS.iter().enumerate() {
            assert_eq!(*why as usize, at);
        }
    }
}

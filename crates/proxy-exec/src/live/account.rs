//! What a run is accounted as: in the log, in the record of the exchange, in the metrics.

use std::sync::Arc;
use std::time::Instant;

use proxy_core::exchange::ProgramRun;
use proxy_core::{Clock, Exchange};

use crate::frames::signal_name;
use crate::metrics::{ExecMetrics, Why};
use crate::process::ExecError;

/// What a run is accounted as when it is over, however that comes about.
pub(super) struct Account {
    pub(super) program: Arc<str>,
    pub(super) metrics: Arc<ExecMetrics>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) exchange: Option<Exchange>,
    pub(super) began: Instant,
    pub(super) run: ProgramRun,
    pub(super) told: bool,
}

impl Account {
    /// Tells it, once. `tail`: the last words of standard errors.
    pub(super) fn tell(&mut self, why: Why, failure: Option<ExecError>, tail: &str) {
        if std::mem::replace(&mut self.told, true) {
            return;
        }
        self.run.why = why.token();
        self.run.duration = self.clock.now().saturating_duration_since(self.began);
        let run = &self.run;
        self.metrics.ended(why);
        self.metrics.carried(run.duration, run.input_bytes, run.output_bytes);
        if let Some(exchange) = &self.exchange {
            run.clone().record(exchange);
        }
        let id = self.exchange.as_ref().map(|exchange| exchange.id().to_string());
        let (program, exit, bytes) = (&*self.program, run.exit, run.output_bytes);
        let (signal, token) = (run.signal.map(signal_name), why.token());
        match why {
            Why::Exit => tracing::debug!(program, id, exit, bytes, "ended"),
            Why::ClientLeft => {
                tracing::info!(program, id, bytes, errors = tail, "ended: its client left");
            }
            Why::NotStarted => {
                let error = failure.map(|error| error.to_string());
                tracing::warn!(program, id, error, "not started");
            }
            _ => tracing::warn!(
                program,
                id,
                exit,
                signal,
                bytes,
                why = token,
                errors = tail,
                "failed"
            ),
        }
    }
}

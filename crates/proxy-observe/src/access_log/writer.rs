//! The writer's thread.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::OnError;
use super::queue::{Output, Queue, count_lines};

/// After a burst the memory beyond this is given back.
const KEPT: usize = 1 << 20;
/// Failed writes are reported no more often.
const REPORT_INTERVAL: Duration = Duration::from_secs(60);
/// An output that takes nothing now (a full pipe that does not block) is tried again this often.
const RETRIES: u32 = 100;
const RETRY_INTERVAL: Duration = Duration::from_millis(5);

/// See the module.
pub(super) struct Writer {
    queue: Arc<Queue>,
    output: Output,
    on_error: OnError,
    reported: Option<Instant>,
    /// The last write broke off inside a line.
    torn: bool,
}

impl Writer {
    pub(super) fn new(queue: Arc<Queue>, output: Output, on_error: OnError) -> Self {
        Self { queue, output, on_error, reported: None, torn: false }
    }

    /// Until the queue closes.
    pub(super) fn run(mut self) {
        let mut batch = Vec::new();
        loop {
            let work = self.queue.next(&mut batch);
            if let Some(output) = work.output {
                self.output = output;
                self.torn = false;
            }
            self.write(&batch);
            batch.clear();
            batch.shrink_to(KEPT);
            self.queue.settle();
            if work.last {
                return;
            }
        }
    }

    fn write(&mut self, batch: &[u8]) {
        if batch.is_empty() {
            return;
        }
        if let Err(error) = self.end_torn_line() {
            self.queue.lose(count_lines(batch));
            return self.failed(&error);
        }
        let mut rest = batch;
        while !rest.is_empty() {
            let mut written = 0;
            let result = write_all(&self.queue, &mut self.output, rest, &mut written);
            let (done, left) = rest.split_at(written);
            rest = left;
            if let Err(error) = result {
                self.torn |= done.last().is_some_and(|last| *last != b'\n');
                let lost = self.output.lost_by(rest, &error).clamp(1, rest.len().max(1));
                let (lost, left) = rest.split_at(lost.min(rest.len()));
                self.queue.lose(count_lines(lost));
                self.failed(&error);
                rest = left;
            }
        }
        if let Err(error) = self.output.flush_lines() {
            self.failed(&error);
        }
    }

    fn failed(&mut self, error: &io::Error) {
        let failures = self.queue.write_failed();
        let now = Instant::now();
        if is_due(self.reported, now) {
            self.reported = Some(now);
            (self.on_error)(error, failures);
        }
    }

    /// So that the next line does not run on from half of another.
    fn end_torn_line(&mut self) -> io::Result<()> {
        if self.torn {
            write_all(&self.queue, &mut self.output, b"\n", &mut 0)?;
            self.torn = false;
        }
        Ok(())
    }
}

impl Drop for Writer {
    /// Also when the output panics: nobody may wait for this thread then.
    fn drop(&mut self) {
        self.queue.writer_gone();
    }
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.saturating_duration_since(last) >= REPORT_INTERVAL)
}

fn write_all(
    queue: &Queue,
    output: &mut Output,
    bytes: &[u8],
    written: &mut usize,
) -> io::Result<()> {
    let mut retries = 0;
    while *written < bytes.len() {
        match output.write_lines(&bytes[*written..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                *written += n;
                retries = 0;
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e)
                if e.kind() == ErrorKind::WouldBlock
                    && (retries < RETRIES || queue.is_patient()) =>
            {
                retries = retries.saturating_add(1);
                thread::sleep(RETRY_INTERVAL);
            }
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_reported_once_a_minute() {
        let start = Instant::now();
        assert!(is_due(None, start));
        assert!(!is_due(Some(start), start + Duration::from_secs(59)));
        assert!(is_due(Some(start), start + REPORT_INTERVAL));
    }
}

//! Standard error, written by a thread of its own: no worker waits for whoever reads it, though a
//! program writes line after line. What does not fit into the queue is lost, and said so.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait.
const QUEUE: usize = 1024;

/// Where the log of the process goes. A clone is the same.
#[derive(Clone, Debug)]
pub struct StandardError {
    lines: SyncSender<Message>,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Vec<u8>),
    Flush(SyncSender<()>),
}

impl StandardError {
    /// Starts the thread.
    ///
    /// # Errors
    /// Where none can be started.
    pub fn start() -> io::Result<Self> {
        Self::into(io::stderr())
    }

    fn into(output: impl Write + Send + 'static) -> io::Result<Self> {
        let (lines, waiting) = sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let own = Arc::clone(&lost);
        thread::Builder::new()
            .name("stderr".to_owned())
            .spawn(move || write_all(&waiting, &own, output))?;
        Ok(Self { lines, lost })
    }

    /// Waits until what is there by now is written; for so long at most.
    pub fn flush(&self, limit: Duration) {
        let (done, written) = sync_channel(1);
        // A full queue is not waited for: whoever reads it does not.
        if self.lines.try_send(Message::Flush(done)).is_ok() {
            let _ = written.recv_timeout(limit);
        }
    }
}

/// A failure has nowhere to be told.
fn write_all(waiting: &Receiver<Message>, lost: &AtomicU64, mut output: impl Write) {
    for message in waiting {
        match message {
            Message::Line(line) => drop(output.write_all(&line)),
            Message::Flush(done) => drop((output.flush(), done.send(()))),
        }
        match lost.swap(0, Ordering::Relaxed) {
            0 => {}
            n => drop(writeln!(output, "proxyd: {n} lines of this log were lost")),
        }
    }
}

impl<'a> MakeWriter<'a> for StandardError {
    type Writer = Lines<'a>;

    fn make_writer(&'a self) -> Lines<'a> {
        Lines(self)
    }
}

/// Hands over each line, which comes in one piece.
#[derive(Debug)]
pub struct Lines<'a>(&'a StandardError);

impl Write for Lines<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.0.lines.try_send(Message::Line(line.to_vec())).is_err() {
            self.0.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    /// Takes nothing until it is opened.
    #[derive(Clone, Default)]
    struct Gate(Arc<Held>);

    /// Whether it is open, and what it took.
    type Held = (Mutex<(bool, Vec<u8>)>, Condvar);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let (state, opened) = &*self.0;
            let mut state = opened.wait_while(state.lock().unwrap(), |state| !state.0).unwrap();
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_and_what_is_lost_is_said() {
        let gate = Gate::default();
        let own = StandardError::into(gate.clone()).unwrap();
        // One line is in the thread's hands, or will be; the queue takes the rest.
        for n in 0..QUEUE + 11 {
            own.make_writer().write_all(format!("line {n}\n").as_bytes()).unwrap();
        }
        gate.0.0.lock().unwrap().0 = true;
        gate.0.1.notify_all();
        // The queue is full until then.
        for _ in 0..1000 {
            own.flush(Duration::from_secs(30));
            if !gate.0.0.lock().unwrap().1.is_empty() {
                break;
            }
            thread::sleep(Duration::from_millis(5));
        }
        let (done, written) = sync_channel(1);
        own.lines.send(Message::Flush(done)).unwrap();
        written.recv_timeout(Duration::from_secs(30)).unwrap();
        let text = String::from_utf8(gate.0.0.lock().unwrap().1.clone()).unwrap();
        let lines = text.lines().filter(|line| line.starts_with("line ")).count();
        let lost: usize = text
            .lines()
            .filter_map(|line| {
                line.strip_prefix("proxyd: ")?.split(' ').next()?.parse::<usize>().ok()
            })
            .sum();
        assert!(lost >= 10, "{lost}");
        assert_eq!(lines + lost, QUEUE + 11);
    }
}

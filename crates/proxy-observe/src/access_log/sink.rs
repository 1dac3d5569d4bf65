//! Where lines go.

use std::io::{self, Write};

/// Takes the lines of an access log: anything that can be [written](Write) to, or your own.
///
/// Called on the log's own thread: it may block, and holds up no request unless the log is told to
/// [block](super::Overflow::Block).
///
/// ```
/// use std::io;
/// use std::sync::mpsc::{Sender, channel};
/// use proxy_observe::AccessLog;
/// use proxy_observe::access_log::AccessLogSink;
///
/// /// Gives each line to somebody else.
/// struct Lines(Sender<String>);
///
/// impl AccessLogSink for Lines {
///     fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
///         for line in String::from_utf8_lossy(lines).lines() {
///             self.0.send(line.to_owned()).map_err(io::Error::other)?;
///         }
///         Ok(lines.len())
///     }
/// }
///
/// # fn main() -> io::Result<()> {
/// let (sender, _lines) = channel();
/// let log = AccessLog::builder(Default::default()).start(Lines(sender))?;
/// # Ok(())
/// # }
/// ```
pub trait AccessLogSink: Send + 'static {
    /// Takes lines, or the beginning of them: whole ones, each with its end. Gives how many bytes
    /// it took; it is called again with the rest.
    ///
    /// # Errors
    /// What it did not take is lost, and counted.
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize>;

    /// How much of these lines, which begin with the one that failed, an error has lost: whole ones
    /// from the first on. All of them by default; a sink for which each line stands alone says the
    /// first one.
    fn lost_by(&self, lines: &[u8], error: &io::Error) -> usize {
        let _ = error;
        lines.len()
    }

    /// Passes on what it holds back. Called after each piece.
    ///
    /// # Errors
    /// As [`write_lines`](Self::write_lines).
    fn flush_lines(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<W: Write + Send + 'static> AccessLogSink for W {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        Write::write(self, lines)
    }

    fn flush_lines(&mut self) -> io::Result<()> {
        Write::flush(self)
    }
}

/// The first line of a piece, its end included.
pub(super) fn first_line(lines: &[u8]) -> &[u8] {
    let end = lines.iter().position(|byte| *byte == b'\n').map_or(lines.len(), |at| at + 1);
    &lines[..end]
}

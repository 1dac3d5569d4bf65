//! Logs of the system: syslog (RFC 5424) and the journal of systemd, a datagram for each line.

use std::fmt::Write as _;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::sink::{AccessLogSink, first_line};
use crate::date::Civil;

/// Where the journal takes entries.
pub const JOURNAL: &str = "/run/systemd/journal/socket";

/// A longer line is cut: no datagram over IPv4 takes more.
const LONGEST: usize = 60 << 10;

/// The address of a syslog.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddress {
    /// A datagram socket of this machine, such as `/dev/log`.
    Unix(PathBuf),
    /// UDP (RFC 5426).
    Udp(SocketAddr),
}

/// A syslog: each line is one message of RFC 5424, with priority informational.
#[derive(Debug)]
pub struct Syslog {
    address: SyslogAddress,
    socket: Option<Socket>,
    /// `<PRI>1 `, then ` HOST NAME PROCID access - `.
    before: String,
    after: String,
    message: Vec<u8>,
}

/// Facility `local0` (16), severity informational (6): RFC 5424 section 6.2.1.
const PRIORITY: u8 = 16 * 8 + 6;

impl Syslog {
    /// Messages of this program's name (APP-NAME; printable ASCII, at most 48) go there.
    ///
    /// # Errors
    /// Where there is nothing at the address.
    pub fn open(address: SyslogAddress, name: &str) -> io::Result<Self> {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let mut after = String::new();
        let _ = write!(
            after,
            " {} {} {} access - ",
            word(&host, 255),
            word(name, 48),
            std::process::id()
        );
        let socket = Some(Socket::open(&address)?);
        let before = format!("<{PRIORITY}>1 ");
        Ok(Self { address, socket, before, after, message: Vec::new() })
    }
}

/// A field of the head: printable ASCII without spaces, `-` where there is none.
fn word(text: &str, longest: usize) -> String {
    let word: String = text.chars().filter(char::is_ascii_graphic).take(longest).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

impl AccessLogSink for Syslog {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        let line = first_line(lines);
        self.message.clear();
        self.message.extend_from_slice(self.before.as_bytes());
        Civil::of(SystemTime::now()).rfc3339(&mut self.message);
        self.message.extend_from_slice(self.after.as_bytes());
        self.message.extend_from_slice(shown(line));
        let address = &self.address;
        send(&mut self.socket, || Socket::open(address), &self.message)?;
        Ok(line.len())
    }

    fn lost_by(&self, lines: &[u8], error: &io::Error) -> usize {
        lost(lines, error)
    }
}

/// The journal of systemd: each line is the `MESSAGE` of an entry.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    socket: Option<Socket>,
    fields: String,
    message: Vec<u8>,
}

impl Journal {
    /// Entries of this name (`SYSLOG_IDENTIFIER`) go to the socket, which is [`JOURNAL`] as a rule.
    ///
    /// # Errors
    /// Where there is no journal.
    pub fn open(path: impl AsRef<Path>, name: &str) -> io::Result<Self> {
        let path = path.as_ref().to_owned();
        let socket = Some(Socket::open(&SyslogAddress::Unix(path.clone()))?);
        let fields = format!("PRIORITY=6\nSYSLOG_IDENTIFIER={}\nMESSAGE=", word(name, 48));
        Ok(Self { path, socket, fields, message: Vec::new() })
    }
}

impl AccessLogSink for Journal {
    fn write_lines(&mut self, lines: &[u8]) -> io::Result<usize> {
        let line = first_line(lines);
        self.message.clear();
        self.message.extend_from_slice(self.fields.as_bytes());
        // No line has an end within itself, so the short form of a field does.
        self.message.extend_from_slice(shown(line));
        self.message.push(b'\n');
        let path = &self.path;
        let open = || Socket::open(&SyslogAddress::Unix(path.clone()));
        send(&mut self.socket, open, &self.message)?;
        Ok(line.len())
    }

    fn lost_by(&self, lines: &[u8], error: &io::Error) -> usize {
        lost(lines, error)
    }
}

fn shown(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    &line[..line.len().min(LONGEST)]
}

/// One datagram; but of a socket that has been full for a while, nothing further is asked.
fn lost(lines: &[u8], error: &io::Error) -> usize {
    match error.kind() {
        io::ErrorKind::WouldBlock => lines.len(),
        _ => first_line(lines).len(),
    }
}

/// A socket whose other end was replaced is opened once more.
fn send(
    socket: &mut Option<Socket>,
    open: impl Fn() -> io::Result<Socket>,
    message: &[u8],
) -> io::Result<()> {
    if let Some(open) = socket {
        match open.send(message) {
            Ok(_) => return Ok(()),
            // Not the socket's fault.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(_) => *socket = None,
        }
    }
    let fresh = open()?;
    fresh.send(message)?;
    *socket = Some(fresh);
    Ok(())
}

#[derive(Debug)]
enum Socket {
    Unix(UnixDatagram),
    Udp(UdpSocket),
}

impl Socket {
    fn open(address: &SyslogAddress) -> io::Result<Self> {
        Ok(match address {
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.connect(path)?;
                Self::Unix(socket)
            }
            SyslogAddress::Udp(address) => {
                let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Self::Udp(socket)
            }
        })
    }

    fn send(&self, message: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(socket) => socket.send(message),
            Self::Udp(socket) => socket.send(message),
        }
    }
}

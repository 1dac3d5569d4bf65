//! Asks a running process through its admin listener.

use std::fs;
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;

use super::ADMIN_ADDRESS;
use super::options::wrong;
use crate::admin_token::made_token_path;
use crate::config::resolved::{Address, Token};
use crate::config::{Diagnostics, plain};

/// How long the admin listener may take to accept.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long it may take to answer: a purge looks at everything that is stored.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// More than any answer has.
const MAX_ANSWER: u64 = 4 << 20;

/// The admin listener to ask, and the token that it wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminListener {
    pub(super) address: Address,
    pub(super) token: TokenSource,
}

/// Where the token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TokenSource {
    /// In a file.
    File(PathBuf),
    /// In the configuration.
    Known(Token),
}

impl AdminListener {
    /// From the command line: the listener's address and the option that names it, the file with its
    /// token, and the token of its configuration where that is known.
    ///
    /// # Errors
    /// An address that is none.
    pub(super) fn new(
        option: &str,
        address: Option<&str>,
        token_file: Option<PathBuf>,
        known: Option<Token>,
    ) -> Result<Self, Diagnostics> {
        let text = address.unwrap_or(ADMIN_ADDRESS);
        let address = match text.strip_prefix("unix:") {
            Some(path) => Some(Address::Unix(path.into())),
            None => text.parse().ok().map(Address::Tcp),
        };
        let Some(address) = address else {
            let message = format!("expected `ip:port` or `unix:/path`, found `{text}`");
            return Err(vec![wrong(option, message)].into());
        };
        let token = match (token_file, known) {
            (Some(file), _) => TokenSource::File(file),
            (None, Some(token)) => TokenSource::Known(token),
            (None, None) => TokenSource::File(made_token_path(&address)),
        };
        Ok(Self { address, token })
    }

    /// Asks for a change, or for what is guarded like one. Gives the content of the answer.
    ///
    /// # Errors
    /// What kept it from being answered.
    pub(super) fn post(&self, path: &str, request: &Value) -> Result<Value, AdminError> {
        let token = match &self.token {
            TokenSource::Known(token) => token.reveal().to_owned(),
            TokenSource::File(file) => fs::read_to_string(file)
                .map_err(|source| AdminError::Token { path: file.clone(), source })?,
        };
        let failed = |source| AdminError::Admin { address: self.address.to_string(), source };
        let (status, content) =
            self.send(|host| post(path, host, token.trim(), request)).map_err(failed)?;
        let answer: Value = serde_json::from_str(&content).unwrap_or_default();
        if status != 200 {
            let reason = answer["error"].as_str().unwrap_or(content.trim()).to_owned();
            return Err(AdminError::Refused { status, reason });
        }
        Ok(answer)
    }

    /// Asks for what everyone may know.
    ///
    /// # Errors
    /// What kept it from being answered with 200.
    pub(super) fn get(&self, path: &str) -> Result<String, AdminError> {
        let failed = |source| AdminError::Admin { address: self.address.to_string(), source };
        let (status, content) = self.send(|host| get(path, host)).map_err(failed)?;
        match status {
            200 => Ok(content),
            status => Err(AdminError::Refused { status, reason: content.trim().to_owned() }),
        }
    }

    /// One request, made for a host, and its answer: status and content.
    fn send(&self, request: impl Fn(&str) -> String) -> io::Result<(u16, String)> {
        match &self.address {
            Address::Tcp(address) => {
                let stream = TcpStream::connect_timeout(address, CONNECT_TIMEOUT)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                exchange(stream, &request(&address.to_string()))
            }
            Address::Unix(socket) => {
                let stream = UnixStream::connect(socket)?;
                stream.set_read_timeout(Some(ANSWER_TIMEOUT))?;
                exchange(stream, &request("localhost"))
            }
        }
    }
}

/// Why a running process did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AdminError {
    /// The token could not be read.
    #[error("cannot read the admin token {}: {}; the proxyd that listens there writes it at its start, and --token-file names another", .path.display(), plain(.source))]
    Token {
        /// Its file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The admin listener could not be asked.
    #[error("cannot ask proxyd on {address}: {}{}", plain(.source), whether_it_runs(.source))]
    Admin {
        /// Where it should be.
        address: String,
        /// Why.
        source: io::Error,
    },
    /// It refused.
    #[error("the admin listener answered {status}: {reason}")]
    Refused {
        /// The status code.
        status: u16,
        /// What it said.
        reason: String,
    },
}

/// The likely reason why nobody answers.
fn whether_it_runs(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => {
            "; nothing listens there: is proxyd running?"
        }
        io::ErrorKind::PermissionDenied => "; ask as the user that it runs as",
        _ => "",
    }
}

impl AdminError {
    /// Whether what was asked is wrong, and not the process that was asked.
    pub fn was_told_wrong(&self) -> bool {
        matches!(self, Self::Refused { status: 400, .. })
    }
}

fn get(path: &str, host: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n")
}

fn post(path: &str, host: &str, token: &str, request: &Value) -> String {
    let content = request.to_string();
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{content}",
        content.len()
    )
}

fn exchange(mut stream: impl Read + Write, request: &str) -> io::Result<(u16, String)> {
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    parse(&answer).ok_or_else(|| io::Error::other("what answers there does not speak HTTP"))
}

/// The admin listener sends its answers whole, and closes after them as it is asked to.
fn parse(answer: &str) -> Option<(u16, String)> {
    let (head, content) = answer.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.get(2..5)?.parse().ok()?;
    Some((status, content.to_owned()))
}

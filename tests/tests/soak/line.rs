//! A connection of a client, in clear text or over TLS, that asks and reads strictly.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use proxyd_tests::wire::{self, Framing, ResponseHead};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::SockRef;

use crate::tally::Fault;

/// A busy machine may take its time; an answer that takes longer has been forgotten.
const PATIENCE: Duration = Duration::from_secs(60);

trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// A connection.
pub(crate) struct Line {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    served: u64,
}

/// A final response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: ResponseHead,
    pub(crate) content: Vec<u8>,
}

impl Answer {
    /// The content of a response with this status.
    pub(crate) fn with(self, status: u16) -> Result<Vec<u8>, Fault> {
        if self.head.status == status {
            return Ok(self.content);
        }
        let text = wire::latin1(&self.content);
        let told =
            format!("{} {:?}: {text:.200}", self.head.status, self.head.fields.all("proxy-status"));
        Err(Fault::Other(told))
    }

    /// Whether the connection ends with it.
    pub(crate) fn is_last(&self) -> bool {
        self.head.fields.lists("connection", "close")
    }
}

fn other(error: &std::io::Error) -> Fault {
    Fault::Other(format!("{:?}: {error}", error.kind()))
}

/// A socket with a deadline for everything.
pub(crate) fn socket(to: SocketAddr) -> Result<TcpStream, Fault> {
    let stream = TcpStream::connect(to).map_err(|error| other(&error))?;
    stream.set_nodelay(true).map_err(|error| other(&error))?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(|error| other(&error))?;
    stream.set_write_timeout(Some(PATIENCE)).map_err(|error| other(&error))?;
    Ok(stream)
}

impl Line {
    pub(crate) fn clear(to: SocketAddr) -> Result<Self, Fault> {
        Ok(Self::over(socket(to)?))
    }

    /// With a receive window as small as a slow reader's.
    pub(crate) fn narrow(to: SocketAddr) -> Result<Self, Fault> {
        let stream = socket(to)?;
        SockRef::from(&stream).set_recv_buffer_size(16 * 1024).map_err(|error| other(&error))?;
        Ok(Self::over(stream))
    }

    /// Over TLS; the second value is the certificate that was shown.
    pub(crate) fn tls(
        to: SocketAddr,
        config: &Arc<ClientConfig>,
        name: &'static str,
    ) -> Result<(Self, Vec<u8>), Fault> {
        let name = ServerName::try_from(name).expect("a name");
        let tls = ClientConnection::new(Arc::clone(config), name).expect("a client");
        let mut stream = StreamOwned::new(tls, socket(to)?);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock).map_err(|error| other(&error))?;
        }
        let shown = stream.conn.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.map(|own| own.to_vec()).unwrap_or_default();
        Ok((Self::over(stream), shown))
    }

    fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new(), served: 0 }
    }

    /// Sends bytes. That the other end is gone is found by reading.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).and_then(|()| self.stream.flush());
    }

    /// Sends a request and reads its answer.
    pub(crate) fn ask(&mut self, method: &str, raw: &[u8]) -> Result<Answer, Fault> {
        self.send(raw);
        self.answer(method)
    }

    /// Reads an answer.
    pub(crate) fn answer(&mut self, method: &str) -> Result<Answer, Fault> {
        let head = self.head()?;
        let framing = wire::response_framing(method, &head).map_err(Fault::Other)?;
        let content = match framing {
            Framing::None => Vec::new(),
            Framing::Length(length) => {
                let length = usize::try_from(length).expect("a length that fits");
                while self.buffer.len() < length {
                    self.fill_content(length)?;
                }
                self.buffer.drain(..length).collect()
            }
            Framing::Chunked => loop {
                if let Some(((content, _), used)) =
                    wire::read_chunked(&self.buffer).map_err(Fault::Other)?
                {
                    self.buffer.drain(..used);
                    break content;
                }
                self.fill_content(0)?;
            },
            Framing::UntilClose => {
                return Err(Fault::Other(format!("no framing: {head:?}")));
            }
        };
        self.served += 1;
        Ok(Answer { head, content })
    }

    /// Reads a final head.
    pub(crate) fn head(&mut self) -> Result<ResponseHead, Fault> {
        loop {
            let read = wire::read_response_head(&self.buffer).map_err(Fault::Other)?;
            if let Some((head, used)) = read {
                self.buffer.drain(..used);
                if head.status >= 200 {
                    return Ok(head);
                }
                continue;
            }
            match self.fill() {
                Ok(true) => {}
                Ok(false) if self.buffer.is_empty() && self.served > 0 => return Err(Fault::Stale),
                Ok(false) => {
                    return Err(Fault::Other("the connection ended without an answer".into()));
                }
                Err(error) => return Err(other(&error)),
            }
        }
    }

    fn fill_content(&mut self, due: usize) -> Result<(), Fault> {
        match self.fill() {
            Ok(true) => Ok(()),
            Ok(false) => Err(Fault::Cut(format!("{} bytes of {due}", self.buffer.len()))),
            Err(error) => Err(other(&error)),
        }
    }

    /// Reads what is there; `false` at the end of the connection, in order or not.
    pub(crate) fn fill(&mut self) -> std::io::Result<bool> {
        let mut piece = [0; 65_536];
        loop {
            match self.stream.read(&mut piece) {
                Ok(0) => return Ok(false),
                Ok(read) => {
                    self.buffer.extend_from_slice(&piece[..read]);
                    return Ok(true);
                }
                Err(error) => match error.kind() {
                    ErrorKind::Interrupted => {}
                    ErrorKind::ConnectionReset
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof => {
                        return Ok(false);
                    }
                    _ => return Err(error),
                },
            }
        }
    }

    /// Reads at most so many bytes, past what is buffered.
    pub(crate) fn sip(&mut self, most: usize) -> std::io::Result<Vec<u8>> {
        if !self.buffer.is_empty() {
            return Ok(std::mem::take(&mut self.buffer));
        }
        let mut piece = vec![0; most];
        let read = self.stream.read(&mut piece)?;
        piece.truncate(read);
        Ok(piece)
    }
}

//! A client that sends any bytes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{
    ClientConfig, Connection, ConnectionError, Endpoint, ReadError, RecvStream, SendStream,
};
use tokio::time::timeout;

use super::super::qpack;
use super::super::varint;
use super::Lines;
use super::server::Server;

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) struct Client {
    pub(super) quic: Connection,
    endpoint: Endpoint,
}

/// What came of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// The last status, the content.
    Answer(u16, String),
    /// The stream was reset.
    Reset(u64),
    /// The connection was closed.
    Closed(u64),
}

/// A response, with all that was in it.
#[derive(Debug, Default)]
pub(super) struct Response {
    /// The field sections, interim ones and trailers included.
    pub(super) sections: Vec<Vec<(String, String)>>,
    pub(super) content: Vec<u8>,
}

impl Response {
    pub(super) fn statuses(&self) -> Vec<&str> {
        let lines = self.sections.iter().flatten();
        lines.filter(|(name, _)| name == ":status").map(|(_, value)| &value[..]).collect()
    }
}

pub(super) fn config(server: &Server) -> ClientConfig {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(server.certificate.clone()).expect("a certificate");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"h3".to_vec()];
    ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("TLS 1.3")))
}

impl Client {
    /// A connection without any stream.
    pub(super) async fn bare(server: &Server) -> Result<Self, ConnectionError> {
        Self::configured(server, config(server)).await
    }

    pub(super) async fn configured(
        server: &Server,
        config: ClientConfig,
    ) -> Result<Self, ConnectionError> {
        let endpoint =
            Endpoint::client("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let connecting = endpoint.connect_with(config, server.address, "a.test").expect("a name");
        let quic = timeout(PATIENCE, connecting).await.expect("in time")?;
        Ok(Self { quic, endpoint })
    }

    /// A connection with a control stream, as clients make it.
    pub(super) async fn connect(server: &Server) -> Self {
        let client = Self::bare(server).await.expect("a connection");
        // Held by the connection: it is not ended while it stands.
        std::mem::forget(client.open_uni(&[0x0, 0x4, 0x0]).await);
        client
    }

    /// A unidirectional stream with these bytes.
    pub(super) async fn open_uni(&self, bytes: &[u8]) -> SendStream {
        let mut stream = self.quic.open_uni().await.expect("a stream");
        // The connection may go for the first of them.
        let _ = stream.write_all(bytes).await;
        stream
    }

    /// A request stream with these bytes.
    pub(super) async fn open(&self, bytes: &[u8]) -> (SendStream, RecvStream) {
        let (mut sending, receiving) = self.quic.open_bi().await.expect("a stream");
        let _ = sending.write_all(bytes).await;
        (sending, receiving)
    }

    /// Sends these bytes, ends the stream, and looks what comes.
    pub(super) async fn send(&self, bytes: &[u8]) -> Seen {
        let (mut sending, mut receiving) = self.open(bytes).await;
        let _ = sending.finish();
        see(&mut receiving).await
    }

    /// The code with which the connection is closed.
    pub(super) async fn closed(&self) -> u64 {
        let error = timeout(PATIENCE, self.quic.closed()).await.expect("in time");
        close_code(&error)
    }

    /// Closes it, and waits until that is known.
    pub(super) async fn close(self) {
        self.quic.close(0x100u32.into(), b"");
        self.endpoint.wait_idle().await;
    }
}

fn close_code(error: &ConnectionError) -> u64 {
    match error {
        ConnectionError::ApplicationClosed(close) => close.error_code.into_inner(),
        other => panic!("{other}"),
    }
}

pub(super) async fn see(receiving: &mut RecvStream) -> Seen {
    match timeout(PATIENCE, read(receiving)).await.expect("in time") {
        Ok(response) => {
            let status = response.statuses().last().expect("a status").parse().expect("a number");
            Seen::Answer(status, String::from_utf8_lossy(&response.content).into_owned())
        }
        Err(ReadError::Reset(code)) => Seen::Reset(code.into_inner()),
        Err(ReadError::ConnectionLost(error)) => Seen::Closed(close_code(&error)),
        Err(error) => panic!("{error}"),
    }
}

/// Reads a whole response.
pub(super) async fn read(receiving: &mut RecvStream) -> Result<Response, ReadError> {
    let mut bytes = Vec::new();
    while let Some(chunk) = receiving.read_chunk(usize::MAX, true).await? {
        bytes.extend_from_slice(&chunk.bytes);
    }
    Ok(parse(&bytes))
}

pub(super) fn parse(mut bytes: &[u8]) -> Response {
    let mut response = Response::default();
    while !bytes.is_empty() {
        let (kind, n) = varint::read(bytes).expect("a type");
        bytes = &bytes[n..];
        let (length, n) = varint::read(bytes).expect("a length");
        let (payload, rest) = bytes[n..].split_at(usize::try_from(length).expect("a length"));
        match kind {
            0x0 => response.content.extend_from_slice(payload),
            0x1 => {
                let block = Bytes::copy_from_slice(payload);
                let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                let fields = qpack::decode(&block, usize::MAX).expect("a section");
                let lines = fields.iter().map(|f| (text(&f.name), text(&f.value)));
                response.sections.push(lines.collect());
            }
            other => panic!("a frame of type {other}"),
        }
        bytes = rest;
    }
    response
}

/// A frame.
pub(super) fn frame(kind: u64, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    varint::write(&mut frame, kind);
    varint::write(&mut frame, payload.len() as u64);
    frame.extend_from_slice(payload);
    frame
}

/// A field section of literals.
pub(super) fn section(lines: Lines<'_>) -> Vec<u8> {
    let lines = lines.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    raw_section(lines)
}

pub(super) fn raw_section<'a>(lines: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    let mut block = vec![0, 0];
    for (name, value) in lines {
        number(&mut block, 0x20, 7, name.len());
        block.extend_from_slice(name);
        number(&mut block, 0x00, 127, value.len());
        block.extend_from_slice(value);
    }
    block
}

fn number(out: &mut Vec<u8>, pattern: u8, most: usize, number: usize) {
    if number < most {
        return out.push(pattern | u8::try_from(number).expect("small"));
    }
    out.push(pattern | u8::try_from(most).expect("small"));
    let mut rest = number - most;
    while rest > 127 {
        out.push((rest & 127) as u8 | 128);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// A HEADERS frame.
pub(super) fn headers(lines: Lines<'_>) -> Vec<u8> {
    frame(0x1, &section(lines))
}

/// A DATA frame.
pub(super) fn data(content: &[u8]) -> Vec<u8> {
    frame(0x0, content)
}

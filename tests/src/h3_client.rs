//! A client of HTTP/3: the h3 crate, which shares nothing with the proxy above QUIC.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use h3::client::{RequestStream, SendRequest};
use h3_quinn::{BidiStream, OpenStreams};
use http::{Request, Response};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::runtime::{Builder, Runtime};

use crate::pki::Pair;

/// Nothing here takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection.
pub struct H3Client {
    requests: SendRequest<OpenStreams, Bytes>,
    quic: quinn::Connection,
    runtime: Runtime,
    endpoint: Endpoint,
}

/// A request whose content is not sent yet.
pub struct Sent(RequestStream<BidiStream<Bytes>, Bytes>);

/// An answer: its head, its content, its trailers.
#[derive(Debug)]
pub struct Answer {
    /// Status and fields.
    pub head: Response<()>,
    /// Its content.
    pub content: Vec<u8>,
}

impl Answer {
    /// Its content as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.content).into_owned()
    }
}

impl Drop for H3Client {
    /// Says that it goes: a server waits for acknowledgements of who just vanishes.
    fn drop(&mut self) {
        self.quic.close(0x100_u32.into(), b"");
        let said = async { tokio::time::timeout(PATIENCE, self.endpoint.wait_idle()).await };
        let _ = self.runtime.block_on(said);
    }
}

impl H3Client {
    /// Connects, asking for a name and trusting a CA.
    ///
    /// # Errors
    /// Why there is no connection.
    ///
    /// # Panics
    /// Where the CA's file can not be read.
    pub fn connect(address: SocketAddr, name: &str, ca: &Path) -> Result<Self, String> {
        Self::connect_as(address, name, ca, None)
    }

    /// Connects with a certificate of its own.
    ///
    /// # Errors
    /// Why there is no connection. A certificate that is refused may show only in [`Self::closed`]:
    /// the client's handshake is over before the server has judged it.
    ///
    /// # Panics
    /// Where a file can not be read.
    pub fn connect_as(
        address: SocketAddr,
        name: &str,
        ca: &Path,
        own: Option<&Pair>,
    ) -> Result<Self, String> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = fs::read(ca).expect("the CA");
        roots.add(CertificateDer::from_pem_slice(&pem).expect("a certificate")).expect("a CA");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .expect("TLS 1.3")
            .with_root_certificates(roots);
        let mut tls = match own {
            None => tls.with_no_client_auth(),
            Some(pair) => {
                let cert = CertificateDer::from_pem_file(&pair.cert).expect("a certificate");
                let key = PrivateKeyDer::from_pem_file(&pair.key).expect("a key");
                tls.with_client_auth_cert(vec![cert], key).expect("a pair")
            }
        };
        tls.alpn_protocols = vec![b"h3".to_vec()];
        let config = ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).expect("QUIC")));
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let connecting = async {
            let any = SocketAddr::from(([127, 0, 0, 1], 0));
            let endpoint = Endpoint::client(any).map_err(|error| error.to_string())?;
            let connecting = endpoint.connect_with(config, address, name);
            let connecting = connecting.map_err(|error| error.to_string())?;
            let quic = connecting.await.map_err(|error| error.to_string())?;
            let made = h3::client::new(h3_quinn::Connection::new(quic.clone())).await;
            let (mut driver, requests) = made.map_err(|error| error.to_string())?;
            tokio::spawn(async move { driver.wait_idle().await });
            Ok::<_, String>((endpoint, quic, requests))
        };
        // Timers begin within the runtime.
        let connected =
            runtime.block_on(async { tokio::time::timeout(PATIENCE, connecting).await });
        let (endpoint, quic, requests) = connected.map_err(|_| "too slow".to_owned())??;
        Ok(Self { requests, quic, runtime, endpoint })
    }

    /// Sends a request with content and waits for the answer.
    ///
    /// # Panics
    /// Where there is none.
    pub fn ask(&mut self, request: Request<()>, content: &[u8]) -> Answer {
        let sent = self.begin(request);
        self.finish(sent, content)
    }

    /// Sends the head of a request.
    ///
    /// # Panics
    /// Where the connection is gone.
    pub fn begin(&mut self, request: Request<()>) -> Sent {
        Sent(self.runtime.block_on(self.requests.send_request(request)).expect("sent"))
    }

    /// Sends the content and waits for the answer.
    ///
    /// # Panics
    /// Where there is none.
    pub fn finish(&mut self, Sent(mut stream): Sent, content: &[u8]) -> Answer {
        let content = Bytes::copy_from_slice(content);
        let exchange = async {
            if !content.is_empty() {
                stream.send_data(content).await.expect("sent");
            }
            stream.finish().await.expect("sent");
            let head = stream.recv_response().await.expect("a response");
            let mut content = Vec::new();
            while let Some(mut piece) = stream.recv_data().await.expect("content") {
                while piece.has_remaining() {
                    let chunk = piece.chunk();
                    content.extend_from_slice(chunk);
                    let n = chunk.len();
                    piece.advance(n);
                }
            }
            Answer { head, content }
        };
        let exchange = async { tokio::time::timeout(PATIENCE, exchange).await };
        self.runtime.block_on(exchange).expect("in time")
    }

    /// Waits for the end of the connection and gives the words for it.
    ///
    /// # Panics
    /// Where it does not end.
    pub fn closed(&self) -> String {
        let closed = async { tokio::time::timeout(PATIENCE, self.quic.closed()).await };
        self.runtime.block_on(closed).expect("in time").to_string()
    }
}

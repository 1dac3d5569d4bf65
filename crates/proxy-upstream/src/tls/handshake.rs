//! One handshake with an origin server.

use proxy_core::{ErrorKind, ProxyError, Retry};
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{UpstreamTls, failure};

impl UpstreamTls {
    /// Does the handshake with the server of this host. The time for it is for the caller to
    /// limit.
    pub(crate) async fn connect<T>(
        &self,
        host: &str,
        stream: T,
        http2: bool,
    ) -> Result<TlsStream<T>, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let name = self.name_for(host).map_err(|error| {
            let error = ProxyError::new(ErrorKind::ProxyConfigurationError).source(error);
            error.retry(Retry::NothingSent)
        })?;
        let connector = TlsConnector::from(self.config(http2));
        let stream = connector.connect(name, stream).await.map_err(failure::of)?;
        // A server that chooses nothing speaks HTTP/1.1.
        if http2 && stream.get_ref().1.alpn_protocol() != Some(b"h2") {
            let error = ProxyError::new(ErrorKind::TlsProtocolError);
            let error = error.detail("the origin server does not speak HTTP/2");
            return Err(error.retry(Retry::NothingSent));
        }
        Ok(stream)
    }

    /// The certificate that the server of this host shows, once it is verified. Nothing is asked
    /// of it. The time is for the caller to limit.
    ///
    /// # Errors
    /// It can not be verified, or does not speak TLS.
    pub async fn certificate_of<T>(
        &self,
        host: &str,
        stream: T,
    ) -> Result<CertificateDer<'static>, ProxyError>
    where
        T: AsyncRead + AsyncWrite + Unpin,
    {
        let mut stream = self.connect(host, stream, false).await?;
        let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
        let shown = shown.cloned().map(CertificateDer::into_owned);
        // Said politely: some servers log what just goes away.
        let _ = stream.shutdown().await;
        shown.ok_or_else(|| ErrorKind::TlsCertificateError.into())
    }
}

//! Handshakes with a server whose certificate is made for each test.

use proxy_core::{ErrorKind, Retry};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair,
    PublicKeyData as _, date_time_ymd,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use super::*;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("CA")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("a CA"))
    }

    fn roots(&self) -> Roots {
        Roots::from_pem(self.0.pem().as_bytes()).expect("a root")
    }

    /// A certificate for a name, and its key.
    fn leaf(&self, params: &CertificateParams) -> (String, KeyPair) {
        let key = KeyPair::generate().expect("a key");
        (params.signed_by(&key, &self.0).expect("signed").pem(), key)
    }
}

fn named(name: &str) -> CertificateParams {
    CertificateParams::new(vec![name.to_owned()]).expect("a name")
}

/// A server for one connection, which ends after a byte.
async fn server(leaf: &(String, KeyPair), alpn: &[&str], clients: Option<&Authority>) -> TcpStream {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .expect("versions");
    let builder = match clients {
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).expect("a root");
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
        }
        None => builder.with_no_client_auth(),
    };
    let chain = vec![CertificateDer::from_pem_slice(leaf.0.as_bytes()).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_slice(leaf.1.serialize_pem().as_bytes()).expect("a key");
    let mut config = builder.with_single_cert(chain, key).expect("a server");
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    tokio::spawn(async move {
        let (socket, _) = listener.accept().await.expect("a client");
        if let Ok(mut stream) = acceptor.accept(socket).await {
            let _ = stream.write_all(b"x").await;
            let _ = stream.shutdown().await;
        }
    });
    TcpStream::connect(address).await.expect("connected")
}

async fn connect(
    config: UpstreamTlsConfig,
    socket: TcpStream,
    http2: bool,
) -> Result<(), (ErrorKind, Option<&'static str>)> {
    let tls = UpstreamTls::new(config).expect("sound");
    match tls.connect("a.test", socket, http2).await {
        Ok(_) => Ok(()),
        Err(error) => {
            assert_eq!(error.retry_safety(), Retry::NothingSent);
            Err((error.kind(), error.detail_str()))
        }
    }
}

#[tokio::test]
async fn only_a_vouched_for_certificate_for_the_name_will_do() {
    let ca = Authority::new();
    let good = ca.leaf(&named("a.test"));
    let socket = server(&good, &[], None).await;
    assert_eq!(connect(UpstreamTlsConfig::new(ca.roots()), socket, false).await, Ok(()));

    let socket = server(&good, &[], None).await;
    let (kind, detail) =
        connect(UpstreamTlsConfig::new(Authority::named("Other").roots()), socket, false)
            .await
            .expect_err("another CA");
    assert_eq!(kind, ErrorKind::TlsCertificateError);
    assert_eq!(detail, Some("nobody that is trusted vouches for its certificate"));

    let other = ca.leaf(&named("b.test"));
    let socket = server(&other, &[], None).await;
    let (kind, detail) =
        connect(UpstreamTlsConfig::new(ca.roots()), socket, false).await.expect_err("another name");
    assert_eq!(kind, ErrorKind::TlsCertificateError);
    assert_eq!(detail, Some("its certificate is for another name"));

    let mut old = named("a.test");
    old.not_before = date_time_ymd(2019, 1, 1);
    old.not_after = date_time_ymd(2020, 1, 1);
    let socket = server(&ca.leaf(&old), &[], None).await;
    let failed = connect(UpstreamTlsConfig::new(ca.roots()), socket, false).await;
    assert_eq!(failed.expect_err("old").1, Some("its certificate has expired"));
}

#[tokio::test]
async fn the_name_to_prove_can_be_given() {
    let ca = Authority::new();
    let socket = server(&ca.leaf(&named("b.test")), &[], None).await;
    let mut config = UpstreamTlsConfig::new(ca.roots());
    config.server_name = Some("b.test".to_owned());
    assert_eq!(connect(config, socket, false).await, Ok(()));
}

#[tokio::test]
async fn a_pin_holds_beside_the_chain_and_without_it() {
    let ca = Authority::new();
    let leaf = ca.leaf(&named("a.test"));
    let own = verify::pin(Sha256::digest(leaf.1.subject_public_key_info()).into());
    let other = verify::pin([7; 32]);
    for (verify, pins, due) in [
        (true, vec![other, own], Ok(())),
        (true, vec![other], Err(ErrorKind::TlsCertificateError)),
        (false, vec![own], Ok(())),
        (false, vec![other], Err(ErrorKind::TlsCertificateError)),
        (false, vec![], Ok(())),
    ] {
        let roots = if verify { ca.roots() } else { Roots::none() };
        let config = UpstreamTlsConfig { verify, pins, ..UpstreamTlsConfig::new(roots) };
        let socket = server(&leaf, &[], None).await;
        let found = connect(config, socket, false).await.map_err(|(kind, _)| kind);
        assert_eq!(found, due, "verify {verify}");
    }
}

#[tokio::test]
async fn http2_is_agreed_upon_or_not_spoken() {
    let ca = Authority::new();
    let leaf = ca.leaf(&named("a.test"));
    for (offered, http2, due) in [
        (&["h2", "http/1.1"][..], true, Ok(())),
        (&["h2", "http/1.1"], false, Ok(())),
        (&["http/1.1"], true, Err(ErrorKind::TlsAlertReceived)),
        (&[], true, Err(ErrorKind::TlsProtocolError)),
        (&[], false, Ok(())),
    ] {
        let socket = server(&leaf, offered, None).await;
        let found = connect(UpstreamTlsConfig::new(ca.roots()), socket, http2).await;
        assert_eq!(found.map_err(|(kind, _)| kind), due, "{offered:?} {http2}");
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_is_told() {
    let ca = Authority::new();
    let (leaf, own) = (ca.leaf(&named("a.test")), ca.leaf(&named("me.test")));
    let socket = server(&leaf, &[], Some(&ca)).await;
    let mut config = UpstreamTlsConfig::new(ca.roots());
    let identity = Identity::from_pem(own.0.as_bytes(), own.1.serialize_pem().as_bytes());
    config.identity = Some(identity.expect("sound"));
    let tls = UpstreamTls::new(config).expect("sound");
    let mut stream = tls.connect("a.test", socket, false).await.expect("taken");
    // With TLS 1.3 a refusal would only be read behind the handshake.
    let mut byte = [0];
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut byte).await.expect("served");
}

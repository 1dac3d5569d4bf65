//! The edge on a loopback port, with a service that answers by path.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::Poll;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use proxy_core::{Body, ConnectionEvent, ConnectionEvents, ConnectionInfo, Exchange, IpSet};
use proxy_testkit::ManualClock;
use rustls::pki_types::CertificateDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};
use tower::service_fn;

use crate::h3::{BoundUdp, QuicSettings, accept_quic};
use crate::tls::{Certificate, CertificateStore, TlsEdge, TlsMaterial, TlsOptions, UnknownNames};
use crate::tunnel::{TunnelSettings, TunnelUpstream};
use crate::{
    Drain, Edge, EdgeSettings, Exchanges, Limiter, ListenerSettings, RuntimeKind, Terms, Workers,
};

/// What the edge told of its connections.
#[derive(Default)]
pub(super) struct Told(Mutex<Vec<String>>);

impl ConnectionEvents for Told {
    fn on_event(&self, _: &ConnectionInfo, event: ConnectionEvent<'_>) {
        let told = match event {
            ConnectionEvent::HeadRefused { status, reason } => {
                format!("{} {reason}", status.as_u16())
            }
            ConnectionEvent::TimedOut { reason } => reason.to_owned(),
            ConnectionEvent::Refused(why) => why.token().to_owned(),
            _ => return,
        };
        self.0.lock().expect("told").push(told);
    }
}

pub(super) struct Server {
    pub(super) address: SocketAddr,
    pub(super) certificate: CertificateDer<'static>,
    pub(super) drain: Drain,
    told: Arc<Told>,
    _workers: Arc<Workers>,
}

impl Server {
    pub(super) fn start() -> Self {
        Self::with(EdgeSettings::default(), |_| {}, 100)
    }

    pub(super) fn with(
        settings: EdgeSettings,
        change: impl FnOnce(&mut QuicSettings),
        clients: usize,
    ) -> Self {
        let signed = rcgen::generate_simple_self_signed(["a.test".to_owned()]).expect("a key");
        let certificate = signed.cert.der().clone();
        let (chain, key) = (signed.cert.pem(), signed.signing_key.serialize_pem());
        let own = Certificate::from_pem(chain.as_bytes(), key.as_bytes(), None).expect("sound");
        let certificates = CertificateStore::new(vec![own], UnknownNames::Default);
        let material = TlsMaterial { certificates, clients: None };
        let tls = TlsEdge::new(TlsOptions::default(), material).expect("TLS");
        let mut quic = QuicSettings::new(Arc::new(tls));
        change(&mut quic);
        let told = Arc::new(Told::default());
        let edge = Edge {
            settings,
            tunnels: TunnelSettings::default(),
            exchanges: Exchanges::new(Arc::new(ManualClock::new()), 1),
            events: Arc::clone(&told) as _,
            proxy_name: "proxyd".into(),
        };
        let listener = ListenerSettings {
            name: "test".into(),
            trusted: IpSet::default(),
            allow: None,
            deny: IpSet::default(),
            proxy_protocol: false,
            http1: false,
            http2: false,
            tls: None,
            edge: Arc::new(edge),
        };
        let bound = BoundUdp::bind("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = bound.local_addr().expect("an address");
        let workers = Arc::new(Workers::start(RuntimeKind::PerCore, 1).expect("workers"));
        let drain = Drain::default();
        tokio::spawn(accept_quic(
            bound,
            quic,
            Terms::new(Arc::new(listener), drain.clone()),
            service_fn(answer),
            Arc::clone(&workers),
            Limiter::new(clients, clients),
            drain.clone(),
        ));
        Self { address, certificate, drain, told, _workers: workers }
    }

    /// Waits until it has told this.
    pub(super) async fn has_told(&self, what: &str) {
        let tells = || self.told.0.lock().expect("told").iter().any(|told| told == what);
        for _ in 0..1000 {
            if tells() {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        panic!("{what} is not in {:?}", self.told.0.lock().expect("told"));
    }
}

/// What the edge reads of a request comes back as text.
async fn answer(request: Request<Body>) -> Result<Response<Body>, Infallible> {
    let text = |text: String| Response::new(Body::new(Full::new(Bytes::from(text))));
    let exchange = Exchange::of(&request).cloned().expect("a record");
    if request.method() == http::Method::CONNECT {
        return Ok(connect(&request));
    }
    Ok(match request.uri().path() {
        "/unread" => std::future::pending().await,
        "/seen" => {
            let (head, _) = request.into_parts();
            let mut seen = format!("{} {} {:?}", head.method, head.uri, head.version);
            for (name, value) in &head.headers {
                seen += &format!("\n{name}: {}", String::from_utf8_lossy(value.as_bytes()));
            }
            text(seen)
        }
        "/early" => {
            let mut fields = HeaderMap::new();
            fields.insert("link", HeaderValue::from_static("</a>"));
            let early = StatusCode::from_u16(103).expect("a status");
            let sink = exchange.interim().expect("a way for interim responses");
            assert!(sink.send(early, &fields));
            text("late".to_owned())
        }
        "/trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("42"));
            let frames = [Frame::data(Bytes::from_static(b"content")), Frame::trailers(trailers)];
            let frames = futures_util::stream::iter(frames.map(Ok::<_, Infallible>));
            Response::new(Body::new(StreamBody::new(frames)))
        }
        "/broken" => {
            let frames = [Ok(Frame::data(Bytes::from_static(b"half"))), Err("broken")];
            let frames = futures_util::stream::iter(frames);
            Response::new(Body::new(StreamBody::new(frames)))
        }
        "/short" => {
            let mut response = text("half".to_owned());
            response.headers_mut().insert("content-length", HeaderValue::from_static("8"));
            response
        }
        "/large" => {
            let piece = Bytes::from(vec![b'x'; 64 * 1024]);
            let mut left = 64;
            let frames = futures_util::stream::poll_fn(move |_| {
                left -= 1;
                let frame = Ok::<_, Infallible>(Frame::data(piece.clone()));
                Poll::Ready((left >= 0).then_some(frame))
            });
            Response::new(Body::new(StreamBody::new(frames)))
        }
        "/fields" => {
            let mut response = text(String::new());
            *response.status_mut() = StatusCode::NO_CONTENT;
            let fields = response.headers_mut();
            fields.insert("connection", HeaderValue::from_static("x-hop"));
            fields.insert("x-hop", HeaderValue::from_static("1"));
            fields.insert("x-own", HeaderValue::from_static("2"));
            response
        }
        _ => match request.into_body().collect().await {
            Ok(content) => {
                let trailers = content.trailers().cloned().unwrap_or_default();
                let mut answer = format!("{} bytes", content.to_bytes().len());
                for (name, value) in &trailers {
                    answer += &format!(" {name}={}", value.to_str().expect("text"));
                }
                text(answer)
            }
            Err(error) => text(error.to_string()),
        },
    })
}

/// `echo:1` sends back what comes, `reset:1` breaks off, all others are refused.
fn connect(request: &Request<Body>) -> Response<Body> {
    let (ours, mut theirs) = duplex(1024);
    let host = request.uri().host().expect("a host").to_owned();
    if !matches!(&host[..], "echo" | "reset") {
        let mut refused = Response::new(Body::empty());
        *refused.status_mut() = StatusCode::FORBIDDEN;
        return refused;
    }
    tokio::spawn(async move {
        let mut space = [0; 64];
        while let Ok(n @ 1..) = theirs.read(&mut space).await {
            if host == "reset" {
                return;
            }
            let _ = theirs.write_all(&space[..n]).await;
        }
    });
    let mut response = Response::new(Body::empty());
    response.extensions_mut().insert(TunnelUpstream::new(ours));
    response
}

//! The endpoint of a UDP socket: it is there as long as anybody lets clients in or a connection is
//! left, and whoever serves behind the socket is exchanged without it.

use std::future::poll_fn;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use proxy_core::{Body, BoxError};
use quinn::{Endpoint, Incoming, ServerConfig, TokioRuntime};
use tokio::sync::Notify;
use tokio::time::timeout;
use tower_service::Service;

use super::admission::{Acceptor, transport};
use super::bound::{BoundUdp, Keys};
use super::ids::{self, Ids};
use super::keys;
use super::reader::Reader;
use crate::connections::lock;
use crate::drain::{Drain, DrainGuard, DrainPhase};
use crate::limiter::Limiter;
use crate::terms::Terms;
use crate::tls::{QuicTls, TlsEdge};
use crate::workers::Workers;

/// Handshakes whose first packet waits to be looked at, and what may wait behind such packets.
const WAITING: (usize, u64) = (1024, 16 * 1024 * 1024);
/// How long the last packets may take once everything ends.
const FAREWELL: Duration = Duration::from_millis(500);

/// What QUIC permits.
#[derive(Clone)]
pub struct QuicSettings {
    /// The TLS of the same port on TCP; its limits of handshakes are these too, and what is
    /// beyond their number is refused.
    pub tls: Arc<TlsEdge>,
    /// With so many handshakes under way a client must show that its address is its own before
    /// another begins, which takes a round trip (RFC 9000 section 8.1.2). 0: always. Default: 64.
    pub retry_from: usize,
    /// What the keys of tokens and stateless resets are made from, the same for all processes that
    /// serve an address. The first one that serves on a socket decides for resets. Default: random,
    /// and handed over with the socket.
    pub secret: Option<Arc<[u8]>>,
}

impl QuicSettings {
    /// The defaults.
    pub fn new(tls: Arc<TlsEdge>) -> Self {
        Self { tls, retry_from: 64, secret: None }
    }
}

impl std::fmt::Debug for QuicSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QuicSettings").field("retry_from", &self.retry_from).finish_non_exhaustive()
    }
}

/// Decides about a client.
type Admit = Box<dyn FnMut(Incoming) + Send>;

/// An endpoint, and who lets clients in there.
pub(super) struct Served {
    endpoint: Endpoint,
    reader: Arc<Reader>,
    /// With the number of its door; nobody, where all are refused.
    admit: Mutex<Option<(u64, Admit)>>,
    changed: Notify,
    doors: AtomicU64,
    handshakes: Arc<AtomicUsize>,
}

impl std::fmt::Debug for Served {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Served").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

/// Lets clients in by HTTP/3, until it is dropped or another one is opened on the same socket.
/// Connections that stand then go on.
#[derive(Debug)]
pub struct QuicDoor {
    served: Arc<Served>,
    number: u64,
}

impl Drop for QuicDoor {
    fn drop(&mut self) {
        let mut admit = lock(&self.served.admit);
        if admit.as_ref().is_some_and(|(number, _)| *number == self.number) {
            *admit = None;
            drop(admit);
            self.served.changed.notify_one();
        }
    }
}

impl BoundUdp {
    /// Serves HTTP/3 on the socket: connections that come from now on are served by the terms of
    /// the moment in which they come, and by nobody who has served here before. Once `drain` has
    /// begun all are refused. To be called within a runtime.
    ///
    /// # Errors
    /// A configuration that has no TLS 1.3, or a socket that can not be read.
    pub fn serve<S, B>(
        &self,
        quic: &QuicSettings,
        terms: Terms,
        service: S,
        workers: Arc<Workers>,
        limiter: Limiter,
        drain: &Drain,
    ) -> io::Result<QuicDoor>
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError>,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let tls = QuicTls::new(Arc::clone(&quic.tls))?;
        let keys = self.keys(quic.secret.as_ref())?;
        let mut server =
            keys::server_config(tls.begin().0, quic.secret.as_ref().unwrap_or(&keys.secret));
        let current = terms.current();
        server
            .transport_config(Arc::new(transport(&current.settings.edge.settings)))
            // Who a client is was judged by its address; with another it begins anew.
            .migration(false)
            .max_incoming(WAITING.0)
            .incoming_buffer_size(WAITING.1 / WAITING.0 as u64)
            .incoming_buffer_size_total(WAITING.1);
        let served = self.served(&keys, &server, drain)?;
        let mut acceptor = Acceptor {
            terms,
            current,
            retry_from: quic.retry_from,
            tls,
            server,
            service,
            workers,
            limiter,
            local: self.local_addr(),
            handshakes: Arc::clone(&served.handshakes),
        };
        let number = served.doors.fetch_add(1, Ordering::Relaxed);
        *lock(&served.admit) = Some((number, Box::new(move |own| acceptor.admit(own))));
        served.changed.notify_one();
        Ok(QuicDoor { served, number })
    }

    /// What the first endpoint here was made of, or the first one is to be.
    fn keys(&self, configured: Option<&Arc<[u8]>>) -> io::Result<Keys> {
        let mut known = lock(&self.0.keys);
        let is_open = lock(&self.0.served).is_some();
        if let Some(keys) = known.as_ref()
            && (is_open || configured.is_none() || configured == Some(&keys.secret))
        {
            return Ok(keys.clone());
        }
        let before = lock(&self.0.source).before.last().map(|own| own.ids.generation());
        let generation = match known.as_ref().map(|keys| keys.ids.generation()).or(before) {
            Some(before) => before.wrapping_add(1),
            None => random::<1>()?[0],
        };
        let secret = match configured {
            Some(own) => Arc::clone(own),
            None => random::<{ ids::KEY }>()?.as_slice().into(),
        };
        let ids = Ids::of(&secret, generation);
        let keys = Keys { secret, is_made: configured.is_none(), ids };
        Ok(known.insert(keys).clone())
    }

    /// The endpoint that is there, or a new one.
    fn served(&self, keys: &Keys, server: &ServerConfig, drain: &Drain) -> io::Result<Arc<Served>> {
        let mut known = lock(&self.0.served);
        if let Some(served) = &*known {
            // The keys of tokens.
            served.endpoint.set_server_config(Some(server.clone()));
            return Ok(Arc::clone(served));
        }
        let reader = Arc::new(Reader::new(self)?);
        let endpoint = Endpoint::new_with_abstract_socket(
            keys::endpoint_config(&keys.secret, keys.ids.clone()),
            Some(server.clone()),
            Arc::clone(&reader) as _,
            Arc::new(TokioRuntime),
        )?;
        let served = Arc::new(Served {
            endpoint,
            reader,
            admit: Mutex::default(),
            changed: Notify::new(),
            doors: AtomicU64::new(0),
            handshakes: Arc::default(),
        });
        *known = Some(Arc::clone(&served));
        tokio::spawn(run(self.clone(), Arc::clone(&served), drain.clone()));
        Ok(served)
    }

    /// Waits until no connection is left, and nobody lets any in.
    pub async fn ended(&self) {
        loop {
            let ended = self.0.ended.notified();
            if lock(&self.0.served).is_none() {
                return;
            }
            ended.await;
        }
    }

    /// Ends an endpoint behind which nobody is, unless somebody came in this moment.
    fn end(&self, served: &Served, anyway: bool) -> bool {
        let mut known = lock(&self.0.served);
        if lock(&served.admit).is_some() && !anyway {
            return false;
        }
        served.reader.end();
        *known = None;
        drop(known);
        self.0.ended.notify_waiters();
        true
    }
}

fn random<const N: usize>() -> io::Result<[u8; N]> {
    let mut random = [0; N];
    getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
    Ok(random)
}

/// Accepts until `stop` drains, then waits for what is open. Connections are served by the terms of
/// the moment in which they come.
///
/// # Errors
/// A configuration that has no TLS 1.3, or a socket that can not be read.
pub async fn accept_quic<S, B>(
    bound: BoundUdp,
    quic: QuicSettings,
    terms: Terms,
    service: S,
    workers: Arc<Workers>,
    limiter: Limiter,
    stop: Drain,
) -> io::Result<()>
where
    S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + Unpin + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let door = bound.serve(&quic, terms, service, workers, limiter, &stop)?;
    stop.begun().await;
    drop(door);
    bound.ended().await;
    Ok(())
}

/// Lets clients in while anybody does. Then it stays until the last packet of the last connection
/// is out: a client that does not hear of its connection's end waits for it. New ones are refused
/// meanwhile, which sends them elsewhere at once.
async fn run(bound: BoundUdp, served: Arc<Served>, drain: Drain) {
    let mut staying: Option<DrainGuard> = None;
    loop {
        let is_open = lock(&served.admit).is_some();
        if is_open && drain.phase() < DrainPhase::Draining {
            staying = None;
            tokio::select! {
                incoming = served.endpoint.accept() => match (incoming, &mut *lock(&served.admit)) {
                    (Some(incoming), Some((_, admit))) => admit(incoming),
                    (Some(incoming), None) => incoming.refuse(),
                    (None, _) => break,
                },
                () = served.changed.notified() => {}
                () = drain.begun() => {}
            }
            continue;
        }
        if is_open {
            *lock(&served.admit) = None;
        }
        let guard = staying.get_or_insert_with(|| drain.register_endpoint());
        let ending = poll_fn(|cx| match guard.poll_phase(cx) {
            DrainPhase::Ending => Poll::Ready(()),
            _ => Poll::Pending,
        });
        tokio::select! {
            incoming = served.endpoint.accept() => match incoming {
                Some(incoming) => incoming.refuse(),
                None => break,
            },
            () = served.changed.notified() => {}
            () = served.endpoint.wait_idle() => if bound.end(&served, false) {
                return;
            },
            () = ending => {
                let _ = timeout(FAREWELL, served.endpoint.wait_idle()).await;
                break;
            }
        }
    }
    bound.end(&served, true);
}

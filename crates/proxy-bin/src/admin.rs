//! The admin listener and the probe listener.
//!
//! What is answered here is for operators: health, metrics, the effective configuration, the
//! state of upstreams and of the cache. `Host` must be an address, `localhost` or configured, so
//! that a web page can not reach it by a name of its own (DNS rebinding); a cross-site request is
//! refused.

mod cache;
mod connections;
mod explain;
mod log_level;
mod reload;
mod upstreams;

use std::io;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::{Request, State as Extracted};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use metrics_exporter_prometheus::PrometheusHandle;
use proxy_core::target::Authority;
use proxy_server::{Bound, Drain};
use serde_json::json;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Notify, Semaphore};

use crate::generation::Generation;
use crate::log_level::LogLevel;
use crate::metrics_page::{self, Lag, Sources};
use crate::reload::Reloads;

/// Connections that operators may have open at a time.
const MAX_CONNECTIONS: usize = 256;

/// What the admin listener knows. A clone is the same.
#[derive(Clone)]
pub struct State {
    shared: Arc<Shared>,
}

struct Shared {
    ready: AtomicBool,
    drain: Drain,
    generation: ArcSwap<Generation>,
    prometheus: Option<(PrometheusHandle, Lag)>,
    drain_asked: Notify,
    log_level: LogLevel,
    reloads: Reloads,
}

impl State {
    /// The state of a process that is not ready yet.
    pub fn new(
        generation: Generation,
        prometheus: Option<(PrometheusHandle, Lag)>,
        drain: Drain,
        log_level: LogLevel,
        reloads: Reloads,
    ) -> Self {
        let ready = AtomicBool::new(false);
        let generation = ArcSwap::from_pointee(generation);
        let drain_asked = Notify::new();
        let shared =
            Shared { ready, drain, generation, prometheus, drain_asked, log_level, reloads };
        Self { shared: Arc::new(shared) }
    }

    /// What is in effect.
    pub fn generation(&self) -> Arc<Generation> {
        self.shared.generation.load_full()
    }

    /// Another one takes effect.
    pub fn set_generation(&self, generation: Generation) -> Arc<Generation> {
        let generation = Arc::new(generation);
        self.shared.generation.store(Arc::clone(&generation));
        generation
    }

    /// Where reloads are ordered.
    pub fn reloads(&self) -> &Reloads {
        &self.shared.reloads
    }

    /// Tells all connections when to end.
    pub fn drain(&self) -> &Drain {
        &self.shared.drain
    }

    /// Waits until an operator asks for the drain.
    pub async fn drain_asked(&self) {
        self.shared.drain_asked.notified().await;
    }

    /// Says whether traffic is welcome.
    pub fn ready(&self, ready: bool) {
        self.shared.ready.store(ready, Ordering::Release);
    }

    /// What must happen every few seconds.
    pub fn upkeep(&self) {
        self.generation().upkeep();
        if let Some((counted, _)) = &self.shared.prometheus {
            counted.run_upkeep();
        }
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("ready", &self.shared.ready).finish_non_exhaustive()
    }
}

/// Everything that operators ask.
pub fn admin_router(state: State) -> Router {
    probes()
        .route("/config", get(config))
        .route("/upstreams", get(upstreams::show))
        .route("/parents", get(upstreams::show_parents))
        .route("/cache", get(cache::show))
        .route("/cache/purge", post(cache::purge))
        .route("/explain", post(explain::explain))
        .route("/connections", get(connections::show))
        .route("/connections/close", post(reload::close))
        .route("/reload", post(reload::reload))
        .route("/log-level", get(log_level::show).put(log_level::set))
        .route("/drain", post(drain))
        .layer(middleware::from_fn_with_state(state.clone(), guard))
        .with_state(state)
}

/// What kubelets and load balancers ask: no more than this, and no `Host` of theirs is known.
pub fn probe_router(state: State) -> Router {
    probes().with_state(state)
}

fn probes() -> Router<State> {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
}

async fn readyz(Extracted(state): Extracted<State>) -> Response {
    let ready = state.shared.ready.load(Ordering::Acquire);
    let mut reasons: Vec<String> = if ready { vec![] } else { vec!["draining".to_owned()] };
    let generation = state.generation();
    let required = generation.upstreams.iter().filter(|(_, required)| *required);
    reasons.extend(
        required
            .filter(|(own, _)| !own.cluster().is_in_service())
            .map(|(own, _)| format!("upstream {} has no healthy endpoint", own.name())),
    );
    let ready = reasons.is_empty();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "reasons": reasons }))).into_response()
}

async fn metrics(Extracted(state): Extracted<State>) -> Response {
    match &state.shared.prometheus {
        Some((counted, lag)) => {
            let generation = state.generation();
            let page = metrics_page::page(&Sources {
                counted,
                upstreams: &generation.upstreams,
                caches: &generation.caches,
                lag,
                configuration: (generation.number, generation.since),
                reloads: state.shared.reloads.counted(),
                reload_failed: state.shared.reloads.wrong().is_some(),
            });
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, page).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn config(Extracted(state): Extracted<State>) -> Response {
    let generation = state.generation();
    let kind = [(header::CONTENT_TYPE, "application/toml; charset=utf-8")];
    // Comments of TOML: what is shown can be read as a file.
    let mut text = format!("# generation {}\n", generation.number);
    if let Some(wrong) = state.shared.reloads.wrong() {
        text.push_str("# the last reload was refused:\n");
        wrong.lines().for_each(|line| text.extend(["#   ", line, "\n"]));
    }
    text.push_str(&generation.effective);
    (kind, text).into_response()
}

async fn drain(Extracted(state): Extracted<State>, fields: HeaderMap) -> Response {
    if let Err(refused) = authorise(&state, &fields) {
        return *refused;
    }
    state.shared.drain_asked.notify_one();
    (StatusCode::ACCEPTED, Json(json!({ "draining": true }))).into_response()
}

/// Whoever changes something needs the bearer token (RFC 6750).
fn authorise(state: &State, fields: &HeaderMap) -> Result<(), Box<Response>> {
    let generation = state.generation();
    let Some(token) = &generation.token else {
        let off = (StatusCode::FORBIDDEN, "no token is configured: changes are off\n");
        return Err(Box::new(off.into_response()));
    };
    let given = fields.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    if given.and_then(|v| v.strip_prefix("Bearer ")).is_some_and(|given| token.is(given.trim())) {
        return Ok(());
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer realm=\"proxyd admin\"")];
    Err(Box::new(
        (StatusCode::UNAUTHORIZED, challenge, "a bearer token is needed\n").into_response(),
    ))
}

/// Refuses what a web page could send without its user's knowledge.
async fn guard(Extracted(state): Extracted<State>, request: Request, next: Next) -> Response {
    let fields = request.headers();
    let generation = state.generation();
    let hosts = generation.loaded.resolved.admin.as_ref().map_or(&[][..], |own| &own.hosts);
    if !host_is_ours(fields, hosts) {
        return (StatusCode::MISDIRECTED_REQUEST, "this Host is not served here\n").into_response();
    }
    if is_cross_site(fields) {
        return (StatusCode::FORBIDDEN, "cross-site requests are refused\n").into_response();
    }
    next.run(request).await
}

fn host_is_ours(fields: &HeaderMap, hosts: &[String]) -> bool {
    let host = fields.get(header::HOST).and_then(|h| h.to_str().ok()).and_then(Authority::parse);
    let Some(Authority { host, .. }) = host else { return false };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.parse::<IpAddr>().is_ok()
        || host.eq_ignore_ascii_case("localhost")
        || hosts.iter().any(|own| own.eq_ignore_ascii_case(host))
}

fn is_cross_site(fields: &HeaderMap) -> bool {
    let fetch = fields.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes);
    if fetch.is_some_and(|site| !matches!(site, b"same-origin" | b"none")) {
        return true;
    }
    let Some(origin) = fields.get(header::ORIGIN).map(axum::http::HeaderValue::as_bytes) else {
        return false;
    };
    let host = fields.get(header::HOST).map_or(&b""[..], |host| host.as_bytes());
    origin.strip_prefix(b"http://").or(origin.strip_prefix(b"https://")) != Some(host)
}

/// Serves a router on a socket until `stop` drains, with time limits and a limit of connections.
/// What is asked on a connection then is answered, and it is closed.
///
/// # Errors
/// When the socket can not be used.
pub fn listen(socket: Bound, router: Router, stop: Drain) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    match socket {
        Bound::Tcp(listener) => {
            let listener = TcpListener::from_std(listener)?;
            tokio::spawn(async move {
                loop {
                    let accepted = tokio::select! {
                        // What waits then is for whoever else has the socket.
                        biased;
                        () = stop.begun() => return,
                        accepted = listener.accept() => accepted,
                    };
                    match accepted {
                        Ok((stream, _)) => spawn(stream, router.clone(), &places, &stop),
                        Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                    }
                }
            });
        }
        Bound::Unix(listener) => {
            let listener = UnixListener::from_std(listener)?;
            tokio::spawn(async move {
                loop {
                    let accepted = tokio::select! {
                        // What waits then is for whoever else has the socket.
                        biased;
                        () = stop.begun() => return,
                        accepted = listener.accept() => accepted,
                    };
                    match accepted {
                        Ok((stream, _)) => spawn(stream, router.clone(), &places, &stop),
                        Err(_) => tokio::time::sleep(std::time::Duration::from_millis(50)).await,
                    }
                }
            });
        }
    }
    Ok(())
}

fn spawn<T>(stream: T, router: Router, places: &Arc<Semaphore>, stop: &Drain)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let Ok(place) = Arc::clone(places).try_acquire_owned() else { return };
    let stop = stop.clone();
    tokio::spawn(async move {
        let _place = place;
        let mut connection = pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
        );
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stop.begun() => connection.as_mut().graceful_shutdown(),
        }
        // Whoever waits asks again, where somebody else answers.
        let _ = connection.await;
    });
}

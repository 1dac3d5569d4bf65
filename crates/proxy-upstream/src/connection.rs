//! One connection to an origin, driven by whoever uses it.
//!
//! No task runs beside it: the future that awaits the response, and then the response's body,
//! poll the connection themselves. That saves a task, its memory and two wake-ups a request, and
//! dropping the response at any point closes the connection at once. While it is idle nobody
//! polls it; that it was closed meanwhile is found when it is taken again.

use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use http::Request;
use hyper::client::conn::http1;
use proxy_core::HeadLimits;
use proxy_core::deadline::Deadline;
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::origin_io::OriginIo;
use crate::origin_link::OriginLink;
use crate::request_body::RequestBody;

type Driver = http1::Connection<OriginIo<TcpStream>, RequestBody>;

/// A connection that can carry one request at a time.
pub(crate) struct OriginConnection {
    pub(crate) sender: http1::SendRequest<RequestBody>,
    driver: Option<Driver>,
    pub(crate) link: Arc<OriginLink>,
    /// Kept with the connection, so that its timer is made once.
    pub(crate) deadline: Deadline,
    pub(crate) address: SocketAddr,
    pub(crate) opened: Instant,
    /// The stack of the thread whose reactor wakes it.
    pub(crate) home: usize,
    pub(crate) requests: u32,
    /// A place in a limit, given back when the connection closes.
    pub(crate) _place: Option<crate::pool::Place>,
}

impl OriginConnection {
    /// Speaks HTTP/1.1 on a connected socket.
    pub(crate) async fn handshake(
        stream: TcpStream,
        address: SocketAddr,
        limits: HeadLimits,
        place: Option<crate::pool::Place>,
    ) -> Result<Box<Self>, hyper::Error> {
        let link = Arc::new(OriginLink::default());
        let io = OriginIo::new(stream, Arc::clone(&link), limits);
        let (sender, driver) = http1::Builder::new().handshake(io).await?;
        Ok(Box::new(Self {
            sender,
            driver: Some(driver),
            link,
            deadline: Deadline::default(),
            address,
            opened: Instant::now(),
            home: crate::pool::shards::own(),
            requests: 0,
            _place: place,
        }))
    }

    /// Moves bytes in both directions. Once it is ready the connection is over; what went wrong
    /// is told to the response.
    pub(crate) fn drive(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), hyper::Error>> {
        let Some(driver) = &mut self.driver else { return Poll::Ready(Ok(())) };
        let poll = Pin::new(driver).poll(cx);
        if poll.is_ready() {
            self.driver = None;
            self.link.poison();
        }
        poll
    }

    /// Whether a request could be sent now. Drives the connection first: that is when a close
    /// that happened while it was idle is noticed. Nobody is to be woken for it.
    pub(crate) fn is_usable(&mut self) -> bool {
        self.drive(&mut Context::from_waker(Waker::noop())).is_pending()
            && !self.link.is_poisoned()
            && self.sender.is_ready()
    }

    /// Begins a request.
    pub(crate) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<http::Response<hyper::body::Incoming>, http1_error::Unsent>> + use<>
    {
        self.requests = self.requests.saturating_add(1);
        self.sender.try_send_request(request)
    }
}

/// hyper's error that may give the request back.
pub(crate) mod http1_error {
    pub(crate) type Unsent =
        hyper::client::conn::TrySendError<http::Request<crate::request_body::RequestBody>>;
}

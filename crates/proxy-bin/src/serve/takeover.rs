//! Taking over: a process that begins with sockets of another, of systemd or of the process whose
//! place it takes.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::Arc;

use listenfd::ListenFd;
use proxy_server::Bound;
#[cfg(feature = "http3")]
use proxy_server::{BoundUdp, UdpPast};
use tokio::sync::watch;

use super::handover::{Line, Message};
use super::offered::Offered;

/// The environment variable with the number of the process that is taken over from.
pub(super) const PREDECESSOR: &str = "PROXYD_PREDECESSOR";

/// The process whose place this one takes, while it lets go.
#[derive(Debug)]
pub(super) struct Predecessor {
    line: Line,
    /// The token that it made for an admin listener at this address.
    pub(super) token: Option<(String, String)>,
    released: watch::Sender<bool>,
}

/// What the process begins with. To be called before there are threads: the environment is read,
/// and what systemd says there is taken out of it.
///
/// # Errors
/// The process before has gone, or says what nobody knows.
pub(super) fn begin() -> io::Result<(Offered, Option<Predecessor>)> {
    let mut offered = activated();
    let Some(line) = predecessor()? else { return Ok((offered, None)) };
    let mut token = None;
    #[cfg(feature = "http3")]
    let mut arriving = super::datagrams::Arriving::default();
    loop {
        let (message, descriptor) = line.hear()?;
        let missing = || io::Error::other("a message without its socket");
        let socket = || -> io::Result<OwnedFd> { descriptor.ok_or_else(missing) };
        match message {
            Message::Tcp => offered.streams.push(Bound::Tcp(socket()?.into())),
            Message::Unix => offered.streams.push(Bound::Unix(UnixListener::from(socket()?))),
            #[cfg(feature = "http3")]
            Message::Udp => arriving.socket(socket()?),
            #[cfg(feature = "http3")]
            Message::UdpPast { generation, ids, secret } => {
                arriving.past(UdpPast { generation, ids, secret, line: socket()? });
            }
            #[cfg(not(feature = "http3"))]
            Message::Udp | Message::UdpPast { .. } => drop(socket()?),
            Message::Token { address, token: made } => token = Some((address, made)),
            Message::All => break,
            other => return Err(io::Error::other(format!("it says {other:?}"))),
        }
    }
    #[cfg(feature = "http3")]
    offered.datagrams.extend(arriving.sockets());
    Ok((offered, Some(Predecessor { line, token, released: watch::channel(false).0 })))
}

/// The process that has started this one to take its place.
fn predecessor() -> io::Result<Option<Line>> {
    let said = std::env::var(PREDECESSOR).ok().and_then(|own| own.parse().ok());
    let parent = rustix::process::getppid().map(|own| own.as_raw_nonzero().get());
    // What a process of old times left in the environment says nothing.
    if said.is_none() || said != parent {
        return Ok(None);
    }
    let line = io::stdin().as_fd().try_clone_to_owned()?;
    let nothing = std::fs::File::open("/dev/null")?;
    rustix::stdio::dup2_stdin(&nothing)?;
    Line::of(line).map(Some)
}

/// The sockets that systemd opened for this process (`LISTEN_FDS`).
fn activated() -> Offered {
    let mut given = ListenFd::from_env();
    let mut offered = Offered::default();
    for index in 0..given.len() {
        if let Ok(Some(listener)) = given.take_tcp_listener(index) {
            offered.streams.push(Bound::Tcp(listener));
        } else if let Ok(Some(listener)) = given.take_unix_listener(index) {
            offered.streams.push(Bound::Unix(listener));
        } else {
            #[cfg(feature = "http3")]
            if let Ok(Some(socket)) = given.take_udp_socket(index) {
                offered.datagrams.push(BoundUdp::from(socket));
                continue;
            }
            tracing::warn!(index, "a descriptor of LISTEN_FDS is no socket that can be served on");
        }
    }
    offered
}

impl Predecessor {
    /// Says that the configuration is good, and waits until the other one has let go.
    pub(super) fn loaded(&self) -> io::Result<()> {
        self.line.say(&Message::Loaded)?;
        self.line.expect(&Message::Go)
    }

    /// Becomes true when the other one reads no UDP socket any more, or is gone.
    #[cfg(feature = "http3")]
    pub(super) fn released(&self) -> watch::Receiver<bool> {
        self.released.subscribe()
    }

    /// Says that this process serves: the other one drains. Whatever can fail does so before.
    pub(super) fn ready(self) -> io::Result<()> {
        let Self { line, released, .. } = self;
        let line = Arc::new(line);
        let heard = Arc::clone(&line);
        std::thread::Builder::new().name("predecessor".into()).spawn(move || {
            heard.outlive(|said| {
                if *said == Message::Released {
                    released.send_replace(true);
                }
            });
            released.send_replace(true);
        })?;
        line.say(&Message::Ready)
    }
}

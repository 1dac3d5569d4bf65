//! Termination of TLS: [`TlsEdge`] is what a listener needs to do handshakes.
//!
//! rustls with aws-lc-rs does the cryptography; what is shown to whom is decided here.
//! A [`Certificate`] is one with its key, checked; a [`CertificateStore`] finds the right one by the
//! name a client asks for; a [`TlsEdge`] makes a rustls configuration of it and can be given new
//! certificates while connections go on.
//!
//! HTTP/3 takes the same and offers another protocol. A stream that is not a socket, such as a
//! tunnel, is terminated by the same `handshake::accept`.

mod certificate;
mod client_auth;
mod edge;
mod handshake;
mod identity;
mod names;
#[cfg(feature = "http3")]
mod quic;
mod store;
mod stream;

pub use certificate::{Certificate, CertificateDoubt, CertificateError};
pub use client_auth::{ClientAuth, ClientAuthError};
pub use edge::{TlsEdge, TlsError, TlsMaterial, TlsOptions, TlsVersion};
pub use store::{CertificateStore, UnknownNames};

pub(crate) use handshake::{CLEAR_TEXT, Failed, accept};
#[cfg(feature = "http3")]
pub(crate) use quic::QuicTls;

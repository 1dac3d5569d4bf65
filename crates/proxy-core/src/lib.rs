#![doc = include_str!("../README.md")]

pub mod activity;
pub mod audit;
pub mod body;
pub mod catch_panic;
pub mod client_address;
pub mod client_hello;
pub mod clock;
pub mod coding;
#[cfg(feature = "tokio")]
pub mod deadline;
pub mod decimal;
pub mod error;
pub mod error_pages;
pub mod events;
pub mod exchange;
pub mod fields;
pub mod framing;
pub mod head;
mod hex;
pub mod hygiene;
#[cfg(feature = "matching")]
pub mod matching;
pub mod name_policy;
pub mod names;
pub mod refusal;
pub mod rescue;
#[cfg(feature = "tokio")]
pub mod system;
pub mod target;
pub mod tls;
pub mod trust;
pub mod tunnel_policy;
pub mod work_queue;

pub use activity::{ConnectionActivity, LatestRequest, UnderWay};
pub use audit::{AuditAnswer, AuditEvent, AuditRecord, AuditSink};
pub use body::{Body, Reply};
pub use catch_panic::CatchPanicLayer;
pub use client_address::{AddressPrivacy, AddressView, ClientAddr, ClientKey, IpSet, Pseudonyms};
pub use client_hello::{ClientHello, ClientHelloReader, HelloFault, HelloProgress};
pub use clock::{Clock, Sleep, Spawn, Work};
pub use coding::{ContentCoder, Effort, NotCoded};
pub use error::{BoxError, ErrorKind, ProxyError, Retry, Side};
pub use error_pages::ErrorPagesLayer;
pub use events::{ConnectionEvent, ConnectionEvents, ConnectionRefusal, TunnelEnd, TunnelOutcome};
pub use exchange::{
    Attempt, ConnectionInfo, Decision, Ending, Exchange, Exchanges, InterimSink, ParentTunnel,
    ProgramRun, RequestFacts, Sending, ServerName, Tags, Trace, TraceContext, Verdict,
};
pub use framing::{ContentFramer, Fault, Framing, HeadLimits, HeadScan, MessageFramer};
pub use head::RequestHead;
pub use hygiene::HygieneLayer;
pub use name_policy::{Finding, FoundName, NamePolicy, NameSource};
pub use names::{NameError, NameKind, NamePattern, NameSet};
pub use refusal::Refusal;
pub use rescue::RescueLayer;
#[cfg(feature = "tokio")]
pub use system::{SystemClock, TokioSpawn};
pub use target::{Authority, PathPolicy, TargetForm};
pub use tls::{CertificateNames, ClientCertificate, TlsInfo};
pub use trust::ClientAddrLayer;
pub use tunnel_policy::{OpeningLimits, TunnelCheck, TunnelOpening, TunnelPolicy};
pub use work_queue::WorkQueue;

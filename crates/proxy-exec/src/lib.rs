//! A command line program as a streaming HTTP resource: its standard output is the content of the
//! response while it runs, its standard input the content of the request, and its life ends with
//! the exchange.
//!
//! ```no_run
//! use axum::Router;
//! use http::HeaderValue;
//! use proxy_exec::params::{Kind, Param, Source};
//! use proxy_exec::{ExecConfig, ExecRunner, ExecService, Warden};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     // First of all: a copy of this program is the warden that starts the others.
//!     let warden = Warden::begin();
//!     let range = Kind::Integer { min: 1, max: 1000 };
//!     let seq = ExecConfig::new("seq")
//!         .arg("{query.last}")?
//!         .param("last", Param::new(Source::Query, range).or("10"))
//!         .content_type(HeaderValue::from_static("text/plain"));
//!     // It is asked under names of this machine; `.any_host()` for others.
//!     let seq = ExecService::new(seq, &ExecRunner::new(warden))?;
//!     tokio::runtime::Runtime::new()?.block_on(async {
//!         let app: Router = Router::new().route_service("/seq", seq);
//!         axum::serve(tokio::net::TcpListener::bind("127.0.0.1:3000").await?, app).await
//!     })?;
//!     Ok(())
//! }
//! ```
//!
//! There is no shell. Each argument is one word, and what a request may say in it is a
//! [parameter](params) with a type. A [`Warden`], one small process, starts the programs: so the
//! size of the proxy does not matter, whole groups are ended, whoever leaves its group is found,
//! and when the proxy is gone, however that went, they are too.
//!
//! # Ordering
//! In the place of an upstream: below authorisation, compression and a cache. Where there is a
//! cache, [`ExecEntryLayer`] stands above it: a stored response passes the same judgement as a run,
//! and requests for the same run have one key. [`ExecLayer`] answers some requests of a service and
//! passes the others on.
//!
//! # Errors and responses
//! 200 with the output from its first byte on. Before it: 400 for what is wrong with a parameter,
//! 403 for a page of another site, 405 for methods such as OPTIONS, 421 for a name that is not this
//! machine's on a loopback address (or where no Exchange says on which, see [`ExecConfig::any_host`]),
//! 404, 413 and 415 for paths and content, 500 where the program can not be started, 502 where it
//! failed, 503 with `Retry-After` where its turn did not come, 504 where it was silent. After the
//! first byte a failure ends the message abnormally, never as if it were whole. All refusals carry
//! a [`Refusal`](proxy_core::Refusal).
//!
//! # Cancellation
//! Dropping the future or the body ends the run: SIGTERM to its group, SIGKILL after
//! [`Timeouts::kill_after`]. The places that it takes among the runs are free when nobody is left
//! of it.
//!
//! # Metrics
//! [`METRICS`], by route.

mod answer;
mod body;
mod browser;
mod cgi;
mod config;
pub mod entry;
mod errors_log;
pub mod fetch;
mod frames;
mod layer;
mod live;
mod metrics;
pub mod params;
mod pipes;
mod process;
mod runner;
mod service;
mod slots;

pub use body::ExecBody;
pub use config::{Directory, ExecConfig, Limits, Origins, Stderr, Timeouts};
pub use entry::ExecEntryLayer;
pub use layer::{Exec, ExecLayer, ExecLayerBody, ExecLayerFuture};
pub use metrics::{METRICS, Why};
pub use process::{
    CgroupLimits, Confinement, ExecError, Spawner, Statement, Support, Warden, support,
};
pub use runner::ExecRunner;
pub use service::{ConfigError, ExecFuture, ExecService};

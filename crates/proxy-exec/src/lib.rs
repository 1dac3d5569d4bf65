#![doc = include_str!("../README.md")]

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

#![doc = include_str!("../README.md")]

pub mod access;
pub mod access_log;
pub mod admin;
pub mod admin_token;
pub mod audit;
pub mod body_limit;
pub mod buffer;
pub mod cache;
pub mod cli;
pub mod compose;
pub mod compress;
pub mod config;
pub mod discovery;
pub mod exec;
pub mod explain;
pub mod extensions;
pub mod files;
pub mod filter;
pub mod forward;
pub mod gateway;
pub mod generation;
pub mod inspection;
pub mod intercept;
pub mod live;
pub mod log_level;
pub mod memory_guard;
pub mod metrics_page;
pub mod miss_limited;
pub mod names;
pub mod paced_stream;
pub mod policy_test;
pub mod program;
pub mod reload;
mod reopening;
pub mod request_limits;
pub mod role;
pub mod routes;
pub mod serve;
pub mod sever;
pub mod severing;
pub mod stack;
pub mod standard_error;
pub mod states;
pub mod tls;
pub mod traces;

/// The whole stack as a tower service, in a server of somebody else.
pub mod embed {
    pub use crate::serve::embedded::{Stack, StackBuilder, StackError, StackService};
}

pub use program::Program;

//! `proxyd`: composes the layers of the other crates by a configuration, and serves.
//!
//! [`config`] reads and checks, [`compose`] builds the stack, [`serve`] runs it; [`cli`] is what
//! the operator types. [`gateway`] and [`forward`] are what the two roles of a listener do.

pub mod access;
pub mod access_log;
pub mod admin;
pub mod admin_token;
pub mod audit;
pub mod body_limit;
pub mod cache;
pub mod cli;
pub mod compose;
pub mod compress;
pub mod config;
pub mod exec;
pub mod explain;
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
pub mod reload;
pub mod request_limits;
pub mod role;
pub mod routes;
pub mod serve;
pub mod sever;
pub mod stack;
pub mod states;
pub mod tls;
pub mod traces;

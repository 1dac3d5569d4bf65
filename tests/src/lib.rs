//! End-to-end tests of the built `proxyd` binary: the harness.
//!
//! The tests in `tests/` start the real program and speak to it over real sockets, with clients
//! and origins that are scripted byte for byte ([`client`], [`origin`]) or are real programs
//! ([`programs`], [`nginx`]). What an origin received is judged by [`wire`], a strict parser that
//! shares no code with the proxy. Nothing here waits for a fixed time: every wait is for a
//! condition, with a deadline that only a failure reaches.

pub mod cache_case;
pub mod cache_judge;
pub mod cache_stage;
pub mod cache_status;
pub mod chromium;
pub mod client;
pub mod client_hello;
pub mod compressible;
pub mod configured;
pub mod corpus;
pub mod h2_client;
pub mod h2_origin;
pub mod h2_wire;
pub mod h3_client;
pub mod hpack;
pub mod http_date;
pub mod load;
pub mod name_server;
pub mod nginx;
pub mod operator;
pub mod origin;
pub mod pages;
pub mod pki;
pub mod ports;
pub mod processes;
pub mod programs;
pub mod protobuf;
pub mod proxyd;
pub mod received;
pub mod scratch;
pub mod script;
pub mod scripted_parent;
pub mod send_queue;
pub mod silent_file;
pub mod successors;
pub mod system_files;
pub mod waiting;
pub mod wire;

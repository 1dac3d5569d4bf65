//! The layer, its log and its metrics, over a scripted service.

mod access_log;
mod alone;
mod audit_gate;
mod audit_log;
mod audit_verify;
mod contract;
mod layer;
mod log_choice;
mod log_files;
mod log_template;
mod metrics;
mod scene;
mod system_logs;
mod termination;
#[cfg(feature = "otlp")]
mod traces;
mod trail;

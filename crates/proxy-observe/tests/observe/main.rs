//! The layer, its log and its metrics, over a scripted service.

mod access_log;
mod contract;
mod layer;
mod metrics;
mod scene;

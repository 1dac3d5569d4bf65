//! HTTP/3 frame by frame: a client that sends any bytes over QUIC, with field sections spelled out
//! by hand, against the edge as it runs.

mod client;
mod course;
mod critical_streams;
mod exchanges;
mod frame_order;
mod malformed;
mod server;

use client::{Client, Seen, data, frame, headers, section};
use server::Server;

/// Error codes, as numbers: what the edge calls them must not matter here.
mod code {
    pub(super) const NO_ERROR: u64 = 0x100;
    pub(super) const INTERNAL_ERROR: u64 = 0x102;
    pub(super) const STREAM_CREATION: u64 = 0x103;
    pub(super) const CLOSED_CRITICAL_STREAM: u64 = 0x104;
    pub(super) const FRAME_UNEXPECTED: u64 = 0x105;
    pub(super) const FRAME_ERROR: u64 = 0x106;
    pub(super) const EXCESSIVE_LOAD: u64 = 0x107;
    pub(super) const ID_ERROR: u64 = 0x108;
    pub(super) const SETTINGS_ERROR: u64 = 0x109;
    pub(super) const MISSING_SETTINGS: u64 = 0x10a;
    pub(super) const REQUEST_REJECTED: u64 = 0x10b;
    pub(super) const REQUEST_INCOMPLETE: u64 = 0x10d;
    pub(super) const MESSAGE_ERROR: u64 = 0x10e;
    pub(super) const CONNECT_ERROR: u64 = 0x10f;
    pub(super) const DECOMPRESSION_FAILED: u64 = 0x200;
    pub(super) const ENCODER_STREAM: u64 = 0x201;
    pub(super) const DECODER_STREAM: u64 = 0x202;
}

/// A field section's lines.
type Lines<'a> = &'a [(&'a str, &'a str)];

/// A plain request for a path, with more fields.
fn request<'a>(method: &'a str, path: &'a str, more: Lines<'a>) -> Vec<(&'a str, &'a str)> {
    let mut lines =
        vec![(":method", method), (":scheme", "https"), (":authority", "a.test"), (":path", path)];
    lines.extend_from_slice(more);
    lines
}

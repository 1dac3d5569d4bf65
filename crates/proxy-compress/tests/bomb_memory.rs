//! What decoding bombs takes. A process of its own: its memory is looked at, by an allocator that
//! counts, and, since one of the decoders is no Rust, by what the system says.

#![cfg(target_os = "linux")]

mod stage;

use std::alloc::System;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::StatusCode;
use http_body::{Body, Frame};
use http_body_util::BodyExt as _;
use proxy_compress::DecodeLayer;
use proxy_compress::decode::DecodeLimits;
use proxy_core::BoxError;
use stage::bomb::{MEGABYTE, bomb, coded_as};
use stage::{get, response, through};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What is allocated at this moment, in bytes.
fn allocated() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated.saturating_sub(stats.bytes_deallocated)
}

/// The memory of this process at its highest, in KiB; then it is measured anew.
fn highest_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a figure");
    let figure = line.split_whitespace().nth(1).expect("KiB").parse().expect("a number");
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    figure
}

/// Content in small pieces that looks at what is allocated whenever one is asked for.
struct Watched {
    content: Bytes,
    most: Arc<AtomicUsize>,
}

impl Body for Watched {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.most.fetch_max(allocated(), Ordering::Relaxed);
        let len = self.content.len().min(1000);
        let piece = self.content.split_to(len);
        Poll::Ready((len > 0).then(|| Ok(Frame::data(piece))))
    }
}

/// A bomb, how much comes out of it, and what its decoders may allocate in Rust.
struct Bomb {
    codings: &'static str,
    content: Bytes,
    megabytes: usize,
    most: usize,
}

fn corpus() -> Vec<Bomb> {
    let of = |codings, content, megabytes, most| Bomb { codings, content, megabytes, most };
    let members = bomb("gzip", 16);
    let frames = bomb("zstd", 32);
    vec![
        of("gzip, gzip", coded_as("gzip", &members), 16, MEGABYTE),
        of("gzip, zstd", coded_as("zstd", &members), 16, MEGABYTE),
        of("zstd, br", coded_as("br", &frames), 32, 20 * MEGABYTE),
        of("br, gzip", coded_as("gzip", &bomb("br", 32)), 32, 20 * MEGABYTE),
        of("deflate, deflate", coded_as("deflate", &bomb("deflate", 16)), 16, MEGABYTE),
        of("gzip", members, 16, MEGABYTE),
        of("deflate", bomb("deflate", 16), 16, MEGABYTE),
        of("br", bomb("br", 32), 32, 20 * MEGABYTE),
        of("zstd", bomb("zstd", 64), 64, MEGABYTE),
    ]
}

#[tokio::test]
async fn memory_stays_bounded_whatever_comes_out() {
    let patient = DecodeLimits { ratio: u32::MAX, ..DecodeLimits::default() };
    let corpus = corpus();
    highest_memory();
    let before = highest_memory();
    for Bomb { codings, content, megabytes, most } in &corpus {
        for (limits, refused) in [(DecodeLimits::default(), true), (patient, false)] {
            let seen = Arc::new(AtomicUsize::new(0));
            let held = allocated();
            let answer = {
                let body = Watched { content: content.clone(), most: Arc::clone(&seen) };
                let answer = response(&[("content-encoding", *codings)], body);
                let request = get(&[("accept-encoding", "identity")]);
                through(&DecodeLayer::new(limits), request, answer).await
            };
            assert_eq!(answer.status() == StatusCode::BAD_GATEWAY, refused, "{codings}");
            let mut body = pin!(answer.into_body());
            let mut len = 0;
            while let Some(frame) = body.frame().await {
                len += frame.unwrap().into_data().unwrap().len();
                seen.fetch_max(allocated(), Ordering::Relaxed);
            }
            assert_eq!(len, if refused { 0 } else { megabytes * MEGABYTE }, "{codings}");
            let taken = seen.load(Ordering::Relaxed).saturating_sub(held);
            assert!(taken > 0 && taken < *most, "{codings}: {taken} bytes");
            let grown = highest_memory().saturating_sub(before);
            // A window of 8 MiB, or one of 16 for br, and what the decoders hold beside it.
            assert!(grown < 48 << 10, "{codings}: {grown} KiB");
        }
    }
}

//! What coding costs: processor time for each megabyte and the ratio, by coding and level.
//!
//! ```text
//! cargo run --release -p proxy-compress --example coding_cost -- FILE [PIECE]
//! ```
//!
//! The file goes through the layer in pieces of `PIECE` bytes (16384), as an upstream sends them, and
//! each time without a pause: nothing is flushed before the end.

use std::convert::Infallible;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use proxy_compress::{Coding, CompressConfig, CompressLayer, Levels, LoadGuard, LoadLimits};
use proxy_core::SystemClock;
use tower::{ServiceBuilder, ServiceExt as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next().unwrap_or_else(|| "Cargo.lock".to_owned());
    let piece = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(16 * 1024);
    let content = Bytes::from(std::fs::read(file)?);
    let mut out = std::io::stdout();
    for (coding, levels) in [
        (Coding::Gzip, &[1, 2, 3, 4, 5, 6, 9][..]),
        (Coding::Brotli, &[1, 3, 4, 5, 6]),
        (Coding::Zstd, &[1, 3, 6]),
    ] {
        for level in levels {
            let (times, size) = measure(coding, *level, &content, piece).await;
            let ratio = size as f64 / content.len() as f64;
            writeln!(out, "{coding:>4} {level}: {times:6.2} ms/MB, ratio {ratio:.3}")?;
        }
    }
    Ok(())
}

/// Milliseconds for each megabyte, the best of several rounds, and the coded size.
async fn measure(coding: Coding, level: u8, content: &Bytes, piece: usize) -> (f64, usize) {
    let levels = Levels { zstd: level, br: level, gzip: level };
    let config = CompressConfig { levels, ..CompressConfig::default() };
    // Nothing else is to be done: the guard would lower the levels.
    let limits = LoadLimits { share: 100, ..LoadLimits::default() };
    let guard = LoadGuard::new(Arc::new(SystemClock), limits, None);
    let layer = CompressLayer::builder(config, Arc::new(SystemClock)).guard(guard).build();
    let (mut best, mut size) = (f64::MAX, 0);
    let rounds = (8 << 20) / content.len().max(1) + 3;
    for _ in 0..rounds {
        let (whole, len) = (content.clone(), content.len());
        let service =
            ServiceBuilder::new().layer(layer.clone()).service_fn(move |_: Request<()>| {
                let pieces: Vec<_> = whole
                    .chunks(piece)
                    .map(|piece| Ok::<_, Infallible>(Frame::data(whole.slice_ref(piece))))
                    .collect();
                let body = StreamBody::new(futures_util::stream::iter(pieces));
                let response = Response::builder()
                    .header("content-type", "text/html")
                    .header("content-length", len);
                std::future::ready(Ok::<_, Infallible>(response.body(body).expect("a response")))
            });
        let request = Request::get("/").header("accept-encoding", coding.token());
        let begin = Instant::now();
        let Ok(response) = service.oneshot(request.body(()).expect("a request")).await;
        let coded = response.into_body().collect().await.expect("it codes").to_bytes();
        let took = begin.elapsed().as_secs_f64() * 1000.0;
        best = best.min(took / (content.len() as f64 / 1e6));
        size = coded.len();
    }
    (best, size)
}

//! What decoding bombs takes. A process of its own: its memory is looked at.

#![cfg(target_os = "linux")]

mod stage;

use std::fmt::Write as _;
use std::pin::pin;

use http::StatusCode;
use http_body_util::{BodyExt as _, Full};
use proxy_compress::DecodeLayer;
use proxy_compress::decode::DecodeLimits;
use stage::bomb::{MEGABYTE, bomb};
use stage::{get, response, through};

/// The memory of this process at its highest, in KiB; then it is measured anew.
fn highest_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("a figure");
    let figure = line.split_whitespace().nth(1).expect("KiB").parse().expect("a number");
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    figure
}

#[tokio::test]
async fn memory_stays_bounded_whatever_comes_out() {
    let mut told = String::new();
    let patient = DecodeLimits { ratio: u32::MAX, ..DecodeLimits::default() };
    let corpus: Vec<_> = [("gzip", 64), ("deflate", 64), ("br", 48), ("zstd", 128)]
        .map(|(coding, megabytes)| (coding, bomb(coding, megabytes), megabytes))
        .into();
    highest_memory();
    let before = highest_memory();
    for (coding, bomb, megabytes) in &corpus {
        for (limits, refused) in [(DecodeLimits::default(), true), (patient, false)] {
            let answer = {
                let fields = [("content-encoding", *coding)];
                let answer = response(&fields, Full::from(bomb.clone()));
                let request = get(&[("accept-encoding", "identity")]);
                through(&DecodeLayer::new(limits), request, answer).await
            };
            assert_eq!(answer.status() == StatusCode::BAD_GATEWAY, refused, "{coding}");
            let mut body = pin!(answer.into_body());
            let mut len = 0;
            while let Some(frame) = body.frame().await {
                len += frame.unwrap().into_data().unwrap().len();
            }
            assert_eq!(len, if refused { 0 } else { megabytes * MEGABYTE }, "{coding}");
            let grown = highest_memory().saturating_sub(before);
            let _ = writeln!(told, "{coding} of {megabytes} MiB: {grown} KiB");
            // A window of 8 MiB, or one of 16 for br, and what the decoders hold beside it.
            assert!(grown < 40 << 10, "{told}");
        }
    }
}

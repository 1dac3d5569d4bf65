//! Decompression of what an origin server sends: bombs, and content that is not what it says.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Origin};
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(content).expect("it codes");
    encoder.finish().expect("it ends")
}

/// 64 MiB in 64 KiB.
fn bomb() -> Vec<u8> {
    gzip(&vec![0; 1 << 20]).repeat(64)
}

/// A gateway to an origin server that sends this as gzip, asked and not asked.
fn gateway(content: Vec<u8>) -> (Origin, Proxyd) {
    let origin = Origin::answering(move |_, _| {
        let fields = [("Content-Type", "text/plain"), ("Content-Encoding", "gzip")];
        vec![origin::response("200 OK", &fields, &content)]
    });
    let proxy = configured::gateway(&origin.url(), "", "compress = true\n").start();
    (origin, proxy)
}

fn ask(proxy: &Proxyd, takes: &str) -> Answer {
    let request = format!(
        "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: {takes}\r\nConnection: close\r\n\r\n"
    );
    client::exchange(proxy.address(), "GET", request)
}

#[test]
fn a_bomb_is_a_502_with_its_reason() {
    for (content, reason) in [
        (bomb(), "decompression_bomb"),
        (b"this is no gzip at all".to_vec(), "content_coding_malformed"),
        (gzip(b"some text and more")[..15].to_vec(), "content_coding_incomplete"),
    ] {
        let (_origin, proxy) = gateway(content.clone());
        // One that takes no coding, and one that takes another than there is.
        for takes in ["identity", "br"] {
            let answer = ask(&proxy, takes);
            assert_eq!(answer.status(), 502, "{reason} {takes}");
            assert_eq!(answer.field("content-type"), Some("application/problem+json"));
            assert_eq!(answer.field("content-encoding"), None);
            assert!(answer.text().contains(reason), "{}", answer.text());
        }
        waiting::until("the log names the error", || {
            proxy.log().contains("http_response_content_coding").then_some(())
        });
        // Who takes it gets what there is.
        let answer = ask(&proxy, "gzip");
        assert_eq!((answer.status(), answer.content == content), (200, true), "{reason}");
    }
}

#[test]
fn what_turns_into_a_bomb_breaks_off_and_is_logged() {
    let text: Vec<u8> = (0..20_000u32).flat_map(|n| format!("line {n}; ").into_bytes()).collect();
    let (_origin, proxy) = gateway([gzip(&text), bomb()].concat());
    let before = proxy.resident_kib();
    let answer = ask(&proxy, "identity");
    assert_eq!(answer.status(), 200);
    assert!(!answer.is_whole());
    assert!(answer.content.starts_with(&text) && answer.content.len() < 32 << 20);
    waiting::until("the log names the error", || {
        proxy.log().contains("http_response_content_coding").then_some(())
    });
    let grown = proxy.resident_kib().saturating_sub(before);
    assert!(grown < 32 << 10, "{grown} KiB");
}

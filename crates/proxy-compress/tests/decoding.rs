//! Codings taken off, and bombs.

mod stage;

use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use http::{HeaderMap, HeaderValue};
use http_body_util::Full;
use proptest::prelude::*;
use proxy_compress::decode::{DecodeLimits, Unpacker, decoder};
use proxy_compress::{DecodeError, DecodeLayer};
use proxy_testkit::{ScriptedBody, Step};
use stage::{content, decoded, get, response, text, through};

fn coded(coding: &str, content: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" => {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "deflate" => {
            let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "raw" => {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 5, 22);
            encoder.write_all(content).unwrap();
            drop(encoder);
            out
        }
        "zstd" => zstd::encode_all(content, 3).unwrap(),
        _ => unreachable!(),
    }
}

fn fields(codings: &str) -> HeaderMap {
    let mut fields = HeaderMap::new();
    fields.insert("content-encoding", HeaderValue::from_str(codings).unwrap());
    fields
}

/// Decodes to nowhere, with a small buffer: what comes out, or why not.
fn drain(codings: &str, limits: DecodeLimits, mut input: &[u8]) -> Result<u64, DecodeError> {
    let mut unpacker = Unpacker::new(&fields(codings), limits)?.expect("a coding");
    let mut out = Vec::with_capacity(16 * 1024);
    loop {
        let used = unpacker.decode(input, &mut out)?;
        input = &input[used..];
        assert!(out.capacity() <= 16 * 1024, "it makes no room for itself");
        out.clear();
        if unpacker.wants_input() {
            let ended = input.is_empty() && unpacker.is_ended();
            return if ended { Ok(unpacker.given()) } else { Err(DecodeError::Truncated) };
        }
    }
}

#[test]
fn every_coding_and_codings_over_each_other() {
    let whole = text(100_000);
    for (name, made_as) in [
        ("gzip", "gzip"),
        ("x-gzip", "gzip"),
        ("deflate", "deflate"),
        ("deflate", "raw"),
        ("BR", "br"),
        ("zstd", "zstd"),
    ] {
        assert!(decoded(&fields(name), &coded(made_as, &whole)) == whole, "{name}");
    }
    for outer in ["gzip", "br", "zstd"] {
        for inner in ["gzip", "br", "zstd", "deflate"] {
            let twice = coded(outer, &coded(inner, &whole));
            assert!(decoded(&fields(&format!("{inner}, {outer}")), &twice) == whole);
        }
    }
    // Several members, and something behind them that is none.
    let members = [coded("gzip", b"one, "), coded("gzip", b"two"), b"\0\0\0".to_vec()].concat();
    assert_eq!(decoded(&fields("gzip"), &members), b"one, two");
    let frames = [coded("zstd", b"one, "), coded("zstd", b"two")].concat();
    assert_eq!(decoded(&fields("zstd"), &frames), b"one, two");
    let members = [coded("gzip", b"one"), b"\x1f\0\0".to_vec()].concat();
    assert_eq!(decoded(&fields("gzip"), &members), b"one", "it begins as a member would");
    let padded = [frames, vec![0; 1000]].concat();
    assert_eq!(decoded(&fields("zstd"), &padded), b"one, two");
}

#[test]
fn bombs_do_not_go_off() {
    let limits = DecodeLimits { size: 64 << 20, ratio: 100, grace: 1 << 20, nesting: 2 };
    let zeros = vec![0; 32 << 20];
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let bomb = coded(coding, &zeros);
        assert_eq!(drain(coding, limits, &bomb), Err(DecodeError::Bomb(100)), "{coding}");
        let patient = DecodeLimits { ratio: u32::MAX, ..limits };
        assert_eq!(drain(coding, patient, &bomb), Ok(32 << 20), "{coding}");
        let strict = DecodeLimits { size: 1 << 20, ..patient };
        assert_eq!(drain(coding, strict, &bomb), Err(DecodeError::TooLarge(1 << 20)), "{coding}");
        for outer in ["gzip", "br", "zstd"] {
            let nested = coded(outer, &bomb);
            let codings = format!("{coding}, {outer}");
            assert_eq!(drain(&codings, limits, &nested), Err(DecodeError::Bomb(100)), "{codings}");
            // The inner form counts as well: nothing of it is larger than what may come out.
            let twice = coded(outer, &coded(outer, &bomb));
            let codings = format!("{coding}, {outer}, {outer}");
            assert_eq!(drain(&codings, limits, &twice), Err(DecodeError::Nested(2)));
        }
    }
}

#[test]
fn a_window_beyond_the_standard_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    encoder.write_all(&text(1000)).unwrap();
    encoder.flush().unwrap();
    let large = encoder.finish().unwrap();
    assert_eq!(drain("zstd", DecodeLimits::default(), &large), Err(DecodeError::Malformed("zstd")));
}

#[test]
fn what_is_cut_or_broken_is_told_from_what_is_whole() {
    let whole = text(10_000);
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let good = coded(coding, &whole);
        let cut = drain(coding, DecodeLimits::default(), &good[..good.len() / 2]);
        assert_eq!(cut, Err(DecodeError::Truncated), "{coding}");
        let broken = drain(coding, DecodeLimits::default(), b"this is no coded content at all");
        assert!(broken.is_err(), "{coding}");
    }
    assert_eq!(drain("compress", DecodeLimits::default(), b""), Err(DecodeError::Unknown));
    assert!(decoder("identity").is_none());
}

#[tokio::test]
async fn a_client_gets_what_it_takes() {
    let whole = text(5000);
    let answer = |fields: &[(&str, &str)]| {
        let all =
            [&[("content-encoding", "br"), ("etag", "\"1\""), ("content-length", "9")], fields];
        response(&all.concat(), Full::<Bytes>::from(coded("br", &whole)))
    };
    let layer = DecodeLayer::default();
    for takes in ["gzip", "identity", "br;q=0, *"] {
        let plain = through(&layer, get(&[("accept-encoding", takes)]), answer(&[])).await;
        let have = plain.headers();
        assert!(!have.contains_key("content-encoding") && !have.contains_key("content-length"));
        assert_eq!(
            (&have["etag"], &have["vary"]),
            (&"W/\"1\"".parse().unwrap(), &"accept-encoding".parse().unwrap())
        );
        assert_eq!(content(plain.into_body()).await.unwrap(), whole, "{takes}");
    }
    for (request, fields) in [
        (&[("accept-encoding", "gzip, br")][..], &[][..]),
        (&[], &[]),
        (&[("accept-encoding", "gzip")], &[("cache-control", "no-transform")]),
        (&[("accept-encoding", "gzip")], &[("content-range", "bytes 0-8/10")]),
    ] {
        let kept = through(&layer, get(request), answer(fields)).await;
        assert_eq!(kept.headers()["content-encoding"], "br", "{request:?} {fields:?}");
        // Others get it decoded: a cache on the way has to know.
        assert_eq!(kept.headers().contains_key("vary"), fields.is_empty(), "{fields:?}");
        assert_eq!(content(kept.into_body()).await.unwrap(), coded("br", &whole));
    }
}

#[tokio::test]
async fn a_304_has_the_tag_of_the_decoded_form() {
    for (has, expected) in [
        ("W/\"1\"", "W/\"1\""),
        ("\"1\"", "\"1\""),
        ("W/\"1\", \"1\"", "\"1\""),
        ("W/\"2\"", "\"1\""),
    ] {
        let mut answer = response(&[("etag", "\"1\"")], Full::<Bytes>::default());
        *answer.status_mut() = http::StatusCode::NOT_MODIFIED;
        let request = get(&[("accept-encoding", "gzip"), ("if-none-match", has)]);
        let answer = through(&DecodeLayer::default(), request, answer).await;
        assert_eq!(answer.headers()["etag"], expected, "{has}");
    }
}

#[tokio::test]
async fn trailers_come_after_what_was_decoded() {
    use http_body_util::BodyExt as _;
    let gzip = Bytes::from(coded("gzip", b"some text"));
    let steps = [
        Step::Data(gzip.slice(..5)),
        Step::Yield,
        Step::Data(gzip.slice(5..)),
        Step::trailer("x-sum", "1"),
    ];
    let answer = response(&[("content-encoding", "gzip")], ScriptedBody::new(steps));
    let answer = through(&DecodeLayer::default(), get(&[("accept-encoding", "br")]), answer).await;
    let all = answer.into_body().collect().await.unwrap();
    assert_eq!(all.trailers().expect("trailers")["x-sum"], "1");
    assert_eq!(all.to_bytes(), "some text");
}

proptest! {
    /// Whatever comes, decoders end, and say so.
    #[test]
    fn garbage_is_no_trouble(
        garbage in prop::collection::vec(any::<u8>(), 0..2000),
        name in prop::sample::select(&["gzip", "deflate", "br", "zstd", "gzip, br", "zstd, gzip"][..]),
        from in 0usize..64,
    ) {
        let limits = DecodeLimits { size: 1 << 20, ..DecodeLimits::default() };
        let _ = drain(name, limits, &garbage);
        // Good content with something in it changed.
        let first = name.split(", ").next().unwrap();
        let mut changed = coded(first, &text(3000));
        let at = from * changed.len() / 64;
        for (byte, garbage) in changed[at..].iter_mut().zip(&garbage) {
            *byte ^= garbage;
        }
        let _ = drain(first, limits, &changed);
    }
}

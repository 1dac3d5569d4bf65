//! Whatever a client says and an upstream sends: fields of any bytes, content of any bytes, cut
//! anywhere.

mod stage;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request};
use http_body_util::Full;
use proptest::prelude::*;
use proxy_compress::decode::{DecodeLimits, Unpacker};
use proxy_compress::{CompressLayer, DecodeError, DecodeLayer};
use proxy_core::coding;
use stage::bomb::coded_as;
use stage::{content, decoded, response, text, through};

/// What stands in such fields, and what does not.
fn accept_encoding() -> impl Strategy<Value = Vec<u8>> {
    let word = prop::sample::select(vec![
        "gzip",
        "x-gzip",
        "br",
        "zstd",
        "dcz",
        "deflate",
        "identity",
        "*",
        "GZIP",
        "q=0",
        ";q=0.5",
        ";q=1",
        ";q=0",
        "; q=0.000",
        ";q=1.5",
        ";q=-1",
        ";Q=0.1",
        ",",
        ", ",
        ";",
        "=",
        "\t",
        "\"",
        "\\",
        "gzip;q=",
        ";;",
        ",,",
    ]);
    let words = prop::collection::vec(word, 0..12).prop_map(|words| words.concat().into_bytes());
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    prop_oneof![3 => words, 1 => bytes]
}

/// Decodes in pieces that are cut here, to buffers of this size: what comes out, or why not.
fn decode(
    codings: &str,
    input: &[u8],
    cuts: &[usize],
    room: usize,
) -> Result<Vec<u8>, DecodeError> {
    let limits = DecodeLimits { size: 1 << 20, ..DecodeLimits::default() };
    let mut fields = HeaderMap::new();
    fields.insert("content-encoding", HeaderValue::from_str(codings).unwrap());
    let mut unpacker = Unpacker::new(&fields, limits)?.expect("a coding");
    let (mut all, mut out) = (Vec::new(), Vec::with_capacity(room));
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (input.len() + 1)).collect();
    cuts.extend([0, input.len()]);
    cuts.sort_unstable();
    for ends in cuts.windows(2) {
        let mut piece = &input[ends[0]..ends[1]];
        loop {
            let used = unpacker.decode(piece, &mut out)?;
            piece = &piece[used..];
            let full = out.len() == out.capacity();
            all.append(&mut out);
            if unpacker.wants_input() && !full {
                if !piece.is_empty() {
                    return Err(DecodeError::Truncated);
                }
                break;
            }
        }
    }
    if unpacker.is_ended() { Ok(all) } else { Err(DecodeError::Truncated) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A client never gets what it refuses, and gets the best of what it takes.
    #[test]
    fn whatever_a_client_says_that_it_takes(
        lines in prop::collection::vec(accept_encoding(), 1..4),
        condition in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut request = Request::get("/").body(()).unwrap();
        for line in &lines {
            if let Ok(value) = HeaderValue::from_bytes(line) {
                request.headers_mut().append("accept-encoding", value);
            }
        }
        if let Ok(value) = HeaderValue::from_bytes(&condition) {
            request.headers_mut().insert("if-none-match", value);
        }
        let said = request.headers().clone();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let whole = text(3000);
        let page = response(&[("content-type", "text/html")], Full::<Bytes>::from(whole.clone()));
        let layer = CompressLayer::default();
        let (fields, sent) = runtime.block_on(async {
            let answer = through(&layer, request, page).await;
            (answer.headers().clone(), content(answer.into_body()).await.unwrap())
        });
        let coding = fields.get("content-encoding").map(|value| value.to_str().unwrap());
        let weight = |coding| coding::weight(&said, coding);
        let best = ["zstd", "br", "gzip"].into_iter().filter_map(weight).max();
        match coding {
            Some(coding) => prop_assert_eq!(weight(coding), best),
            None => prop_assert!(best.is_none() || weight("identity") > best),
        }
        prop_assert!(decoded(&fields, &sent) == whole);
    }

    /// It makes no difference where content is cut, nor how much room there is; broken content ends
    /// with an error or with what it stands for, never in a panic nor for ever.
    #[test]
    fn wherever_content_is_cut(
        name in prop::sample::select(vec![
            "gzip", "deflate", "br", "zstd", "gzip, zstd", "zstd, gzip", "br, deflate", "deflate, br",
        ]),
        len in 0usize..20_000,
        changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..3),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
        room in 1usize..5000,
    ) {
        let whole = text(len);
        let coded = name.split(", ").fold(whole.clone(), |content, coding| {
            coded_as(coding, &content).to_vec()
        });
        prop_assert!(decode(name, &coded, &cuts, room).as_ref() == Ok(&whole));
        let mut broken = coded;
        for (at, with) in &changes {
            let at = at % broken.len();
            broken[at] ^= with;
        }
        let at_once = decode(name, &broken, &[], 64 * 1024);
        let in_pieces = decode(name, &broken, &cuts, room);
        prop_assert_eq!(at_once.is_ok(), in_pieces.is_ok(), "{:?} {:?}", at_once.err(), in_pieces.err());
        if let (Ok(one), Ok(other)) = (at_once, in_pieces) {
            prop_assert!(one == other);
        }
    }

    /// The layer that decodes gives an answer or an error for whatever stands there.
    #[test]
    fn whatever_an_upstream_sends(
        name in prop::sample::select(vec!["gzip", "deflate", "br", "zstd", "br, gzip", "foo", "gzip,"]),
        garbage in prop::collection::vec(any::<u8>(), 0..2000),
        cut in 0usize..4000,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let real = name.split(", ").next().filter(|first| *first != "foo" && *first != "gzip,");
        for sent in [garbage, coded_as(real.unwrap_or("gzip"), &text(10_000)).to_vec()] {
            let sent = Bytes::from(sent[..cut.min(sent.len())].to_vec());
            let request = Request::get("/").header("accept-encoding", "identity").body(()).unwrap();
            let answer = response(&[("content-encoding", name)], Full::<Bytes>::from(sent));
            let (status, came) = runtime.block_on(async {
                let answer = through(&DecodeLayer::default(), request, answer).await;
                (answer.status(), content(answer.into_body()).await)
            });
            prop_assert!(status == 200 || (status == 502 && came.is_ok()));
        }
    }
}

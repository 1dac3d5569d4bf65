//! Shared dictionaries (RFC 9842): what is offered is kept, and the next version is what has changed.

#![cfg(feature = "dictionaries")]

mod stage;

use std::io::Write as _;
use std::sync::Arc;

use brotli::enc::StandardAlloc;
use brotli::{BrotliDecompressStream, BrotliResult, BrotliState};
use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body_util::Full;
use proxy_compress::{Coding, CompressBody, CompressConfig, CompressLayer, DictionaryStore};
use proxy_core::SystemClock;
use proxy_testkit::{ScriptedBody, Step};
use sha2::{Digest as _, Sha256};
use stage::{Origin, content, decoded, get, response, through};
use tower::{Layer as _, ServiceExt as _};

const SCRIPT: (&str, &str) = ("content-type", "text/javascript");
const OFFER: (&str, &str) = ("use-as-dictionary", "match=\"/app.*.js\"");

/// A script of some 60 KB, in which little differs between two versions.
fn script(version: u32) -> Vec<u8> {
    let mut state = 1u32;
    let mut all = Vec::new();
    for number in 0..1000 {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let value = if number % 100 == 50 { version } else { state };
        writeln!(all, "function f{number}(x) {{ return x * {value} + {}; }}", state >> 7).unwrap();
    }
    all
}

fn stage() -> (CompressLayer, DictionaryStore) {
    let store = DictionaryStore::default();
    let layer = CompressLayer::builder(CompressConfig::default(), Arc::new(SystemClock));
    (layer.dictionaries(store.clone()).build(), store)
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for three in bytes.chunks(3) {
        let word = three.iter().fold(0u32, |word, byte| word << 8 | u32::from(*byte))
            << (8 * (3 - three.len()));
        for place in 0..4 {
            let digit = DIGITS[(word >> (18 - 6 * place)) as usize & 63];
            out.push(if place > three.len() { '=' } else { digit as char });
        }
    }
    out
}

fn hash(content: &[u8]) -> [u8; 32] {
    Sha256::digest(content).into()
}

/// Asks for a script with what a browser says that has this dictionary.
async fn ask(
    layer: &CompressLayer,
    takes: &str,
    dictionary: Option<&[u8]>,
    fields: &[(&str, &str)],
    script: Vec<u8>,
) -> Response<CompressBody<Full<Bytes>>> {
    let available = dictionary.map(|content| format!(":{}:", base64(&hash(content))));
    let mut request = vec![("host", "a.test"), ("accept-encoding", takes)];
    request.extend(available.as_deref().map(|value| ("available-dictionary", value)));
    let fields = [&[SCRIPT][..], fields].concat();
    through(layer, get(&request), response(&fields, Full::from(script))).await
}

fn undo(coding: &str, dictionary: &[u8], coded: &[u8]) -> Vec<u8> {
    match coding {
        "dcz" => {
            let magic = [0x5E, 0x2A, 0x4D, 0x18, 0x20, 0, 0, 0];
            assert_eq!(coded[..40], *[&magic[..], &hash(dictionary)].concat());
            let decoder = zstd::Decoder::with_dictionary(coded, dictionary);
            let mut all = Vec::new();
            std::io::Read::read_to_end(&mut decoder.unwrap(), &mut all).unwrap();
            all
        }
        "dcb" => {
            assert_eq!(coded[..36], *[&b"\xFFDCB"[..], &hash(dictionary)].concat());
            let (mut all, mut out) = (Vec::new(), vec![0; 64 * 1024]);
            let alloc = StandardAlloc::default;
            let dictionary = dictionary.to_vec().into();
            let mut state =
                BrotliState::new_with_custom_dictionary(alloc(), alloc(), alloc(), dictionary);
            let (mut available, mut used) = (coded.len() - 36, 0);
            loop {
                let (mut room, mut written) = (out.len(), 0);
                let result = BrotliDecompressStream(
                    &mut available,
                    &mut used,
                    &coded[36..],
                    &mut room,
                    &mut written,
                    &mut out,
                    &mut 0,
                    &mut state,
                );
                all.extend_from_slice(&out[..written]);
                match result {
                    BrotliResult::ResultSuccess => return all,
                    BrotliResult::NeedsMoreOutput => {}
                    _ => panic!("it breaks off"),
                }
            }
        }
        _ => unreachable!(),
    }
}

#[tokio::test]
async fn the_next_version_of_a_script_is_what_has_changed() {
    let (old, new) = (script(1), script(2));
    for (with, without) in [("dcz", "zstd"), ("dcb", "br")] {
        let (layer, store) = stage();
        let takes = format!("gzip, {without}, {with}");
        let first = ask(&layer, &takes, None, &[OFFER, ("etag", "\"1\"")], old.clone()).await;
        assert_eq!(first.headers()["content-encoding"], without, "nothing is there yet");
        assert_eq!(first.headers()["use-as-dictionary"], OFFER.1);
        let fields = first.headers().clone();
        let plain = content(first.into_body()).await.unwrap();
        assert!(decoded(&fields, &plain) == old);
        assert_eq!((store.count(), store.size()), (1, old.len()));

        let etag = [("etag", "\"2\"")];
        let without = ask(&layer, without, Some(&old), &etag, new.clone()).await;
        let without = content(without.into_body()).await.unwrap();
        let second = ask(&layer, &takes, Some(&old), &etag, new.clone()).await;
        let fields = second.headers().clone();
        assert_eq!(fields["content-encoding"], with);
        assert_eq!(fields["etag"], format!("W/\"2-{with}\""));
        let vary: Vec<_> = fields.get_all("vary").iter().collect();
        assert_eq!(vary, ["accept-encoding", "available-dictionary"]);
        let coded = content(second.into_body()).await.unwrap();
        assert!(undo(with, &old, &coded) == new, "{with}");
        assert!(coded.len() * 20 < without.len(), "{with}: {} of {}", coded.len(), without.len());
        let coding = if with == "dcz" { Coding::Zstd } else { Coding::Brotli };
        let counts = layer.metrics().with_dictionaries(coding);
        assert_eq!((counts.responses, counts.bytes_in), (1, new.len() as u64));
    }
}

#[tokio::test]
async fn what_is_inside_is_asked_for_the_content_as_it_is() {
    let (layer, _) = stage();
    let old = script(1);
    let first = ask(&layer, "identity", None, &[OFFER], old.clone()).await;
    content(first.into_body()).await.unwrap();
    let available = format!(":{}:", base64(&hash(&old)));
    for (dictionary, expected) in [(&available[..], "identity"), (":AAAA:", "dcz, br")] {
        let origin = Origin::new(response(&[SCRIPT], Full::<Bytes>::from(script(2))));
        let request = get(&[
            ("host", "a.test"),
            ("accept-encoding", "dcz, br"),
            ("available-dictionary", dictionary),
            ("if-none-match", "W/\"1-dcz\""),
        ]);
        layer.layer(origin.clone()).oneshot(request).await.unwrap();
        let asked: HeaderMap = origin.asked().expect("a request");
        assert_eq!(asked["accept-encoding"], expected);
        assert_eq!(asked["if-none-match"], "\"1\", W/\"1-dcz\"");
    }
}

#[tokio::test]
async fn what_is_no_dictionary_for_others_is_not_kept() {
    let secret = [OFFER, ("set-cookie", "a=b")];
    let private = [OFFER, ("cache-control", "private")];
    let coded = [OFFER, ("content-encoding", "br")];
    let (layer, store) = stage();
    for fields in [&secret[..], &private, &coded, &[]] {
        let passed = ask(&layer, "br", None, fields, script(1)).await;
        content(passed.into_body()).await.unwrap();
    }
    // Nor what is larger than is read in one go, breaks off, or is left by its client.
    let large = ask(&layer, "br", None, &[OFFER], vec![b'a'; (1 << 20) + 1]).await;
    content(large.into_body()).await.unwrap();
    let steps = [Step::data("some text"), Step::Error("the script breaks")];
    let request = || get(&[("host", "a.test"), ("accept-encoding", "br")]);
    let broken = response(&[SCRIPT, OFFER], ScriptedBody::new(steps));
    let broken = through(&layer, request(), broken).await;
    content(broken.into_body()).await.expect_err("it breaks");
    let left = response(&[SCRIPT, OFFER], ScriptedBody::new([Step::data("a"), Step::Never]));
    drop(through(&layer, request(), left).await);
    assert_eq!(store.count(), 0);
    // Another authority has no use for it.
    content(ask(&layer, "br", None, &[OFFER], script(1)).await.into_body()).await.unwrap();
    assert_eq!(store.count(), 1);
    let available = format!(":{}:", base64(&hash(&script(1))));
    let other = get(&[
        ("host", "b.test"),
        ("accept-encoding", "br, dcb"),
        ("available-dictionary", &available),
    ]);
    let other = through(&layer, other, response(&[SCRIPT], Full::from(script(2)))).await;
    assert_eq!(other.headers()["content-encoding"], "br");
}

/// Events, and content of unknown length, flow with a dictionary too.
#[tokio::test]
async fn streams_stay_live_with_a_dictionary() {
    let (layer, _) = stage();
    let old = script(1);
    content(ask(&layer, "br", None, &[OFFER], old.clone()).await.into_body()).await.unwrap();
    let available = format!(":{}:", base64(&hash(&old)));
    for coding in ["dcz", "dcb"] {
        let steps = (0..3).flat_map(|n| [Step::data(["one", "two", "three"][n]), Step::Yield]);
        let request = get(&[
            ("host", "a.test"),
            ("accept-encoding", coding),
            ("available-dictionary", &available),
        ]);
        let answer = response(&[("content-type", "text/event-stream")], ScriptedBody::new(steps));
        let answer = through(&layer, request, answer).await;
        assert_eq!(answer.headers()["content-encoding"], coding);
        let coded = content(answer.into_body()).await.unwrap();
        assert_eq!(undo(coding, &old, &coded), b"onetwothree", "{coding}");
    }
}

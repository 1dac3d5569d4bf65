//! Content of many kinds, which is compressed or is not, and an origin server that has it.

use crate::origin::{self, Origin};

/// Some of every kind: type, content, whether it is compressed.
#[must_use]
pub fn corpus() -> Vec<(&'static str, Vec<u8>, bool)> {
    let text = |line: &str| line.repeat(20_000 / line.len()).into_bytes();
    let noise: Vec<u8> =
        (0..20_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    vec![
        ("text/html; charset=utf-8", text("<p>some text and more of it</p>\n"), true),
        ("text/css", text("a { color: red; margin: 0 auto }\n"), true),
        ("application/javascript", text("function f(x) { return x + 1; }\n"), true),
        ("application/json", text("{\"a\":[1,2,3],\"b\":null}\n"), true),
        ("application/problem+json", text("{\"title\":\"no\"}\n"), true),
        ("image/svg+xml", text("<svg><path d='M0 0h1v1z'/></svg>\n"), true),
        ("text/plain", noise.clone(), true),
        ("text/plain", Vec::new(), false),
        ("text/plain", b"small".to_vec(), false),
        ("image/png", noise.clone(), false),
        ("application/octet-stream", noise, false),
        ("text/plain; charset=utf-8", words(30_000), true),
    ]
}

/// Words in an order that nobody repeats: effort pays.
fn words(len: usize) -> Vec<u8> {
    const WORDS: [&str; 8] =
        ["one ", "another ", "compress ", "stream ", "of ", "content ", "client\n", "cache "];
    let mut state = 7u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        WORDS[(state >> 20) as usize % WORDS.len()]
    };
    std::iter::from_fn(|| Some(next())).flat_map(str::bytes).take(len).collect()
}

/// An origin server with the corpus under its numbers, and a tag on each.
#[must_use]
pub fn library() -> Origin {
    Origin::answering(|request, _| {
        let number: usize = request.head.target[1..].parse().expect("a number");
        let (kind, content, _) = corpus().swap_remove(number);
        let fields = [("Content-Type", kind), ("ETag", "\"1\""), ("Cache-Control", "max-age=600")];
        vec![origin::response("200 OK", &fields, content)]
    })
}

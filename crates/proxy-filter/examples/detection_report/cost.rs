//! What inspection costs.

use std::fmt::Write;
use std::hint::black_box;
use std::time::Instant;

use http::Request;
use proxy_core::RequestHead;
use proxy_filter::inspect::{Engine, Inspector};

use crate::Options;

/// Measures and writes the cost.
pub(crate) fn report(out: &mut String, engine: &Engine, options: &Options) {
    let _ = writeln!(out, "\ncost");
    let times = options.rounds.unwrap_or(200);
    let is_wanted = |name: &str| {
        !options.cost || options.only.as_deref().is_none_or(|only| only.eq_ignore_ascii_case(name))
    };
    if is_wanted("GET") {
        head(out, engine, times);
    }
    for (name, content_type, content) in contents() {
        if !is_wanted(name) {
            continue;
        }
        let request = Request::post("/upload")
            .header("host", "www.example.test")
            .header("content-type", content_type)
            .header("content-length", content.len())
            .body(())
            .expect("a request");
        let (blocked, found) = engine.judge(RequestHead::of(&request), &content);
        let best = best_of(times, || {
            black_box(engine.judge(RequestHead::of(&request), &content));
        });
        let rules: Vec<_> = found.findings.iter().map(|f| f.rule.to_string()).collect();
        let _ = writeln!(
            out,
            "  {name:<40} {:8.0} MB/s {}{}",
            content.len() as f64 / best / 1e6,
            if blocked { "REFUSED " } else { "" },
            rules.join(" ")
        );
    }
}

/// The cost of a head.
fn head(out: &mut String, engine: &Engine, times: u32) {
    let request = typical();
    let rounds = 500u32;
    let best = best_of(times, || {
        for _ in 0..rounds {
            black_box(engine.begin(RequestHead::of(black_box(&request)), false));
        }
    });
    let _ = writeln!(
        out,
        "  typical GET with 5 parameters            {:8.0} ns",
        best * 1e9 / f64::from(rounds)
    );
}

/// The shortest of many short runs: what the work costs where nothing interrupts it.
fn best_of(times: u32, mut run: impl FnMut()) -> f64 {
    (0..times)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min)
}

fn typical() -> Request<()> {
    Request::get(
        "/catalogue/shoes/running?category=running+shoes&size=42&sort=price_asc&page=3&ref=https%3A%2F%2Fwww.example.test%2Fsale%3Futm_source%3Dnews",
    )
    .header("host", "shop.example.test")
    .header("user-agent", "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36")
    .header("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8")
    .header("accept-language", "en-GB,en;q=0.9,de;q=0.8")
    .header("accept-encoding", "gzip, deflate, br, zstd")
    .header("referer", "https://shop.example.test/catalogue/shoes?sort=price_asc")
    .header("cookie", "sid=7d0f3c52a9b84e7e9c1f; consent=1; theme=dark; _ga=GA1.2.1234567890.1700000000; cart=3")
    .header("sec-fetch-mode", "navigate")
    .header("sec-fetch-site", "same-origin")
    .header("upgrade-insecure-requests", "1")
    .body(())
    .expect("a request")
}

pub(crate) fn contents() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let prose = "The quick brown fox said: \"it's a fine day\", and went on (with his friends) to \
                 the river; nobody knew why. Prices rose by 3.5 % in 2023 & fell again.\n";
    // Judged in less time than a busy machine gives at once.
    let size = 1 << 16;
    let fill = |unit: &dyn Fn(usize) -> String| {
        let mut text = String::new();
        let mut n = 0;
        while text.len() < size {
            text += &unit(n);
            n += 1;
        }
        text.into_bytes()
    };
    let json = fill(&|n| {
        format!(
            "{}{{\"id\":{n},\"name\":\"Item number {n}\",\"note\":\"{}\",\"tags\":[\"red\",\"large\",\"sale\"],\"price\":{}.99,\"url\":\"https://www.example.test/items/{n}?ref=list\"}}",
            if n == 0 { "[" } else { "," },
            prose.trim().replace('"', "\\\""),
            n % 100
        )
    });
    let form = fill(&|n| {
        let value: String = prose
            .bytes()
            .map(|b| match b {
                b' ' => "+".into(),
                b if b.is_ascii_alphanumeric() || b == b'.' => (b as char).to_string(),
                b => format!("%{b:02X}"),
            })
            .collect();
        format!("field{n}={value}&")
    });
    let xml = fill(&|n| {
        format!(
            "<item id=\"{n}\"><name>Item</name><text>{}</text></item>",
            prose.trim().replace('&', "and")
        )
    });
    let upload = {
        let mut body = b"--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\n".to_vec();
        let mut state = 1u64;
        while body.len() < size {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            body.extend_from_slice(&state.to_be_bytes());
        }
        body.extend_from_slice(b"\r\n--B--\r\n");
        body
    };
    let parts = fill(&|n| {
        format!(
            "--B\r\nContent-Disposition: form-data; name=\"note{n}\"\r\n\r\n{}\r\n",
            prose.trim()
        )
    });
    vec![
        ("JSON", "application/json", [&json[..], b"]"].concat()),
        ("form", "application/x-www-form-urlencoded", form),
        ("plain text", "text/plain", fill(&|_| prose.to_owned())),
        ("XML", "application/xml", [b"<?xml version=\"1.0\"?><l>", &xml[..], b"</l>"].concat()),
        ("multipart upload", "multipart/form-data; boundary=B", upload),
        ("multipart text", "multipart/form-data; boundary=B", [&parts[..], b"--B--\r\n"].concat()),
    ]
}

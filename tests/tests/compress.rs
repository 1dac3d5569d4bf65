//! Compression, as curl sees it: every coding over a corpus of types, streams, a cache below.

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use proxyd_tests::client;
use proxyd_tests::compressible::{corpus, library};
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Act, Origin};
use proxyd_tests::programs;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::waiting::{self, Gate};

const CODINGS: [&str; 3] = ["zstd", "br", "gzip"];

fn gateway(origin: &Origin, more: &str) -> Proxyd {
    let rest = format!("compress = true\n{more}");
    configured::gateway(&origin.url(), "", &rest).start()
}

/// The content as curl gives it out decoded, and the fields.
fn curl(address: SocketAddr, path: &str, takes: &str) -> (String, Vec<u8>) {
    let takes = format!("Accept-Encoding: {takes}");
    let url = format!("http://{address}{path}");
    let out = programs::curl(&["-sf", "--compressed", "-H", &takes, "-D", "/dev/stderr", &url]);
    assert!(out.status.success(), "{out:?}");
    (String::from_utf8_lossy(&out.stderr).to_lowercase(), out.stdout)
}

#[test]
fn curl_decodes_every_coding_over_the_corpus() {
    let origin = library();
    let proxy = gateway(&origin, "");
    for coding in CODINGS {
        for (number, (kind, content, compressed)) in corpus().into_iter().enumerate() {
            let (fields, decoded) = curl(proxy.address(), &format!("/{number}"), coding);
            assert!(decoded == content, "{coding} {kind}");
            let coded = fields.contains(&format!("content-encoding: {coding}\r\n"));
            assert_eq!(coded, compressed, "{coding} {kind}: {fields}");
            let tag = if compressed {
                format!("W/\"1-{coding}\"").to_lowercase()
            } else {
                "\"1\"".to_owned()
            };
            assert!(fields.contains(&format!("etag: {tag}\r\n")), "{fields}");
        }
    }
}

#[test]
fn who_has_the_coded_form_gets_304_and_ranges_are_of_the_whole() {
    let origin = Origin::answering(|request, _| {
        let fields = [("Content-Type", "text/plain"), ("ETag", "\"1\"")];
        if request.head.fields.has("if-none-match") {
            return vec![Act::send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n")];
        }
        if request.head.fields.has("range") {
            let fields = [fields[0], fields[1], ("Content-Range", "bytes 0-4/5000")];
            return vec![origin::response("206 Partial Content", &fields, "xxxxx")];
        }
        vec![origin::response("200 OK", &fields, "x".repeat(5000))]
    });
    let proxy = gateway(&origin, "");
    let ask = |fields: &str| {
        let request = format!(
            "GET / HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: br\r\n{fields}Connection: close\r\n\r\n"
        );
        client::exchange(proxy.address(), "GET", request)
    };
    let whole = ask("");
    assert_eq!(whole.field("etag"), Some("W/\"1-br\""));
    let same = ask("If-None-Match: W/\"1-br\"\r\n");
    assert_eq!((same.status(), same.field("etag")), (304, Some("W/\"1-br\"")));
    assert_eq!(origin.last().head.fields.get("if-none-match"), Some("\"1\", W/\"1-br\""));
    let part = ask("Range: bytes=0-4\r\n");
    assert_eq!((part.status(), part.text().as_str()), (206, "xxxxx"));
    assert_eq!((part.field("content-encoding"), part.field("etag")), (None, Some("\"1\"")));
}

/// Each event is there when the origin server has sent it, through each coding.
#[test]
fn events_arrive_one_by_one() {
    for coding in CODINGS {
        let gates: Vec<Gate> = (0..3).map(|_| Gate::new()).collect();
        let waiting = gates.clone();
        let origin = Origin::answering(move |_, _| {
            let head =
                "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
            let mut acts = vec![Act::send(head)];
            for (n, gate) in waiting.iter().enumerate() {
                acts.push(Act::send(format!("data: {n}\n\n")));
                acts.push(Act::Until(gate.clone()));
            }
            acts.push(Act::Close);
            acts
        });
        let proxy = gateway(&origin, "");
        let takes = format!("Accept-Encoding: {coding}");
        let url = format!("http://{}/", proxy.address());
        let mut curl = Command::new(programs::require("curl"))
            .args(["-sfN", "--compressed", "-H", &takes, &url])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl");
        let mut out = curl.stdout.take().expect("its output");
        for (n, gate) in gates.iter().enumerate() {
            let mut event = [0; 9];
            out.read_exact(&mut event).expect("an event");
            assert_eq!(event, *format!("data: {n}\n\n").as_bytes(), "{coding}");
            gate.open();
        }
        assert!(curl.wait().expect("curl ends").success(), "{coding}");
    }
}

#[test]
fn a_cache_keeps_the_coded_forms() {
    let origin = library();
    // Whatever else the machine does: nothing is put off.
    let proxy = gateway(&origin, "cache = true\n[compress]\ncpu_share = \"100%\"\n");
    let (_, whole, _) = corpus().pop().expect("words");
    let path = format!("/{}", corpus().len() - 1);
    for coding in CODINGS {
        let mut sizes = Vec::new();
        // The first is coded as it comes; then there is a stored form, then a smaller one.
        waiting::until("a smaller form in the place of the first", || {
            let (fields, decoded) = curl(proxy.address(), &path, coding);
            assert!(
                decoded == whole && fields.contains(&format!("content-encoding: {coding}\r\n"))
            );
            assert!(fields.contains(&format!("etag: w/\"1-{coding}\"\r\n")), "{fields}");
            let length = fields.split("content-length: ").nth(1)?;
            let length: usize = length.split("\r\n").next()?.parse().ok()?;
            sizes.push(length);
            (sizes.first() > sizes.last()).then_some(())
        });
        assert!(sizes.is_sorted_by(|one, next| one >= next), "{coding}: {sizes:?}");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAccept-Encoding: {coding}\r\n\
             If-None-Match: W/\"1-{coding}\"\r\nConnection: close\r\n\r\n",
            proxy.address()
        );
        assert_eq!(client::exchange(proxy.address(), "GET", request).status(), 304, "{coding}");
    }
    assert_eq!(origin.requests().len(), 1, "one stored response serves all");
    assert_eq!(origin.last().head.fields.get("accept-encoding"), Some("identity"));
    // Nothing is coded for a hit, nor counted as left out: what the layer itself coded is the miss.
    waiting::until("the miss is counted, and nothing else", || {
        let metrics = client::get(proxy.admin(), "localhost", "/metrics").text();
        let sum = |name: &str| -> f64 {
            let lines = metrics.lines().filter(|line| line.starts_with(name));
            lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
        };
        let counted =
            (sum("proxy_compress_responses_total{"), sum("proxy_compress_skipped_total{"));
        (counted == (1.0, 0.0)).then_some(())
    });
}

/// Files that the upstream has compressed already take the place of what is made here, where they are
/// what they should be.
#[test]
fn compressed_files_beside_others_are_used() {
    fn gzip(content: &[u8]) -> Vec<u8> {
        let name = flate2::GzBuilder::new().filename("of the upstream");
        let mut coder = name.write(Vec::new(), flate2::Compression::best());
        coder.write_all(content).expect("memory");
        coder.finish().expect("memory")
    }
    let (_, whole, _) = corpus().pop().expect("words");
    let (beside, stale) = (gzip(&whole), gzip(&whole[..20_000]));
    let files = (whole.clone(), beside.clone());
    let origin = Origin::answering(move |request, _| {
        let fields = [
            ("Content-Type", "text/javascript"),
            ("ETag", "\"1\""),
            ("Cache-Control", "public, max-age=600"),
        ];
        let content = match &*request.head.target {
            "/app.js" | "/old.js" => &files.0,
            "/app.js.gz" => &files.1,
            "/old.js.gz" => &stale,
            _ => return vec![origin::response("404 Not Found", &[], "")],
        };
        vec![origin::response("200 OK", &fields, content)]
    });
    let rest = "cache = true\ncompress = { codings = [\"gzip\"], precompressed = true }\n\n\
                [compress]\ncpu_share = \"100%\"\n";
    let proxy = configured::gateway(&origin.url(), "", rest).start();
    let get = |path: &str| {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: a.test\r\nAccept-Encoding: gzip\r\nCookie: me=1\r\n\
             Connection: close\r\n\r\n"
        );
        let answer = client::exchange(proxy.address(), "GET", request);
        assert_eq!(answer.field("content-encoding"), Some("gzip"));
        assert_eq!(answer.field("etag"), Some("W/\"1-gzip\""));
        answer.content
    };
    waiting::until("the file of the upstream in the place of what was made here", || {
        (get("/app.js") == beside).then_some(())
    });
    let asked = origin.last();
    assert_eq!(asked.head.target, "/app.js.gz");
    assert!(!asked.head.fields.has("cookie") && !asked.head.fields.has("x-forwarded-for"));
    waiting::until("the other one is asked for", || {
        let coded = get("/old.js");
        let mut back = Vec::new();
        flate2::read::GzDecoder::new(&coded[..]).read_to_end(&mut back).expect("gzip");
        assert!(back == whole, "never what stands for something else");
        (origin.last().head.target == "/old.js.gz").then_some(())
    });
    assert_eq!(origin.requests().len(), 4, "each file once");
}

/// What is stored coded is decoded for whom it is of no use.
#[test]
fn a_client_that_does_not_take_what_there_is() {
    let origin = Origin::answering(|_, _| {
        let fields = [("Content-Type", "image/png"), ("Content-Encoding", "gzip")];
        // `printf hello | gzip -n`
        let hello =
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\xcb\x48\xcd\xc9\xc9\x07\0\x86\xa6\x10\x36\x05\0\0\0";
        vec![origin::response("200 OK", &fields, hello)]
    });
    let proxy = gateway(&origin, "");
    let (fields, content) = curl(proxy.address(), "/", "br");
    assert_eq!(content, b"hello");
    assert!(!fields.contains("content-encoding"), "{fields}");
}

#[test]
fn explain_tells_the_coding() {
    let proxy = gateway(&library(), "");
    let told = proxyd_tests::proxyd::run_to_end(
        proxy.folder(),
        &[
            "explain",
            "--config",
            "proxyd.toml",
            "-H",
            "Accept-Encoding: gzip",
            "GET",
            "http://a.test/0",
        ],
    );
    let line = told.stdout.lines().find(|line| line.contains("compress")).unwrap_or_default();
    assert!(line.contains("gzip"), "{told:?}");
}

/// What the documentation says of metrics is what there is, and nothing else.
#[test]
fn the_metrics_are_those_of_the_documentation() {
    fn names(text: &str) -> std::collections::BTreeSet<String> {
        let begins = text.match_indices("proxy_compress_").map(|(at, _)| &text[at..]);
        let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
        begins.map(|rest| rest.chars().take_while(|c| is_name(*c)).collect()).collect()
    }
    let told = include_str!("../../docs/compress.md");
    let origin = library();
    let proxy = gateway(&origin, "");
    curl(proxy.address(), "/0", "gzip");
    let exported = || names(&client::get(proxy.admin(), "localhost", "/metrics").text());
    waiting::until("all of them are exported", || {
        (exported().len() >= names(told).len()).then_some(())
    });
    assert_eq!(exported(), names(told));
}

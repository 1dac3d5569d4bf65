//! All verdicts, word by word: two builds that print the same judge alike.

use std::fmt::Write;

use bytes::Bytes;
use http::Request;
use proxy_core::RequestHead;
use proxy_filter::inspect::{Engine, Inspector, Next, Report, Step};

use crate::cost;
use crate::support::cases::{Case, Parsed, hash};

/// How content is cut.
const PIECES: [usize; 3] = [7, 1000, 1 << 20];

/// Writes what is found in each case, and in its content cut to pieces.
pub(crate) fn write(out: &mut String, cases: &[Case], engine: &Engine) {
    for case in cases {
        let (blocked, report) = case.judge(engine);
        line(out, &case.id, blocked, &report);
        let Parsed::Request(request) = &case.request else { continue };
        let mut head = Request::new(());
        head.method_mut().clone_from(request.method());
        head.uri_mut().clone_from(request.uri());
        head.headers_mut().clone_from(request.headers());
        if !request.body().is_empty() {
            pieces(out, &case.id, &head, request.body(), engine);
        }
        // The same as other content than it is.
        if case.attack || hash(&case.id).is_multiple_of(4) {
            let text = [request.uri().to_string().as_bytes(), b"\n", request.body()].concat();
            for kind in ["text/plain", "application/xml", "application/json", "text/unknown+xml"] {
                let (head, content) = wrapped(kind, &text);
                pieces(out, &case.id, &head, &content, engine);
            }
        }
    }
}

/// The contents by which the cost is measured.
pub(crate) fn write_contents(out: &mut String, engine: &Engine) {
    for (name, kind, content) in cost::contents() {
        let (head, _) = wrapped(kind, b"");
        pieces(out, name, &head, &content, engine);
    }
}

fn wrapped(kind: &str, text: &[u8]) -> (Request<()>, Vec<u8>) {
    let head = Request::post("/").header("content-type", kind).body(()).expect("a request");
    let content = match kind {
        "application/json" => {
            let text = String::from_utf8_lossy(text);
            serde_json::json!({ "a": text, "b": ["x", 1, { "c": text }] }).to_string().into_bytes()
        }
        "application/xml" => {
            [b"<?xml version=\"1.0\"?><a b=\"", text, b"\">", text, b"</a>"].concat()
        }
        _ => text.to_vec(),
    };
    (head, content)
}

fn pieces(out: &mut String, id: &str, head: &Request<()>, content: &[u8], engine: &Engine) {
    for piece in PIECES {
        let start = engine.begin(RequestHead::of(head), true);
        let mut report = start.report;
        let mut steps = Vec::new();
        if let Next::Content(mut inspection) = start.next {
            for chunk in content.chunks(piece) {
                let step = inspection.chunk(&Bytes::copy_from_slice(chunk));
                let blocks = step == Step::Block;
                steps.push(step);
                if blocks {
                    break;
                }
            }
            steps.push(inspection.finish());
            report.extend(inspection.report());
        }
        let steps: String = format!("{steps:?}");
        line(out, id, hash(&steps).is_multiple_of(2), &report);
        let _ = writeln!(out, "{:x}", hash(&steps));
    }
}

fn line(out: &mut String, id: &str, blocked: bool, report: &Report) {
    let _ = writeln!(out, "{id} {blocked} {report:?}");
}

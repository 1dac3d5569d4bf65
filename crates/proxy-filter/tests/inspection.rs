//! The engine as its callers drive it: heads, content piece by piece, modes, limits, codings.

use bytes::Bytes;
use http::Request;
use proxy_core::RequestHead;
use proxy_filter::inspect::{
    Class, Engine, Exclusion, InspectConfig, Inspection, Inspector, Mode, Next, OnLimit, RuleSet,
    Step,
};

const ATTACK: &str = "1' union select 1,2,3-- -";

fn engine(change: impl FnOnce(&mut InspectConfig)) -> Engine {
    let mut config = InspectConfig::default();
    change(&mut config);
    Engine::new(config).expect("a configuration")
}

fn post(content_type: &str) -> Request<()> {
    Request::post("/x").header("content-type", content_type).body(()).expect("a request")
}

fn inspection(engine: &Engine, request: &Request<()>) -> Box<dyn Inspection> {
    match engine.begin(RequestHead::of(request), true).next {
        Next::Content(inspection) => inspection,
        _ => panic!("content is inspected"),
    }
}

/// Shows content in pieces; the last step.
fn feed(inspection: &mut dyn Inspection, content: &[u8], piece: usize) -> Step {
    for chunk in content.chunks(piece) {
        if inspection.chunk(&Bytes::copy_from_slice(chunk)) == Step::Block {
            return Step::Block;
        }
    }
    inspection.finish()
}

#[test]
fn attacks_are_found_in_every_place() {
    let engine = engine(|_| {});
    let json = format!("{{\"a\":{{\"b\":[1,\"{ATTACK}\"]}}}}");
    let nested = format!("data={}", "%7B%22a%22%3A%221%27+union+select+1%2C2%2C3--+-%22%7D");
    let part =
        format!("--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n{ATTACK}\r\n--B--\r\n");
    let file = "--B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"x.php\"\r\n\r\nhello\r\n--B--\r\n";
    let xml = format!("<?xml version=\"1.0\"?><a><b>{ATTACK}</b></a>");
    for (kind, content) in [
        ("application/json", json.as_bytes()),
        ("application/x-www-form-urlencoded", nested.as_bytes()),
        ("multipart/form-data; boundary=B", part.as_bytes()),
        ("multipart/form-data; boundary=B", file.as_bytes()),
        ("application/xml", xml.as_bytes()),
        ("text/plain", ATTACK.as_bytes()),
        // Said to be something else than it is.
        ("text/plain", json.as_bytes()),
        ("application/x-www-form-urlencoded", json.as_bytes()),
        ("application/json", ATTACK.as_bytes()),
    ] {
        for piece in [1, 3, 10_000] {
            let step = feed(&mut *inspection(&engine, &post(kind)), content, piece);
            assert_eq!(step, Step::Block, "{kind} {} by {piece}", String::from_utf8_lossy(content));
        }
    }
    for request in [
        Request::get("/?q=1%27+union+select+1%2C2%2C3--+-"),
        Request::get("/a/1%27%20union%20select%201,2,3--%20-"),
        Request::get("/").header("cookie", "a=1; b=1' union select 1,2,3-- -"),
        Request::get("/").header("referer", "https://a.test/?q=1%27+union+select+1,2,3--+-"),
        Request::get("/").header("x-own", ATTACK),
        Request::get("/?u=https%3A%2F%2Fa.test%2F%3Fq%3D1%2527%2Bunion%2Bselect%2B1%2C2%2C3--"),
        Request::get("/?b=MScgdW5pb24gc2VsZWN0IDEsMiwzLS0gLQ=="),
    ] {
        let request = request.body(()).expect("a request");
        let start = engine.begin(RequestHead::of(&request), true);
        assert!(matches!(start.next, Next::Block), "{request:?}");
        assert_eq!(start.report.findings[0].class, Class::Sqli, "{request:?}");
    }
}

#[test]
fn findings_name_rule_and_parameter_but_no_value() {
    let engine = engine(|_| {});
    let request = Request::get("/?note=1%27+union+select+1,2,3--+-").body(()).expect("a request");
    let report = engine.begin(RequestHead::of(&request), true).report;
    assert!(report.findings.iter().any(|f| &*f.rule == "sqli-union" && &*f.parameter == "note"));
    assert!(!format!("{report:?}").contains("1,2,3"));
}

#[test]
fn modes_and_exclusions() {
    let request = Request::get("/?note=1%27+union+select+1,2,3--+-").body(()).expect("a request");
    let judge = |engine: &Engine| {
        let start = engine.begin(RequestHead::of(&request), true);
        (matches!(start.next, Next::Block), start.report.findings.len())
    };
    let (blocked, findings) = judge(&engine(|_| {}));
    assert!(blocked && findings > 0);
    let (blocked, findings) = judge(&engine(|c| c.mode = Mode::Report));
    assert!(!blocked && findings > 0);
    assert_eq!(judge(&engine(|c| c.mode = Mode::Off)), (false, 0));
    let exclusion = |rule: &str, parameter: Option<&str>| {
        let exclusion = Exclusion { rule: rule.into(), parameter: parameter.map(Into::into) };
        judge(&engine(|c| c.exclusions = vec![exclusion])).0
    };
    assert!(!exclusion("sqli-*", Some("note")));
    assert!(exclusion("sqli-*", Some("other")));
    assert!(!exclusion("*", None));
}

#[test]
fn content_waits_for_its_judgement_and_then_flows() {
    let engine = engine(|c| {
        c.window = 2048;
        c.overlap = 256;
    });
    let mut inspection = inspection(&engine, &post("text/plain"));
    let chunk = Bytes::from(vec![b'a'; 1000]);
    assert_eq!(inspection.chunk(&chunk), Step::Hold);
    assert_eq!(inspection.chunk(&chunk), Step::Hold);
    // More than the window: what was looked at goes on.
    assert_eq!(inspection.chunk(&chunk), Step::Pass);
    assert_eq!(inspection.chunk(&Bytes::from_static(b" <script>alert(1)</script> ")), Step::Hold);
    assert_eq!(inspection.finish(), Step::Block);
}

#[test]
fn an_attack_across_windows_is_found() {
    let engine = engine(|c| {
        c.window = 2048;
        c.overlap = 256;
    });
    for at in (1900..2200).step_by(7) {
        let text = format!("{} <script>alert(1)</script> {}", "a".repeat(at), "b".repeat(3000));
        for piece in [64, 4096] {
            let step = feed(&mut *inspection(&engine, &post("text/plain")), text.as_bytes(), piece);
            assert_eq!(step, Step::Block, "at {at} by {piece}");
        }
    }
}

#[test]
fn streams_of_events_are_not_held() {
    let engine = engine(|_| {});
    for kind in ["application/x-ndjson", "text/event-stream", "application/grpc+proto"] {
        let mut inspection = inspection(&engine, &post(kind));
        assert_eq!(inspection.chunk(&Bytes::from_static(b"{\"a\":1}\n")), Step::Pass, "{kind}");
    }
}

#[test]
fn limits() {
    let long = vec![b'a'; 5000];
    let deep = "[".repeat(100);
    let pass = engine(|c| c.content_limit = 1000);
    assert_eq!(feed(&mut *inspection(&pass, &post("text/plain")), &long, 100), Step::Pass);
    let deny = engine(|c| {
        c.content_limit = 1000;
        c.on_limit = OnLimit::Deny;
    });
    assert_eq!(feed(&mut *inspection(&deny, &post("text/plain")), &long, 100), Step::Block);
    assert_eq!(
        feed(&mut *inspection(&deny, &post("application/json")), deep.as_bytes(), 100),
        Step::Block
    );
    let unknown = Request::post("/")
        .header("content-type", "text/plain")
        .header("content-encoding", "unheard-of")
        .body(())
        .expect("a request");
    assert!(matches!(
        deny.begin(RequestHead::of(&unknown), true).next,
        Next::Content(_) | Next::Block
    ));
    let values = engine(|c| {
        c.values_limit = 10;
        c.on_limit = OnLimit::Deny;
    });
    let form = "a=b&".repeat(50);
    let kind = "application/x-www-form-urlencoded";
    assert_eq!(feed(&mut *inspection(&values, &post(kind)), form.as_bytes(), 100), Step::Block);
}

#[test]
fn codings_are_taken_off() {
    use std::io::Write;
    let engine = engine(|_| {});
    let text = format!("{}{ATTACK}", "x=1&".repeat(100));
    let text = format!("{text}&y=<script>alert(1)</script>");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(text.as_bytes()).expect("memory");
    let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    zlib.write_all(text.as_bytes()).expect("memory");
    let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    raw.write_all(text.as_bytes()).expect("memory");
    let zstd = zstd::encode_all(text.as_bytes(), 3).expect("memory");
    for (coding, content) in [
        ("gzip", gzip.finish().expect("memory")),
        ("deflate", zlib.finish().expect("memory")),
        ("deflate", raw.finish().expect("memory")),
        ("zstd", zstd),
        // `x=1&` a hundred times, and a script.
        (
            "br",
            vec![
                0x1b, 0xaa, 0x01, 0x88, 0x8c, 0xd4, 0x59, 0xad, 0xb6, 0x9e, 0x75, 0x4c, 0x0f, 0x5e,
                0x9e, 0x32, 0x49, 0x69, 0x42, 0x2c, 0x91, 0x86, 0x34, 0x39, 0x03, 0xf8, 0x36, 0x4a,
                0xe4, 0x02, 0xe0, 0xd8, 0x5c, 0x74,
            ],
        ),
    ] {
        let request = Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("content-encoding", coding)
            .body(())
            .expect("a request");
        for piece in [1, 50, 100_000] {
            let step = feed(&mut *inspection(&engine, &request), &content, piece);
            assert_eq!(step, Step::Block, "{coding} by {piece}");
        }
    }
}

fn coded(coding: &str) -> Request<()> {
    Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("content-encoding", coding)
        .body(())
        .expect("a request")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(content).expect("memory");
    gzip.finish().expect("memory")
}

fn rules(inspection: &dyn Inspection) -> Vec<String> {
    inspection.report().findings.iter().map(|f| f.rule.to_string()).collect()
}

#[test]
fn a_false_coding_is_refused_and_what_came_is_read_all_the_same() {
    let attack = b"q=1'+union+select+1,2,3--+-";
    let excluded = engine(|c| {
        c.exclusions = vec![Exclusion { rule: "content-coding".into(), parameter: None }];
    });
    let high = engine(|c| c.threshold = 50);
    for coding in ["gzip", "deflate", "br", "zstd", "unheard-of", "gzip, gzip, gzip", "snappy"] {
        for piece in [1, 7, 1000] {
            let mut inspection = inspection(&excluded, &coded(coding));
            assert_eq!(feed(&mut *inspection, attack, piece), Step::Block, "{coding} by {piece}");
            assert!(rules(&*inspection).contains(&"sqli-union".to_owned()), "{coding} by {piece}");
        }
        // Whatever the threshold; and on_limit passes.
        let (blocked, report) = high.judge(RequestHead::of(&coded(coding)), b"a=hello&b=world");
        assert!(
            blocked && report.findings.iter().any(|f| &*f.rule == "content-coding"),
            "{coding}"
        );
    }
    for coding in ["identity", "aws-chunked", "UTF-8"] {
        let fine = feed(&mut *inspection(&high, &coded(coding)), b"a=hello", 100);
        assert_eq!(fine, Step::Pass, "{coding}");
        let found = feed(&mut *inspection(&excluded, &coded(coding)), attack, 100);
        assert_eq!(found, Step::Block, "{coding}");
    }
}

#[test]
fn coded_content_that_breaks_off_or_goes_on_is_false() {
    let engine = engine(|_| {});
    let noise: String = (0..3000u32).map(|n| format!("a{n}={}&", n.wrapping_mul(n))).collect();
    let content = gzip(noise.as_bytes());
    let judge = |content: &[u8]| feed(&mut *inspection(&engine, &coded("gzip")), content, 999);
    assert_eq!(judge(&content), Step::Pass);
    assert_eq!(judge(&content[..content.len() - 20]), Step::Block);
    assert_eq!(judge(&[&content[..], b"\x01\x02\x03\x04"].concat()), Step::Block);
    assert_eq!(judge(b""), Step::Pass);
}

#[test]
fn text_that_a_coding_hides_is_read() {
    let engine = engine(|_| {});
    let attack = b"&q=1'+union+select+1,2,3--+-&";
    // A frame to be skipped, before one that is decoded.
    let mut skipped = b"\x50\x2a\x4d\x18".to_vec();
    skipped.extend_from_slice(&(attack.len() as u32).to_le_bytes());
    skipped.extend_from_slice(attack);
    skipped.extend_from_slice(&zstd::encode_all(&b"a=b"[..], 3).expect("memory"));
    assert_eq!(feed(&mut *inspection(&engine, &coded("zstd")), &skipped, 9), Step::Block);
    // The name of a file.
    let mut named = gzip(b"a=b");
    named[3] |= 8;
    let name = [&attack[..], b"\0"].concat();
    named.splice(10..10, name);
    assert_eq!(feed(&mut *inspection(&engine, &coded("gzip")), &named, 9), Step::Block);
}

#[test]
fn what_inflates_too_much_is_a_limit() {
    use std::io::Write;
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(&vec![b'a'; 4 << 20]).expect("memory");
    let content = gzip.finish().expect("memory");
    let engine = engine(|c| c.threshold = 50);
    let request = Request::post("/")
        .header("content-type", "text/plain")
        .header("content-encoding", "gzip")
        .body(())
        .expect("a request");
    // Whatever the threshold; and on_limit passes.
    assert_eq!(feed(&mut *inspection(&engine, &request), &content, 1000), Step::Block);
}

#[test]
fn rules_can_be_added() {
    let mut rules = RuleSet::built_in().expect("rules");
    let own = "[[rule]]\nid='own'\nclass='code'\nscore=5\nreason='ours'\nwords=['frobnicate']\n";
    rules.add("own.toml", own).expect("a rule");
    let engine = Engine::with_rules(InspectConfig::default(), rules).expect("rules");
    let request = Request::get("/?q=frobnicate").body(()).expect("a request");
    assert!(matches!(engine.begin(RequestHead::of(&request), true).next, Next::Block));
}

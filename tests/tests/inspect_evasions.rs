//! Requests that hide an attack from inspection by what they say of their content, with the
//! configuration that a new user has: `[filter.inspect]` and nothing in it.

use std::io::Write;

use proxyd_tests::client::{self, Answer};
use proxyd_tests::configured;
use proxyd_tests::origin::{Origin, ok, response};
use proxyd_tests::proxyd::Proxyd;

const ATTACK: &str = "1' union select 1,2,3-- -";
const FORM: &str = "a=b&q=1'+union+select+1,2,3--+-";

fn inspecting(origin: &Origin, rest: &str) -> Proxyd {
    configured::gateway(&origin.url(), "", &format!("[filter.inspect]\n{rest}")).start()
}

fn post(proxy: &Proxyd, fields: &str, content: &[u8]) -> Answer {
    let head = format!(
        "POST /x HTTP/1.1\r\nHost: shop.test\r\n{fields}Content-Length: {}\r\n\r\n",
        content.len()
    );
    client::exchange(proxy.address(), "POST", [head.as_bytes(), content].concat())
}

fn part(disposition: &str, content: &str) -> String {
    format!("--B\r\nContent-Disposition: form-data; {disposition}\r\n\r\n{content}\r\n--B--\r\n")
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    coder.write_all(content).expect("memory");
    coder.finish().expect("memory")
}

#[test]
fn nothing_that_content_says_of_itself_hides_an_attack() {
    let origin = Origin::saying("served");
    let proxy = inspecting(&origin, "");
    let parts = "Content-Type: multipart/form-data; boundary=B\r\n";
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let plain = part("name=\"q\"", ATTACK);
    // Of words that do not repeat, so that they inflate no more than content does.
    let words: String =
        (0..9000u32).map(|n| format!("{:x}.", n.wrapping_mul(2_654_435_761))).collect();
    let long = format!("a={}%3Cscript%3Ealert(1)%3C/script%3E&b=c", &words[..65_530]);
    for (what, fields, content) in [
        ("plain form", form.to_owned(), FORM.as_bytes().to_vec()),
        ("a false coding", format!("{form}Content-Encoding: gzip\r\n"), FORM.into()),
        ("an unknown coding", format!("{form}Content-Encoding: x-own\r\n"), FORM.into()),
        ("a coding", format!("{form}Content-Encoding: gzip\r\n"), gzip(FORM.as_bytes())),
        ("over two windows", format!("{form}Content-Encoding: gzip\r\n"), gzip(long.as_bytes())),
        (
            "a delimiter in mid-line",
            parts.to_owned(),
            part("name=\"q\"", &format!("x--B-- {ATTACK}")).into(),
        ),
        (
            "text behind a delimiter",
            parts.to_owned(),
            part("name=\"q\"", &format!("x--B {ATTACK}")).into(),
        ),
        (
            "a file by an extended name",
            parts.to_owned(),
            part("name=\"q\"; filename*=UTF-8''x", ATTACK).into(),
        ),
        ("no file", parts.to_owned(), part("name=\"q\"; filename_=x", ATTACK).into()),
        (
            "another boundary before",
            "Content-Type: multipart/form-data; xboundary=zzz; boundary=B\r\n".to_owned(),
            plain.clone().into(),
        ),
        (
            "two boundaries",
            "Content-Type: multipart/form-data; boundary=zzz; boundary=B\r\n".to_owned(),
            plain.clone().into(),
        ),
        (
            "a wrong boundary",
            "Content-Type: multipart/form-data; boundary=zzz\r\n".to_owned(),
            plain.into(),
        ),
        ("two types", format!("Content-Type: image/png\r\n{form}"), FORM.into()),
        ("a picture", "Content-Type: image/png\r\n".to_owned(), FORM.into()),
        ("an unknown type", "Content-Type: x-own/kind\r\n".to_owned(), FORM.into()),
        ("no type", String::new(), FORM.into()),
    ] {
        let answer = post(&proxy, &fields, &content);
        assert_eq!(answer.status(), 403, "{what}: {}", answer.text());
        assert!(answer.text().contains("request_inspection"), "{what}");
    }
    assert!(origin.requests().is_empty());
    for (fields, content) in [
        (form.to_owned(), b"a=hello&b=O'Brien".to_vec()),
        (parts.to_owned(), part("name=\"q\"; filename=\"a.txt\"", "select a file").into()),
        ("Content-Type: image/png\r\n".to_owned(), b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".to_vec()),
        (format!("{form}Content-Encoding: gzip\r\n"), gzip(b"a=hello")),
    ] {
        assert_eq!(post(&proxy, &fields, &content).status(), 200, "{fields}");
        assert_eq!(origin.last().content, content);
    }
}

#[test]
fn trailers_are_inspected() {
    let origin = Origin::saying("served");
    let proxy = inspecting(&origin, "");
    let send = |value: &str| {
        let raw = format!(
            "POST /x HTTP/1.1\r\nHost: shop.test\r\nContent-Type: text/plain\r\n\
             Trailer: x-note\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\nhello\r\n0\r\nx-note: {value}\r\n\r\n"
        );
        client::exchange(proxy.address(), "POST", raw.into_bytes())
    };
    assert_eq!(send("fine").status(), 200);
    assert_eq!(send(ATTACK).status(), 403);
    assert_eq!(origin.requests().len(), 1);
}

#[test]
fn ranges_do_not_evade_the_inspection_of_responses() {
    let program = b"\x7FELF\x02\x01\x01\0\0\0\0\0\0\0\0\0";
    let origin = Origin::answering(move |request, _| {
        let range = request.head.fields.get("range").is_some();
        match (request.head.target.as_str(), range) {
            ("/tool", false) => ok(program),
            ("/tool", true) => {
                let fields = [("Content-Range", "bytes 1-15/16")];
                vec![response("206 Partial Content", &fields, &program[1..])]
            }
            (_, false) => ok("whole"),
            (_, true) => ok("part"),
        }
    });
    let proxy = inspecting(&origin, "[filter.inspect.response]\nblock_files = [\"executable\"]\n");
    let ask = |target: &str| {
        let raw = format!("GET {target} HTTP/1.1\r\nHost: shop.test\r\nRange: bytes=1-\r\n\r\n");
        client::exchange(proxy.address(), "GET", raw.into_bytes())
    };
    let answer = ask("/tool");
    assert_eq!(answer.status(), 403, "{}", answer.text());
    assert_eq!(ask("/text").text(), "whole");
}

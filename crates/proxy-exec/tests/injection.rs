//! Hostile values: each is refused with a reason, or arrives as one inert argument.

mod support;

use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use proxy_exec::params::{Kind, Param, Source, Template};
use proxy_exec::{ExecConfig, ExecService};
use support::{content, get, reason, runner, send};

/// What makes shells, option parsers, path lookups and URL readers do what they should not.
const HOSTILE: &[&[u8]] = &[
    // Shells.
    b"; id",
    b"| id",
    b"|| id",
    b"& id",
    b"&& id",
    b"`id`",
    b"$(id)",
    b"$((1+1))",
    b"${IFS}id",
    b"$IFS$9id",
    b"> /tmp/x",
    b">> /tmp/x",
    b"< /etc/passwd",
    b"<(id)",
    b">(id)",
    b"<<EOF",
    b"<<<x",
    b"'; id; '",
    b"\"; id; \"",
    b"\\'; id",
    b"'\"'\"'",
    b"a'b\"c`d",
    b"*",
    b"?",
    b"[a-z]*",
    b"~",
    b"~root",
    b"~/.ssh/id_rsa",
    b"{a,b}",
    b"{1..9}",
    b"!!",
    b"!id",
    b"^a^b",
    b"#comment",
    b"a #b",
    b"a;b",
    b"a|b",
    b"a&b",
    b"$PATH",
    b"${PATH}",
    b"$0",
    b"$@",
    b"$*",
    b"$?",
    b"$$",
    b"%PATH%",
    b"^%PATH^%",
    b"a\\",
    b"\\",
    b"\\\\",
    b"\\n",
    b"\\x00",
    b"() { :;}; id",
    b"$'\\x41'",
    b"a b",
    b" a",
    b"a ",
    b"  ",
    b"(id)",
    b"{ id; }",
    b"if true; then id; fi",
    b"eval id",
    b"exec id",
    // Ends of lines and other controls.
    b"a\nb",
    b"\nid",
    b"a\n",
    b"a\r\nid",
    b"\r",
    b"a\0b",
    b"\0",
    b"a\0--option",
    b"\x1b[2J",
    b"\x07",
    b"\x7f",
    b"\x08",
    b"\t",
    b"\x0b",
    b"\x0c",
    b"a\x1ab",
    b"\xc2\x85",
    b"\xc2\x9b",
    b"\xe2\x80\xa8",
    b"\xe2\x80\xae",
    b"\xef\xbb\xbf",
    // Bytes that are no text.
    b"\xff",
    b"\xfe\xff",
    b"\xc0\xaf",
    b"\xc0\x80",
    b"\xed\xa0\x80",
    b"a\x80",
    b"\xf5\x80\x80\x80",
    b"\xe2\x28\xa1",
    // Options.
    b"-",
    b"--",
    b"-e",
    b"-c",
    b"--help",
    b"--version",
    b"-rf",
    b"-o/tmp/x",
    b"--output=/tmp/x",
    b"-oProxyCommand=id",
    b"--exec=id",
    b"--checkpoint-action=exec=id",
    b"-I/tmp",
    b"-f /etc/passwd",
    b"--config=/tmp/x",
    b"-n",
    b"-1",
    b"--use-compress-program=id",
    b"-filter_complex",
    b"-i",
    b"\xe2\x80\x93rf",
    b"\xef\xbc\x8drf",
    b"+x",
    b"@/etc/passwd",
    b"@file",
    b"/c",
    b"/?",
    // Placeholders and formats.
    b"{query.value}",
    b"{query.other}",
    b"{{",
    b"}}",
    b"{}",
    b"${query.value}",
    b"{0}",
    b"%s",
    b"%n",
    b"%x%x%x",
    b"{{7*7}}",
    b"#{7*7}",
    b"<%= 7 %>",
    b"[[7*7]]",
    b"$1",
    b"\\1",
    // Paths.
    b"..",
    b"../",
    b"../../etc/passwd",
    b"/etc/passwd",
    b"//etc/passwd",
    b"./a",
    b"a/../b",
    b"a/./b",
    b"a//b",
    b"..\\..\\windows",
    b"C:\\x",
    b"\\\\host\\x",
    b"..%2f..%2fetc",
    b"%2e%2e/",
    b"..%252f",
    b"....//",
    b"..;/",
    b"/proc/self/environ",
    b"/dev/stdin",
    b"/dev/tcp/1.2.3.4/80",
    b"pipe:1",
    b"a/",
    b".",
    b"a\\b",
    b"/",
    b"file",
    // URLs.
    b"file:///etc/passwd",
    b"http://127.0.0.1/",
    b"http://169.254.169.254/latest/meta-data",
    b"http://u:p@a.test/",
    b"http://a.test@b.test/",
    b"http://a.test#@b.test/",
    b"http://a.test\\@b.test/",
    b"gopher://a/_x",
    b"concat:a|b",
    b"subfile:a",
    b"data:text/plain,x",
    b"crypto:x",
    b"tcp://a:1",
    b"unix:/x",
    b"http:///x",
    b"http:a",
    b"//a.test/",
    b"HTTP://A.TEST",
    b"http://[::1]/",
    b"http://0x7f.1/",
    b"http://a.test/\r\nX: y",
    b"http://a b/",
    b"jar:http://a!/",
    b"javascript:alert(1)",
    b"dict://a",
    b"expect://id",
    b"php://input",
    b"ext::sh -c id",
    // Numbers.
    b"0x10",
    b"1e9",
    b"NaN",
    b"inf",
    b"1_000",
    b"01",
    b"+1",
    b" 1",
    b"1 ",
    b"99999999999999999999",
    b"\xd9\xa1",
    b"1;2",
    b"1,5",
    b"1.2.3",
];

fn config() -> ExecConfig {
    // Prints each argument between brackets, and ends them with NUL.
    let mut config = ExecConfig::new("printf");
    config.args = vec![Template::literal(r"[%s]\0"), Template::literal("--")];
    config
}

fn program(kind: Kind) -> ExecService {
    let config = config()
        .arg("{query.value}")
        .and_then(|config| config.arg("x={query.value}y"))
        .unwrap()
        .param("value", Param::new(Source::Query, kind));
    ExecService::new(config, &runner()).unwrap()
}

/// The arguments that the program saw.
fn seen(text: &str) -> Vec<String> {
    text.split_terminator('\0')
        .map(|word| word.strip_prefix('[').unwrap().strip_suffix(']').unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_value_is_refused_or_is_one_argument() {
    assert!(HOSTILE.len() >= 150, "{}", HOSTILE.len());
    let folder = support::Folder::new();
    folder.file("file", "", 0o644);
    // As open as a type can be, and as it should be.
    let open = program(Kind::pattern("(?s).*").unwrap());
    let kinds = [
        program(Kind::Integer { min: i64::MIN, max: i64::MAX }),
        program(Kind::Number { min: f64::MIN, max: f64::MAX }),
        program(Kind::Boolean),
        program(Kind::pattern("[a-z]+").unwrap()),
        program(Kind::Choice(vec!["one".into(), "two".into()])),
        program(Kind::Path { root: folder.path().to_owned() }),
        program(Kind::Url),
    ];
    let mut inert = 0;
    for value in HOSTILE {
        let target = format!("/?value={}", percent_encode(value, NON_ALPHANUMERIC));
        let response = get(&open, &target).await;
        let shown = String::from_utf8_lossy(value);
        if response.status() == 200 {
            let text = std::str::from_utf8(value).expect("no text passes that is none");
            let found = seen(&content(response).await.unwrap());
            // `printf` takes the `--` for itself, or not: what counts is what follows.
            let last = &found[found.len() - 2..];
            assert_eq!(last, [text.to_owned(), format!("x={text}y")], "{shown:?}");
            assert!(!text.starts_with('-') && !text.chars().any(char::is_control), "{shown:?}");
            inert += 1;
        } else {
            assert_eq!(response.status(), 400, "{shown:?}");
            assert!(reason(&response).starts_with("param_"), "{shown:?} {}", reason(&response));
        }
        for kind in &kinds {
            let response = get(kind, &target).await;
            match response.status().as_u16() {
                400 => assert!(reason(&response).starts_with("param_"), "{shown:?}"),
                404 => assert_eq!(reason(&response), "param_path_unknown", "{shown:?}"),
                200 => {
                    let found = seen(&content(response).await.unwrap());
                    let word = &found[found.len() - 2];
                    assert_eq!(found[found.len() - 1], format!("x={word}y"), "{shown:?}");
                }
                status => panic!("{shown:?}: {status}"),
            }
        }
    }
    assert!(inert >= 80, "{inert}");
}

#[tokio::test]
async fn every_source_is_as_strict() {
    let kind = || Kind::pattern("(?s).*").unwrap();
    for value in HOSTILE {
        let Ok(text) = std::str::from_utf8(value) else { continue };
        let refused = text.starts_with('-') || text.chars().any(char::is_control);
        let json = serde_json::json!({"value": text}).to_string();
        let form = format!("value={}", percent_encode(value, NON_ALPHANUMERIC));
        for (source, content_type, body) in [
            (Source::Json, "application/json", json),
            (Source::Form, "application/x-www-form-urlencoded", form),
        ] {
            let config = config()
                .arg(&format!("{{{}.value}}", source.word()))
                .unwrap()
                .param("value", Param::new(source, kind()));
            // Judged only: a run of each would say the same again.
            let program = ExecService::new(config, &runner().runs(1)).unwrap();
            if !refused {
                continue;
            }
            let request = Request::post("/")
                .header("content-type", content_type)
                .body(Full::new(Bytes::from(body)))
                .unwrap();
            let response = send(&program, request).await;
            assert_eq!(response.status(), 400, "{text:?} {source:?}");
        }
    }
}

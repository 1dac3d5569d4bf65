//! Clients of other makes decode what is compressed here: Python's modules, and Chromium.

use std::process::Command;

use proxyd_tests::chromium::Chromium;
use proxyd_tests::client;
use proxyd_tests::compressible::corpus;
use proxyd_tests::configured;
use proxyd_tests::origin::{self, Origin};
use proxyd_tests::pki::Pki;
use proxyd_tests::proxyd::Proxyd;
use proxyd_tests::{programs, waiting};

/// A script of some 60 KB, in which little differs between two versions; its last line sets `done`.
fn script(version: u32) -> Vec<u8> {
    let mut state = 1u32;
    let mut lines: Vec<String> = (0..1000)
        .map(|number| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let value = if number % 100 == 50 { version } else { state };
            format!("function f{number}(x) {{ return x * {value} + {}; }}\n", state >> 7)
        })
        .collect();
    lines.push(format!("window.done = (window.done || '') + 'v{version} ' + f50(1) + ' ';\n"));
    lines.concat().into_bytes()
}

/// The corpus by its numbers, two versions of a script of which each is a dictionary for the next,
/// and a page that loads both.
fn library() -> Origin {
    const PAGE: &str = "<!doctype html><html><head><link rel=icon href=data:,></head><body>\
        <p id=said>not yet</p><script>\n\
        const load = url => new Promise(done => {\n\
          const script = document.createElement('script');\n\
          script.src = url; script.onload = done; document.head.append(script); });\n\
        const pause = () => new Promise(done => setTimeout(done, 1000));\n\
        load('/app.1.js').then(pause).then(() => load('/app.2.js')).then(() => {\n\
          document.getElementById('said').textContent = 'loaded ' + window.done; });\n\
        </script></body></html>";
    Origin::answering(|request, _| {
        let target = &request.head.target[1..];
        let (kind, content, offer) = match target {
            "" => ("text/html", PAGE.as_bytes().to_vec(), false),
            "app.1.js" => ("text/javascript", script(1), true),
            "app.2.js" => ("text/javascript", script(2), true),
            number => {
                let number: usize = number.parse().expect("a number");
                let (kind, content, _) = corpus().swap_remove(number);
                (kind, content, false)
            }
        };
        let mut fields = vec![("Content-Type", kind), ("Cache-Control", "max-age=600")];
        if offer {
            fields.push(("Use-As-Dictionary", "match=\"/app.*.js\""));
        }
        vec![origin::response("200 OK", &fields, content)]
    })
}

fn gateway(origin: &Origin, more: &str) -> Proxyd {
    let rest = format!(
        "compress = true\n\n[compress]\nmin_size = 200\ndictionaries = \"8MiB\"\n\
         cpu_share = \"100%\"\n{more}"
    );
    configured::gateway(&origin.url(), "", &rest).start()
}

/// How many responses were compressed so.
fn count(proxy: &Proxyd, coding: &str) -> f64 {
    let metrics = client::get(proxy.admin(), "localhost", "/metrics").text();
    let of = format!("coding=\"{coding}\"");
    let lines = metrics
        .lines()
        .filter(|line| line.starts_with("proxy_compress_responses_total{") && line.contains(&of));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn python_decodes_every_coding_and_the_next_version_with_a_dictionary() {
    let origin = library();
    let proxy = gateway(&origin, "");
    let compressed = corpus().iter().filter(|(_, _, compressed)| *compressed).count();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/data/decode_codings.py");
    let out = Command::new(programs::python_with(&["brotli", "zstandard"]))
        .args([script, &proxy.url(), &corpus().len().to_string()])
        .output()
        .expect("python runs");
    assert!(out.status.success(), "{out:?}");
    let told = String::from_utf8_lossy(&out.stdout);
    assert_eq!(told.split(' ').next(), Some(&*(compressed * 3).to_string()), "{told}");
    waiting::until("it is counted", || (count(&proxy, "dcz") == 1.0).then_some(()));
}

/// The page as a browser shows it that nothing stands between.
fn browse(url: &str, options: &[&str]) -> String {
    let own = ["--no-proxy-server", "--virtual-time-budget=20000"];
    Chromium::new().page(url, &[&own, options].concat())
}

/// A browser on the same machine takes br and zstd without TLS, and has dictionaries: whether it uses
/// one is a matter of time.
#[test]
fn chromium_decodes_every_coding() {
    let origin = library();
    for (coding, with_dictionary) in [("zstd", "dcz"), ("br", "dcb"), ("gzip", "gzip")] {
        let proxy = gateway(&origin, &format!("codings = [\"{coding}\"]\n"));
        let url = format!("http://localhost:{}/", proxy.address().port());
        let dom = browse(&url, &[]);
        assert!(dom.contains("loaded v1 ") && dom.contains(" v2 "), "{coding}: {dom}");
        waiting::until("the page and both scripts are counted", || {
            let (plain, with) = (count(&proxy, coding), count(&proxy, with_dictionary));
            let counted = if with_dictionary == coding { plain } else { plain + with };
            (plain >= 2.0 && counted >= 3.0).then_some(())
        });
    }
}

/// Over TLS, and so HTTP/2, as browsers ask elsewhere: they take br and zstd there only.
#[test]
fn chromium_decodes_brotli_and_zstd_over_tls() {
    const PAGE: &str = "<!doctype html><html><head><link rel=icon href=data:,>\
        <script src=app.2.js></script></head><body><p id=said>not yet</p><script>\n\
        document.getElementById('said').textContent = 'loaded ' + window.done;\n\
        </script></body></html>";
    let (pki, origin) = (
        Pki::new(),
        Origin::answering(|request, _| match &*request.head.target {
            "/" => vec![origin::response("200 OK", &[("Content-Type", "text/html")], PAGE)],
            _ => {
                vec![origin::response("200 OK", &[("Content-Type", "text/javascript")], script(2))]
            }
        }),
    );
    let pair = pki.leaf(&["localhost"]);
    let tls = format!("[listeners.web.tls]\ncertificates = [{}]", pair.table());
    for coding in ["zstd", "br"] {
        let rest = format!(
            "compress = true\n\n[compress]\ncodings = [\"{coding}\"]\nmin_size = 100\n\
             cpu_share = \"100%\"\n"
        );
        let proxy = configured::gateway(&origin.url(), &tls, &rest).start();
        let url = format!("https://localhost:{}/", proxy.address().port());
        let dom = browse(&url, &["--ignore-certificate-errors"]);
        assert!(dom.contains("loaded v2 "), "{coding}: {dom}");
        waiting::until("the page and its script are counted", || {
            (count(&proxy, coding) >= 2.0).then_some(())
        });
        waiting::until("both are in the log", || {
            let log = proxy.log();
            let lines = log.lines().filter(|line| line.contains("\"scheme\":\"https\""));
            (lines.count() >= 2).then_some(())
        });
    }
}
